"""The two stages as Lightning modules (MESS §4.3)."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn

from offramp.core.errors import UnknownName
from offramp.core.head import OWN
from offramp.metrics.confusion import intersections_unions, mean_iou
from offramp.models.network import MultiExitNetwork, State, uncut_name
from offramp.training import peers
from offramp.training.losses import Teacher, cross_entropy, distillation, turns
from offramp.training.optimiser import optimiser
from offramp.training.recipe import Distillation, Optimisation, Pretraining

Logits = Mapping[tuple[str, str], Tensor]


class Stage(lightning.LightningModule, ABC):
    """What both stages share: the walk, the step, and per-exit mIoU at every validation.

    A stage says by `losses` what a batch costs, in parts that share no graph. Each part is
    propagated back before the next is computed, so that only one is in memory at a time.

    Args:
        network: what is trained.
        how: learning rate and the like.
        weights: class weights, shape C, or none.
    """

    automatic_optimization = False

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

    def logits(self, images: Tensor, early: Collection[int] | None = None) -> Logits:
        """Walk uint8 images N×H×W×3 through the network and read its heads.

        Args:
            images: the batch.
            early: read only these early positions and the end; absent: read all.
        """
        network = self.network
        state = network.begin(images)
        read: dict[tuple[str, str], Tensor] = {}
        last = len(network.points) - 1
        for index, point in enumerate(network.points):
            state = network.advance(index, state)
            if early is None or index in early or index == last:
                for name in network.head_names(point):
                    read[point, name] = network.read(index, state, name).logits
        return read

    @abstractmethod
    def losses(self, images: Tensor, labels: Tensor, batch: int) -> Iterator[Tensor]:
        """Compute the parts of the loss one after the other.

        Args:
            images: uint8 N×H×W×3.
            labels: int64 N×H×W.
            batch: how many batches this stage has seen.
        """

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Add the gradients of a batch, and step when enough batches are together.

        All processes step alike: by the mean of their gradients.
        """
        batches = int(self.trainer.num_training_batches)
        total = torch.zeros((), device=self.device)
        for loss in self.losses(*batch, self.current_epoch * batches + batch_idx):
            self.manual_backward(loss / self.how.accumulate)
            total += loss.detach()
        self.log("train/loss", total, on_step=False, on_epoch=True, sync_dist=True)
        if (batch_idx + 1) % self.how.accumulate == 0 or batch_idx + 1 == batches:
            optimizer = self.optimizers()
            peers.mean_gradients(self.trained())
            self.clip_gradients(
                optimizer, gradient_clip_val=self.how.clip, gradient_clip_algorithm="norm"
            )
            optimizer.step()
            optimizer.zero_grad()
            self.lr_schedulers().step()
        if batch_idx + 1 == batches:  # validation follows, and judges one network
            peers.mean_statistics(self.network)

    def configure_optimizers(self) -> Any:
        """Build what the recipe asks for, over all the steps of the stage."""
        batches = int(self.trainer.estimated_stepping_batches) // self.how.epochs
        steps = -(-batches // self.how.accumulate) * self.how.epochs
        optimizer, schedule = optimiser(self.trained(), self.how, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule}}

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
        summed = peers.total(np.stack(list(self._counts.values())), self.device)  # E×2×C
        for key, counts in zip(self._counts, summed, strict=True):
            self.mious[key] = float(mean_iou(*counts))
            self.log(f"val/{'/'.join(key)}", self.mious[key])
        self._counts = {}
        self.log("val/miou", self.judge(self.mious))

    @abstractmethod
    def judge(self, mious: Mapping[tuple[str, str], float]) -> float:
        """Boil the exits' mIoU down to the number by which the best epoch is chosen."""


