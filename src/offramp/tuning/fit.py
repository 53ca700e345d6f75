"""Train one candidate, with a pause at each rung, and never beyond the time that is left."""

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from offramp.core.model import ModelSpec, format_size
from offramp.core.progress import Track
from offramp.data.dataset import Dataset
from offramp.models.blocks import usual_exits
from offramp.models.network import MultiExitNetwork, build_network
from offramp.training.recipe import Exits, Recipe
from offramp.training.run import Run, load_weights
from offramp.training.train import train
from offramp.tuning.knobs import Setting

T = TypeVar("T")

STEP = "stage1"
"""How training calls its progress."""


class Halt(Exception):
    """Leave a training that is not finished; it can be gone on with."""


class OutOfTime(Halt):
    """The time budget is spent."""


class GivenUp(Halt):
    """Others are clearly better; the message says which."""


def rungs(epochs: int) -> tuple[int, ...]:
    """Say after which epochs a candidate is compared with others: a quarter, and half."""
    return tuple(sorted({math.ceil(epochs / 4), math.ceil(epochs / 2)} - {epochs}))


def recipe_of(recipe: Recipe, setting: Setting, exit_point: str, weights: Path | None) -> Recipe:
    """Change a recipe so that it trains a setting without early exits.

    A run has at least one early exit; here it is one plain head that takes no part in any loss.
    """
    stage1 = recipe.stage1.model_copy(update={"scheme": "plain", "exit_weights": ()})
    return recipe.model_copy(
        update={
            "size": format_size(setting.size),
            "knobs": dict(setting.knobs),
            "weights": str(weights.resolve()) if weights else recipe.weights,
            "exits": Exits(points=(exit_point,), heads="light"),
            "stage1": stage1,
            "stage2": None,
        }
    )


def fit(
    folder: Path,
    model: str,
    recipe: Recipe,
    data: Dataset,
    at_epoch: Callable[[int], None],
    left: Callable[[], float],
    track: Track,
) -> Run:
    """Train a run, or go on with it.

    Args:
        folder: the run's folder.
        model: name of the network.
        recipe: what `recipe_of` made; of a run that was begun, the run's own stands.
        data: the data set, known to be sound.
        at_epoch: called after each epoch but the last, with how many are finished; may raise.
        left: seconds that are left of the budget.
        track: shows progress.

    Raises:
        OutOfTime: no time is left; the run can be gone on with.
    """
    begun = (folder / "run.json").exists()
    run = Run.open(folder) if begun else Run.create(folder, model, recipe, data)
    images = len(data.samples("train"))
    watch = _Watch(track, _batches(images, recipe), recipe.stage1.epochs, at_epoch, left)
    train(run, watch, data)
    return run


def trained_network(folder: Path, size: tuple[int, int] | None = None) -> MultiExitNetwork:
    """Open what a run has learned so far, best epoch first; at another size if one is given."""
    run = Run.open(folder)
    spec = run.state.model if size is None else run.state.model.model_copy(update={"size": size})
    network = build_network(spec, run.exits)
    load_weights(network, folder / "weights.safetensors")
    network.eval()
    return network


def static_network(folder: Path, size: tuple[int, int]) -> MultiExitNetwork:
    """Open what a run has learned, without its early exit; at `size`."""
    network: MultiExitNetwork = trained_network(folder, size).with_heads({})
    return network


def within(left: Callable[[], float], track: Track) -> Track:
    """Make progress end with `OutOfTime` as soon as no time is left."""

    def watched(items: Iterable[T], total: int, label: str) -> Iterator[T]:
        for item in track(items, total, label):
            if left() <= 0:
                raise OutOfTime
            yield item

    return watched


class _Watch:
    """Progress of a training that counts its epochs.

    Training asks for the next item after each batch, before validation and checkpoint. So an
    epoch's are surely done when the first batch of the next one is: only that batch is lost.
    """

    def __init__(
        self,
        track: Track,
        batches: int,
        epochs: int,
        at_epoch: Callable[[int], None],
        left: Callable[[], float],
    ) -> None:
        self.track, self.watched, self.left = track, within(left, track), left
        self.batches, self.epochs, self.at_epoch = batches, epochs, at_epoch

    def __call__(self, items: Iterable[T], total: int, label: str) -> Iterable[T]:
        if label != STEP:
            return self.watched(items, total, label)
        return self._steps(self.track(items, total, label), total)

    def _steps(self, items: Iterable[T], total: int) -> Iterator[T]:
        before = self.batches * self.epochs - total  # batches of an earlier, interrupted call
        for done, item in enumerate(items):
            epoch, batch = divmod(before + done, self.batches)
            if done and batch == 1 % self.batches and epoch:
                self.at_epoch(epoch if self.batches > 1 else epoch - 1)
            if done and self.left() <= 0:
                raise OutOfTime
            yield item


def _batches(images: int, recipe: Recipe) -> int:
    """Count the batches of an epoch: a last batch of one is left out, as the loader does."""
    batch = recipe.stage1.batch
    return images // batch + (images % batch > 1)


def exit_point(spec: ModelSpec) -> str:
    """Choose where the head that a run must have sits: at the last usual exit."""
    return usual_exits(spec)[-1]
