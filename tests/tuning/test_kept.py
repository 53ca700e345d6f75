"""Images that stay in memory are those on disk, and no more than there is room for."""

import numpy as np
import pytest

from offramp.data.dataset import Dataset
from offramp.tuning.kept import KeptDataset


def test_what_is_kept_is_what_is_read(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = dataset.samples("val")[:2]
    size = sum(each.nbytes for each in dataset.read(first))
    kept = KeptDataset(dataset, most_bytes=size)
    reads = []

    def counting(self, sample):
        reads.append(sample)
        return read(self, sample)

    read = Dataset.read
    monkeypatch.setattr(Dataset, "read", counting)
    for sample in (first, second, first, second):
        for ours, theirs in zip(kept.read(sample), read(dataset, sample), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert reads == [first, second, second]  # there is no room for the second


def test_what_is_kept_cannot_be_spoilt(dataset: Dataset) -> None:
    kept = KeptDataset(dataset)
    image, _ = kept.read(kept.samples("val")[0])
    with pytest.raises(ValueError, match="read-only"):
        image[0] = 0


def test_classes_are_merged_as_before(tmp_path) -> None:
    from tests.tiny import write_dataset

    file = write_dataset(tmp_path, {"val": 2}, remap={2: "box"}, names={0: "ground", 1: "box"})
    data = Dataset.open(file)
    sample = data.samples("val")[0]
    assert set(np.unique(data.read(sample)[1])) == {0, 1, 255}
    np.testing.assert_array_equal(KeptDataset(data).read(sample)[1], data.read(sample)[1])
