"""What happens around the epochs of a stage: the best is kept, all are drawn anew, and told."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping

from offramp.core.progress import Track
from offramp.training import peers
from offramp.training.features import Features
from offramp.training.loader import LabelledImages
from offramp.training.run import save_weights

logger = logging.getLogger(__name__)


class Best(Callback):
    """Write the weights whenever validation improves, and remember across interrupts."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.value = float("-inf")
        self.mious: dict[tuple[str, str], float] = {}

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        value = pl_module.judge(pl_module.mious)
        if value > self.value:
            self.value, self.mious = value, dict(pl_module.mious)
            if trainer.is_global_zero:
                save_weights(pl_module.network, self.file)

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value, "mious": self.mious}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.value, self.mious = state_dict["value"], state_dict["mious"]


class Patience(EarlyStopping):
    """Stop after so many epochs without a better one; what is best, `Best` says too."""

    def __init__(self, epochs: int) -> None:
        super().__init__("val/miou", mode="max", patience=epochs)


class Epoch(Callback):
    """Make images and dropout depend on the epoch alone, so that a resumed run draws the same.

    Lightning starts the workers of its first epoch before that epoch's hooks: what they copy
    must know the epoch by then.
    """

    def __init__(self, images: LabelledImages | Features, seed: int) -> None:
        self.images = images
        self.seed = seed
        images.epoch = 0

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.images.epoch + 1}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.images.epoch = state_dict["epoch"]

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.images.epoch = trainer.current_epoch
        torch.manual_seed(self.seed * 100_003 + trainer.current_epoch + (peers.rank() << 40))


class Progress(Callback):
    """Step a progress bar at every batch, and log a line at every epoch."""

    def __init__(self, name: str, track: Track) -> None:
        self.name = name
        self.track = track
        self.steps: Iterator[int] = iter(())
        self.started = 0.0
        self.first_epoch = 0

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.started, self.first_epoch = time.monotonic(), trainer.current_epoch
        epochs = trainer.max_epochs - trainer.current_epoch
        total = trainer.num_training_batches * epochs
        self.steps = iter(self.track(range(total), total, self.name))
        next(self.steps, None)

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        next(self.steps, None)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        epoch = trainer.current_epoch + 1
        spent = time.monotonic() - self.started
        left = spent / (epoch - self.first_epoch) * (trainer.max_epochs - epoch)
        loss = float(trainer.callback_metrics.get("train/loss", float("nan")))
        miou = pl_module.judge(pl_module.mious)
        text = "%s epoch %d/%d: loss %.3f, val mIoU %.3f, %.0f s left"
        logger.info(text, self.name, epoch, trainer.max_epochs, loss, miou, left)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        for _ in self.steps:
            pass
