"""Our own folders: images, and masks beside them that mirror their names."""

from collections.abc import Mapping
from pathlib import Path

from offramp.core.errors import DataFault
from offramp.data.images import SUFFIXES, read_mask
from offramp.data.readers.reader import SPLITS, Array, Reader, Size
from offramp.data.sample import Sample


class Plain(Reader):
    """Images by folder.

    Args:
        root: what folders are relative to.
        folders: image folder of each split, with the component `images` in its path.
        names: class names.
    """

    def __init__(self, root: Path, folders: Mapping[str, str], names: tuple[str, ...]) -> None:
        self.root = root
        self.folders = folders
        self.names = names

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have a folder."""
        return tuple(split for split in SPLITS if split in self.folders)

    def samples(self, split: str) -> list[Sample]:
        """List the images of `split` with their masks, sorted by path."""
        relative = self.folders[split]
        folder = self.root / relative
        images = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not images:
            raise DataFault(f"{folder}: split '{split}' has no images")
        masks = self.root / _mirrored(relative)
        return [
            Sample(
                name=image.relative_to(self.root).as_posix(),
                image=image,
                mask=(masks / image.relative_to(folder)).with_suffix(".png"),
            )
            for image in images
        ]

    def labels(self, sample: Sample, size: Size) -> Array:
        """Read a mask file as it is."""
        del size
        return read_mask(sample.mask)


def _mirrored(folder: str) -> str:
    """Replace the last path component `images` of `folder` by `masks`."""
    parts = list(Path(folder).parts)
    if "images" not in parts:
        raise DataFault(
            f"'{folder}' has no masks beside it",
            expected="a path with the component 'images', mirrored by 'masks'",
        )
    parts[len(parts) - 1 - parts[::-1].index("images")] = "masks"
    return str(Path(*parts))
