"""Export the candidates of a study for a target device, before anything is trained."""

from itertools import islice
from pathlib import Path

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput
from offramp.core.model import ModelSpec
from offramp.core.progress import Track, silent
from offramp.data.dataset import Dataset
from offramp.data.images import read_image
from offramp.models.own import absolute
from offramp.models.zoo import entry
from offramp.training.recipe import load_recipe
from offramp.tuning.bundles import export_folder
from offramp.tuning.candidate import Study
from offramp.tuning.clock import DEVICE
from offramp.tuning.desk import RECIPE
from offramp.tuning.knobs import Setting, Space


def export_study(
    study: Path, out: Path, combinations: int = 0, track: Track = silent
) -> list[Bundle]:
    """Write every single-knob candidate of a study untrained, and some of their combinations.

    Args:
        study: folder of a study.
        out: folder to write.
        combinations: how many combinations; they lie evenly over all.
        track: shows progress.

    Raises:
        BadInput: `study` is not the folder of a study, or `out` holds something else.
    """
    record = Study.load(study)
    recipe = load_recipe(study / RECIPE)
    if out.exists() and not (out / DEVICE).is_file():
        raise BadInput(f"{out} exists and holds no candidates", repair="give another --out")
    knobs = entry(record.model).knobs
    space = Space.of(knobs, record.size, record.level, recipe.knobs)
    data = Dataset.open(Path(record.data))
    base = ModelSpec(
        name=absolute(record.model),
        names=record.names,
        size=record.size,
        knobs=recipe.knobs,
        ignore_index=data.spec.ignore_index,
        palette=data.palette,
    )
    frames = [read_image(sample.image) for sample in data.samples("val")[:2]]
    return export_folder(base, _settings(space, combinations), frames, out, track)


def _settings(space: Space, combinations: int) -> dict[str, Setting]:
    """Name the baseline, all that turn one knob, and some that turn several."""
    single = [space.native, *(s for stage in space.stages for s in space.proposals(stage))]
    named = {space.name(setting): setting for setting in single}
    rest = [s for s in space.combinations(set(), set()) if space.name(s) not in named]
    if "combination" not in space.stages or not combinations:
        return named
    step = max(len(rest) // combinations, 1)
    some = islice(rest[step // 2 :: step], combinations)
    return {**named, **{space.name(setting): setting for setting in some}}
