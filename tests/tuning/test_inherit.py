"""What a candidate starts from: fitting tensors as they are, parts of larger ones, random rest."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from offramp.core.model import ModelSpec
from offramp.models.zoo import build_spec
from offramp.tuning.inherit import Inherited, Parent, inherit

NAMES = ("ground", "box")


def spec(width: float, repetition: int = 1, names: tuple[str, ...] = NAMES) -> ModelSpec:
    knobs = {"width": width, "expansion": 2, "repetition": repetition}
    return ModelSpec(name="fastscnn", names=names, size=(64, 96), knobs=knobs)


@pytest.fixture
def parent(tmp_path: Path):
    """Make a parent whose every number is told apart from random ones."""

    def make(id: str, of: ModelSpec, value: float, distance: float = 0.0) -> Parent:
        file = tmp_path / f"{id}.safetensors"
        state = build_spec(of).state_dict()
        save_file({k: torch.full_like(x, value) for k, x in state.items()}, str(file))
        return Parent(id, file, distance)

    return make


def given(got: Inherited | None, value: float) -> float:
    """Count the share of the numbers that have a value."""
    assert got is not None
    tensors = load_file(str(got.file)).values()
    return sum(int((x == value).sum()) for x in tensors) / sum(x.numel() for x in tensors)


def test_the_same_network_gives_all(tmp_path: Path, parent) -> None:
    got = inherit(spec(0.25), [parent("same", spec(0.25), 7)], 0, tmp_path / "out")
    assert got is not None
    assert (got.parent, got.share, given(got, 7)) == ("same", 1.0, 1.0)
    assert "100.0 % of the numbers" in got.said


def test_a_deeper_network_keeps_what_it_has_more(tmp_path: Path, parent) -> None:
    got = inherit(spec(0.25, repetition=2), [parent("flat", spec(0.25), 7)], 0, tmp_path / "out")
    whole = sum(x.numel() for x in build_spec(spec(0.25)).state_dict().values())
    deeper = sum(x.numel() for x in build_spec(spec(0.25, repetition=2)).state_dict().values())
    assert got is not None
    assert got.share == pytest.approx(whole / deeper)
    assert given(got, 7) == pytest.approx(whole / deeper)


def test_a_narrower_network_gets_parts(tmp_path: Path, parent) -> None:
    got = inherit(spec(0.25), [parent("wide", spec(0.5), 7)], 0, tmp_path / "out")
    assert got is not None
    assert given(got, 7) == 1.0  # all of it is part of the wider one,
    assert got.share < 0.1  # but hardly a tensor has its shape
    assert "out of larger tensors" in got.said


def test_a_wider_network_starts_at_random(tmp_path: Path, parent) -> None:
    out = tmp_path / "out"
    assert inherit(spec(0.5), [parent("narrow", spec(0.25), 7)], 0, out) is None
    assert inherit(spec(0.5), [], 0, out) is None
    assert not out.exists()


def test_the_first_channels_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "wide.safetensors"
    state = {k: torch.rand(x.shape) for k, x in build_spec(spec(0.5)).state_dict().items()}
    save_file(state, str(file))
    got = inherit(spec(0.25), [Parent("wide", file, 0)], 0, tmp_path / "out")
    assert got is not None
    key, small = max(load_file(str(got.file)).items(), key=lambda pair: pair[1].numel())
    assert small.ndim == 4
    assert torch.equal(small, state[key][: small.shape[0], : small.shape[1]])
    assert small.shape != state[key].shape


def test_who_fits_best_gives(tmp_path: Path, parent) -> None:
    wide = parent("wide", spec(0.5), 1, 0.0)
    far, near = parent("far", spec(0.25), 2, 2.0), parent("near", spec(0.25), 3, 1.0)
    got = inherit(spec(0.25), [wide, far, near], 0, tmp_path / "out")
    assert got is not None
    assert (got.parent, given(got, 3)) == ("near", 1.0)


def test_the_random_rest_depends_on_the_seed_alone(tmp_path: Path, parent) -> None:
    flat = [parent("flat", spec(0.25), 7)]
    files = [tmp_path / name for name in ("a", "b", "c")]
    for file, seed in zip(files, (0, 0, 1), strict=True):
        inherit(spec(0.25, repetition=2), flat, seed, file)
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()
