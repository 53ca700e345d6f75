"""ONNX Runtime on the CPU: one thread pool for all graphs of the process, and no spinning.

Every session would otherwise bring a pool whose idle threads spin on the cores that the next
graph needs.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from offramp.core.bundle import CELLS, FRAME, Bundle, Graph
from offramp.core.errors import BadInput, BundleError
from offramp.data.images import Array
from offramp.runtime.engine import Reading, State, on_grid

_pool_threads = 0


def share_pool(threads: int | None = None) -> int:
    """Set up the process's thread pool once; returns its size.

    Args:
        threads: how many compute at a time; absent: as many as the process may use cores.

    Raises:
        BadInput: the pool exists already with another size, or the number is below 1.
    """
    global _pool_threads
    if threads is not None and threads < 1:
        raise BadInput("the number of threads", expected="1 or more", got=str(threads))
    wanted = threads or _pool_threads or len(os.sched_getaffinity(0))
    if not _pool_threads:
        onnxruntime.set_global_thread_pool_sizes(wanted, 1)
        _pool_threads = wanted
    if wanted != _pool_threads:
        raise BadInput(
            "the thread pool of this process cannot change its size",
            expected=f"{_pool_threads} threads as before",
            got=str(wanted),
        )
    return _pool_threads


def load_graph(file: Path) -> onnxruntime.InferenceSession:
    """Load one ONNX file into the shared pool.

    Raises:
        BundleError: ONNX Runtime cannot load it.
    """
    options = onnxruntime.SessionOptions()
    options.use_per_session_threads = False
    options.intra_op_num_threads = 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
        raise BundleError(f"{file} cannot be loaded", got=str(error).splitlines()[0]) from error


class OnnxRuntimeEngine:
    """A bundle's graphs in ONNX Runtime.

    Args:
        bundle: what to run.
        threads: see `share_pool`.
        precision: that of the bundle's graphs, the only one that it can compute in.

    Raises:
        BundleError: a graph cannot be loaded.
        BadInput: another precision was asked for.
    """

    name = "onnxruntime"

    def __init__(
        self, bundle: Bundle, threads: int | None = None, precision: str | None = None
    ) -> None:
        self.precision = bundle.manifest.precision
        if precision not in (None, self.precision):
            raise BadInput(
                "ONNX Runtime computes in the precision of a bundle's graphs",
                expected=self.precision,
                got=str(precision),
                repair="convert the bundle: offramp convert BUNDLE --precision ...",
            )
        threads = share_pool(threads)
        self.label = f"onnxruntime {onnxruntime.__version__}, {threads} threads"
        manifest = bundle.manifest
        self._size = manifest.model.size
        self._segments = [(g, load_graph(bundle.path(g))) for g in manifest.segments]
        self._heads = [(g, load_graph(bundle.path(g))) for g in manifest.heads]
        self._decoder = load_graph(bundle.path(manifest.decoder))

    def begin(self, frame: Array) -> State:
        """Take a frame uint8 RGB H×W×3 of the bundle's input size."""
        if frame.shape != (*self._size, 3):
            expected = f"{self._size[0]}x{self._size[1]}x3"
            raise BadInput("a frame of another size", expected=expected, got=str(frame.shape))
        return State({FRAME: np.ascontiguousarray(frame)[None]})

    def advance(self, index: int, state: State, until: float | None = None) -> State:
        """Run segment `index`."""
        graph, session = self._segments[index]
        return State({**state.values, **_run(graph, session, state.values)})

    def read(self, index: int, state: State, until: float | None = None) -> Reading:
        """Ask the head of exit `index`."""
        graph, session = self._heads[index]
        values = state.values
        if len(graph.takes) > 1:  # labels of another answer, to be taken to this head's grid
            values = {**values, **_before(graph, session, values)}
        given = _run(graph, session, values)
        return Reading(given["logits"], tuple(given["scores"].tolist()), given.get(CELLS))

    def decode(self, logits: Any, size: tuple[int, int]) -> Array:
        """Enlarge an answer to labels uint8 H×W of height and width `size`."""
        feed = {"logits": logits, "size": np.array(size, dtype=np.int64)}
        labels: Array = self._decoder.run(None, feed)[0][0]
        return labels


def _before(graph: Graph, session: Any, values: Any) -> dict[str, Array]:
    shapes = {value.name: value.shape for value in session.get_inputs()}
    return {name: on_grid(values[name], *shapes[name][1:]) for name in graph.takes[1:]}


def _run(graph: Graph, session: Any, values: Any) -> dict[str, Any]:
    feed = {name: values[name] for name in graph.takes}
    return dict(zip(graph.gives, session.run(list(graph.gives), feed), strict=True))
