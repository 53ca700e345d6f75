"""OpenVINO on the CPU.

On processors with bf16 arithmetic OpenVINO computes in bf16 unless told otherwise, and scores
move; so the precision is always told.
"""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from offramp.core.bundle import Bundle, Graph, Manifest
from offramp.core.errors import BadInput, MissingExtra
from offramp.runtime.engine import OutOfTime, count_threads, settle
from offramp.runtime.walk import GraphWalk, check_file, check_names, failed

try:
    import openvino
except ModuleNotFoundError:
    raise MissingExtra("openvino", "openvino", "the engine openvino") from None


class OpenVinoEngine(GraphWalk):
    """A bundle's graphs in OpenVINO.

    A frame is computed by `threads` threads; as many frames as then find cores are computed side
    by side, where several threads ask.

    Args:
        bundle: what to run.
        threads: how many compute one frame; absent: as many as the process may use cores.
        precision: "f32", or "bf16" where the processor has it; "int8" if the graphs are.

    Raises:
        BundleError: a graph cannot be loaded.
        BadInput: it cannot compute in this precision here, or the number of threads is below 1.
    """

    name = "openvino"

    def __init__(
        self, bundle: Bundle, threads: int | None = None, precision: str | None = None
    ) -> None:
        manifest = bundle.manifest
        able = able_precisions(manifest)
        self.precision = settle(self.name, precision, manifest.plan.precision, able, _HELP)
        threads = min(count_threads(threads), count_threads(None))  # it would not take more
        version = openvino.__version__.partition("-")[0]
        self.label = f"openvino {version}, {threads} threads, {self.precision}"
        settings = _settings(threads, "bf16" if self.precision == "bf16" else "f32")
        super().__init__(bundle, lambda graph: _Loaded(bundle.path(graph), graph, settings))


def able_precisions(manifest: Manifest) -> tuple[str, ...]:
    """List the precisions in which OpenVINO can compute a bundle on this machine."""
    if manifest.precision != "f32":
        return (manifest.precision,)
    return ("f32", "bf16") if has_bf16() else ("f32",)


@cache
def has_bf16() -> bool:
    """Tell whether this processor computes in bf16."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


_HELP = (
    "bf16 takes a processor that has it (AVX512_BF16 or AMX) and graphs in f32, "
    "int8 a converted bundle: offramp convert BUNDLE --precision int8"
)


def _settings(threads: int, precision: str) -> dict[str, Any]:
    """Share the cores out among streams of `threads` threads: a stream takes a frame at a time.

    With one stream frames would wait for each other, however many cores are idle.
    """
    streams = max(1, count_threads(None) // threads)
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads * streams,
        "NUM_STREAMS": streams,
        "ENABLE_CPU_PINNING": False,  # pinned threads would fight with those of other engines
    }


@cache
def _core() -> Any:
    return openvino.Core()


class _Loaded:
    """One graph of a bundle, compiled, with as many requests as run at a time; see `walk.Loaded`.

    A request overwrites its outputs with its next run, so they are copied: as fast as giving it
    new memory for each.
    """

    def __init__(self, file: Path, graph: Graph, settings: dict[str, Any]) -> None:
        check_file(file)
        self._file = file
        try:
            model = _core().read_model(str(file))
            inputs, outputs = _names(model.inputs), _names(model.outputs)
            check_names(file, graph, list(inputs), list(outputs))
            self._compiled = _core().compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise failed(file, "loaded", error) from error
        asked = settings["INFERENCE_PRECISION_HINT"]
        computed = self._compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if computed != asked:
            raise BadInput("OpenVINO took another precision", expected=asked, got=computed)
        self._takes = graph.takes
        self._inputs = [inputs[name] for name in graph.takes]
        self._outputs = [(name, outputs[name]) for name in graph.gives]
        self._idle: list[Any] = []  # appending and popping need no lock

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._compiled.input(name).shape)

    def run(self, values: Mapping[str, Any], until: float | None = None) -> dict[str, Any]:
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        # A tensor looks into the array's own memory, so arrays are held until the run has ended.
        arrays = [np.require(values[name], requirements=["C", "W"]) for name in self._takes]
        try:
            for index, array in zip(self._inputs, arrays, strict=True):
                request.set_input_tensor(index, openvino.Tensor(array, shared_memory=True))
            _infer(request, until)
            return {
                name: request.get_output_tensor(index).data.copy() for name, index in self._outputs
            }
        except RuntimeError as error:
            raise failed(self._file, "run", error) from error
        finally:
            self._idle.append(request)


def _names(ports: Any) -> dict[str, int]:
    """Map every name of inputs or outputs to its place."""
    return {name: index for index, port in enumerate(ports) for name in port.names}


def _infer(request: Any, until: float | None) -> None:
    """Run a request to its end, or cancel it at `until`.

    Raises:
        OutOfTime: it was cancelled.
    """
    if until is None:
        request.infer(share_outputs=True)
        return
    left = until - perf_counter()
    if left <= 0:
        raise OutOfTime
    request.start_async()
    if not request.wait_for(math.ceil(1000 * left)):
        request.cancel()
    try:
        request.wait()
    except RuntimeError as error:
        if "was canceled" in str(error):
            raise OutOfTime from None
        raise
