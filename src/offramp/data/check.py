"""Find every fault of a data set before hours are spent on it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offramp.core.errors import BadInput, DataFault
from offramp.core.progress import Track, silent
from offramp.data.dataset import Dataset
from offramp.data.idx import is_entry
from offramp.data.images import image_size
from offramp.data.readers.reader import SPLITS
from offramp.data.sample import Sample


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and the file in which it is."""

    file: Path
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


@dataclass(frozen=True)
class Health:
    """What a check found.

    Attributes:
        images: number of images by split.
        pixels: share of the labelled pixels by class name, over all splits.
        faults: everything that is wrong; empty for a sound data set.
    """

    images: dict[str, int]
    pixels: dict[str, float]
    faults: tuple[Fault, ...]

    def require_sound(self) -> None:
        """Refuse a faulty data set.

        Raises:
            DataFault: there are faults; the message lists up to ten of them.
        """
        if not self.faults:
            return
        shown = "\n  ".join(str(fault) for fault in self.faults[:10])
        more = len(self.faults) - 10
        rest = f"\n  ... and {more} more: offramp data check lists all" if more > 0 else ""
        raise DataFault(f"the data set has {len(self.faults)} faults:\n  {shown}{rest}")


def check(data: Dataset, splits: tuple[str, ...] | None = None, track: Track = silent) -> Health:
    """Open every image and mask of `splits` (default: all) and collect what is wrong."""
    images: dict[str, int] = {}
    faults: list[Fault] = []
    counts = np.zeros(256, dtype=np.int64)
    seen_names: dict[str, Path] = {}
    for split in splits or data.splits:
        try:
            samples = data.samples(split)
        except BadInput as error:
            faults.append(Fault(data.file, str(error)))
            images[split] = 0
            continue
        images[split] = len(samples)
        for sample in track(samples, len(samples), f"checking {split}"):
            faults += _check_sample(data, sample, counts)
            faults += _check_shared(sample, seen_names)
    if not images:
        faults.append(Fault(data.file, f"no split is named (known: {', '.join(SPLITS)})"))
    labelled = int(counts[: len(data.names)].sum())
    for index, name in enumerate(data.names):
        if labelled and not counts[index] and index not in data.spec.remap:
            faults.append(Fault(data.file, f"class {index} '{name}' is never present"))
    faults += [Fault(data.root / path, "the file does not exist") for path in _missing_videos(data)]
    shares = {name: int(counts[i]) / max(labelled, 1) for i, name in enumerate(data.names)}
    return Health(images, shares, tuple(faults))


def _check_sample(data: Dataset, sample: Sample, counts: np.ndarray) -> list[Fault]:
    """Check one image and its mask, and add the mask's labels to `counts`."""
    faults: list[Fault] = []
    size = mask = None
    try:
        size = image_size(sample.image)
    except DataFault as error:
        faults.append(_fault(sample.image, error))
    if size is None and data.reader.drawn:
        return faults  # there is nothing to draw labels on
    try:
        mask = data.labels(sample, size)
    except DataFault as error:
        faults.append(_fault(sample.mask, error))
    if mask is None:
        return faults
    if size is not None and size != mask.shape:
        wrong = f"{mask.shape[1]}x{mask.shape[0]}, its image is {size[1]}x{size[0]}"
        faults.append(Fault(sample.mask, wrong))
    found = np.bincount(mask.ravel(), minlength=256)
    counts += found
    legal = set(range(len(data.names))) | {data.spec.ignore_index}
    illegal = [int(label) for label in np.flatnonzero(found) if label not in legal]
    if illegal:
        known = f"0 to {len(data.names) - 1} and {data.spec.ignore_index} (ignored)"
        faults.append(Fault(sample.mask, f"labels {illegal} are out of range; known are {known}"))
    return faults


def _check_shared(sample: Sample, seen: dict[str, Path]) -> list[Fault]:
    """Report an image file that stands in two splits, or shares its mask with another."""
    if is_entry(sample.image):
        return []  # which stands in its split alone
    image, mask = str(sample.image.resolve()), str(sample.mask.resolve())
    if image in seen:
        return [Fault(sample.image, "stands in more than one split")]
    faults = []
    if mask in seen:
        faults.append(Fault(sample.image, f"shares {sample.mask.name} with {seen[mask]}"))
    seen[image] = seen[mask] = sample.image
    return faults


def _missing_videos(data: Dataset) -> list[str]:
    files = [f for v in data.spec.videos.values() for f in (v.video, v.masks) if f]
    return [file for file in files if not (data.root / file).is_file()]


def _fault(file: Path, error: DataFault) -> Fault:
    """Turn an error into a fault without the file's name twice."""
    return Fault(file, str(error).removeprefix(f"{file}: "))
