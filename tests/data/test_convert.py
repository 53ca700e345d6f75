"""A converted data set holds the same pairs as the one it came from."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from offramp.cli.main import app
from offramp.core.errors import BadInput, DataFault
from offramp.data.convert import convert
from offramp.data.dataset import Dataset
from tests.data.readers.album import grid, photo, save, told
from tests.data.test_layouts import WRITERS


def pairs(data: Dataset, split: str) -> list[tuple[bytes, bytes]]:
    return sorted((image.tobytes(), mask.tobytes()) for image, mask in data.pairs(split))


@pytest.mark.parametrize("name", WRITERS)
def test_every_layout_goes_round(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / "from")
    source = Dataset.open(tmp_path / "from")
    file = convert(source, tmp_path / "to")
    assert file == tmp_path / "to" / "dataset.yaml"
    made = Dataset.open(file)
    assert (made.splits, made.names, made.palette) == (source.splits, source.names, source.palette)
    assert made.spec.remap == {}
    for split in source.splits:
        assert len(made.samples(split)) == len(source.samples(split))
        assert pairs(made, split) == pairs(source, split)


def test_merged_classes_stay_merged(tmp_path: Path) -> None:
    WRITERS["cityscapes"](tmp_path / "from")
    source = told(tmp_path / "from", layout="cityscapes", remap={"sky": "road"})
    made = Dataset.open(convert(source, tmp_path / "to"))
    assert len(made.names) == 18
    assert pairs(made, "val") == pairs(source, "val")


def test_our_own_folders_are_converted_too(dataset: Dataset, tmp_path: Path) -> None:
    made = Dataset.open(convert(dataset, tmp_path / "to"))
    assert all(pairs(made, split) == pairs(dataset, split) for split in dataset.splits)


def test_images_are_linked_unchanged(tmp_path: Path) -> None:
    WRITERS["voc"](tmp_path / "from")
    source = Dataset.open(tmp_path / "from")
    made = Dataset.open(convert(source, tmp_path / "to"))
    first, other = source.samples("val")[0].image, made.samples("val")[0].image
    assert other.name == first.name
    assert other.stat().st_ino == first.stat().st_ino


def test_images_are_copied_where_no_link_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("another device")

    monkeypatch.setattr("os.link", refuse)
    WRITERS["voc"](tmp_path / "from")
    source = Dataset.open(tmp_path / "from")
    made = Dataset.open(convert(source, tmp_path / "to"))
    contents = [data.samples("val")[0].image.read_bytes() for data in (source, made)]
    assert contents[0] == contents[1]


def test_files_that_are_named_alike_keep_apart(tmp_path: Path) -> None:
    for number, name in enumerate(("a/1.jpg", "b/1.jpg", "b/1.png")):
        photo(tmp_path / "in" / name, 40 * number)
        save(tmp_path / "out" / name.replace(".jpg", ".png"), grid(rest=number // 2))
    keys = {"layout": "folders", "images": "in", "masks": "out", "labels": ["x", "y"]}
    source = told(tmp_path, **keys, calib_share=0, val_share=0, test_share=0)
    made = Dataset.open(convert(source, tmp_path / "to"))
    names = [sample.image.name for sample in made.samples("train")]
    assert names == ["in_a_1.jpg", "in_b_1_jpg.jpg", "in_b_1_png.png"]
    assert pairs(made, "train") == pairs(source, "train")


def test_a_fault_or_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    root = tmp_path / "from"
    WRITERS["voc"](root)

    def interrupted(items: Iterable[object], total: int, label: str) -> Iterable[object]:
        del total, label
        for number, item in enumerate(items):
            if number == 2:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        convert(Dataset.open(root), tmp_path / "to", interrupted)  # type: ignore[arg-type]
    assert [p.name for p in tmp_path.iterdir()] == ["from"]
    (root / "JPEGImages/2008_000002.jpg").write_bytes(b"")
    with pytest.raises(DataFault, match=r"2008_000002\.jpg: the file is empty"):
        convert(Dataset.open(root), tmp_path / "to")
    assert [p.name for p in tmp_path.iterdir()] == ["from"]


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    WRITERS["voc"](tmp_path / "from")
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "mine.txt").write_text("mine")
    with pytest.raises(BadInput, match="not an empty folder"):
        convert(Dataset.open(tmp_path / "from"), tmp_path / "to")
    (tmp_path / "to" / "mine.txt").unlink()
    assert convert(Dataset.open(tmp_path / "from"), tmp_path / "to").is_file()


def call(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result.stdout if status == 0 else result.stderr


def test_the_verb(tmp_path: Path) -> None:
    WRITERS["mnist"](tmp_path / "from")
    made = json.loads(call("data", "convert", tmp_path / "from", tmp_path / "to", "--json"))
    assert made["images"] == {"train": 20, "val": 2, "calib": 2, "test": 10}
    assert made["names"] == list("0123456789")
    assert np.isin(Dataset.open(Path(made["data"])).read(
        Dataset.open(tmp_path / "to").samples("test")[3])[1], 3).all()  # fmt: skip
    call("data", "check", tmp_path / "to")


def test_the_verb_refuses_with_status_two(tmp_path: Path) -> None:
    said = call("data", "convert", tmp_path, tmp_path / "to", status=2)
    assert "there is no data set at" in said
    WRITERS["ade20k"](tmp_path / "from")
    victim = tmp_path / "from/annotations/validation/ADE_val_00000001.png"
    save(victim, grid([151], rest=1))
    said = call("data", "convert", tmp_path / "from", tmp_path / "to", status=2)
    assert f"{victim}: labels [151] are out of range" in said
    assert not (tmp_path / "to").exists()
    call("data", "convert", tmp_path / "from", tmp_path / "from", status=2)
