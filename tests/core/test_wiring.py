"""A manifest that contradicts itself is refused, though its seal is whole."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offramp.core.bundle import MANIFEST, Bundle
from offramp.core.errors import BundleError
from offramp.core.seal import seal_of
from offramp.core.wiring import check_wiring, files_of


def first(value: Any, key: str) -> Any:
    return value[key][0]


def rule(value: Any, **content: object) -> None:
    value["plan"]["exits"][0]["rule"] = content


def sized(value: Any, *size: int) -> None:
    value["plan"]["size"] = value["model"]["size"] = list(size)


GRAPH = {"file": "decoder.onnx", "takes": ["frame"], "gives": ["logits", "scores"]}

FAULTS: dict[str, tuple[Callable[[Any], object], str]] = {
    "a head less": (lambda m: m["heads"].pop(), "3 segments, but 2 heads"),
    "no graphs": (lambda m: m.update(segments=[], heads=[], work=[]), "but 0 segments"),
    "work of two": (lambda m: m["path_macs"].pop(), "the work of 2"),
    "work of four": (lambda m: m["work"].append([1, 1]), "the work of 4"),
    "two sizes": (lambda m: m["model"].update(size=[32, 32]), "a network for"),
    "a huge input": (lambda m: sized(m, 64, 10**9), "an input of"),
    "an empty input": (lambda m: sized(m, 0, 96), "an input of"),
    "two thresholds": (lambda m: rule(m, kind="levels", thresholds=[0, 1]), "does not fit 1 score"),
    "two columns": (
        lambda m: rule(m, kind="table", edges=[[0.5], []], stop=[True, False]),
        "does not fit 1 score",
    ),
    "from nowhere": (lambda m: first(m, "segments").update(takes=["x"]), "no graph before it"),
    "gives nothing": (lambda m: first(m, "segments").update(gives=[]), "no graph before it"),
    "another feature": (lambda m: first(m, "heads").update(takes=["x"]), "does not read"),
    "another value": (lambda m: first(m, "heads")["takes"].append("size"), "does not read"),
    "no scores": (lambda m: first(m, "heads").update(gives=["logits"]), "gives .'logits',"),
    "no decoder": (lambda m: m["decoder"].update(takes=["logits"]), "is no decoder"),
    "one prefix": (lambda m: m.update(prefixes=[GRAPH]), "but 1 prefixes"),
    "other prefixes": (
        lambda m: m.update(prefixes=[{**GRAPH, "gives": ["scores"]}] * 3),
        "does not do what",
    ),
    "another single": (lambda m: m.update(single=GRAPH), "stops by itself"),
}


@pytest.mark.parametrize(("spoil", "said"), FAULTS.values(), ids=FAULTS)
def test_a_contradiction_is_refused(
    copied: Path, spoil: Callable[[Any], object], said: str
) -> None:
    value = json.loads((copied / MANIFEST).read_text())
    spoil(value)
    value["seal"] = seal_of(value)
    (copied / MANIFEST).write_text(json.dumps(value))
    with pytest.raises(BundleError, match=f"contradicts itself: .*{said}"):
        Bundle.open(copied)


def test_real_manifests_are_sound(bundle: Bundle, short_bundle: Bundle) -> None:
    for manifest in (bundle.manifest, short_bundle.manifest):
        check_wiring(manifest)
        assert set(files_of(manifest)) == set(manifest.files)
