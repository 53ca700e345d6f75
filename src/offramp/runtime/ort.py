"""ONNX Runtime: one thread pool for all graphs of the process, and no spinning.

Every session would otherwise bring a pool whose idle threads spin on the cores that the next
graph needs.
"""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

# Its official builds send events about machine and models to their maker; heeded at import alone.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

from offramp.core.bundle import Bundle, Graph
from offramp.core.errors import BadInput
from offramp.runtime.engine import OutOfTime, count_threads, settle
from offramp.runtime.walk import GraphWalk, check_file, check_names, failed
from offramp.runtime.watchdog import Watchdog

CPU, CUDA, TENSORRT = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt"))

_OPTIONS = {CUDA: {"use_tf32": "0"}}
"""TF32 has ten bits of f32's twenty-three: answers would stray further than engines may."""

_pool_threads = 0
_watchdog = Watchdog()


def share_pool(threads: int | None = None) -> int:
    """Set up the process's thread pool once; returns its size.

    Args:
        threads: how many compute at a time; absent: as many as the process may use cores.

    Raises:
        BadInput: the pool exists already with another size, or the number is below 1.
    """
    global _pool_threads
    wanted = count_threads(_pool_threads or None if threads is None else threads)
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


def load_graph(file: Path, providers: tuple[str, ...] = (CPU,)) -> onnxruntime.InferenceSession:
    """Load one ONNX file into the shared pool.

    Args:
        file: the graph.
        providers: what shall run its operations, each those that the ones before it cannot.

    Raises:
        BundleError: ONNX Runtime cannot load it, or it is not whole.
        BadInput: the first provider does not work here.
    """
    check_file(file)
    options = onnxruntime.SessionOptions()
    options.use_per_session_threads = False
    options.intra_op_num_threads = 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    told = [(provider, _OPTIONS.get(provider, {})) for provider in providers]
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=told)
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
        raise failed(file, "loaded", error) from error
    if session.get_providers()[0] != providers[0]:  # it goes on without, and says so in its log
        raise BadInput(f"{providers[0]} of ONNX Runtime does not work on this machine")
    return session


class OnnxRuntimeEngine(GraphWalk):
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
    providers: tuple[str, ...] = (CPU,)
    precisions: tuple[str, ...] = ("f32", "int8")

    def __init__(
        self, bundle: Bundle, threads: int | None = None, precision: str | None = None
    ) -> None:
        manifest = bundle.manifest
        if not has_provider(self.providers[0]):
            raise BadInput(
                f"this build of ONNX Runtime has no {self.providers[0]}",
                got=", ".join(onnxruntime.get_available_providers()),
                repair="install a build that has it, such as onnxruntime-gpu",
            )
        able = [manifest.precision] if manifest.precision in self.precisions else []
        convert = "convert the bundle: offramp convert BUNDLE --precision ..."
        self.precision = settle(self.name, precision, manifest.plan.precision, able, convert)
        self.label = f"{self.name} {onnxruntime.__version__}, {share_pool(threads)} threads"
        super().__init__(bundle, partial(_Loaded, bundle, self.providers))


class OnnxRuntimeCuda(OnnxRuntimeEngine):
    """The same on a graphics card; values pass through the host's memory between graphs."""

    name = "onnxruntime-cuda"
    providers = (CUDA, CPU)
    precisions = ("f32",)


class OnnxRuntimeTensorRt(OnnxRuntimeEngine):
    """The same with graphs that TensorRT compiles when they are loaded."""

    name = "onnxruntime-tensorrt"
    providers = (TENSORRT, CUDA, CPU)
    precisions = ("f32",)


def has_provider(provider: str) -> bool:
    """Tell whether this build of ONNX Runtime has a provider."""
    return provider in onnxruntime.get_available_providers()


class _Loaded:
    """One graph of a bundle in a session of ONNX Runtime; see `walk.Loaded`."""

    def __init__(self, bundle: Bundle, providers: tuple[str, ...], graph: Graph) -> None:
        self._file = bundle.path(graph)
        self._takes, self._gives = graph.takes, list(graph.gives)
        self._session = load_graph(self._file, providers)
        self._shapes = {value.name: value.shape for value in self._session.get_inputs()}
        outputs = [value.name for value in self._session.get_outputs()]
        check_names(self._file, graph, list(self._shapes), outputs)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._shapes[name])

    def run(self, values: Mapping[str, Any], until: float | None = None) -> dict[str, Any]:
        feed = {name: values[name] for name in self._takes}
        try:
            if until is None:
                given = self._session.run(self._gives, feed)
            else:
                given = self._run_until(feed, until)
        except OutOfTime:
            raise
        except Exception as error:
            raise failed(self._file, "run", error) from error
        return dict(zip(self._gives, given, strict=True))

    def _run_until(self, feed: dict[str, Any], until: float) -> Any:
        if perf_counter() >= until:
            raise OutOfTime
        # Of this run alone: one that ended just in time leaves no flag behind for the next.
        options = onnxruntime.RunOptions()
        try:
            with _watchdog.watching(until, partial(setattr, options, "terminate", True)):
                return self._session.run(self._gives, feed, options)
        except Exception as error:
            if options.terminate and "terminate flag" in str(error):
                raise OutOfTime from None
            raise
