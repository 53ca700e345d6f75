"""Deep layer cascade: each pixel stops for itself, and its work is counted by receptive field.

The baseline of MESS table 3: "each pixel propagates to the next exit only if the latest
prediction does not surpass a confidence threshold". Such computation is too unstructured to be
timed, so MESS compares "analytically (in GFLOPs)": "for each pixel that propagates deeper on, a
substantial feature volume needs to be precomputed", up to 45 % of the volume at the first exit
for a single final pixel under an FCN head, all of it under DeepLabV3.

Reading: of what comes after the first exit, a segment or head runs on the cells that the pixels
still going depend on, and on no others; what was computed once is kept. Going backwards, the
output that is needed of a segment is what its own exit's head reads, with what the next segment
reads; each reads its outputs' cells, grown by its receptive field. A piece of many layers works
on its needed outputs in its last layer and on all cells that it reads in its first. So its work
lies between two shares, and both are given: MESS does not say which it took.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from offramp.core.errors import BadInput
from offramp.policies.calibration import Floats

Map = NDArray[np.bool_]


@dataclass(frozen=True)
class Stage:
    """One exit of the chain with the segment that leads to it.

    Attributes:
        segment_macs: work of the segment on a whole image.
        head_macs: work of the head on a whole image.
        segment_radius: how many cells of its input grid around its own a cell of the segment's
            output depends on, up, down, left and right; at least the grid's size for everything
            (global pooling). Not used of the first segment, which always runs whole.
        head_radius: the same of the head, in cells of the segment's output grid.
        grid: height and width in cells of the segment's output, on which the head answers.
    """

    segment_macs: float
    head_macs: float
    segment_radius: int
    head_radius: int
    grid: tuple[int, int]

    def __post_init__(self) -> None:
        if min(self.segment_radius, self.head_radius, self.segment_macs, self.head_macs) < 0:
            raise BadInput("a stage", expected="radii and work of at least 0", got=str(self))


@dataclass(frozen=True)
class Work:
    """Bounds on what one image costs, as shares of the network without early exits.

    Attributes:
        least: pieces counted by the outputs that are needed of them.
        most: pieces counted by all that these outputs depend on.
    """

    least: float
    most: float


def asked(confidences: Sequence[Floats], threshold: float) -> list[Map]:
    """Walk the pixels of one image from exit to exit.

    Args:
        confidences: for each of the E exits, the confidence of each cell, h×w of its own; of the
            last only the shape counts.
        threshold: a cell stops at a confidence from here on; one that is no number goes on.

    Returns:
        For each exit which of its cells are asked: all at the first, and then those that overlap
        a cell which went on.
    """
    maps = [np.ones(confidences[0].shape, dtype=bool)]
    for here, following in pairwise(confidences):
        goes = maps[-1] & ~(here >= threshold)
        maps.append(regrid(goes, (following.shape[0], following.shape[1])))
    return maps


def answering(maps: Sequence[Map], shape: tuple[int, int]) -> NDArray[np.intp]:
    """Tell which exit answers each pixel of a common grid, `shape`: the last that it is asked at.

    Args:
        maps: for each exit, which of its cells are asked; all are at the first.
        shape: height and width; not coarser than any map.
    """
    deepest = np.zeros(shape, dtype=np.intp)
    for index, cells in enumerate(maps):
        at = np.ix_(*(np.arange(n) * m // n for n, m in zip(shape, cells.shape, strict=True)))
        deepest[cells[at]] = index
    return deepest


def work(maps: Sequence[Map], stages: Sequence[Stage]) -> Work:
    """Compute what an image costs whose cells are asked at the exits as `maps` says.

    Args:
        maps: for each exit, the cells that are asked, on its stage's grid.
        stages: the E exits in the order of the path.

    Raises:
        BadInput: a map does not lie on its stage's grid, or no stage costs anything.
    """
    shapes = [stage.grid for stage in stages]
    if [cells.shape for cells in maps] != shapes:
        got = str([cells.shape for cells in maps])
        raise BadInput("maps of asked cells", expected=f"shapes {shapes}", got=got)
    full = sum(stage.segment_macs for stage in stages) + stages[-1].head_macs
    if not full > 0:
        raise BadInput("stages without any work")
    least, most = stages[0].segment_macs, stages[0].segment_macs
    needed = np.zeros(stages[-1].grid, dtype=bool)  # of this stage's output, by the next segment
    for index in reversed(range(len(stages))):
        stage = stages[index]
        read = grown(maps[index], stage.head_radius)
        least += stage.head_macs * maps[index].mean()
        most += stage.head_macs * read.mean()
        if index:
            output = needed | read
            before = regrid(output, stages[index - 1].grid)
            needed = grown(before, stage.segment_radius)
            least += stage.segment_macs * output.mean()
            most += stage.segment_macs * needed.mean()
    return Work(float(least / full), float(most / full))


def grown(cells: Map, radius: int) -> Map:
    """Mark all cells within `radius` rows and columns of a marked one."""
    for axis in (0, 1):
        size = cells.shape[axis]
        running = np.cumsum(np.insert(cells.astype(np.intp), 0, 0, axis=axis), axis=axis)
        at = np.arange(size)
        after = np.take(running, np.minimum(at + radius + 1, size), axis=axis)
        cells = after > np.take(running, np.maximum(at - radius, 0), axis=axis)
    return cells


def regrid(cells: Map, shape: tuple[int, int]) -> Map:
    """Mark the cells of another grid over the same image that overlap a marked one."""
    for axis, size in enumerate(shape):
        old = cells.shape[axis]
        running = np.cumsum(np.insert(cells.astype(np.intp), 0, 0, axis=axis), axis=axis)
        at = np.arange(size)
        first, after = at * old // size, -(-(at + 1) * old // size)
        cells = np.take(running, after, axis=axis) > np.take(running, first, axis=axis)
    return cells
