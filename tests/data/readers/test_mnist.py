"""MNIST out of its four files."""

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from offramp.core.errors import BadInput, DataFault, UnknownName
from offramp.data.check import check
from offramp.data.dataset import Dataset
from offramp.data.images import image_size
from tests.data.readers.album import counts, mask_of, told

NAMES = {
    "train-images": "train-images-idx3-ubyte",
    "train-labels": "train-labels-idx1-ubyte",
    "t10k-images": "t10k-images-idx3-ubyte",
    "t10k-labels": "t10k-labels-idx1-ubyte",
}


def idx(values: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, values.ndim])
    return head + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def write_mnist(folder: Path, gz: bool = True, train: int = 24, test: int = 10) -> Path:
    """Image n is filled with n; its label is n modulo 10."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, count in (("train", train), ("t10k", test)):
        numbers = np.arange(count, dtype=np.uint8)
        images = np.broadcast_to(numbers[:, None, None], (count, 28, 28))
        for what, values in (("images", images), ("labels", numbers % 10)):
            content = idx(np.ascontiguousarray(values))
            name = NAMES[f"{kind}-{what}"] + (".gz" if gz else "")
            (folder / name).write_bytes(gzip.compress(content) if gz else content)
    return folder


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize("below", [".", "MNIST/raw"])
def test_a_folder_of_the_four_files_is_a_data_set(tmp_path: Path, gz: bool, below: str) -> None:
    write_mnist(tmp_path / below, gz)
    data = Dataset.open(tmp_path)
    assert data.names == tuple("0123456789")
    assert counts(data) == {"train": 20, "val": 2, "calib": 2, "test": 10}
    assert len(set(data.palette)) == 10
    image, mask = data.read(data.samples("calib")[1])  # the last of 24
    assert image.shape == (28, 28, 3)
    assert (image == 23).all()
    assert (mask == 3).all()
    assert (mask_of(data, "test", 7) == 7).all()


def test_names_are_stable_and_samples_travel_to_workers(tmp_path: Path) -> None:
    data = Dataset.open(write_mnist(tmp_path))
    sample = data.samples("val")[0]
    assert sample.name == "train-images-idx3-ubyte.gz/00020"
    assert image_size(sample.image) == (28, 28)
    again, other = pickle.loads(pickle.dumps((data, sample)))
    assert (again.read(other)[1] == 0).all()


def test_all_is_sound(tmp_path: Path) -> None:
    health = check(Dataset.open(write_mnist(tmp_path)))
    assert health.faults == ()
    assert sum(health.pixels.values()) == pytest.approx(1)


def test_shares_and_merging_are_told(tmp_path: Path) -> None:
    write_mnist(tmp_path / "raw")
    remap = {"7": "1", "*": "ignore", "1": "1"}
    data = told(tmp_path, layout="mnist", calib_share=0.25, val_share=0.25, remap=remap)
    assert counts(data) == {"train": 12, "val": 6, "calib": 6, "test": 10}
    assert data.names == ("1",)
    assert [int(mask_of(data, "test", n)[0, 0]) for n in (0, 1, 7)] == [255, 0, 0]


def test_shares_that_leave_nothing_are_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    with pytest.raises(BadInput, match="nothing to train on"):
        _ = told(tmp_path, layout="mnist", calib_share=0.5, val_share=0.5).splits


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t10k-labels", b"", "is empty"),
        ("t10k-labels", idx(np.zeros(10, np.uint8))[:-1], "not whole; expected 10 values; got 9"),
        ("t10k-labels", idx(np.zeros(9, np.uint8)), "9 labels; expected 10"),
        ("t10k-labels", b"<html>404</html>", "not an IDX file"),
        ("train-images", idx(np.zeros((24, 784), np.uint8)), "2 dimensions; expected 3"),
        ("train-images", None, "does not exist"),
    ],
)
def test_a_faulty_file_is_named(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    write_mnist(tmp_path, gz=False)
    data = Dataset.open(tmp_path)
    if content is None:
        (tmp_path / NAMES[name]).unlink()
    else:
        (tmp_path / NAMES[name]).write_bytes(content)
    with pytest.raises(DataFault, match=rf"{name}.*{says}"):
        data.samples("train")


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-12])
    with pytest.raises(DataFault, match=r"train-images-idx3-ubyte\.gz: cannot be read"):
        Dataset.open(tmp_path).samples("train")


def test_a_label_beyond_nine_is_a_fault_of_its_entry(tmp_path: Path) -> None:
    write_mnist(tmp_path, gz=False)
    labels = np.arange(10, dtype=np.uint8)
    labels[4] = 12
    (tmp_path / NAMES["t10k-labels"]).write_bytes(idx(labels))
    faults = check(Dataset.open(tmp_path), ("test",)).faults
    assert str(faults[0].file).endswith("t10k-labels-idx1-ubyte/00004")
    assert "labels [12] are out of range" in faults[0].what


def test_a_misspelt_option_is_offered_its_neighbour(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    with pytest.raises(UnknownName, match="did you mean 'calib_share'"):
        told(tmp_path, layout="mnist", calib_shares=0.1)
