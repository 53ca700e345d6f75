"""Train a run from its first epoch, or from where it was interrupted, to its end."""

import logging
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor

from offramp.core.errors import DataFault
from offramp.core.progress import Track, silent
from offramp.data.check import check
from offramp.data.dataset import Dataset
from offramp.training.loader import LabelledImages, train_loader, val_loader
from offramp.training.losses import enet_weights
from offramp.training.memory import require_memory
from offramp.training.recipe import Distillation, Optimisation, Recipe
from offramp.training.run import Run, load_weights, save_weights
from offramp.training.stages import Stage, Stage1, Stage2

logger = logging.getLogger(__name__)
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # it advertises at every start


def train(run: Run, track: Track = silent) -> Run:
    """Run both stages of MESS §4.3, skipping what is finished.

    Interrupt it at any time: the next call goes on from the last finished epoch and ends at
    the weights at which an uninterrupted run ends.

    Args:
        run: the run's folder and state.
        track: shows progress.

    Raises:
        DataFault: the data set has faults; the message lists them.
    """
    recipe, data = run.recipe, run.dataset
    if set(run.state.done) < {"stage1", "stage2"}:
        check(data, ("train", "val"), track).require_sound()
        splits = _Splits(data, recipe)
        if len(splits.train) < 2:
            raise DataFault(f"{data.file}: training needs at least 2 images", got="1")
        weights = None
        if recipe.class_weights == "enet":
            weights = enet_weights(splits.train.class_pixels(track))
        if "stage1" not in run.state.done:
            _stage1(run, splits, weights, track)
        if recipe.stage2 and "stage2" not in run.state.done:
            _stage2(run, recipe.stage2, splits, weights, track)
    return run


class _Splits:
    """The images that training sees, and those by which it picks the best epoch."""

    def __init__(self, data: Dataset, recipe: Recipe) -> None:
        self.train = LabelledImages(data, "train", recipe.pixels, recipe.augment, recipe.seed)
        self.val = LabelledImages(data, "val", recipe.pixels, None, recipe.seed)


def _stage1(run: Run, splits: _Splits, weights: Tensor | None, track: Track) -> None:
    """Train backbone and plain heads; the best epoch goes to stage1.safetensors."""
    resumed = _checkpoint(run, Stage1).is_file()  # which holds all weights
    network = run.plain_network(None if resumed else run.recipe.weights)
    stage = Stage1(network, run.recipe.stage1, weights)
    out = run.folder / ("stage1.safetensors" if run.recipe.stage2 else "weights.safetensors")
    best = _fit(run, stage, run.recipe.stage1, splits, out, track)
    if run.recipe.stage2:
        run.update(run.state.model_copy(update={"done": ("stage1",)}))
    else:
        _finish(run, best)


def _stage2(
    run: Run, how: Distillation, splits: _Splits, weights: Tensor | None, track: Track
) -> None:
    """Train all candidate heads on the frozen backbone; the best epoch is the run's result."""
    plain = run.plain_network()
    load_weights(plain, run.folder / "stage1.safetensors")
    with torch.random.fork_rng():
        torch.manual_seed(run.recipe.seed + 1)
        network = plain.with_heads(run.exits)
    stage = Stage2(network, how, weights)
    _finish(run, _fit(run, stage, how, splits, run.folder / "weights.safetensors", track))


def _finish(run: Run, best: dict[tuple[str, str], float]) -> None:
    """Note that nothing is left to do, and what the best epoch's exits reach."""
    miou = {"/".join(key): value for key, value in best.items()}
    run.update(run.state.model_copy(update={"done": ("stage1", "stage2"), "miou": miou}))


def _fit(
    run: Run,
    stage: Stage,
    how: Optimisation,
    splits: _Splits,
    out: Path,
    track: Track,
) -> dict[tuple[str, str], float]:
    """Let Lightning run one stage; returns the best epoch's mIoU by exit."""
    require_memory(stage, how.batch)
    name = type(stage).__name__.lower()
    workers = run.recipe.workers
    best = _Best(out)
    last = ModelCheckpoint(
        run.folder / "checkpoints",
        filename=name,
        save_top_k=1,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        torch.manual_seed(run.recipe.seed)  # for dropout
        trainer = lightning.Trainer(
            max_epochs=how.epochs,
            callbacks=[
                _Epoch(splits.train, run.recipe.seed),
                *([_Patience(how.patience)] if how.patience else []),
                best,
                last,
                _Progress(name, track),
            ],
            precision=run.recipe.precision,
            logger=[
                CSVLogger(run.folder / "log", name=name, version=""),
                TensorBoardLogger(run.folder / "log", name=name, version=""),
            ],
            log_every_n_steps=1,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        checkpoint = _checkpoint(run, type(stage))
        with _interruptible():
            trainer.fit(
                stage,
                train_loader(splits.train, how.batch, workers),
                val_loader(splits.val, how.batch, workers),
                ckpt_path=str(checkpoint) if checkpoint.is_file() else None,
                weights_only=False,
            )
    if trainer.interrupted:
        raise KeyboardInterrupt
    return best.mious


def _checkpoint(run: Run, stage: type[Stage]) -> Path:
    """Say where a stage leaves what it needs to go on."""
    return run.folder / "checkpoints" / f"{stage.__name__.lower()}.ckpt"


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let an interrupt out as one: Lightning turns it into an exit, and keeps Ctrl+C ignored."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as exit_:
        signal.signal(signal.SIGINT, handler)
        if isinstance(exit_.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


class _Best(Callback):
    """Write the weights whenever validation improves, and remember across interrupts."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.value = float("-inf")
        self.mious: dict[tuple[str, str], float] = {}

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        value = pl_module.judge(pl_module.mious)
        if value > self.value:
            self.value, self.mious = value, dict(pl_module.mious)
            save_weights(pl_module.network, self.file)

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value, "mious": self.mious}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.value, self.mious = state_dict["value"], state_dict["mious"]


class _Patience(EarlyStopping):
    """Stop after so many epochs without a better one; what is best, `_Best` says too."""

    def __init__(self, epochs: int) -> None:
        super().__init__("val/miou", mode="max", patience=epochs)


class _Epoch(Callback):
    """Make images and dropout depend on the epoch alone, so that a resumed run draws the same.

    Lightning starts the workers of its first epoch before that epoch's hooks: what they copy
    must know the epoch by then.
    """

    def __init__(self, images: LabelledImages, seed: int) -> None:
        self.images = images
        self.seed = seed
        images.epoch = 0

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.images.epoch + 1}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.images.epoch = state_dict["epoch"]

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.images.epoch = trainer.current_epoch
        torch.manual_seed(self.seed * 100_003 + trainer.current_epoch)


class _Progress(Callback):
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
