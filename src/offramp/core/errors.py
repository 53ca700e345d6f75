"""Every error that offramp raises on purpose, and the words in which it says so.

    OfframpError
    ├── BadInput (ValueError)         what the user gave cannot be used     -> exit status 2
    │   ├── UnknownName (LookupError) a name that is not in a table; names the nearest
    │   ├── DataFault                 a data set or a file in it is faulty
    │   └── BundleError               a bundle was changed, is incomplete, or is too new
    ├── MissingExtra (ModuleNotFoundError)  an optional library is needed; names the extra
    ├── Infeasible                    no plan keeps to the bounds         -> exit status 1
    └── ParityError (RuntimeError)    an export does not answer as its source does

A message says what is wrong, what was expected, what was got, and how to repair it.
"""

import copyreg
import difflib
from collections.abc import Iterable
from typing import Any

MOST_LISTED = 60
"""Of more names than these, an error lists only those like the one that was given."""


class OfframpError(Exception):
    """Root of all errors that offramp raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes by what was said, whatever the constructor takes."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class BadInput(OfframpError, ValueError):
    """Refuse something that the user gave.

    Args:
        what: the fault, in one clause.
        expected: what would have been accepted.
        got: what was found instead.
        repair: what to do about it.
    """

    def __init__(self, what: str, *, expected: str = "", got: str = "", repair: str = "") -> None:
        parts = [what]
        parts += [f"expected {expected}"] if expected else []
        parts += [f"got {got}"] if got else []
        parts += [repair] if repair else []
        super().__init__("; ".join(parts))


class UnknownName(BadInput, LookupError):
    """Refuse a name that is not in a table, and offer the nearest one that is.

    Args:
        kind: what the name should name, such as "model".
        name: the name that was given.
        known: the names that exist.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = list(known)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        listed = names
        if len(names) > MOST_LISTED:
            listed = difflib.get_close_matches(name, names, n=8, cutoff=0.2)
            listed = [*listed, f"… ({len(names)} in all)"]
        super().__init__(
            f"there is no {kind} '{name}'",
            expected="one of " + ", ".join(listed) if names else "",
            repair=f"did you mean '{near[0]}'?" if near else "" if names else "none is known",
        )


class DataFault(BadInput):
    """Refuse a data set, or a file in it."""


class BundleError(BadInput):
    """Refuse a bundle that is incomplete, was changed, or that this version cannot read."""


class MissingExtra(OfframpError, ModuleNotFoundError):
    """Say which extra brings an optional library.

    Args:
        library: the import that failed.
        extra: the extra of this package that installs it.
        purpose: what needs it.
    """

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {library}; install it with: pip install 'offramp[{extra}]'"
        )


class Infeasible(OfframpError):
    """Say that no plan keeps to the goal, and which comes nearest."""


class ParityError(OfframpError, RuntimeError):
    """Refuse an export whose answers differ from those of its source."""
