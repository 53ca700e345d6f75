"""One walk for the engines that run a bundle's ONNX graphs one by one."""

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from offramp.core.bundle import Bundle, Graph, Manifest
from offramp.core.errors import BadInput, BundleError
from offramp.core.wiring import CELLS, FRAME, LABELS, LOGITS, SCORES, SIZE
from offramp.data.images import Array
from offramp.runtime.engine import Reading, State, on_grid

_POINTER = re.compile(rb"(?:\x0a|\x8a\x80*\x00)(?:\x08|\x88\x80*\x00)location")
"""How a tensor whose numbers lie in another file is written: a field 1 that holds "location", in
protocol buffers' shortest spelling of its two numbers or a longer one."""


class Loaded(Protocol):
    """A graph as an engine holds it; several threads may run it at a time."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Tell the shape of an input."""
        ...

    def run(self, values: Mapping[str, Any], until: float | None = None) -> dict[str, Any]:
        """Compute what the graph gives, by name, from what it takes.

        Raises:
            OutOfTime: it was cancelled at `until`.
            BundleError: it fails.
        """
        ...


class GraphWalk:
    """The path of a frame through loaded graphs: all of an engine but how it runs one.

    Args:
        bundle: what to run.
        load: loads one of its graphs.
    """

    def __init__(self, bundle: Bundle, load: Callable[[Graph], Loaded]) -> None:
        manifest = bundle.manifest
        self._size = manifest.model.size
        self._graphs = manifest.heads
        self._scores = len(manifest.plan.scores)
        self._keeps = keeps(manifest)
        self._segments = [load(graph) for graph in manifest.segments]
        self._heads = [load(graph) for graph in manifest.heads]
        self._decoder = load(manifest.decoder)

    def begin(self, frame: Array) -> State:
        """Take a frame uint8 RGB H×W×3 of the bundle's input size."""
        if frame.shape != (*self._size, 3):
            expected = f"{self._size[0]}x{self._size[1]}x3"
            raise BadInput("a frame of another size", expected=expected, got=str(frame.shape))
        return State({FRAME: np.ascontiguousarray(frame)[None]})

    def advance(self, index: int, state: State, until: float | None = None) -> State:
        """Run segment `index`, and forget what no later graph takes; `until` cancels it."""
        given = {**state.values, **self._segments[index].run(state.values, until)}
        return State({name: v for name, v in given.items() if name in self._keeps[index]})

    def read(self, index: int, state: State, until: float | None = None) -> Reading:
        """Ask the head of exit `index`; `until` cancels it."""
        graph, head, values = self._graphs[index], self._heads[index], dict(state.values)
        for name in graph.takes[1:]:  # labels of another answer, of another grid perhaps
            height, width = head.shape(name)[1:]
            values[name] = on_grid(values[name], height, width)
        given = head.run(values, until)
        scores = _checked(given[SCORES], (self._scores,), np.float32, graph.file)
        return Reading(given[LOGITS], tuple(scores.tolist()), given.get(CELLS))

    def decode(self, logits: Any, size: tuple[int, int]) -> Array:
        """Enlarge an answer to labels uint8 H×W of height and width `size`."""
        feed = {LOGITS: logits, SIZE: np.array(size, dtype=np.int64)}
        given = self._decoder.run(feed)[LABELS]
        labels: Array = _checked(given, (1, *size), np.uint8, "the decoder")[0]
        return labels


def keeps(manifest: Manifest) -> tuple[frozenset[str], ...]:
    """Name, after each segment, the values that its head or a later graph takes."""
    segments, heads = manifest.segments, manifest.heads
    return tuple(
        frozenset(
            name for graph in [*segments[index + 1 :], *heads[index:]] for name in graph.takes
        )
        for index in range(len(segments))
    )


def check_file(file: Path) -> None:
    """Refuse a graph that would have an engine read other files.

    Raises:
        BundleError: it names one.
    """
    if _POINTER.search(file.read_bytes()):
        raise BundleError(
            f"{file} keeps numbers in another file",
            expected="a graph that is whole",
            repair="copy or export the bundle again",
        )


def check_names(
    file: Path, graph: Graph, inputs: Collection[str], outputs: Collection[str]
) -> None:
    """Refuse a graph that does not take and give what the manifest says.

    Raises:
        BundleError: it does not.
    """
    told = f"{', '.join(graph.takes)} -> {', '.join(graph.gives)}"
    if set(inputs) != set(graph.takes) or not set(graph.gives) <= set(outputs):
        found = f"{', '.join(inputs)} -> {', '.join(outputs)}"
        raise BundleError(f"{file} is not the graph of the manifest", expected=told, got=found)


def failed(file: Path, doing: str, error: Exception) -> BundleError:
    """Say in one line that an engine cannot load or run a graph, and the engine's reason."""
    # OpenVINO begins with lines that tell places in its own source.
    told = [line for line in str(error).splitlines() if not line.startswith("Exception from")]
    text = " ".join(" ".join(told).split())
    return BundleError(f"{file} cannot be {doing}", got=text[:400] or repr(error))


def _checked(value: Any, shape: tuple[int, ...], kind: type[np.generic], file: str) -> Any:
    """Take what a graph gives if it is what policies and callers expect.

    Raises:
        BundleError: it is not.
    """
    if not isinstance(value, np.ndarray) or value.shape != shape or value.dtype != kind:
        dtype = getattr(value, "dtype", type(value).__name__)
        expected, got = f"{np.dtype(kind)} of {shape}", f"{dtype} of {np.shape(value)}"
        raise BundleError(f"{file} gives no such answer", expected=expected, got=got)
    return value
