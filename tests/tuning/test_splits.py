"""Calibration images out of train: which ones depends on names alone, and nothing is lost."""

from pathlib import Path

import numpy as np

from offramp.data.dataset import Dataset
from offramp.tuning.splits import with_calib
from tests.tiny import write_dataset

SPLITS = {"train": 12, "val": 3, "test": 2}


def contents(data: Dataset, split: str) -> set[bytes]:
    return {sample.image.read_bytes() for sample in data.samples(split)}


def test_a_set_that_has_calib_stays_as_it_is(dataset: Dataset, tmp_path: Path) -> None:
    assert with_calib(dataset, tmp_path / "out") == (dataset, "")
    assert not (tmp_path / "out").exists()


def test_a_sixth_of_train_is_taken_out(tmp_path: Path) -> None:
    data = Dataset.open(write_dataset(tmp_path / "data", SPLITS, remap={2: "box"},
                                      names={0: "ground", 1: "box"}))  # fmt: skip
    divided, note = with_calib(data, tmp_path / "out")
    assert "2 of its 12 training images" in note
    calib, train = contents(divided, "calib"), contents(divided, "train")
    assert (len(calib), len(train)) == (2, 10)
    assert calib | train == contents(data, "train")
    assert contents(divided, "val") == contents(data, "val")
    assert contents(divided, "test") == contents(data, "test")
    assert divided.names == data.names
    assert divided.palette == data.palette
    for split in ("val", "test"):
        for ours, theirs in zip(divided.samples(split), data.samples(split), strict=True):
            for mine, other in zip(divided.read(ours), data.read(theirs), strict=True):
                np.testing.assert_array_equal(mine, other)


def test_it_is_always_the_same_ones(tmp_path: Path) -> None:
    found = []
    for place in ("here", "there"):
        data = Dataset.open(write_dataset(tmp_path / place / "data", SPLITS))
        divided, _ = with_calib(data, tmp_path / place / "out")
        again, note = with_calib(data, tmp_path / place / "out")
        assert contents(again, "calib") == contents(divided, "calib")
        assert note
        found.append(contents(divided, "calib"))
    assert found[0] == found[1]
