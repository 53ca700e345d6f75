"""What each piece of a network costs, and the sum over the pieces that an image visits.

The cost functions of MESS table 1, per image: the backbone up to the deepest exit that was
reached, plus *every head that was read* on the way, plus (in time only) one decoding. Means
over images, weighted by how many took which exit, are the search's business.
"""

from collections.abc import Iterable, Mapping
from typing import Self

from pydantic import Field, model_validator

from offramp.core.errors import BadInput
from offramp.core.spec import Spec


class Cost(Spec):
    """What one piece costs for one image.

    Attributes:
        macs: multiply-accumulates.
        parameters: number of parameters.
        latency_ms: measured median time in milliseconds; 0 where nothing was measured.
    """

    macs: int = 0
    parameters: int = 0
    latency_ms: float = 0.0

    def __add__(self, other: Self) -> "Cost":
        return Cost(
            macs=self.macs + other.macs,
            parameters=self.parameters + other.parameters,
            latency_ms=self.latency_ms + other.latency_ms,
        )


class Costs(Spec):
    """The cost table of a network on one device.

    Attributes:
        points: names of the exit positions in the order of the path; the last is the network's end.
        segments: cost of the segment that ends at each position.
        heads: cost of each head, by position and head name.
        decode: cost of enlarging one answer to full resolution.
        size: input height and width in pixels to which all figures belong.
        engine: what was timed, and where: engine, versions, threads, machine; empty if untimed.
    """

    points: tuple[str, ...]
    segments: tuple[Cost, ...]
    heads: Mapping[str, Mapping[str, Cost]]
    decode: Cost = Cost()
    size: tuple[int, int]
    engine: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_row_a_point(self) -> "Costs":
        if len(self.segments) != len(self.points) or set(self.heads) != set(self.points):
            raise ValueError("segments and heads must have one entry for each of the points")
        return self

    def segment_path(self, point: str) -> Cost:
        """Sum the segments from the image up to `point`."""
        total = Cost()
        for piece in self.segments[: self.points.index(point) + 1]:
            total = total + piece
        return total

    def of(self, visited: Iterable[tuple[str, str]]) -> Cost:
        """Sum what an image costs that was read at `visited` and stopped at the deepest of them.

        Args:
            visited: pairs of position and head name, in the order of the path.

        Raises:
            BadInput: nothing was visited, or a pair is not in the table.
        """
        pairs = list(visited)
        if not pairs:
            raise BadInput("an image must visit at least one exit")
        try:
            total = self.segment_path(pairs[-1][0]) + self.decode
            for point, head in pairs:
                total = total + self.heads[point][head]
        except (KeyError, ValueError):
            known = [f"{p}/{h}" for p, heads in self.heads.items() for h in heads]
            raise BadInput(
                "no cost is known", expected=f"pairs of {known}", got=str(pairs)
            ) from None
        return total
