"""What a frontier's cost can be: where a design holds it, which bound limits it, how it is said."""

from collections.abc import Iterable
from dataclasses import dataclass

from offramp.core.errors import BadInput, UnknownName
from offramp.search.goal import BOUND_OF, CostName
from offramp.search.point import Point


@dataclass(frozen=True)
class Axis:
    """One kind of cost.

    Attributes:
        name: as `--cost` takes it.
        field: the field of a point that holds it.
        what: in words.
        units: names of the unit, each with its size, the largest first.
    """

    name: CostName
    field: str
    what: str
    units: tuple[tuple[str, float], ...]

    @property
    def bound(self) -> str:
        """The field of a goal that limits it."""
        return BOUND_OF[self.name]

    def of(self, point: Point) -> float:
        """Read this cost of a design; 0 where it is not known."""
        return float(getattr(point, self.field))

    def known(self, points: Iterable[Point]) -> bool:
        """Tell whether this cost is known of every one of these designs."""
        return all(self.of(point) > 0 for point in points)

    def said(self, value: float) -> str:
        """Write a cost with its unit."""
        unit, size = next(
            ((unit, size) for unit, size in self.units if abs(value) >= size), self.units[-1]
        )
        digits = 0 if size == 1 and len(self.units) > 1 else 2  # what is counted has no fractions
        return f"{value / size:.{digits}f} {unit}"

    def short(self, value: float) -> str:
        """Write a cost beside `what`, which it does not repeat."""
        return self.said(value).removesuffix(self.what).strip()


_MILLISECONDS = (("ms", 1.0),)
_BYTES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("bytes", 1.0))
_MACS = (("GMAC", 1e9), ("MMAC", 1e6), ("kMAC", 1e3), ("MAC", 1.0))
_PARAMETERS = (
    ("G parameters", 1e9),
    ("M parameters", 1e6),
    ("k parameters", 1e3),
    ("parameters", 1.0),
)

AXES: dict[CostName, Axis] = {
    axis.name: axis
    for axis in (
        Axis("macs", "macs", "work an image", _MACS),
        Axis("latency", "latency_ms", "time an image", _MILLISECONDS),
        Axis("worst-latency", "worst_latency_ms", "time to the last exit", _MILLISECONDS),
        Axis("parameters", "parameters", "parameters", _PARAMETERS),
        Axis("bytes", "bytes", "size of the bundle", _BYTES),
        Axis("memory", "memory", "peak memory", _BYTES),
    )
}
"""All kinds of cost by name, in the order in which they are offered."""


def axis_of(name: str, points: Iterable[Point] = ()) -> Axis:
    """Find a kind of cost that is known of some designs.

    Raises:
        UnknownName: there is none of this name.
        BadInput: it is not known of one of the designs.
    """
    found = next((axis for axis in AXES.values() if axis.name == name), None)
    if found is None:
        raise UnknownName("cost", name, AXES)
    if not found.known(points):
        raise BadInput(
            f"the {found.what} is not known of every design",
            expected="a cost that was measured",
            got=f"'{name}'",
            repair="record again: offramp record RUN",
        )
    return found
