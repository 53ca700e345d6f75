"""Spoils bundles at random, and tries in a process of its own what graphs of a hostile author do.

    python -m tests.export.hostile BUNDLE WORK FIRST LAST

writes BUNDLE with case FIRST to LAST of `spoil_graph`, each hashed and sealed as its author would,
into WORK, runs it, and prints one line a case. What crashes it or hangs is seen by who started it.
"""

import json
import random
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from offramp.core.bundle import MANIFEST, Bundle, hash_files, save_manifest
from offramp.core.errors import BundleError
from offramp.core.seal import seal_of
from offramp.runtime.engines import open_engine
from offramp.runtime.session import Session
from offramp.runtime.sound import check_answers

MEMORY = 8_000_000_000
"""Bytes of address space for a trial; Python with ONNX Runtime takes some 2 GB of it."""

VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2,
    10**30,
    10**400,
    -1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "../decoder.onnx",
    "/etc/passwd",
    "a/../decoder.onnx",
    "decoder.onnx\x00",
    "head_0.onnx",
    "manifest.json",
    "\ud800",
    [],
    {},
    [1, "2"],
    {"kind": "at-least", "threshold": "high"},
    [[[[[[]]]]]],
    list(range(3000)),
)


def spoil_bytes(content: bytes, rng: random.Random) -> bytes:
    """Cut, flip, insert or remove bytes."""
    at = rng.randrange(len(content)) if content else 0
    kind = rng.randrange(5)
    if kind == 0:
        return content[:at]
    if kind == 1:
        return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]
    if kind == 2:
        return content[:at] + rng.randbytes(rng.randrange(1, 9)) + content[at:]
    if kind == 3:
        return content[:at] + content[at + rng.randrange(1, 64) :]
    return content[:at] + content[: rng.randrange(1, 64)] + content[at:]


def places(value: Any) -> list[tuple[Any, Any]]:
    """List every place in JSON as its container and key."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], dict | list):
            found += places(value[key])
    return found


def spoil_json(text: str, rng: random.Random, sealed: bool) -> str:
    """Change, remove or add a value of a manifest; `sealed` as its author would."""
    value = json.loads(text)
    container, key = rng.choice(places(value))
    kind = rng.randrange(6)
    if kind < 3:
        container[key] = rng.choice(VALUES)
    elif kind == 3:
        del container[key]
    elif kind == 4 and isinstance(container, list):
        container.append(container[key])
    else:
        other, place = rng.choice(places(value))
        container[key] = other[place]
        value = json.loads(json.dumps(value)) if _finite_depth(value) else json.loads(text)
    if sealed:
        try:
            value["seal"] = seal_of(value)
        except ValueError:  # what JSON lacks has no seal
            value["seal"] = "0" * 64
    return json.dumps(value)


def _finite_depth(value: Any) -> bool:
    try:
        json.dumps(value)
    except (ValueError, RecursionError):  # it now holds itself
        return False
    return True


def spoil_graph(content: bytes, rng: random.Random) -> bytes:
    """Spoil an ONNX file: its bytes, or one thing in it that leaves it readable."""
    if rng.random() < 0.4:
        return spoil_bytes(content, rng)
    model = onnx.load_from_string(content)
    rng.choice(GRAPH_SPOILS)(model.graph, rng)
    return model.SerializeToString()


def _operator(graph: Any, rng: random.Random) -> None:
    kinds = ["Relu", "Conv", "Reshape", "Gather", "Loop", "PyOp", "Resize", "Expand", "Softmax"]
    rng.choice(graph.node).op_type = rng.choice(kinds)


def _domain(graph: Any, rng: random.Random) -> None:
    rng.choice(graph.node).domain = rng.choice(["com.microsoft", "evil", "ai.onnx.ml"])


def _edge(graph: Any, rng: random.Random) -> None:
    node, other = rng.choice(graph.node), rng.choice(graph.node)
    if node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice([*other.output, "", "nowhere"])


def _attribute(graph: Any, rng: random.Random) -> None:
    node = rng.choice([node for node in graph.node if node.attribute] or graph.node)
    if node.attribute:
        attribute = rng.choice(node.attribute)
        attribute.i = rng.choice([-1, 0, 7, 2**31, -(2**63)])
        for index in range(len(attribute.ints)):
            attribute.ints[index] = rng.choice([-1, 0, 1, 3, 2**31, 2**62])


def _weights(graph: Any, rng: random.Random) -> None:
    weight = rng.choice(graph.initializer)
    kind = rng.randrange(4)
    if kind == 0:
        weight.raw_data = weight.raw_data[: len(weight.raw_data) // 2]
    elif kind == 1:
        weight.raw_data = rng.randbytes(len(weight.raw_data))
    elif kind == 2 and weight.dims:
        weight.dims[rng.randrange(len(weight.dims))] = rng.choice([0, -1, 2, 2**40, 2**62])
    else:
        weight.data_type = rng.choice([0, 1, 2, 7, 8, 99])


def _shape(graph: Any, rng: random.Random) -> None:
    value = rng.choice([*graph.input, *graph.output])
    dims = value.type.tensor_type.shape.dim
    if dims and rng.random() < 0.7:
        rng.choice(dims).dim_value = rng.choice([0, 1, 2, 97, 2**31, 2**62])
    else:
        value.type.tensor_type.elem_type = rng.choice([1, 2, 7, 10, 11])


def _fewer_nodes(graph: Any, rng: random.Random) -> None:
    del graph.node[rng.randrange(len(graph.node))]


def _again(graph: Any, rng: random.Random) -> None:
    graph.node.append(rng.choice(graph.node))


GRAPH_SPOILS: tuple[Callable[[Any, random.Random], None], ...] = (
    _operator,
    _domain,
    _edge,
    _attribute,
    _weights,
    _shape,
    _fewer_nodes,
    _again,
)


def spoilt_copy(bundle: Bundle, work: Path, case: int) -> None:
    """Write case number `case`: one graph spoilt, hashes and seal as its author would."""
    rng = random.Random(case)
    manifest = bundle.manifest
    graphs = [*manifest.segments, *manifest.heads, manifest.decoder]
    name = rng.choice([graph.file for graph in graphs])
    for file in bundle.manifest.files:
        content = (bundle.folder / file).read_bytes()
        (work / file).write_bytes(spoil_graph(content, rng) if file == name else content)
    (work / MANIFEST).unlink(missing_ok=True)
    save_manifest(work, manifest.model_copy(update={"files": hash_files(work)}))


def attempt(work: Path) -> str:
    """Open and run a bundle; in one word what came of it."""
    try:
        opened = Bundle.open(work)
        check_answers(open_engine("onnxruntime", opened, 1), opened.manifest)
        height, width = opened.manifest.model.size
        noise = np.random.default_rng(1).integers(0, 256, (height + 5, width, 3), dtype=np.uint8)
        labels = Session(opened, threads=1).segment(noise).labels
    except BundleError as error:
        return f"refused {str(error).splitlines()[0]}"
    except Exception as error:
        return f"escaped {error!r}".splitlines()[0]
    sound = labels.dtype == np.uint8 and labels.shape == noise.shape[:2]
    return "answered" if sound else f"escaped labels {labels.dtype} {labels.shape}"


def main() -> None:
    """Try the cases that the command line names."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    bundle, work = Bundle.open(Path(sys.argv[1])), Path(sys.argv[2])
    for case in range(int(sys.argv[3]), int(sys.argv[4])):
        spoilt_copy(bundle, work, case)
        sys.stdout.write(f"case {case} {attempt(work)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
