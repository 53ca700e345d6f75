"""PASCAL VOC with SBD as released, in MATLAB files."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.core.errors import DataFault, MissingExtra
from offramp.data.check import check
from offramp.data.convert import convert
from offramp.data.dataset import Dataset
from offramp.data.readers.sbd import read_sbd
from tests.data.readers.album import SIZE, counts, grid, photo, told
from tests.data.readers.test_photographs import write_voc

scipy_io = pytest.importorskip("scipy.io", reason="SciPy is not installed")

MASK = grid([0, 1, 20], rest=15)


def save_mat(file: Path, mask: np.ndarray, name: str = "GTcls", packed: bool = True) -> Path:
    """Save what SBD's files hold: outlines as sparse matrices, labels, classes present."""
    from scipy.sparse import csc_matrix

    outlines = np.empty((20, 1), dtype=object)
    for kind in range(20):
        outlines[kind, 0] = csc_matrix((mask == kind + 1).astype(np.float64))
    present = np.setdiff1d(mask, [0]).astype(np.float64)[:, None]
    content = {"Boundaries": outlines, "Segmentation": mask, "CategoriesPresent": present}
    file.parent.mkdir(parents=True, exist_ok=True)
    scipy_io.savemat(file, {name: content}, do_compression=packed)
    return file


