"""The two stages as Lightning modules (MESS §4.3)."""

from collections.abc import Mapping
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn

from offramp.core.head import OWN
from offramp.metrics.confusion import intersections_unions, mean_iou
from offramp.models.network import MultiExitNetwork
from offramp.training.losses import (
    Teacher,
    cross_entropy,
    positive_filtering_distillation,
    round_robin,
)
from offramp.training.recipe import Distillation, Optimisation

Logits = Mapping[tuple[str, str], Tensor]


class Stage(lightning.LightningModule):
    """What both stages share: the walk, the optimiser, and per-exit mIoU at every validation.

    Args:
        network: what is trained.
        how: learning rate and the like.
        weights: class weights, shape C, or none.
    """

    def __init__(
        self, network: MultiExitNetwork, how: Optimisation, weights: Tensor | None
    ) -> None:
        super().__init__()
        self.network = network
        self.how = how
        self.ignore_index = network.spec.ignore_index
        self.register_buffer("weights", weights, persistent=False)
        self._counts: dict[tuple[str, str], np.ndarray] = {}
        self.mious: dict[tuple[str, str], float] = {}

    def trained(self) -> list[nn.Parameter]:
        """List the parameters that this stage trains."""
        return [p for p in self.parameters() if p.requires_grad]

    def logits(self, images: Tensor, early: int | None = None) -> Logits:
        """Walk uint8 images N×H×W×3 through the network and read its heads.

        Args:
            images: the batch.
            early: read only this early position and the end; absent: read all.
        """
        network = self.network
        state = network.begin(images)
        read: dict[tuple[str, str], Tensor] = {}
        last = len(network.points) - 1
        for index, point in enumerate(network.points):
            state = network.advance(index, state)
            if early is None or index in (early, last):
                for name in network.head_names(point):
                    read[point, name] = network.read(index, state, name).logits
        return read

    def configure_optimizers(self) -> Any:
        """AdamW, decayed as lr·(1 − i/T)^power at every step."""
        optimizer = torch.optim.AdamW(
            self.trained(), lr=self.how.lr, weight_decay=self.how.weight_decay
        )
        steps = max(int(self.trainer.estimated_stepping_batches), 1)
        decay = torch.optim.lr_scheduler.PolynomialLR(optimizer, steps, self.how.power)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": decay, "interval": "step"}}

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Count intersections and unions of every head."""
        images, labels = batch
        truth = labels.to(torch.uint8).cpu().numpy()
        for key, logits in self.logits(images).items():
            answer = self.network.decode(logits, tuple(labels.shape[-2:])).cpu().numpy()
            counts = intersections_unions(
                answer, truth, self.network.spec.classes, self.ignore_index
            )
            self._counts[key] = self._counts.get(key, 0) + np.stack(counts)

    def on_validation_epoch_end(self) -> None:
        """Log each exit's mIoU, and their mean as what the best epoch is chosen by."""
        for key, counts in self._counts.items():
            self.mious[key] = float(mean_iou(*counts))
            self.log(f"val/{'/'.join(key)}", self.mious[key])
        self._counts = {}
        self.log("val/miou", self.judge(self.mious))

    def judge(self, mious: Mapping[tuple[str, str], float]) -> float:
        """Boil the exits' mIoU down to the number by which the best epoch is chosen."""
        raise NotImplementedError

    def _loss_logged(self, loss: Tensor) -> Tensor:
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss


class Stage1(Stage):
    """Exit-aware pre-training with exit dropout (MESS eq. 2, read as a round robin).

    Each step trains the backbone, the final head and one early exit; the next step takes the
    next early exit. The best epoch is that of the final exit.
    """

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Compute CE(yᵢ) + CE(y_N) for the early exit i whose turn it is."""
        images, labels = batch
        early = len(self.network.points) - 1
        turn = round_robin(self.global_step, early) if early else None
        losses = [
            cross_entropy(logits, labels, self.ignore_index, self.weights)
            for logits in self.logits(images, turn).values()
        ]
        return self._loss_logged(torch.stack(losses).sum())

    def judge(self, mious: Mapping[tuple[str, str], float]) -> float:
        """Take the final exit's mIoU."""
        return mious[self.network.points[-1], OWN]


class Stage2(Stage):
    """Frozen backbone; all heads at all positions learn by distillation (MESS eq. 3).

    Frozen means frozen: no gradient, and batch norm of the backbone stays in eval mode. The
    heads share nothing, so they do not interfere. The best epoch has the best mean early mIoU.
    """

    def __init__(
        self, network: MultiExitNetwork, how: Distillation, weights: Tensor | None
    ) -> None:
        super().__init__(network, how, weights)
        self.alpha = how.alpha
        self.loss_stride = how.loss_stride
        network.segments.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Stage2":
        """Set the heads to `mode`, and the backbone to eval mode for good."""
        super().train(mode)
        self.network.segments.eval()
        return self

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Sum the distillation losses of all early heads."""
        images, labels = batch
        labels = labels[:, :: self.loss_stride, :: self.loss_stride]
        read = dict(self.logits(images))
        final = read.pop((self.network.points[-1], OWN))
        teacher = Teacher.of(final, labels, self.ignore_index)
        losses = [
            positive_filtering_distillation(logits, teacher, self.alpha, self.weights)
            for logits in read.values()
        ]
        return self._loss_logged(torch.stack(losses).sum())

    def judge(self, mious: Mapping[tuple[str, str], float]) -> float:
        """Average the early heads' mIoU."""
        return float(np.mean([v for (_, name), v in mious.items() if name != OWN]))
