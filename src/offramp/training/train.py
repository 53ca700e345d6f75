"""Train a run from its first epoch, or from where it was interrupted, to its end."""

import logging
import shutil
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import Tensor

from offramp.core.errors import DataFault
from offramp.core.progress import Track, silent
from offramp.data.check import check
from offramp.data.dataset import Dataset
from offramp.training import peers
from offramp.training.callbacks import Best, Epoch, Patience, Progress
from offramp.training.features import Features, keep_features
from offramp.training.launch import Team, launch
from offramp.training.loader import LabelledImages, train_loader, val_loader
from offramp.training.losses import enet_weights
from offramp.training.memory import available_bytes, require_memory
from offramp.training.recipe import Distillation, Optimisation, Recipe
from offramp.training.run import Run, RunState, load_weights
from offramp.training.stages import Stage, Stage1, Stage2

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # it advertises at every start


def train(run: Run, track: Track = silent, checked: Dataset | None = None) -> Run:
    """Run both stages of MESS §4.3, skipping what is finished.

    Interrupt it at any time: the next call goes on from the last finished epoch and ends at
    the weights at which an uninterrupted run ends.

    Args:
        run: the run's folder and state.
        track: shows progress.
        checked: the run's data set, where it is open and known to be sound; absent: it is opened
            and checked. Several processes open it themselves.

    Raises:
        DataFault: the data set has faults; the message lists them.
        BadInput: there are fewer GPUs than `devices`, or the environment does not say how
            `nodes` meet.
    """
    recipe, data = run.recipe, checked or run.dataset
    if set(run.state.done) < {"stage1", "stage2"}:
        team = Team.of(recipe.devices, recipe.nodes) if recipe.processes > 1 else None
        if checked is None:
            check(data, ("train", "val"), track).require_sound()
        splits = _Splits(data, recipe)
        splits.require_enough(recipe.processes)
        if team is None:
            _stages(run, splits, track)
        else:
            try:
                launch(_opened_stages, run.folder, team, track)
            finally:
                run.state = Run.open(run.folder).state
    return run


def assist(folder: Path, recipe: Recipe, track: Track = silent) -> None:
    """Lend this machine's processes to a run that the first of several machines leads.

    Args:
        folder: the run, which all machines see; the first one makes it.
        recipe: says how many processes there are.
        track: shows progress.

    Raises:
        BadInput: as `train`.
    """
    if not (folder / "run.json").is_file() or "stage2" not in Run.open(folder).state.done:
        launch(_opened_stages, folder, Team.of(recipe.devices, recipe.nodes), track)


def _opened_stages(folder: Path, track: Track) -> None:
    """Run the stages as one of several processes."""
    run = Run.open(folder)
    _stages(run, _Splits(run.dataset, run.recipe), track)


def _stages(run: Run, splits: "_Splits", track: Track) -> None:
    """Run the stages that are not finished."""
    recipe, weights = run.recipe, None
    if recipe.class_weights == "enet":
        weights = enet_weights(splits.train.class_pixels(track))
    if "stage1" not in run.state.done:
        _stage1(run, splits, weights, track)
    if recipe.stage2 and "stage2" not in run.state.done:
        _stage2(run, recipe.stage2, splits, weights, track)


class _Splits:
    """The images that training sees, and those by which it picks the best epoch.

    `shown` is what the loader draws: the images, or what is kept of them on disk.
    """

    def __init__(self, data: Dataset, recipe: Recipe) -> None:
        self.train = LabelledImages(data, "train", recipe.pixels, recipe.augment, recipe.seed)
        self.val = LabelledImages(data, "val", recipe.pixels, None, recipe.seed)
        self.shown: LabelledImages | Features = self.train

    def require_enough(self, processes: int) -> None:
        """Refuse splits of which a process would get too little."""
        least = {"train": 2 * processes, "val": processes}
        for name, images in (("train", self.train), ("val", self.val)):
            if len(images) < least[name]:
                together = f" in {processes} processes" if processes > 1 else ""
                raise DataFault(
                    f"{images.data.file}: training{together} needs at least {least[name]} images",
                    got=f"{len(images)} in {name}",
                )


def _stage1(run: Run, splits: _Splits, weights: Tensor | None, track: Track) -> None:
    """Train backbone and plain heads; the best epoch goes to stage1.safetensors."""
    resumed = _checkpoint(run, Stage1).is_file()  # which holds all weights
    network = run.plain_network(None if resumed else run.recipe.weights)
    stage = Stage1(network, run.recipe.stage1, weights)
    out = run.folder / ("stage1.safetensors" if run.recipe.stage2 else "weights.safetensors")
    best = _fit(run, stage, run.recipe.stage1, splits, out, track)
    if run.recipe.stage2:
        _note(run, run.state.model_copy(update={"done": ("stage1",)}))
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
    features = run.folder / "features"
    if how.views is not None:
        if torch.cuda.is_available():
            stage.cuda()
        with peers.first_before_others():
            splits.shown = keep_features(features, splits.train, stage, how.views, track)
    _finish(run, _fit(run, stage, how, splits, run.folder / "weights.safetensors", track))
    shutil.rmtree(features, ignore_errors=True)


def _finish(run: Run, best: dict[tuple[str, str], float]) -> None:
    """Note that nothing is left to do, and what the best epoch's exits reach."""
    miou = {"/".join(key): value for key, value in best.items()}
    _note(run, run.state.model_copy(update={"done": ("stage1", "stage2"), "miou": miou}))


def _note(run: Run, state: RunState) -> None:
    """Replace the state of the run in all processes, and on disk; what is written is there then."""
    if peers.rank() == 0:
        run.update(state)
    run.state = state
    peers.wait()


def _fit(
    run: Run,
    stage: Stage,
    how: Optimisation,
    splits: _Splits,
    out: Path,
    track: Track,
) -> dict[tuple[str, str], float]:
    """Let Lightning run one stage; returns the best epoch's mIoU by exit."""
    require_memory(stage, how.batch, _available(run.recipe))
    name = type(stage).__name__.lower()
    workers, share = run.recipe.workers, (peers.rank(), peers.count())
    best = Best(out)
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
                Epoch(splits.shown, run.recipe.seed),
                *([Patience(how.patience)] if how.patience else []),
                best,
                last,
                Progress(name, track),
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
            **_placement(run.recipe),
        )
        checkpoint = _checkpoint(run, type(stage))
        with _interruptible():
            trainer.fit(
                stage,
                train_loader(splits.shown, how.batch, workers, *share),
                val_loader(splits.val, how.batch, workers, *share),
                ckpt_path=str(checkpoint) if checkpoint.is_file() else None,
                weights_only=False,
            )
    if trainer.interrupted:
        raise KeyboardInterrupt
    return best.mious


def _available(recipe: Recipe) -> int:
    """Say how many bytes a process may take: processes without a GPU share the machine's."""
    return available_bytes() // (1 if torch.cuda.is_available() else recipe.devices)


def _placement(recipe: Recipe) -> dict[str, Any]:
    """Say where Lightning's trainer runs; where there are several processes, `launch` made them."""
    if recipe.processes == 1:
        return {"devices": 1}
    return {
        "accelerator": "cuda" if torch.cuda.is_available() else "cpu",
        "devices": recipe.devices,
        "num_nodes": recipe.nodes,
        "strategy": peers.Peers(cluster_environment=LightningEnvironment()),
    }


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