def write_sbd(dataset: Path) -> Path:
    """Write SBD's own division, which takes from both of VOC's, and brings two images more."""
    lists = {"train": ["2008_000001", "2010_000001", "2007_000003"], "val": ["2011_000002"]}
    for split, names in lists.items():
        dataset.mkdir(parents=True, exist_ok=True)
        (dataset / f"{split}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            save_mat(dataset / f"cls/{name}.mat", MASK)
    return dataset


def write_both(root: Path, voc: str, sbd: str) -> None:
    write_voc(root / voc, grid([255], rest=2))
    for name in ("2010_000001", "2011_000002"):
        photo(root / voc / f"JPEGImages/{name}.jpg")
    write_sbd(root / sbd)


@pytest.mark.parametrize(
    ("path", "sbd", "augmented"),
    [
        (".", "benchmark_RELEASE/dataset", True),
        ("VOCdevkit", "VOCdevkit/benchmark_RELEASE/dataset", True),
        ("VOCdevkit/VOC2012", "VOCdevkit/VOC2012/benchmark_RELEASE/dataset", True),
        ("VOCdevkit/VOC2012", "benchmark_RELEASE/dataset", True),
        ("VOCdevkit/VOC2012", "torchvision/sbd", "../../torchvision/sbd"),
        (".", "elsewhere/benchmark_RELEASE/dataset", "elsewhere/benchmark_RELEASE"),
        (".", "elsewhere/benchmark_RELEASE/dataset", "elsewhere"),
    ],
)
def test_training_images_are_those_of_both_without_val(
    tmp_path: Path, path: str, sbd: str, augmented: bool | str
) -> None:
    write_both(tmp_path, "VOCdevkit/VOC2012", sbd)
    data = told(tmp_path, layout="voc", path=path, augmented=augmented, calib_share=0)
    assert counts(data) == {"train": 12, "val": 2}
    read = {sample.image.stem: data.read(sample)[1] for sample in data.samples("train")}
    assert list(read) == [f"2007_{n:06d}" for n in range(10)] + ["2010_000001", "2011_000002"]
    assert np.array_equal(read["2010_000001"], MASK)
    assert np.array_equal(read["2011_000002"], MASK)
    assert read["2007_000003"][0, :2].tolist() == [255, 2]  # VOC's own mask, not SBD's
    assert (data.read(data.samples("val")[0])[1][1:] == 2).all()


def test_it_is_checked_divided_and_converted_as_any_other(tmp_path: Path) -> None:
    write_both(tmp_path / "pascal", ".", "benchmark_RELEASE/dataset")
    data = told(tmp_path / "pascal", layout="voc", augmented=True)
    assert counts(data) == {"train": 11, "val": 2, "calib": 1}
    assert [f for f in check(data).faults if "never present" not in f.what] == []
    written = Dataset.open(convert(data, tmp_path / "out"))
    for split in data.splits:
        for one, other in zip(data.samples(split), written.samples(split), strict=True):
            assert np.array_equal(data.labels(one), written.labels(other))


def test_the_conversion_to_png_goes_before_the_release(tmp_path: Path) -> None:
    write_both(tmp_path, ".", "benchmark_RELEASE/dataset")
    (tmp_path / "SegmentationClassAug").mkdir()
    (tmp_path / "SegmentationClassAug/2010_000001.png").touch()
    data = told(tmp_path, layout="voc", augmented=True, calib_share=0)
    assert [sample.mask.suffix for sample in data.samples("train")] == [".png"]


def test_a_release_without_its_lists_is_refused(tmp_path: Path) -> None:
    write_both(tmp_path, ".", "benchmark_RELEASE/dataset")
    (tmp_path / "benchmark_RELEASE/dataset/val.txt").unlink()
    with pytest.raises(DataFault, match=r"dataset/val\.txt: the file does not exist"):
        _ = told(tmp_path, layout="voc", augmented=True).splits


@pytest.mark.parametrize("packed", [True, False])
def test_the_labels_are_read(tmp_path: Path, packed: bool, rng: np.random.Generator) -> None:
    mask = rng.integers(0, 21, (37, 53), dtype=np.uint8)
    read = read_sbd(save_mat(tmp_path / "a.mat", mask, packed=packed))
    assert read.dtype == np.uint8
    assert np.array_equal(read, mask)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


FAULTY: dict[str, tuple[Any, str]] = {
    "unknown label": (lambda f: save_mat(f, grid([21])), r"labels \[21\] are out of range"),
    "void": (lambda f: save_mat(f, grid([255])), r"labels \[255\].*expected 0 to 20"),
    "cut": (cut, "cannot be read as a MATLAB file"),
    "zero bytes": (lambda f: f.write_bytes(b""), "the file is empty"),
    "text": (lambda f: f.write_text("<html>404</html>"), "cannot be read as a MATLAB file"),
    "missing": (lambda f: f.unlink(), "the file does not exist"),
    "instances": (lambda f: save_mat(f, MASK, "GTinst"), "struct GTcls"),
    "no struct": (lambda f: scipy_io.savemat(f, {"GTcls": MASK}), "struct GTcls"),
    "other struct": (lambda f: scipy_io.savemat(f, {"GTcls": {"a": MASK}}), "struct GTcls"),
    "no bytes": (lambda f: save_mat(f, MASK.astype(float)), "struct GTcls"),
    "other size": (lambda f: save_mat(f, MASK[:3]), "8x3, its image is 8x6"),
}


@pytest.mark.parametrize("kind", FAULTY)
def test_a_faulty_file_is_named(tmp_path: Path, kind: str) -> None:
    spoil, says = FAULTY[kind]
    write_both(tmp_path, ".", "benchmark_RELEASE/dataset")
    file = tmp_path / "benchmark_RELEASE/dataset/cls/2011_000002.mat"
    spoil(file)
    data = told(tmp_path, layout="voc", augmented=True, calib_share=0)
    (fault,) = [f for f in check(data).faults if "never present" not in f.what]
    assert fault.file == file
    with pytest.raises(DataFault, match=rf"2011_000002\.mat: .*{says}"):
        raise DataFault(str(fault))


def test_no_damage_gives_labels_or_another_error_than_ours(tmp_path: Path) -> None:
    file = save_mat(tmp_path / "a.mat", grid(rest=3))
    whole = file.read_bytes()
    refused = []
    for place in range(124, len(whole)):  # what is before is MATLAB's greeting
        for bits in (0xFF, 0x04):
            changed = bytearray(whole)
            changed[place] ^= bits
            file.write_bytes(changed)
            try:
                assert np.array_equal(read_sbd(file), grid(rest=3))
            except DataFault as error:
                refused.append(str(error))
    assert len(refused) > 2 * (len(whole) - 160)
    assert [text for text in refused if not text.startswith(str(file))] == []


def test_without_scipy_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = save_mat(tmp_path / "a.mat", np.zeros(SIZE, np.uint8))
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(MissingExtra, match=r"SciPy.*offramp\[train\]"):
        read_sbd(file)
