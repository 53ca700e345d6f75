"""Give a data set the calibration images that exits need, if it has none of its own."""

import os
from pathlib import Path

import yaml

from offramp.core.files import written_folder
from offramp.data.dataset import Dataset
from offramp.data.readers.plain import Plain
from offramp.data.readers.shares import Shares, divide

SHARE = 1 / 6
"""Of the training images: 50 of 300."""


def with_calib(data: Dataset, folder: Path) -> tuple[Dataset, str]:
    """Take calibration images out of train, so that thresholds are fitted on images not learned.

    Which ones depends on their names alone. Images and masks are linked, not copied.

    Args:
        data: the data set.
        folder: where the divided set goes; one that is there already is used.

    Returns:
        The set with a calib split, and a remark; the set itself and "" if it has one.
    """
    if "calib" in data.splits:
        return data, ""
    if not isinstance(data.reader, Plain):
        return data, "the data set has no calib split, so no exits are added"
    if not (folder / "dataset.yaml").is_file():
        _write(data, folder)
    divided = Dataset.open(folder)
    counts = [len(divided.samples(split)) for split in ("calib", "train")]
    note = (
        f"the data set has no calib split: {counts[0]} of its {sum(counts)} training images were "
        "taken out of train, chosen by their names"
    )
    return divided, note


def _write(data: Dataset, folder: Path) -> None:
    public = {split: data.samples(split) for split in data.splits}
    splits = divide(public, Shares(calib=SHARE), str(data.file))
    with written_folder(folder) as partial:
        for split, samples in splits.items():
            for number, sample in enumerate(samples):
                stem = f"{number:06d}-{sample.image.stem}"
                _link(sample.image, partial / "images" / split / f"{stem}{sample.image.suffix}")
                _link(sample.mask, partial / "masks" / split / f"{stem}.png")
        keys = {
            "path": ".",
            **{split: f"images/{split}" for split in splits},
            "names": dict(enumerate(data.names)),
            "ignore_index": data.spec.ignore_index,
            "palette": {index: list(colour) for index, colour in enumerate(data.palette)},
            "remap": dict(data.spec.remap),
        }
        text = yaml.safe_dump(keys, sort_keys=False, allow_unicode=True)
        (partial / "dataset.yaml").write_text(text, encoding="utf-8")


def _link(source: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    os.symlink(source.resolve(), link)