class Stage1(Stage):
    """The backbone, its own head and the early exits of the scheme, see `losses.turns`.

    The best epoch is that of the final exit; with "end-to-end", of the mean over the exits,
    weighted as their losses are.
    """

    def __init__(self, network: MultiExitNetwork, how: Pretraining, weights: Tensor | None) -> None:
        super().__init__(network, how, weights)
        self.how: Pretraining = how
        self.exit_weights = how.exit_weights or (1.0,) * len(network.points)
        self.frozen = _frozen_parts(network, how.freeze)
        for part in self.frozen:
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Stage1":
        """Set all to `mode` but what is frozen, which stays in eval mode for good."""
        super().train(mode)
        for part in self.frozen:
            part.eval()
        return self

    def losses(self, images: Tensor, labels: Tensor, batch: int) -> Iterator[Tensor]:
        """Compute Σ wᵢ·CE(yᵢ) over the early exits whose turn it is, and the end."""
        network = self.network
        early = turns(batch, len(network.points) - 1, self.how.scheme)
        weights = dict(zip(network.points, self.exit_weights, strict=True))
        parts = [
            weights[point] * cross_entropy(logits, labels, self.ignore_index, self.weights)
            for (point, _), logits in self.logits(images, early).items()
        ]
        yield torch.stack(parts).sum()

    def judge(self, mious: Mapping[tuple[str, str], float]) -> float:
        """Take the final exit's mIoU, or with "end-to-end" the weighted mean of all."""
        if self.how.scheme != "end-to-end":
            return mious[self.network.points[-1], OWN]
        weights = dict(zip(self.network.points, self.exit_weights, strict=True))
        shares = [weights[point] for point, _ in mious]
        return float(np.average(list(mious.values()), weights=shares))


class Stage2(Stage):
    """Frozen backbone; all heads at all positions learn together (MESS eq. 3, table 6).

    Frozen means frozen: no gradient, and batch norm of the backbone stays in eval mode. The
    backbone runs once a batch. The heads share nothing, so they do not interfere, and each is
    propagated back on its own. The best epoch has the best mean early mIoU.
    """

    def __init__(
        self, network: MultiExitNetwork, how: Distillation, weights: Tensor | None
    ) -> None:
        super().__init__(network, how, weights)
        self.how: Distillation = how
        network.segments.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Stage2":
        """Set the heads to `mode`, and the backbone to eval mode for good."""
        super().train(mode)
        self.network.segments.eval()
        return self

    @torch.no_grad()
    def walk(self, images: Tensor) -> list[Tensor]:
        """Run the frozen backbone over uint8 images N×H×W×3.

        Returns:
            The feature at every early position, and the logits of the network's own end.
        """
        network = self.network
        last = len(network.points) - 1
        state, found = network.begin(images), []
        for index in range(last):
            state = network.advance(index, state)
            found.append(state.feature)
        return [*found, network.read(last, network.advance(last, state), OWN).logits]

    def thinned(self, labels: Tensor) -> Tensor:
        """Keep the pixels of labels N×H×W that the loss looks at."""
        stride = self.how.loss_stride
        return labels[:, ::stride, ::stride]

    def losses(self, images: Tensor | list[Tensor], labels: Tensor, batch: int) -> Iterator[Tensor]:
        """Compute the distillation loss of one early head after the other.

        Args:
            images: uint8 N×H×W×3, or what `walk` made of them earlier.
            labels: int64 N×H×W, or what `thinned` made of them.
            batch: how many batches this stage has seen.
        """
        network = self.network
        if isinstance(images, Tensor):
            images, labels = self.walk(images), self.thinned(labels)
        *features, final = images
        teacher = Teacher.of(final, labels, self.ignore_index)
        for index, feature in enumerate(features):
            for name in network.head_names(network.points[index]):
                logits = network.read(index, State({}, feature), name).logits
                yield distillation(logits, teacher, self.how, self.weights)

    def judge(self, mious: Mapping[tuple[str, str], float]) -> float:
        """Average the early heads' mIoU."""
        return float(np.mean([v for (_, name), v in mious.items() if name != OWN]))


def _frozen_parts(network: MultiExitNetwork, blocks: Collection[str]) -> list[nn.Module]:
    """Find the parts of a network that lie in blocks of the uncut one.

    Raises:
        UnknownName: a block holds nothing.
    """
    parts = {uncut_name(f"segments.{n}"): m for n, m in network.segments.named_modules() if n}
    found: list[nn.Module] = []
    for block in blocks:
        inside = [m for n, m in parts.items() if n == block or n.startswith(block + ".")]
        if not inside:
            known = sorted({n.partition(".")[0] for n in parts if n})
            raise UnknownName("block to freeze", block, known)
        found += inside
    return found
