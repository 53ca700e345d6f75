"""Synthetic pictures: determinism, labels, difficulty, clips and resumed writing."""

from __future__ import annotations

import csv
import itertools
import logging
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from offramp.core.errors import BadInput
from offramp.data.synthetic import movie
from offramp.data.synthetic.backdrop import backdrop
from offramp.data.synthetic.packages import package_still
from offramp.data.synthetic.raster import Faces, Raster
from offramp.data.synthetic.scenes import Frame, clip, difficulty_of, still
from offramp.data.synthetic.solids import IGNORE, OBSTACLE, PERSON, VEHICLE, box
from offramp.data.synthetic.write import cameras_of, make_factory, make_packages

SIZE = {"width": 128, "height": 80}


@lru_cache(maxsize=1)
def crowd() -> list[Frame]:
    return [still(3, "train", index, cameras=(0, 3), **SIZE) for index in range(100)]


@lru_cache(maxsize=1)
def short_clip() -> list[Frame]:
    return list(clip(2, camera=3, frames=60, fps=4, **SIZE))


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_same_seed_gives_same_frame_in_any_order() -> None:
    forward = [still(1, "val", index, cameras=(0, 3), **SIZE) for index in range(4)]
    for index in reversed(range(4)):
        again = still(1, "val", index, cameras=(0, 3), **SIZE)
        assert np.array_equal(again.image, forward[index].image)
        assert np.array_equal(again.labels, forward[index].labels)
        assert again.difficulty == forward[index].difficulty == difficulty_of(1, "val", index)


@pytest.mark.parametrize(
    ("seed", "split", "index"), [(2, "val", 0), (1, "train", 0), (1, "val", 2)]
)
def test_seed_split_and_index_each_matter(seed: int, split: str, index: int) -> None:
    first = still(1, "val", 0, cameras=(0, 3), **SIZE)
    other = still(seed, split, index, cameras=(0, 3), **SIZE)
    assert first.camera == other.camera
    assert not np.array_equal(first.image, other.image)


def test_shapes_and_legal_labels() -> None:
    for frame in crowd()[:30]:
        assert frame.image.shape == (80, 128, 3)
        assert frame.image.dtype == frame.labels.dtype == np.uint8
        assert frame.labels.shape == (80, 128)
        assert set(np.unique(frame.labels)) <= {0, 1, 2, 3, IGNORE}
        assert (frame.labels == IGNORE).mean() < 0.05
        assert 0 <= frame.difficulty <= 1


def test_difficulty_fills_and_darkens() -> None:
    easy = [f for f in crowd() if f.difficulty < 0.35]
    hard = [f for f in crowd() if f.difficulty > 0.65]
    for label in (PERSON, VEHICLE):
        shares = [np.mean([(f.labels == label).mean() for f in group]) for group in (easy, hard)]
        assert shares[1] > 1.3 * shares[0]
    assert np.mean([f.image.mean() for f in hard]) < np.mean([f.image.mean() for f in easy]) - 20


def test_about_a_fifth_shows_nobody() -> None:
    empty = np.mean([not (frame.labels == PERSON).any() for frame in crowd()])
    assert 0.1 < empty < 0.35


def test_static_obstacles_stay() -> None:
    still_there = backdrop(3, **SIZE).labels == OBSTACLE
    for frame in crowd():
        if frame.camera == "cam03":
            changed = frame.labels[still_there]
            assert np.isin(changed, [PERSON, VEHICLE, OBSTACLE, IGNORE]).all()


def test_clip_is_coherent_and_moves() -> None:
    labels = [frame.labels for frame in short_clip()]
    kept = [(a == b).mean() for a, b in itertools.pairwise(labels)]
    assert min(kept) > 0.8
    assert min(kept) < 1.0
    middle = [labels[index] == PERSON for index in range(20, 40)]
    assert any(mask.any() for mask in middle)
    assert not np.array_equal(middle[0], middle[-1])


def test_clip_fills_towards_the_middle_and_repeats() -> None:
    moving = [np.isin(f.labels, [PERSON, VEHICLE]).mean() for f in short_clip()]
    assert np.mean(moving[20:40]) > np.mean(moving[:8] + moving[-8:])
    assert short_clip()[30].difficulty > short_clip()[0].difficulty + 0.4
    again = next(iter(clip(2, camera=3, frames=60, fps=4, **SIZE)))
    assert np.array_equal(again.image, short_clip()[0].image)


def test_nearer_solid_hides_the_farther_one() -> None:
    camera = backdrop(0, **SIZE).camera
    x, y, _ = camera.position
    near = box((1, 1, 1), (x, y + 6, 0), (1, 1, 1), PERSON)
    far = box((1, 1, 1), (x, y + 7.2, 0), (1, 1, 1), VEHICLE)
    seen = []
    for order in ([near, far], [far, near]):
        faces = Faces.of(order)
        raster = Raster(camera)
        raster.draw(faces)
        seen.append(np.append(0, faces.labels)[raster.indices])
    assert np.array_equal(seen[0], seen[1])
    assert (seen[0] == PERSON).sum() > (seen[0] == VEHICLE).sum() > 0


