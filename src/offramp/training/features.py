"""What a frozen backbone says of the training images, kept on disk while the heads learn.

The backbone never changes in stage 2, so neither does what it says of an image that is augmented
the same way again. RUN/features/ holds one `.npy` per early position, the teacher's logits and
the labels, each with one row per view and image, and is read by memory mapping.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from offramp.core.errors import BadInput
from offramp.core.progress import Track, silent
from offramp.training.loader import LabelledImages, val_loader
from offramp.training.stages import Stage2

GIB = 1 << 30


class Features(TorchDataset[tuple[list[Tensor], Tensor]]):
    """Stored views of images, as lists of float32 D×h×w and int64 labels.

    Stands in for the `LabelledImages` it was made from: the same images in the same order, where
    epoch e shows view e mod V.

    Args:
        folder: where the files are.
        images: what they were made from.
        views: how often each image was augmented, V.
    """

    def __init__(self, folder: Path, images: LabelledImages, views: int) -> None:
        self.seed, self.epoch = images.seed, 0
        self.views, self._length = views, len(images)
        tensors = len(list(folder.glob("tensor_*.npy")))
        self._tensors = [_mapped(folder / f"tensor_{i}.npy") for i in range(tensors)]
        self._labels = _mapped(folder / "labels.npy")

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> tuple[list[Tensor], Tensor]:
        row = (self.epoch % self.views) * len(self) + index
        tensors = [torch.from_numpy(file[row].copy()) for file in self._tensors]
        return tensors, torch.from_numpy(self._labels[row].astype(np.int64))


def keep_features(
    folder: Path, images: LabelledImages, stage: Stage2, views: int, track: Track = silent
) -> Features:
    """Run the backbone over V views of every image, unless that was done before.

    Args:
        folder: where the files go; it appears when they are whole.
        images: what to augment; view v is what training would see in epoch v.
        stage: whose backbone it is.
        views: how often each image is augmented, V.
        track: shows progress.

    Raises:
        BadInput: the disk has no room for them.
    """
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write(partial, images, stage, views, track)
        partial.rename(folder)
    return Features(folder, images, views)


def _write(folder: Path, images: LabelledImages, stage: Stage2, views: int, track: Track) -> None:
    """Fill the files batch by batch."""
    rows, row = views * len(images), 0
    files: list[Any] = []
    steps = iter(track(range(rows), rows, "running the backbone"))
    for view in range(views):
        images.epoch = view
        for pictures, truth in val_loader(images, stage.how.batch, 0):
            given = [*stage.walk(pictures.to(stage.device)), stage.thinned(truth)]
            if not files:
                _require_room(folder, rows * sum(tensor[0].nbytes for tensor in given))
                files = [_created(folder, i, rows, tensor) for i, tensor in enumerate(given[:-1])]
                files.append(_created(folder, None, rows, given[-1]))
            for file, tensor in zip(files, given, strict=True):
                file[row : row + len(tensor)] = tensor.cpu().numpy()
            row += len(pictures)
            for _ in pictures:
                next(steps, None)
    for _ in steps:
        pass


def _created(folder: Path, index: int | None, rows: int, like: Tensor) -> NDArray[Any]:
    """Create a file for `rows` tensors like the first of a batch."""
    path = folder / ("labels.npy" if index is None else f"tensor_{index}.npy")
    dtype = np.uint8 if index is None else np.float32
    shape = (rows, *like.shape[1:])
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def _mapped(path: Path) -> NDArray[Any]:
    mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise BadInput(
            "the features of stage 2 do not fit on the disk",
            expected=f"at most {free / GIB:.1f} GiB",
            got=f"{needed / GIB:.1f} GiB",
            repair="set stage2.views lower, or to null",
        )
