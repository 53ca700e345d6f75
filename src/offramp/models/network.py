"""The multi-exit network and the one path through it: begin, advance, read, decode.

Training, recording, export and the runtime's engines walk these four steps and nothing else,
so what was trained is what is searched, exported and run.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from offramp.core.errors import BadInput, UnknownName
from offramp.core.head import OWN, HeadSpec
from offramp.core.model import ModelSpec, Size, format_size
from offramp.core.score import LEARNED, ScoreSpec
from offramp.models.auxiliary import Auxiliaries, learned_scores
from offramp.models.fake import frozen
from offramp.models.heads import build_head
from offramp.models.intake import Intake, find_intake
from offramp.models.layers import cropped, resized
from offramp.models.split import IMAGE, Piece, cut
from offramp.models.weights import load_into
from offramp.models.zoo import build_spec
from offramp.scores import Context, scores

END = "end"
"""The name of the last position, where the network's own head answers."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet statistics of RGB values from 0 to 1."""

LUMA = (0.299, 0.587, 0.114)
"""The share of red, green and blue in brightness (ITU-R BT.601)."""


ALONE = Context()
"""No answer came before."""


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

    Images of the size that `spec` names are padded with the mean colour, at the bottom and on
    the right, where the network needs it larger; what its heads say of the padding is cropped.

    Args:
        spec: what network it is.
        intake: what the network is fed.
        points: names of the E positions; the last is "end".
        segments: one piece per position.
        heads: heads by position and name.

    Attributes:
        auxiliaries: what computes learned scores; absent until `offramp learn` trained it.
    """

    def __init__(
        self,
        spec: ModelSpec,
        intake: Intake,
        points: Sequence[str],
        segments: Sequence[Segment],
        heads: Mapping[str, Mapping[str, nn.Module]],
    ) -> None:
        super().__init__()
        self.spec = spec
        self.intake = intake
        self.points = tuple(points)
        self.segments = nn.ModuleList(segments)
        self.heads = nn.ModuleDict(
            {_key(point): nn.ModuleDict(dict(heads[point])) for point in points}
        )
        self.auxiliaries: Auxiliaries | None = None
        mean, std, luma = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in (MEAN, STD, LUMA))
        self.register_buffer("luma", luma, persistent=False)
        if intake.channels == 1:
            mean, std = (mean * luma).sum(1, keepdim=True), (std * luma).sum(1, keepdim=True)
        self.register_buffer("mean", 255 * mean, persistent=False)
        self.register_buffer("std", 255 * std, persistent=False)

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

    @property
    def learned(self) -> tuple[ScoreSpec, ...]:
        """The learned scores that it can compute: all or none."""
        return LEARNED if self.auxiliaries is not None else ()

    def add_auxiliaries(self) -> Auxiliaries:
        """Give every head an auxiliary network with random weights, in place of any it has."""
        heads = [self.head_names(point) for point in self.points]
        self.auxiliaries = Auxiliaries(self.spec.classes, heads).to(self.mean.device).eval()
        return self.auxiliaries

    def begin(self, image: Tensor) -> State:
        """Normalise uint8 RGB images N×H×W×3, and pad them as far as the network needs.

        Raises:
            BadInput: the images have another size than `spec` names, and the network is padded to
                that or takes a single size.
        """
        x = image.permute(0, 3, 1, 2).float()
        if self.intake.channels == 1:
            x = (x * self.luma).sum(1, keepdim=True)
        x = (x - self.mean) / self.std  # N×3×H×W, or N×1×H×W of luma
        if (size := _size(x)) != self.spec.size and not self._takes_any_size:
            raise BadInput(
                f"{self.spec.name} was cut for one size",
                expected=format_size(self.spec.size),
                got=format_size(size),
            )
        if size != self.intake.size and not self._takes_any_size:
            below, right = (w - h for w, h in zip(self.intake.size, size, strict=True))
            x = F.pad(x, (0, right, 0, below))
        return State({IMAGE: x}, x)

    @property
    def _takes_any_size(self) -> bool:
        return self.intake.any_size and self.intake.size == self.spec.size

    def advance(self, index: int, state: State) -> State:
        """Run segment `index`."""
        segment: Segment = self.segments[index]
        given = segment(*(state.values[name] for name in segment.takes))
        values = {**state.values, **dict(zip(segment.gives, given, strict=True))}
        later: set[str] = set()
        for following in list(self.segments)[index + 1 :]:
            later.update(following.takes)
        live = {name: value for name, value in values.items() if name in later}
        return State(live, given[0])

    def read(
        self,
        index: int,
        state: State,
        head: str,
        specs: Sequence[ScoreSpec] = (),
        context: Context = ALONE,
    ) -> Reading:
        """Ask a head at position `index`, and boil its answer down to the scores `specs`.

        Raises:
            BadInput: `context` lacks the earlier answer that a score compares with, or nothing
                was trained for a learned score.
        """
        logits = self.head(self.points[index], head)(state.feature)
        if self.intake.size != self.spec.size:
            logits = cropped(logits, self.spec.size, self.intake.size)
        plain = [spec for spec in specs if not spec.learned]
        found = scores(plain, logits, replace(context, size=self.spec.size))
        auxiliary = None if self.auxiliaries is None else self.auxiliaries.of(index, head)
        return Reading(logits, {**found, **learned_scores(auxiliary, specs, logits)})

    def decode(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Enlarge logits N×C×h×w bilinearly and take the best class; uint8 N×H×W."""
        return resized(logits, size).max(dim=1).indices.to(torch.uint8)  # argmax is 7× slower

    def with_heads(self, exits: Mapping[str, Sequence[HeadSpec]]) -> "MultiExitNetwork":
        """Share the segments and the own head, with other heads at the early positions.

        A head that stands at the same position under the same name keeps its weights.
        """
        return _assemble(self.spec, self.intake, list(self.segments), self.points, exits, self)