def test_factory_files(tmp_path: Path) -> None:
    counts = {"train": 2, "val": 1, "test": 2}
    path = make_factory(tmp_path / "set", images=counts, clip_frames=0, **SIZE)
    assert path.name == "dataset.yaml"
    for split, count in counts.items():
        pictures = sorted((tmp_path / "set/images" / split).iterdir())
        masks = sorted((tmp_path / "set/masks" / split).iterdir())
        assert [p.stem for p in pictures] == [m.stem for m in masks]
        assert len(pictures) == count
        with Image.open(masks[0]) as mask, Image.open(pictures[0]) as picture:
            assert mask.mode == "L"
            assert mask.size == picture.size == (128, 80)
        with (tmp_path / f"set/meta/{split}.csv").open(newline="") as table:
            rows = list(csv.DictReader(table))
        assert [row["file"] for row in rows] == [p.name for p in pictures]
        unseen = {row["camera"] for row in rows} <= {"cam06", "cam07"}
        assert unseen == (split == "test")


def test_test_split_has_its_own_cameras() -> None:
    seen = {camera for split in ("train", "val", "calib") for camera in cameras_of(split)}
    assert not seen & set(cameras_of("test"))


def test_resumed_run_gives_the_same_bytes(tmp_path: Path) -> None:
    counts = {"train": 4, "calib": 1}

    def interrupted(items: Iterable[int], total: int, label: str) -> Iterable[int]:
        del total, label
        for number, item in enumerate(items):
            if number == 2:
                raise KeyboardInterrupt
            yield item

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    make_factory(whole, images=counts, clip_frames=0, **SIZE)
    with pytest.raises(KeyboardInterrupt):
        make_factory(broken, images=counts, clip_frames=0, track=interrupted, **SIZE)
    assert not (broken / "dataset.yaml").exists()
    kept = sorted((broken / "images/train").iterdir())[0]
    before = kept.stat().st_mtime_ns
    make_factory(broken, images=counts, clip_frames=0, **SIZE)
    assert kept.stat().st_mtime_ns == before
    assert files(whole) == files(broken)


def test_many_processes_draw_the_same_bytes_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"train": 5, "test": 2}
    make_factory(tmp_path / "one", images=counts, clip_frames=0, **SIZE)
    monkeypatch.setattr("offramp.data.synthetic.album._FEW", 0)
    make_factory(tmp_path / "many", images=counts, clip_frames=0, **SIZE)
    assert files(tmp_path / "one") == files(tmp_path / "many")


def test_clip_files(tmp_path: Path) -> None:
    pytest.importorskip("av")
    sets = [tmp_path / "a", tmp_path / "b"]
    for out in sets:
        make_factory(out, images={"train": 1}, clip_frames=4, **SIZE)
    folder = sets[0] / "videos/ramp_cam03"
    with np.load(folder / "masks.npz") as stored:
        assert stored["masks"].shape == (4, 80, 128)
        assert stored["masks"].dtype == np.uint8
    assert "videos/ramp_cam03/frames.mp4" in (sets[0] / "dataset.yaml").read_text()
    assert files(sets[0]) == files(sets[1])


def test_clip_is_skipped_without_a_video_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(*_: object) -> list[np.ndarray]:
        raise ImportError("av")

    monkeypatch.setattr(movie, "_encode", missing)
    with caplog.at_level(logging.WARNING):
        path = make_factory(tmp_path / "set", images={"val": 1}, clip_frames=4, **SIZE)
    assert "skipped clip" in caplog.text
    assert "videos" not in path.read_text()


@pytest.mark.parametrize("size", [(63, 80), (128, 63), (4097, 80), (128, 4097)])
def test_bad_size_is_refused(size: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        still(0, "train", 0, width=size[0], height=size[1])
    with pytest.raises(BadInput):
        next(clip(0, width=size[0], height=size[1]))
    with pytest.raises(BadInput):
        make_factory(tmp_path / "set", images={"train": 1}, width=size[0], height=size[1])
    assert not (tmp_path / "set").exists()


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    for images in ({"holdout": 1}, {"train": -1}, {}):
        with pytest.raises(BadInput):
            make_factory(tmp_path / "set", images=images, **SIZE)
    for cameras in ((), (8,)):
        with pytest.raises(BadInput):
            still(0, "train", 0, cameras=cameras, **SIZE)
    with pytest.raises(BadInput):
        still(-1, "train", 0, **SIZE)
    with pytest.raises(BadInput):
        next(clip(0, frames=0))


def test_foreign_or_different_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BadInput):
        make_packages(tmp_path, images={"train": 1}, **SIZE)
    with pytest.raises(BadInput):
        make_packages(tmp_path / "notes.txt", images={"train": 1}, **SIZE)
    make_packages(tmp_path / "set", images={"train": 1}, **SIZE)
    with pytest.raises(BadInput):
        make_packages(tmp_path / "set", images={"train": 1}, seed=1, **SIZE)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_packages(tmp_path: Path) -> None:
    frames = [package_still(0, "train", index, **SIZE) for index in range(12)]
    assert {f.camera for f in frames} == {"side0", "side1", "top0", "top1"}
    for frame in frames:
        assert set(np.unique(frame.labels)) <= {0, 1, IGNORE}
    assert np.mean([(f.labels == 1).mean() for f in frames]) > 0.02
    again = package_still(0, "train", 5, **SIZE)
    assert np.array_equal(again.image, frames[5].image)
    path = make_packages(tmp_path / "set", images={"train": 2, "test": 1}, **SIZE)
    assert "1: package" in path.read_text()
