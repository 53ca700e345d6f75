"""Feed images and masks to training: read once, augment at random, always the same way.

What happens to image i in epoch e depends on (seed, e, i) alone: not on workers, and not on
whether the run was interrupted.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from offramp.core.model import Size
from offramp.core.progress import Track, silent
from offramp.data.dataset import Dataset
from offramp.data.images import Array, resize_image, resize_labels
from offramp.training.recipe import Augment

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
        ignore = data.spec.ignore_index
        self._transform = None if augment is None else _transforms(augment, size, ignore)
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
    """Shuffle by (seed, epoch)."""

    def __init__(self, images: LabelledImages) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Any:
        seeds = np.random.SeedSequence((self.images.seed, self.images.epoch))
        return iter(np.random.default_rng(seeds).permutation(len(self.images)).tolist())


def train_loader(images: LabelledImages, batch: int, workers: int) -> DataLoader[Any]:
    """Batch shuffled images; a last batch of one is left out, for batch norm needs two."""
    return DataLoader(
        images,
        batch_size=batch,
        sampler=EpochOrder(images),
        num_workers=workers,
        drop_last=len(images) % batch == 1,
        generator=torch.Generator(),  # else workers draw on the numbers that dropout depends on
    )


def val_loader(images: LabelledImages, batch: int, workers: int) -> DataLoader[Any]:
    """Batch images in order."""
    return DataLoader(
        images,
        batch_size=batch,
        shuffle=False,
        num_workers=workers,
        generator=torch.Generator(),
    )


def _transforms(augment: Augment, size: Size, ignore_index: int) -> v2.Transform:
    ratio = size[1] / size[0]
    steps: Sequence[Any] = [
        *_turned_and_shifted(augment, ignore_index),
        v2.RandomResizedCrop(
            size, scale=augment.scale, ratio=(ratio * 0.8, ratio * 1.25), antialias=True
        ),
        *([v2.RandomHorizontalFlip()] if augment.flip else []),
        v2.ColorJitter(brightness=augment.brightness, contrast=augment.contrast),
        RGBShift(augment.rgb_shift),
    ]
    return v2.Compose(steps)


def _turned_and_shifted(augment: Augment, ignore_index: int) -> list[v2.Transform]:
    """Turn and shift image and mask; what comes into view is grey, and counts nowhere."""
    if not (augment.rotate or augment.shift):
        return []
    return [
        v2.RandomAffine(
            degrees=augment.rotate,
            translate=(augment.shift, augment.shift),
            interpolation=v2.InterpolationMode.BILINEAR,
            fill={tv_tensors.Image: 128, tv_tensors.Mask: ignore_index},
        )
    ]


class RGBShift(v2.Transform):
    """Add a random number to each colour channel of an image; masks pass."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw one shift a channel."""
        return {"shift": (torch.rand(3, 1, 1) * 2 - 1) * self.limit}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Shift an image uint8 3×H×W."""
        if not isinstance(inpt, tv_tensors.Image):
            return inpt
        shifted = (inpt.as_subclass(Tensor).float() + params["shift"]).clamp(0, 255)
        return tv_tensors.Image(shifted.to(torch.uint8))
