"""Feed images and masks to training: read once, augment at random, always the same way.

What happens to image i in epoch e depends on (seed, e, i) alone: not on workers, and not on
whether the run was interrupted.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset
from torchvision import tv_tensors

from offramp.core.model import Size
from offramp.core.progress import Track, silent
from offramp.data.dataset import Dataset
from offramp.data.images import Array, resize_image, resize_labels
from offramp.training.augment import NONE, Augment
from offramp.training.transforms import transforms

CACHE_BYTES = 2 << 30
"""Decoded images are kept in memory while they take no more than this."""


class LabelledImages(TorchDataset[tuple[Tensor, Tensor]]):
    """The images of a split, as uint8 RGB H×W×3 and int64 H×W tensors of the network's size.

    Args:
        data: the data set.
        split: which images.
        size: height and width in pixels that come out.
        augment: what happens at random; absent: images are only resized.
        seed: what the randomness derives from.
    """

    def __init__(
        self, data: Dataset, split: str, size: Size, augment: Augment | None, seed: int
    ) -> None:
        self.data = data
        self.samples = data.samples(split)
        self.size = size
        self.seed = seed
        self.epoch = 0
        self._transform = None
        if augment is not None and augment != NONE:
            self._transform = transforms(augment, size, data.spec.ignore_index)
        self._cache: dict[int, tuple[Array, Array]] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, labels = self._read(index)
        if self._transform is None:
            return torch.from_numpy(image.copy()), torch.from_numpy(labels.astype(np.int64))
        with torch.random.fork_rng(devices=[]):
            seeds = np.random.SeedSequence((self.seed, self.epoch, index))
            torch.manual_seed(int(seeds.generate_state(1)[0]))
            x, y = self._transform(
                tv_tensors.Image(torch.from_numpy(image.copy()).permute(2, 0, 1)),
                tv_tensors.Mask(torch.from_numpy(labels.astype(np.int64))),
            )
        return x.as_subclass(Tensor).permute(1, 2, 0), y.as_subclass(Tensor)

    def class_pixels(self, track: Track = silent) -> list[int]:
        """Count the pixels of each class over the split."""
        counts = np.zeros(256, dtype=np.int64)
        for index in track(range(len(self)), len(self), "reading images"):
            counts += np.bincount(self._read(index)[1].ravel(), minlength=256)
        return [int(count) for count in counts[: len(self.data.names)]]

    def _read(self, index: int) -> tuple[Array, Array]:
        """Read a pair from memory or disk; without augmentation already at the final size."""
        if index in self._cache:
            return self._cache[index]
        image, labels = self.data.read(self.samples[index])
        if self._transform is None:
            image, labels = resize_image(image, self.size), resize_labels(labels, self.size)
        self._cached_bytes += image.nbytes + labels.nbytes
        if self._cached_bytes <= CACHE_BYTES:
            self._cache[index] = (image, labels)
        return image, labels


class EpochOrder(Sampler[int]):
    """Shuffle by (seed, epoch), and deal the images out to the processes that train together.

    All get equally many. Those that are left over, fewer than there are processes, are others in
    every epoch, and sit it out.

    Args:
        images: what is shuffled.
        rank: which process this is, from 0.
        processes: how many there are.
    """

    def __init__(self, images: LabelledImages, rank: int = 0, processes: int = 1) -> None:
        self.images = images
        self.rank = rank
        self.processes = processes

    def __len__(self) -> int:
        return len(self.images) // self.processes

    def __iter__(self) -> Any:
        seeds = np.random.SeedSequence((self.images.seed, self.images.epoch))
        order = np.random.default_rng(seeds).permutation(len(self.images)).tolist()
        return iter(order[self.rank :: self.processes][: len(self)])


def train_loader(
    images: LabelledImages, batch: int, workers: int, rank: int = 0, processes: int = 1
) -> DataLoader[Any]:
    """Batch this process's share of the shuffled images, see `EpochOrder`.

    A last batch of one is left out, for batch norm needs two.
    """
    order = EpochOrder(images, rank, processes)
    return DataLoader(
        images,
        batch_size=batch,
        sampler=order,
        num_workers=workers,
        drop_last=len(order) % batch == 1,
        generator=torch.Generator(),  # else workers draw on the numbers that dropout depends on
    )


def val_loader(
    images: LabelledImages, batch: int, workers: int, rank: int = 0, processes: int = 1
) -> DataLoader[Any]:
    """Batch this process's share of the images in order; each image is in one share."""
    return DataLoader(
        images,
        batch_size=batch,
        sampler=range(rank, len(images), processes),
        num_workers=workers,
        generator=torch.Generator(),
    )
