"""The pixel-wise cascade against loops over cells, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.errors import BadInput
from offramp.policies.cascade import Stage, answering, asked, grown, regrid, work


def random_map(seed: int, shape: tuple[int, int], share: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(st.integers(0, 10**6), SHAPES, st.integers(0, 12))
def test_growing_marks_the_square_around_each_cell(
    seed: int, shape: tuple[int, int], radius: int
) -> None:
    cells = random_map(seed, shape)
    wanted = np.zeros(shape, dtype=bool)
    for y, x in np.argwhere(cells):
        wanted[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1] = True
    assert grown(cells, radius).tolist() == wanted.tolist()


@given(st.integers(0, 10**6), SHAPES, SHAPES)
def test_another_grid_marks_the_cells_that_overlap(
    seed: int, old: tuple[int, int], new: tuple[int, int]
) -> None:
    cells = random_map(seed, old, 0.3)
    wanted = np.zeros(new, dtype=bool)
    for y in range(new[0]):
        for x in range(new[1]):
            for i, j in np.argwhere(cells):
                rows = y * old[0] < (i + 1) * new[0] and i * new[0] < (y + 1) * old[0]
                columns = x * old[1] < (j + 1) * new[1] and j * new[1] < (x + 1) * old[1]
                wanted[y, x] |= rows and columns
    assert regrid(cells, new).tolist() == wanted.tolist()


def test_pixels_stop_at_the_first_exit_that_is_sure() -> None:
    confidences = [
        np.array([[0.9, 0.1, 0.1, np.nan]]),
        np.array([[0.1, 0.9, 0.1, 0.1]]),
        np.zeros((1, 4)),
    ]
    maps = asked(confidences, 0.9)
    assert [m.tolist() for m in maps] == [
        [[True, True, True, True]],
        [[False, True, True, True]],
        [[False, False, True, True]],
    ]
    assert answering(maps, (1, 4)).tolist() == [[0, 1, 2, 2]]


def test_on_a_coarser_grid_a_cell_answers_all_its_pixels() -> None:
    maps = asked([np.array([[0.9, 0.9, 0.9, 0.1]]), np.zeros((1, 2))], 0.5)
    assert maps[1].tolist() == [[False, True]]
    assert answering(maps, (2, 8)).tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]] * 2


def stage(segment: float, head: float, reach: int, head_reach: int, grid=(8, 8)) -> Stage:
    return Stage(segment, head, reach, head_reach, grid)


def test_by_hand() -> None:
    """One pixel of 8×8 goes on from exit 0, and from exit 1 as well."""
    one = np.zeros((8, 8), dtype=bool)
    one[4, 4] = True
    stages = [stage(100, 10, 0, 0), stage(200, 20, 1, 0), stage(300, 30, 1, 1)]
    found = work([np.ones((8, 8), dtype=bool), one, one], stages)
    full = 100 + 200 + 300 + 30
    # The last head reads 3×3 of its segment's output, that reads 5×5, and that of segment 1 7×7.
    least = 100 + 10 + (20 + 30) / 64 + 300 * 9 / 64 + 200 * 25 / 64
    most = 100 + 10 + 20 / 64 + 30 * 9 / 64 + 300 * 25 / 64 + 200 * 49 / 64
    assert found.least == pytest.approx(least / full)
    assert found.most == pytest.approx(most / full)


def test_if_nothing_goes_on_only_the_first_exit_costs() -> None:
    none = np.zeros((8, 8), dtype=bool)
    found = work([~none, none], [stage(100, 10, 0, 3), stage(300, 50, 9, 9)])
    assert found.least == found.most == pytest.approx(110 / 450)


def test_if_all_goes_on_everything_costs_and_early_heads_are_overhead() -> None:
    every = np.ones((8, 8), dtype=bool)
    found = work([every, every], [stage(100, 10, 0, 0), stage(300, 50, 2, 1)])
    assert found.least == found.most == pytest.approx(460 / 450)


def test_a_head_that_sees_everything_makes_one_pixel_cost_the_whole_network() -> None:
    """MESS: a single final pixel needs all of the first exit's volume under DeepLabV3."""
    one = np.zeros((8, 8), dtype=bool)
    one[0, 0] = True
    found = work([np.ones((8, 8), dtype=bool), one], [stage(100, 10, 0, 0), stage(300, 50, 2, 99)])
    assert found.most == pytest.approx(460 / 450)
    assert found.least == pytest.approx((410 + 50 / 64) / 450)


def cell_by_cell(maps: list[np.ndarray], stages: list[Stage]) -> tuple[float, float]:
    """Follow the dependencies of every cell in loops, grids being equal."""
    height, width = maps[0].shape

    def around(cells: set[tuple[int, int]], radius: int) -> set[tuple[int, int]]:
        return {
            (y, x)
            for y in range(height)
            for x in range(width)
            if any(max(abs(y - i), abs(x - j)) <= radius for i, j in cells)
        }

    every = {(y, x) for y in range(height) for x in range(width)}
    outputs: list[set[tuple[int, int]]] = [set() for _ in stages]
    inputs: list[set[tuple[int, int]]] = [set() for _ in stages]
    reads = [around({tuple(c) for c in np.argwhere(m).tolist()}, s.head_radius)
             for m, s in zip(maps, stages, strict=True)]  # fmt: skip
    for last in range(len(stages)):
        cells = reads[last]
        for index in range(last, 0, -1):
            outputs[index] |= cells
            cells = around(cells, stages[index].segment_radius)
            inputs[index] |= cells
    outputs[0] = inputs[0] = every
    full = sum(s.segment_macs for s in stages) + stages[-1].head_macs
    least = sum(s.segment_macs * len(o) for s, o in zip(stages, outputs, strict=True))
    most = sum(s.segment_macs * len(i) for s, i in zip(stages, inputs, strict=True))
    least += sum(s.head_macs * int(m.sum()) for s, m in zip(stages, maps, strict=True))
    most += sum(s.head_macs * len(r) for s, r in zip(stages, reads, strict=True))
    return least / full / len(every), most / full / len(every)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=4),
)
def test_work_is_that_of_the_cells_that_are_depended_on(
    seed: int, grid: tuple[int, int], radii: list[tuple[int, int]]
) -> None:
    rng = np.random.default_rng(seed)
    stages = [stage(float(rng.integers(1, 9)), float(rng.integers(1, 9)), *r, grid) for r in radii]
    maps = asked([rng.random(grid) for _ in radii], 0.6)
    found = work(maps, stages)
    assert (found.least, found.most) == pytest.approx(cell_by_cell(maps, stages))
    assert found.least <= found.most + 1e-12


@given(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_saves_work(seed: int, one: float, other: float) -> None:
    rng = np.random.default_rng(seed)
    grids = [(8, 12), (4, 6), (4, 6)]
    confidences = [rng.random(grid) for grid in grids]
    stages = [stage(5, 1, 1, 1, grid) for grid in grids]
    low, high = (work(asked(confidences, t), stages) for t in sorted((one, other)))
    assert low.least <= high.least + 1e-12
    assert low.most <= high.most + 1e-12


def test_what_does_not_fit_is_refused() -> None:
    every = np.ones((8, 8), dtype=bool)
    with pytest.raises(BadInput, match="maps of asked cells"):
        work([every], [stage(1, 1, 0, 0, (4, 4))])
    with pytest.raises(BadInput, match="without any work"):
        work([every], [stage(0, 0, 0, 0)])
    with pytest.raises(BadInput, match="at least 0"):
        stage(1, 1, -1, 0)
