"""What verbs share: text or JSON, progress on standard error, errors without a traceback."""

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from offramp.core.errors import BadInput, MissingExtra, OfframpError

T = TypeVar("T")
P = ParamSpec("P")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]

TRAIN_LIBRARIES = (
    "torch",
    "torchvision",
    "lightning",
    "onnx",
    "onnxscript",
    "safetensors",
    "timm",
    "matplotlib",
    "numba",
    "optuna",
)

_errors = Console(stderr=True)


def verb(function: Callable[P, dict[str, Any]]) -> Callable[P, None]:
    """Make a function a verb: print what it returns, and turn errors into exit statuses.

    The function returns the JSON object; it prints its own text unless `json` is among its
    arguments and true. Exit status 1: the work failed; 2: bad input; 130: interrupted.
    """

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        as_json = bool(kwargs.get("json"))
        _set_up_logging()
        try:
            result = function(*args, **kwargs)
        except BadInput as error:
            _fail(str(error), 2)
        except ModuleNotFoundError as error:
            _fail(str(error if isinstance(error, MissingExtra) else _missing(error)), 2)
        except OfframpError as error:
            _fail(str(error), 1)
        except KeyboardInterrupt:
            _fail("interrupted; what was finished is kept", 130)
        except BrokenPipeError:
            # The reader of our output has left; point the descriptor away so that exit is quiet.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except (PermissionError, NotADirectoryError, FileExistsError, IsADirectoryError) as error:
            _fail(str(error), 2)
        except OSError as error:
            _fail(str(error), 1)
        if as_json:
            print(json.dumps(result, indent=2, allow_nan=False))

    return wrapper


def say(text: str, as_json: bool) -> None:
    """Print a line of the answer, unless the answer is JSON."""
    if not as_json:
        print(text)


def track(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Yield `items`; show a bar on a terminal, and a plain line every ten seconds elsewhere."""
    if _errors.is_terminal:
        with _bar() as progress:
            task = progress.add_task(label, total=total)
            for item in items:
                yield item
                progress.advance(task)
        return
    last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last >= 10:
            last = time.monotonic()
            print(f"{label}: {done}/{total}", file=sys.stderr, flush=True)


def table(columns: list[str], rows: list[list[str]]) -> str:
    """Lay out rows under columns; the first column left, the others right."""
    cells = [columns, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def macs_text(macs: float) -> str:
    """Write multiply-accumulates with a unit."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if macs >= size:
            return f"{macs / size:.2f} {unit}MAC"
    return f"{macs:.0f} MAC"


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=_errors,
        transient=True,
    )


def _missing(error: ModuleNotFoundError) -> Exception:
    """Name the extra that brings a library; another missing module is a fault of our own."""
    library = (error.name or "").split(".")[0]
    if library not in TRAIN_LIBRARIES:
        raise error
    return MissingExtra(library, "train", "this verb")


def _fail(message: str, status: int) -> None:
    _errors.print(f"offramp: {message}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(status)


def _set_up_logging() -> None:
    """Send offramp's own log lines to standard error, and quieten the libraries beneath."""
    if _errors.is_terminal:
        handler: logging.Handler = RichHandler(
            console=_errors, show_time=False, show_level=False, show_path=False, markup=False
        )
    else:
        handler = logging.StreamHandler(sys.stderr)
    own = logging.getLogger("offramp")
    own.handlers[:] = [handler]
    own.setLevel(logging.INFO)
    own.propagate = False
    warnings.filterwarnings("ignore")
