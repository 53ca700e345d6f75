"""A data set whose images stay decoded in memory: every candidate learns from the same ones."""

from offramp.data.dataset import Dataset
from offramp.data.images import Array
from offramp.data.sample import Sample

MOST_BYTES = 1 << 30
"""Images and masks are kept while they take no more than this together."""


class KeptDataset(Dataset):
    """A data set that reads each image once, as long as there is room.

    What it returns must not be written into: the arrays are locked.

    Args:
        data: the data set.
        most_bytes: room for decoded images and masks.
    """

    def __init__(self, data: Dataset, most_bytes: int = MOST_BYTES) -> None:
        super().__init__(data.file, data.spec, data.reader)
        self._table = data._table
        self._most_bytes = most_bytes
        self._kept: dict[Sample, tuple[Array, Array]] = {}
        self._bytes = 0

    def read(self, sample: Sample) -> tuple[Array, Array]:
        """Read an image and its mask, from memory if they were read before.

        Raises:
            DataFault: as `Dataset.read`.
        """
        if sample in self._kept:
            return self._kept[sample]
        pair = super().read(sample)
        size = sum(each.nbytes for each in pair)
        if self._bytes + size <= self._most_bytes:
            for each in pair:
                each.flags.writeable = False
            self._kept[sample] = pair
            self._bytes += size
        return pair
