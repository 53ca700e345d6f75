"""What each piece of a network costs, and the sum over the pieces that an image visits.

The cost functions of MESS table 1, per image: the backbone up to the deepest exit that was
reached, plus *every head that was read* on the way, plus (in time, memory and bytes) one
decoding. Means over images, weighted by how many took which exit, are the search's business.

Two kinds of cost belong to a plan, not to an image: the memory that it needs, and what its bundle
weighs. Both are sums and maxima of the pieces' own figures too, so a search can keep them up
piece by piece.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from offramp.core.errors import BadInput
from offramp.core.spec import Spec

PARAMETER_BYTES = 4
"""Bytes of a parameter: weights are float32."""


class Cost(Spec):
    """What one piece costs for one image.

    Attributes:
        macs: multiply-accumulates.
        parameters: number of parameters.
        latency_ms: measured median time in milliseconds; 0 where nothing was measured.
        bytes: size of its exported graph's file; 0 where unknown.
        memory: peak bytes of activations while it runs, those included that later pieces need,
            weights not; 0 where unknown.
    """

    macs: int = Field(default=0, ge=0)
    parameters: int = Field(default=0, ge=0)
    latency_ms: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    bytes: int = Field(default=0, ge=0)
    memory: int = Field(default=0, ge=0)

    def __add__(self, other: Self) -> "Cost":
        """Put two pieces together that run one after the other: of memory, the larger peak."""
        return Cost(
            macs=self.macs + other.macs,
            parameters=self.parameters + other.parameters,
            latency_ms=self.latency_ms + other.latency_ms,
            bytes=self.bytes + other.bytes,
            memory=max(self.memory, other.memory),
        )


class Costs(Spec):
    """The cost table of a network on one device.

    Attributes:
        points: names of the exit positions in the order of the path; the last is the network's end.
        segments: cost of the segment that ends at each position.
        heads: cost of each head, by position and head name.
        decode: once an image: enlarging one answer to full resolution; its time holds that of
            resizing the frame to the input size.
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
        self._require(pairs)
        total = self.segment_path(pairs[-1][0]) + self.decode
        for point, head in pairs:
            total = total + self.heads[point][head]
        return total

    def knows(self, kind: Literal["bytes", "memory"]) -> bool:
        """Tell whether the table says this of its segments; files of old say 0."""
        return all(getattr(piece, kind) > 0 for piece in self.segments)

    def memory_of(self, visited: Iterable[tuple[str, str]]) -> int:
        """Say how many bytes an image needs that was read at `visited`: MESS's peak memory.

        The weights of all pieces up to the deepest, 4 bytes a parameter, and the largest peak of
        activations among them. An engine that loads a whole bundle also holds the weights of the
        pieces from there to the network's end.

        Raises:
            BadInput: as `of` does, or the table does not know memory.
        """
        cost = self.of(visited)
        self._require_known("memory")
        return PARAMETER_BYTES * cost.parameters + cost.memory

    def bundle_bytes(self, exits: Iterable[tuple[str, str]]) -> int:
        """Estimate how many bytes the graphs of a bundle with these exits have.

        A bundle carries every segment to the network's end whatever its plan is, the heads at
        `exits`, the network's own head, and the decoder. Export writes the segments between two
        exits as one graph. For each segment that is merged into the next, the estimate is too
        high by what every graph repeats: at most the bytes of the own head, which has no weights
        (measured: 2 kB for LeNet, 35 kB for a FastSCNN with ten heads). A head that is asked for
        other scores than the measured one weighs some 5 kB more. The manifest is not counted.

        Args:
            exits: pairs of position and head name; none for the network alone.

        Raises:
            BadInput: a pair is not in the table, or the table does not know bytes.
        """
        pairs = list(exits)
        self._require(pairs)
        self._require_known("bytes")
        end = self.points[-1]
        chosen = dict.fromkeys([*pairs, *((end, head) for head in self.heads[end])])
        graphs = [*self.segments, *(self.heads[point][head] for point, head in chosen), self.decode]
        return sum(graph.bytes for graph in graphs)

    def _require(self, pairs: list[tuple[str, str]]) -> None:
        if any(head not in self.heads.get(point, {}) for point, head in pairs):
            known = [f"{p}/{h}" for p, heads in self.heads.items() for h in heads]
            raise BadInput("no cost is known", expected=f"pairs of {known}", got=str(pairs))

    def _require_known(self, kind: Literal["bytes", "memory"]) -> None:
        if not self.knows(kind):
            raise BadInput(
                f"the cost table does not know {kind}",
                expected=f"'{kind}' above 0 for every segment",
                repair="measure again: offramp record RUN",
            )
