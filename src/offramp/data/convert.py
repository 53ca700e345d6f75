"""Write any data set as folders of images and masks with a `dataset.yaml`."""

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import yaml

from offramp.core.errors import BadInput
from offramp.core.files import written_folder
from offramp.core.progress import Track, silent
from offramp.data.dataset import Dataset
from offramp.data.images import SUFFIXES, write_image
from offramp.data.sample import Sample


def convert(data: Dataset, out: Path, track: Track = silent) -> Path:
    """Write a data set's images and masks; all of it, or nothing.

    An image that is a file of its own becomes a hard link, or a copy where the file system has
    none; others become PNG. Masks are PNG of class indices, after merging. Clips stay behind.

    Args:
        data: what is read.
        out: folder to make; it may be there if it is empty.
        track: shows progress.

    Returns:
        Its `dataset.yaml`.

    Raises:
        BadInput: `out` holds something, or two images would get one name.
        DataFault: an image or mask cannot be read; nothing is written then.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(
            f"{out} is not an empty folder", repair="choose another folder, or empty this one"
        )
    if not data.splits:
        raise BadInput(f"{data.file} has no split")
    listed = {split: data.samples(split) for split in data.splits}
    with written_folder(out) as folder:
        for split, samples in listed.items():
            pairs = list(zip(samples, _stems(samples), strict=True))
            for sample, stem in track(pairs, len(pairs), f"converting {split}"):
                _write(data, sample, folder, split, stem)
        (folder / "dataset.yaml").write_text(_described(data), encoding="utf-8")
    return out / "dataset.yaml"


def _write(data: Dataset, sample: Sample, folder: Path, split: str, stem: str) -> None:
    """Write one image and its mask."""
    image, mask = data.read(sample)
    own = sample.image.suffix.lower() in SUFFIXES and sample.image.is_file()
    suffix = sample.image.suffix if own else ".png"
    picture = folder / "images" / split / f"{stem}{suffix}"
    labels = folder / "masks" / split / f"{stem}.png"
    for file in (picture, labels):
        file.parent.mkdir(parents=True, exist_ok=True)
    write_image(labels, mask)
    if not own:
        write_image(picture, image)
        return
    try:
        os.link(sample.image.resolve(), picture)
    except OSError:
        shutil.copyfile(sample.image, picture)


def _stems(samples: Sequence[Sample]) -> list[str]:
    """Name each image after its file, or after its whole path where files are named alike."""
    alone = [sample.image.stem for sample in samples]
    if len(set(alone)) == len(alone):
        return alone
    paths = [sample.name.replace("/", "_") for sample in samples]
    stems = [path.rsplit(".", 1)[0] for path in paths]
    counts = Counter(stems)
    names = [
        s if counts[s] == 1 else p.replace(".", "_") for s, p in zip(stems, paths, strict=True)
    ]
    if len(set(names)) < len(names):
        double = next(name for name, count in Counter(names).items() if count > 1)
        raise BadInput(f"two images would both be called {double}", repair="rename one")
    return names


def _described(data: Dataset) -> str:
    """Write the `dataset.yaml` of the converted set."""
    keys = {
        "path": ".",
        **{split: f"images/{split}" for split in data.splits},
        "names": dict(enumerate(data.names)),
        "ignore_index": data.spec.ignore_index,
        "palette": {index: list(colour) for index, colour in enumerate(data.palette)},
    }
    written = yaml.safe_dump(keys, sort_keys=False, allow_unicode=True, default_flow_style=None)
    return f"# converted by offramp from {data.file.resolve()}\n{written}"
