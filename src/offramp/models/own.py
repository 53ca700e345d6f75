"""Your own network: a function in a Python file that takes the number of classes.

    def factory(classes: int, width: float = 1.0) -> torch.nn.Module: ...

Its further parameters with defaults are its knobs. The file is executed, so give only files
that you trust.
"""

import importlib.util
import inspect
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from offramp.core.errors import BadInput, UnknownName


def is_own(name: str) -> bool:
    """Tell whether a model's name is "path/to/file.py:factory"."""
    return name.partition(":")[0].endswith(".py")


def absolute(name: str) -> str:
    """Write the path in the name of an own network out in full; other names stay as they are."""
    if not is_own(name):
        return name
    file, _, factory = name.partition(":")
    return f"{Path(file).resolve()}:{factory}"


def load_factory(name: str) -> Callable[..., nn.Module]:
    """Load the function that "path/to/file.py:factory" names; runs the file, once.

    Raises:
        BadInput: there is no such file, it cannot be run, or no function is named.
        UnknownName: the file does not define the function.
    """
    return _load(absolute(name))


@cache
def _load(name: str) -> Callable[..., nn.Module]:
    path, _, factory = name.partition(":")
    file = Path(path)
    if not file.is_file():
        raise BadInput(f"there is no file {file}", expected="path/to/file.py:factory")
    module_name = f"offramp_own_{file.stem}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None  # the suffix is .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses and pickles look their module up
    sys.path.insert(0, str(file.parent))  # so that it may import its neighbours
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a foreign file may raise anything
        raise BadInput(f"{file} cannot be run", got=f"{type(error).__name__}: {error}") from error
    finally:
        if str(file.parent) in sys.path:
            sys.path.remove(str(file.parent))
    functions = [key for key, value in vars(module).items() if _is_factory(value, module_name)]
    if not factory:
        raise BadInput(
            f"{file} is given without a function",
            expected=f"{path}:factory",
            repair=f"it defines {', '.join(functions)}" if functions else "",
        )
    made = getattr(module, factory, None)
    if not callable(made):
        raise UnknownName(f"function in {file}", factory, functions)
    return made


def own_knobs(factory: Callable[..., nn.Module]) -> dict[str, Any]:
    """List a factory's parameters that have defaults.

    Raises:
        BadInput: it does not take the number of classes first, or needs more than that.
    """
    parameters = [*inspect.signature(factory).parameters.values()]
    named = [p for p in parameters[1:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    needed = [p.name for p in named if p.default is p.empty]
    first = [p.name for p in parameters[:1] if p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
    if not parameters or needed or first:
        raise BadInput(
            f"{getattr(factory, '__name__', 'the factory')} cannot be called",
            expected="a function of the number of classes, all else with defaults",
            got=f"it needs {', '.join(needed)} too" if needed else "it takes nothing by position",
        )
    return {p.name: p.default for p in named}


def _is_factory(value: object, module: str) -> bool:
    return callable(value) and getattr(value, "__module__", "") == module
