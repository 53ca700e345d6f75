"""The multi-exit network and the one path through it: begin, advance, read, decode.

Training, recording, export and the runtime's engines walk these four steps and nothing else,
so what was trained is what is searched, exported and run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from offramp.core.errors import BadInput, UnknownName
from offramp.core.head import OWN, HeadSpec
from offramp.core.model import ModelSpec
from offramp.core.score import ScoreSpec
from offramp.models.heads import build_head
from offramp.models.layers import resized
from offramp.models.split import IMAGE, Piece, cut
from offramp.models.zoo import build_spec, entry
from offramp.scores import score

END = "end"
"""The name of the last position, where the network's own head answers."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet statistics of RGB values from 0 to 1."""


@dataclass(frozen=True)
class State:
    """How far an image has come.

    Attributes:
        values: the tensors by name that later segments need.
        feature: what the head at this position reads, N×D×h×w; the image before segment 0.
    """

    values: Mapping[str, Tensor]
    feature: Tensor


@dataclass(frozen=True)
class Reading:
    """What an exit says.

    Attributes:
        logits: N×C×h×w at the head's output stride.
        scores: one number per image (shape N) by score name.
    """

    logits: Tensor
    scores: Mapping[str, Tensor]


class Segment(nn.Module):
    """The piece of the network between two cuts."""

    def __init__(self, piece: Piece) -> None:
        super().__init__()
        self.body = piece.module
        self.takes = piece.takes
        self.gives = piece.gives

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Map the values `takes` to the values `gives`, both in order."""
        return self.body(*values)


class MultiExitNetwork(nn.Module):
    """A network with heads at its cuts; position N is the network's own end.

    Args:
        spec: what network it is.
        points: names of the E positions; the last is "end".
        segments: one piece per position.
        heads: heads by position and name.
    """

    def __init__(
        self,
        spec: ModelSpec,
        points: Sequence[str],
        segments: Sequence[Segment],
        heads: Mapping[str, Mapping[str, nn.Module]],
    ) -> None:
        super().__init__()
        self.spec = spec
        self.points = tuple(points)
        self.segments = nn.ModuleList(segments)
        self.heads = nn.ModuleDict(
            {_key(point): nn.ModuleDict(dict(heads[point])) for point in points}
        )
        self.register_buffer("mean", 255 * torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def head_names(self, point: str) -> tuple[str, ...]:
        """Name the heads at a position."""
        return tuple(self.heads[_key(point)])

    def head(self, point: str, name: str) -> nn.Module:
        """Look a head up.

        Raises:
            UnknownName: there is no such position, or no such head at it.
        """
        if point not in self.points:
            raise UnknownName(f"exit of {self.spec.name}", point, self.points)
        if name not in self.heads[_key(point)]:
            raise UnknownName(f"head at {point}", name, self.head_names(point))
        return self.heads[_key(point)][name]

    def begin(self, image: Tensor) -> State:
        """Normalise uint8 RGB images N×H×W×3."""
        x = (image.permute(0, 3, 1, 2).float() - self.mean) / self.std  # N×3×H×W
        return State({IMAGE: x}, x)

    def advance(self, index: int, state: State) -> State:
        """Run segment `index`."""
        segment: Segment = self.segments[index]
        given = segment(*(state.values[name] for name in segment.takes))
        values = {**state.values, **dict(zip(segment.gives, given, strict=True))}
        later: set[str] = set()
        for following in list(self.segments)[index + 1 :]:
            later.update(following.takes)
        return State({name: v for name, v in values.items() if name in later}, given[0])

    def read(
        self, index: int, state: State, head: str, scores: Sequence[ScoreSpec] = ()
    ) -> Reading:
        """Ask a head at position `index`, and boil its answer down to `scores`."""
        logits = self.head(self.points[index], head)(state.feature)
        return Reading(logits, {spec.name: score(spec, logits) for spec in scores})

    def decode(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Enlarge logits N×C×h×w bilinearly and take the best class; uint8 N×H×W."""
        return resized(logits, size).max(dim=1).indices.to(torch.uint8)  # argmax is 7× slower

    def with_heads(self, exits: Mapping[str, Sequence[HeadSpec]]) -> "MultiExitNetwork":
        """Share the segments and the own head, with other heads at the early positions.

        A head that stands at the same position under the same name keeps its weights.
        """
        return _assemble(self.spec, list(self.segments), self.points, exits, self)


def attach(
    module: nn.Module, spec: ModelSpec, exits: Mapping[str, Sequence[HeadSpec]]
) -> MultiExitNetwork:
    """Turn a single-exit network into a multi-exit one.

    Args:
        module: maps N×3×H×W to logits N×C×h×w.
        spec: what network it is.
        exits: head specifications by the block after which they sit, in the order of the path.

    Raises:
        UnknownName: a position is not a block of the module.
        BadInput: the module cannot be cut there, or does not return class logits.
    """
    sample = torch.zeros(1, 3, *spec.size)
    pieces = cut(module, list(exits), sample)
    segments = [Segment(piece) for piece in pieces]
    return _assemble(spec, segments, [*exits, END], exits, None)


def build_network(spec: ModelSpec, exits: Mapping[str, Sequence[HeadSpec]]) -> MultiExitNetwork:
    """Build a network of the zoo with exits at the named points.

    Raises:
        UnknownName: the network or a point is unknown.
    """
    points = entry(spec.name).points
    for point in exits:
        if point not in points:
            raise UnknownName(f"cut point of {spec.name}", point, points)
    ordered = {point: exits[point] for point in points if point in exits}
    return attach(build_spec(spec), spec, ordered)


def _assemble(
    spec: ModelSpec,
    segments: Sequence[Segment],
    points: Sequence[str],
    exits: Mapping[str, Sequence[HeadSpec]],
    old: MultiExitNetwork | None,
) -> MultiExitNetwork:
    """Build the heads for the features that come out of `segments`."""
    channels = _feature_channels(segments, spec)
    if channels[-1] != spec.classes:
        raise BadInput(
            f"{spec.name} does not answer with one channel a class",
            expected=f"{spec.classes} channels",
            got=str(channels[-1]),
        )
    heads: dict[str, dict[str, nn.Module]] = {END: {OWN: nn.Identity()}}
    for point, d in zip(points[:-1], channels[:-1], strict=True):
        kept = old.heads[_key(point)] if old is not None else {}
        heads[point] = {
            head.name: kept[head.name] if head.name in kept else build_head(head, d, spec.classes)
            for head in exits.get(point, ())
        }
    return MultiExitNetwork(spec, points, segments, heads)


def _feature_channels(segments: Sequence[Segment], spec: ModelSpec) -> list[int]:
    """Run a blank image through the segments in eval mode, and note each feature's channels."""
    values = {IMAGE: torch.zeros(1, 3, *spec.size)}
    channels = []
    for segment in segments:
        was_training = segment.training
        segment.eval()
        with torch.no_grad():
            given = segment(*(values[name] for name in segment.takes))
        segment.train(was_training)
        values.update(zip(segment.gives, given, strict=True))
        channels.append(int(given[0].shape[1]))
    return channels


def _key(point: str) -> str:
    """Write a block's name without dots, which module names must not hold."""
    return point.replace(".", "/")
