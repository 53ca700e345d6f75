"""The engines by name."""

from collections.abc import Callable
from importlib import import_module

from offramp.core.bundle import Bundle
from offramp.core.errors import UnknownName
from offramp.runtime.engine import Engine

ENGINES = {
    "onnxruntime": ("offramp.runtime.ort", "OnnxRuntimeEngine"),
}
"""Where each engine's class is; a module is imported when its engine is asked for."""


def open_engine(
    name: str, bundle: Bundle, threads: int | None = None, precision: str | None = None
) -> Engine:
    """Load a bundle into an engine.

    Args:
        name: one of `ENGINES`.
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
    module, kind = ENGINES[name]
    make: Callable[..., Engine] = getattr(import_module(module), kind)
    return make(bundle, threads, precision)


def check_engine(name: str) -> None:
    """Refuse an engine that there is not.

    Raises:
        UnknownName: no engine has this name.
    """
    if name not in ENGINES:
        raise UnknownName("engine", name, ENGINES)
