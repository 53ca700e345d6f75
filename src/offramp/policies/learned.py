"""Learned scores in a trace: from what all heads gain to each head's targets, and how it did.

Targets (`policies.targets`) are those of a chain. With several heads at a position it is: the
head itself at its own position, and at each other position the strongest, which has the best mean
mIoU on these images. The best head of each image would count as a gain what is luck.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.metrics.ranks import rank_correlation, separation
from offramp.metrics.trace import Trace
from offramp.policies.calibration import Floats
from offramp.policies.targets import exit_to_take, expected_miou, good_enough, labelled

Exit = tuple[str, str]


@dataclass(frozen=True)
class Targets:
    """What the auxiliary network of one head shall say of N images.

    Attributes:
        good: whether no later exit gains more than the margin; shape N.
        miou: this image's mIoU at this head; shape N.
        exit: the place, among the positions, of the exit to take; shape N.
        place: this head's own.
    """

    good: NDArray[np.bool_]
    miou: Floats
    exit: NDArray[np.intp]
    place: int


@dataclass(frozen=True)
class Judged:
    """How a score does at one head.

    Attributes:
        point: the head's position.
        head: its name.
        score: name of the score.
        correlation: rank correlation with the image's mIoU at this head, from -1 to 1.
        separation: how likely an image that may stop here is surer than one that may not.
    """

    point: str
    head: str
    score: str
    correlation: float
    separation: float


def targets(exits: Sequence[Exit], gains: Floats, row: int) -> Targets:
    """Say what the auxiliary network of the head in `row` shall learn.

    Args:
        exits: E pairs of position and head name, in the order of the path.
        gains: E×N, each image's mIoU at each head, all numbers.
        row: which head.

    Raises:
        BadInput: a gain is no number.
    """
    strongest: dict[str, int] = {}
    for other, (point, _) in enumerate(exits):
        kept = strongest.setdefault(point, other)
        if gains[other].mean() > gains[kept].mean():
            strongest[point] = other
    point = exits[row][0]
    strongest[point] = row
    chain, place = gains[list(strongest.values())], list(strongest).index(point)  # positions×N
    good, miou = good_enough(chain)[place], expected_miou(chain)[place]
    return Targets(good, miou, exit_to_take(chain), place)


def judged(trace: Trace, names: Sequence[str]) -> list[Judged]:
    """Judge recorded scores by how they order the images of a trace, head by head.

    Args:
        trace: what was recorded, images without labelled pixels left out here.
        names: of the scores; surer must be more.

    Raises:
        UnknownName: a score was not recorded.
    """
    everywhere = [np.full(len(trace.images), row) for row in range(len(trace.exits))]
    gains = np.stack([trace.miou_per_image(taken) for taken in everywhere])  # E×N
    kept = labelled(gains)
    found = []
    for row, (point, head) in enumerate(trace.exits):
        told = targets(trace.exits, gains[:, kept], row)
        for name in names:
            score = trace.score(row, name)[kept]
            found.append(
                Judged(
                    point,
                    head,
                    name,
                    rank_correlation(score, told.miou),
                    separation(score, told.good),
                )
            )
    return found