def attach(
    module: nn.Module,
    spec: ModelSpec,
    exits: Mapping[str, Sequence[HeadSpec]],
    output: str | int | None = None,
) -> MultiExitNetwork:
    """Turn a single-exit network into a multi-exit one.

    Args:
        module: maps N×3×H×W (or N×1×H×W of luma) to logits N×C×h×w, be they one of several
            outputs. Its parameters are shared, not copied.
        spec: what network it is; `name` may be anything.
        exits: head specifications by the block after which they sit.
        output: key or index of the logits where the module returns several tensors and none is
            under "out" or "logits".

    Raises:
        UnknownName: a position is not a block of the module.
        BadInput: the module cannot be run or cut, or does not return class logits.
    """
    intake = find_intake(module, spec.size)
    parts = cut(module, list(exits), intake.sample(module), output)
    intake = intake.of_any_size(parts.any_size)
    segments = [Segment(piece) for piece in parts.pieces]
    return _assemble(spec, intake, segments, [*parts.points, END], exits, None)


def build_network(
    spec: ModelSpec, exits: Mapping[str, Sequence[HeadSpec]], weights: str | None = None
) -> MultiExitNetwork:
    """Build a network by its name in the zoo, with exits after the named blocks.

    Args:
        spec: what network it is.
        exits: head specifications by block.
        weights: what it starts from, as `models.weights` reads it; absent: random weights.

    Raises:
        UnknownName: the network or a block is unknown.
        BadInput: the network cannot be cut there, or the weights do not fit.
    """
    module = build_spec(spec)
    if weights is not None:
        load_into(module, spec.name, weights)
    return attach(module, spec, exits)


def _assemble(
    spec: ModelSpec,
    intake: Intake,
    segments: Sequence[Segment],
    points: Sequence[str],
    exits: Mapping[str, Sequence[HeadSpec]],
    old: MultiExitNetwork | None,
) -> MultiExitNetwork:
    """Build the heads for the features that come out of `segments`."""
    shapes = _feature_shapes(segments, intake)
    if shapes[-1][0] != spec.classes:
        raise BadInput(
            f"{spec.name} does not answer with one channel a class",
            expected=f"{spec.classes} channels",
            got=str(shapes[-1][0]),
        )
    heads: dict[str, dict[str, nn.Module]] = {END: {OWN: nn.Identity()}}
    for point, shape in zip(points[:-1], shapes[:-1], strict=True):
        kept = old.heads[_key(point)] if old is not None else {}
        heads[point] = {
            head.name: kept[head.name]
            if head.name in kept
            else build_head(head, shape, spec.classes)
            for head in exits.get(point, ())
        }
    return MultiExitNetwork(spec, intake, points, segments, heads)


def _feature_shapes(segments: Sequence[Segment], intake: Intake) -> list[tuple[int, int, int]]:
    """Run a blank image through the segments in eval mode, and note each feature's D, h and w."""
    path = nn.ModuleList(segments)
    values = {IMAGE: intake.sample(path)}
    shapes = []
    with frozen(path), torch.no_grad():
        for segment in segments:
            given = segment(*(values[name] for name in segment.takes))
            values.update(zip(segment.gives, given, strict=True))
            _, d, height, width = given[0].shape
            shapes.append((int(d), int(height), int(width)))
    return shapes


def _size(x: Tensor) -> Size:
    return int(x.shape[-2]), int(x.shape[-1])


def _key(point: str) -> str:
    """Write a block's name without dots, which module names must not hold, nor be a method's."""
    key = point.replace(".", "/")
    return f"{key}/" if hasattr(nn.ModuleDict, key) else key


def uncut_name(key: str) -> str:
    """Name a part of a segment, such as "segments.2.body.layer3.0", as the uncut network does."""
    return re.sub(r"^segments\.\d+\.(body\.?)?", "", key)
