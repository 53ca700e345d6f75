"""The engines by name, and which of them could run a bundle here."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from offramp.core.bundle import Bundle, Manifest
from offramp.core.errors import OfframpError, UnknownName
from offramp.runtime.engine import Engine

AUTO = "auto"
"""Asks for the fastest engine, see `runtime.choice`."""


@dataclass(frozen=True)
class Entry:
    """Where an engine is, and what it takes to run a bundle on it.

    Attributes:
        module: imported when the engine is asked for.
        kind: its class there.
        library: what it is built on, as it is imported.
        able: whether it could compute a bundle in a precision, were its library and device here.
        present: whether its device is here, and can compute in the precision; asked last, as that
            may mean to import the library.
    """

    module: str
    kind: str
    library: str
    able: Callable[[Manifest, str], bool]
    present: Callable[[str], bool] = lambda precision: True

    def find(self) -> Callable[..., Engine]:
        """Import the engine's class.

        Raises:
            MissingExtra: its library is not installed.
        """
        made: Callable[..., Engine] = getattr(import_module(self.module), self.kind)
        return made


def _as_graphs(manifest: Manifest, precision: str) -> bool:
    return precision == manifest.precision


def _as_graphs_in_f32(manifest: Manifest, precision: str) -> bool:
    return precision == manifest.precision == "f32"


def _as_graphs_or_bf16(manifest: Manifest, precision: str) -> bool:
    return precision == manifest.precision or (precision, manifest.precision) == ("bf16", "f32")


def _with_weights(manifest: Manifest, precision: str) -> bool:
    return manifest.weights is not None and precision in ("f32", "bf16")


def _with_ncnn(manifest: Manifest, precision: str) -> bool:
    return manifest.ncnn is not None and precision == "f32"


def _provided(name: str) -> Callable[[str], bool]:
    def present(precision: str) -> bool:
        found: bool = import_module("offramp.runtime.ort").has_provider(name)
        return found

    return present


def _openvino_can(precision: str) -> bool:
    return precision != "bf16" or import_module("offramp.runtime.openvino").has_bf16()


def _has_card(precision: str) -> bool:
    """Tell whether a driver of NVIDIA is loaded: a discrete card's, Jetson's, or Windows's."""
    devices = ("/dev/nvidiactl", "/dev/nvhost-ctrl-gpu", "/dev/dxg")
    return any(Path(device).exists() for device in devices)


_ORT, _TORCH = "offramp.runtime.ort", "offramp.runtime.torch"

ENGINES = {
    "onnxruntime": Entry(_ORT, "OnnxRuntimeEngine", "onnxruntime", _as_graphs),
    "onnxruntime-cuda": Entry(
        _ORT,
        "OnnxRuntimeCuda",
        "onnxruntime",
        _as_graphs_in_f32,
        _provided("CUDAExecutionProvider"),
    ),
    "onnxruntime-tensorrt": Entry(
        _ORT,
        "OnnxRuntimeTensorRt",
        "onnxruntime",
        _as_graphs_in_f32,
        _provided("TensorrtExecutionProvider"),
    ),
    "openvino": Entry(
        "offramp.runtime.openvino", "OpenVinoEngine", "openvino", _as_graphs_or_bf16, _openvino_can
    ),
    "torch": Entry(_TORCH, "TorchEngine", "torch", _with_weights),
    "torch-cuda": Entry(_TORCH, "CudaEngine", "torch", _with_weights, _has_card),
    "ncnn": Entry("offramp.runtime.ncnn", "NcnnEngine", "ncnn", _with_ncnn),
}
"""Every engine; a module is imported when its engine is asked for."""


def open_engine(
    name: str, bundle: Bundle, threads: int | None = None, precision: str | None = None
) -> Engine:
    """Load a bundle into an engine.

    Args:
        name: one of `ENGINES`, or `AUTO`.
        bundle: what to run.
        threads: how many threads compute; absent: all cores that the process may use.
        precision: of the numbers in which it shall compute; absent: that of the plan
            where it can, else that of the bundle's graphs.

    Raises:
        UnknownName: no engine has this name.
        MissingExtra: its library is not installed.
        BundleError: a graph cannot be loaded, or the bundle lacks the form that it runs.
        BadInput: it cannot compute in this precision here.
    """
    check_engine(name)
    if name == AUTO:
        return _open_fastest(bundle, threads, precision)
    return ENGINES[name].find()(bundle, threads, precision)


def check_engine(name: str) -> None:
    """Refuse an engine that there is not.

    Raises:
        UnknownName: no engine has this name.
    """
    if name != AUTO and name not in ENGINES:
        raise UnknownName("engine", name, [*ENGINES, AUTO])


def installed(bundle: Bundle, precision: str | None = None) -> tuple[str, ...]:
    """Name the engines that could run a bundle here, without loading it.

    Rules that were fitted in another precision than f32 hold for one engine alone.

    Args:
        bundle: what shall run.
        precision: in which it shall; absent: the plan's.
    """
    plan = bundle.manifest.plan
    precision = precision or plan.precision
    names: tuple[str, ...] = tuple(ENGINES)
    if precision == plan.precision != "f32" and plan.engine:
        names = (plan.engine,)
    return tuple(name for name in names if name in ENGINES and _runs(name, bundle, precision))


def _runs(name: str, bundle: Bundle, precision: str) -> bool:
    entry = ENGINES[name]
    able = entry.able(bundle.manifest, precision) and find_spec(entry.library) is not None
    return able and entry.present(precision)


def _open_fastest(bundle: Bundle, threads: int | None, precision: str | None) -> Engine:
    """Open the engine that was the fastest; choose again where a remembered one fails."""
    from offramp.runtime.choice import choose

    choice = choose(bundle, threads, precision)
    try:
        return open_engine(choice.engine, bundle, threads, precision)
    except OfframpError:
        if not choice.remembered:
            raise
    again = choose(bundle, threads, precision, afresh=True)
    return open_engine(again.engine, bundle, threads, precision)
