"""What some scores need beside the exit's own logits."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Context:
    """What surrounds a prediction; what a score does not need may be absent.

    Attributes:
        size: height and width of the network's input, for scores at full resolution.
        exit_before: labels of the previous exit's answer, N×h'×w' of any grid.
        frame_before: labels of the previous frame's answer, N×h'×w' of any grid.
    """

    size: tuple[int, int] | None = None
    exit_before: Tensor | None = None
    frame_before: Tensor | None = None
