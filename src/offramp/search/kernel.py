"""The inner loops of the exact search, compiled.

A *block* is all designs whose exits lie at given positions and that begin with a given decider
(an exit's head and the score it decides by). Within a block the solver walks a tree: at each
position a decider, and one of its levels; the images that stop leave the running set R. A leaf
lets the rest of R answer at the network's end, or all of it at the last early exit.

Cut short by a bound, with y = I/U a class's IoU, ŷ and Û those of a reference design, and
u = U/Û:

    Σ y = Σ ŷ + Σ z/u,   z = (I − ŷU)/Û

which is an identity, for I = yU. Within a block l ≤ u ≤ h, so z/u ≤ g(z) = max(z/l, z/h). g is
convex and g(kz) = k·g(z) for k ≥ 0, so g(Σ z) ≤ Σ g(z): the sum splits into what is known of a
prefix, and one number ω an image and later exit. Hence, for every completion of a prefix P,

    Σ y ≤ Σ ŷ + Σ g(z of P with R at the network's end) + Σ over R of ω

A leaf below the best mIoU found at its cost is beaten (dominated), and is not looked at closer.
For inner nodes each image of R takes what it likes best of all later exits, at a price λ a unit
of cost (Lagrange): a bound on mIoU − λ·cost of all completions, for any λ ≥ 0. All that is not
cut is counted exactly, in sums of whole numbers.

All of it is one file because numba keeps compiled code by the age of the file that a function is
in, whatever has changed in the functions that it calls.
"""

import numpy as np
from numba import njit

from offramp.search.arrays import Array, Block, Marks, Plate, Tables, Walk
from offramp.search.space import DEPTH, MEANS

SLACK = 1e-10  # above all rounding in sums of doubles
TILE = 4  # levels that are ruled out together
FEW = 40  # lines of a plate; counting so many one by one takes as long as all together
COLUMNS = 2 + 2 * DEPTH  # of a found design: cost, mIoU, deciders, levels; -1 where there is none


@njit(nogil=True, cache=True, error_model="numpy")
def new_walk(tables: Tables, places: int, references: int, out: Array) -> Walk:
    """Make room for a walk."""
    images, width, tops = tables.counts.shape[1], tables.counts.shape[2], tables.levels.max() + 1
    return Walk(
        np.zeros(places, np.int64),
        np.zeros(places, np.int64),
        np.zeros(places, np.int64),
        np.zeros((places, images), np.int64),
        np.zeros(places, np.int64),
        np.zeros((places, width)),
        np.zeros((places, MEANS)),
        np.zeros((places, MEANS)),
        np.zeros((places, references)),
        np.zeros((places, tops), np.bool_),
        np.zeros((tops, width)),
        out,
        np.zeros(1, np.int64),
    )


@njit(nogil=True, cache=True, error_model="numpy")
def mean_iou(sums: Array, classes: int) -> float:
    """Average I/U over the classes that are present; -1 if none is."""
    total, present = 0.0, 0
    for c in range(classes):
        if sums[classes + c] > 0:
            total += sums[c] / sums[classes + c]
            present += 1
    return total / present if present else -1.0


@njit(nogil=True, cache=True, error_model="numpy")
def mark(marks: Marks, cost: float, miou: float) -> None:
    """Note that `miou` is had for `cost`."""
    k = max(int(np.ceil((cost - marks.low) * marks.scale)), 0)
    while k < len(marks.miou) and marks.miou[k] < miou:
        marks.miou[k] = miou
        k += 1


@njit(nogil=True, cache=True, error_model="numpy")
def beaten(marks: Marks, cost: float) -> float:
    """Look up a mIoU that is surely had for at most `cost`."""
    k = min(int((cost - marks.low) * marks.scale), len(marks.miou) - 1)
    return float(marks.miou[k]) if k >= 0 else -1.0


@njit(nogil=True, cache=True, error_model="numpy")
def static_cost(tables: Tables, chain: Array, length: int, end: int, costs: Array) -> bool:
    """Sum the static costs of a chain whose last answer is at position `end`; tell if bounded."""
    last = tables.counts.shape[0] - 1
    for m in range(4):
        costs[m] = tables.path[m, end]
        for place in range(length + 1):
            if place == length and end != tables.positions[last]:
                break
            row = last if place == length else tables.rows[chain[place]]
            if m < 3:
                costs[m] += tables.own[m, row]
            else:
                costs[m] = max(costs[m], tables.own[m, row])
    costs[3] += 4 * costs[1]  # peak memory: activations, and a float for each parameter
    kept = True
    for m in range(4):
        kept = kept and costs[m] <= tables.bounds[m]
    return kept


@njit(nogil=True, cache=True, error_model="numpy")
def keep_front(out: Array) -> int:
    """Make room: keep, of the designs noted, those that no other beats; of equals the first.

    Returns:
        How many they are.

    Raises:
        IndexError: all of them, so there is no room.
    """
    kept = np.ones(len(out), np.bool_)
    for a in range(len(out)):
        for b in range(a):
            if out[b, 0] <= out[a, 0] and out[b, 1] >= out[a, 1]:
                kept[a] = False
            elif out[a, 0] <= out[b, 0] and out[a, 1] >= out[b, 1]:
                kept[b] = False
    count = 0
    for row in range(len(out)):
        if kept[row]:
            for column in range(COLUMNS):
                out[count, column] = out[row, column]
            count += 1
    if count == len(out):
        raise IndexError
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def count_leaves(tables: Tables, marks: Marks, walk: Walk, place: int) -> None:
    """Count the wanted leaves of one decider exactly, and note those that beat all so far."""
    decider = walk.chain[place]
    row, last = tables.rows[decider], tables.counts.shape[0] - 1
    width, levels = tables.counts.shape[2], tables.levels[decider]
    costs = np.zeros(4)
    sums = walk.sums[place].copy()
    stopped = np.zeros(levels + 1, np.int64)
    walk.line[: levels + 1] = 0
    for i in range(walk.count[place]):
        n = walk.running[place, i]
        level = tables.bins[decider, n]
        stopped[level] += 1
        for c in range(width):
            walk.line[level, c] += tables.counts[row, n, c] - tables.counts[last, n, c]
    left = walk.count[place]
    for level in range(levels, -1, -1):
        left -= stopped[level]
        for c in range(width):
            sums[c] += walk.line[level, c]
        if not walk.wanted[place, level]:
            continue
        end = tables.positions[row if level == 0 else last]
        kept = static_cost(tables, walk.chain, place + 1, end, costs)
        for m in range(MEANS):
            cost = walk.here[place, m] + left * tables.steps[m, tables.positions[row] + 1, last]
            kept = kept and cost <= tables.limits[m]
        if not kept:
            continue
        cost = walk.here[place, 0] + left * tables.steps[0, tables.positions[row] + 1, last]
        if tables.static >= 0:
            cost = costs[tables.static]
        miou = mean_iou(sums, width // 2)
        if miou > beaten(marks, cost):
            mark(marks, cost, miou)
            if walk.noted[0] == len(walk.out):
                walk.noted[0] = keep_front(walk.out)
            design = walk.out[walk.noted[0]]
            design[:] = -1
            design[0], design[1] = cost, miou
            for i in range(place + 1):
                design[2 + i] = walk.chain[i]
                design[2 + DEPTH + i] = walk.chosen[i] if i < place else level
            walk.noted[0] += 1


@njit(nogil=True, cache=True, error_model="numpy")
def may_beat(marks: Marks, bounds: Array, price: Array, present: int, least: float) -> bool:
    """Tell whether a design could beat the marks that costs at least `least`.

    Args:
        bounds: J; Σ y ≤ bounds + price·cost.
    """
    size = len(marks.miou)
    coarse = max(size // 64, 1)
    for start in range(max(int((least - marks.low) * marks.scale), 0), size, coarse):
        top = marks.low + (start + coarse) / marks.scale
        upper = np.inf
        for j in range(len(bounds)):
            upper = min(upper, bounds[j] + price[j] * top)
        if upper > present * (marks.miou[start] - SLACK):
            return True
    return False


@njit(nogil=True, cache=True, error_model="numpy")
def prefix_bounds(tables: Tables, block: Block, sums: Array, bounds: Array) -> None:
    """Compute Σ ŷ + Σ g(z) of a prefix whose running images go to the end, for each reference."""
    width = tables.counts.shape[2] // 2
    for j in range(len(bounds)):
        total = 0.0
        for c in range(tables.truth):
            z = sums[c] - block.iou[j, c] * sums[width + c]
            total += block.iou[j, c] + max(z / block.least[c], z / block.most[c])
        bounds[j] = total


@njit(nogil=True, cache=True, error_model="numpy")
def weigh(tables: Tables, marks: Marks, block: Block, walk: Walk, place: int) -> bool:
    """Find which levels of the decider at an inner place are worth a look; tell if any is."""
    references = len(block.price)
    decider = walk.chain[place]
    row, levels = tables.rows[decider], tables.levels[decider]
    floor = walk.here[place, 0]
    if tables.static >= 0:
        costs = np.zeros(4)
        static_cost(tables, walk.chain, place + 1, tables.positions[row], costs)
        floor = costs[tables.static]
    gains, hopes = np.zeros((references, levels + 1)), np.zeros((references, levels + 1))
    for i in range(walk.count[place]):
        n = walk.running[place, i]
        level = tables.bins[decider, n]
        for j in range(references):
            gains[j, level] += block.gains[j, row, n]
            hopes[j, level] += block.hopes[place, j, n]
    for level in range(1, levels + 1):  # now of those that a level does not stop
        for j in range(references):
            hopes[j, level] += hopes[j, level - 1]
    bounds = np.zeros(references)
    some = False
    walk.wanted[place, 0] = False
    for level in range(levels, 0, -1):
        for j in range(references):
            if level < levels:
                gains[j, level] += gains[j, level + 1]
            bounds[j] = walk.prefix[place, j] + gains[j, level] + hopes[j, level - 1]
            bounds[j] -= block.price[j] * walk.here[place, 0]
        wanted = may_beat(marks, bounds, block.price, tables.present, floor)
        walk.wanted[place, level] = wanted
        some = some or wanted
    return some


@njit(nogil=True, cache=True, error_model="numpy")
def new_plate(tables: Tables, places: int, references: int) -> Plate:
    """Make room for a plate."""
    tops, images = tables.levels.max() + 1, tables.counts.shape[1]
    tiles = -(-tops // TILE)
    return Plate(
        max(places - 3, 0),
        places > 2,
        np.ones(1, np.int64),
        np.zeros(images, np.int64),
        np.zeros(tops, np.int64),
        np.zeros((tops, tops, tables.counts.shape[2])),
        np.zeros((tops, tops), np.int64),
        np.zeros((tops, tops), np.int64),
        np.zeros((tops, tops)),
        np.zeros((tops, references, tops)),
        np.zeros((references, tops)),
        np.zeros((tops, tops)),
        np.zeros(tops),
        np.zeros((tops, tables.counts.shape[2], tops)),
        np.zeros((tables.counts.shape[2], tops)),
        np.zeros((tiles, tiles, references)),
        np.zeros((tiles, tiles, references, tops)),
    )


@njit(nogil=True, cache=True, error_model="numpy")
def line_up(tables: Tables, walk: Walk, plate: Plate) -> None:
    """Order the running images by the level at which they pass the plate's first decider.

    With one decider only, all images pass it at its one level.
    """
    count = walk.count[plate.place]
    if not plate.two:
        plate.order[:count] = walk.running[plate.place, :count]
        plate.passed[1] = count
        return
    first = walk.chain[plate.place]
    plate.tops[0] = tables.levels[first]
    start = 0
    for top in range(tables.levels[first]):
        for i in range(count):
            n = walk.running[plate.place, i]
            if tables.bins[first, n] == top:
                plate.order[start] = n
                start += 1
        plate.passed[top + 1] = start


@njit(nogil=True, cache=True, error_model="numpy")
def lay_plate(tables: Tables, block: Block, walk: Walk, plate: Plate) -> None:
    """Sum up what is known at each point of a plate, and bound it."""
    place, two = plate.place, plate.two
    last, width = tables.counts.shape[0] - 1, tables.counts.shape[2]
    first, second = walk.chain[place], walk.chain[place + 1 if two else place]
    row, levels = tables.rows[second], tables.levels[second]
    sums = walk.sums[place].copy()
    if two:  # as if all stopped at the first
        for i in range(walk.count[place]):
            n = walk.running[place, i]
            for c in range(width):
                sums[c] += tables.counts[tables.rows[first], n, c] - tables.counts[last, n, c]
    stops = np.zeros(levels + 1, np.int64)
    bounds = np.zeros(len(block.price))
    walk.line[: levels + 1] = 0
    for top in range(1, plate.tops[0] + 1):
        for i in range(plate.passed[top - 1], plate.passed[top]):
            n = plate.order[i]
            level = tables.bins[second, n]
            stops[level] += 1
            for c in range(width):
                if two:
                    sums[c] += tables.counts[last, n, c] - tables.counts[tables.rows[first], n, c]
                walk.line[level, c] += tables.counts[row, n, c] - tables.counts[last, n, c]
        left = plate.passed[top]
        point = sums.copy()
        for level in range(levels, 0, -1):
            left -= stops[level]
            for c in range(width):
                point[c] += walk.line[level, c]
            plate.left[top, level] = left
            plate.sums[top, level] = point
            prefix_bounds(tables, block, point, bounds)
            best = np.argmin(bounds)
            plate.best[top, level], plate.prefix[top, level] = best, bounds[best]


@njit(nogil=True, cache=True, error_model="numpy")
def add_gains(
    tables: Tables, block: Block, walk: Walk, plate: Plate, start: int, end: int, second: int
) -> None:
    """Add what images bring that pass the first decider, by bin at the second and last level."""
    decider = walk.chain[len(block.numbers) - 1]
    row = tables.rows[decider]
    for i in range(start, end):
        n = plate.order[i]
        level, deep = tables.bins[second, n], tables.bins[decider, n] + 1
        for t in range(deep):
            plate.stops[level, t] += 1.0
        for j in range(len(block.price)):
            gain = block.gains[j, row, n]
            for t in range(deep):
                plate.gains[level, j, t] += gain


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "nsz"})
def top_gain(gain: Array, start: int, end: int) -> float:
    """Find the largest of some numbers."""
    highest = -np.inf
    for t in range(start, end):
        highest = max(highest, gain[t])
    return highest


@njit(nogil=True, cache=True, error_model="numpy")
def tile_plate(tables: Tables, marks: Marks, block: Block, walk: Walk, plate: Plate) -> None:
    """Find what a last decider must bring in each tile: what a leaf is short of its mark, at least.

    A leaf costs least where all images that go on stop at the last place, at its cheapest head.
    """
    final = len(walk.chain) - 1
    second = walk.chain[final - 1]
    after = tables.positions[tables.rows[second]] + 1
    step, floor, costs = np.inf, np.inf, np.zeros(4)
    for index in range(block.numbers[final]):
        walk.chain[final] = block.deciders[final, index]
        row = tables.rows[walk.chain[final]]
        step = min(step, tables.steps[0, after, row])
        if tables.static >= 0:
            static_cost(tables, walk.chain, final + 1, tables.positions[row], costs)
            floor = min(floor, costs[tables.static])
    plate.need[:] = np.inf
    for top in range(1, plate.tops[0] + 1):
        reached = spent_at(tables, walk, plate, top)
        for level in range(1, tables.levels[second] + 1):
            cost = floor if tables.static >= 0 else reached + plate.left[top, level] * step
            short = tables.present * (beaten(marks, cost) - SLACK) - plate.prefix[top, level]
            a, b, j = (top - 1) // TILE, (level - 1) // TILE, plate.best[top, level]
            plate.need[a, b, j] = min(plate.need[a, b, j], short)


@njit(nogil=True, cache=True, error_model="numpy")
def may_hold(tables: Tables, block: Block, walk: Walk, plate: Plate) -> bool:
    """Tell whether any tile of a plate may hold a leaf of the last decider worth counting.

    An image that goes on from all points of a tile counts what it brings; one that goes on from
    some of them, only if that is more than nothing.
    """
    final, references = len(walk.chain) - 1, len(block.price)
    second, decider = walk.chain[final - 1], walk.chain[final]
    row, deep = tables.rows[decider], tables.levels[decider] + 1
    tops, levels = plate.tops[0], tables.levels[second]
    across, down = (tops - 1) // TILE + 1, (levels - 1) // TILE + 1
    for a in range(across):
        for b in range(down):
            plate.hold[a, b] = 0.0
    for i in range(plate.passed[tops]):
        n = plate.order[i]
        first, level, bin = 0, tables.bins[second, n], tables.bins[decider, n]
        if level >= levels:
            continue  # stops at the second, whatever its level
        if plate.two:
            first = tables.bins[walk.chain[plate.place], n]
        a, b = (first + TILE - 1) // TILE, (level + TILE - 1) // TILE  # goes on from all of it
        for j in range(references):
            gain = block.gains[j, row, n]
            if gain > 0:
                plate.hold[first // TILE, level // TILE, j, bin] += gain
            elif a < across and b < down:
                plate.hold[a, b, j, bin] += gain
    for a in range(across):
        for b in range(down):
            for j in range(references):
                for t in range(deep - 1, 0, -1):
                    plate.hold[a, b, j, t - 1] += plate.hold[a, b, j, t]
                if b > 0:
                    for t in range(deep):
                        plate.hold[a, b, j, t] += plate.hold[a, b - 1, j, t]
    lead = 0 if tables.leads[decider] else 1
    for a in range(across):
        for b in range(down):
            for j in range(references):
                if a > 0:
                    for t in range(deep):
                        plate.hold[a, b, j, t] += plate.hold[a - 1, b, j, t]
                if top_gain(plate.hold[a, b, j], lead, deep) > plate.need[a, b, j]:
                    return True
    return False


@njit(nogil=True, cache=True, error_model="numpy")
def search_plate(tables: Tables, marks: Marks, block: Block, walk: Walk, plate: Plate) -> None:
    """Try all deciders of the last place at all points of a plate.

    All levels of the last decider at one point are a line. Bounds tell which lines are worth
    counting; where they spare few, all lines are counted together, which costs less a line.
    """
    final = len(block.numbers) - 1
    spared = True
    for index in range(block.numbers[final]):
        walk.chain[final] = block.deciders[final, index]
        if not may_hold(tables, block, walk, plate):
            continue
        if spared or index % 16 == 0:
            spared = search_lines(tables, marks, block, walk, plate)
        if not spared:
            count_plate(tables, marks, walk, plate)


@njit(nogil=True, cache=True, error_model="numpy")
def spent_at(tables: Tables, walk: Walk, plate: Plate, top: int) -> float:
    """Sum what is spent when the images that pass the first decider have read the second's head."""
    spent = walk.here[plate.place, 0]
    if plate.two:
        before = tables.positions[tables.rows[walk.chain[plate.place]]] + 1
        step = tables.steps[0, before, tables.rows[walk.chain[plate.place + 1]]]
        spent += plate.passed[top] * step
    return float(spent)


@njit(nogil=True, cache=True, error_model="numpy")
def search_lines(tables: Tables, marks: Marks, block: Block, walk: Walk, plate: Plate) -> bool:
    """Count the lines of a last decider whose bound exceeds what was found at a leaf's cost.

    Returns:
        Whether the bounds spared most lines; else only some lines were counted.
    """
    last, final = tables.counts.shape[0] - 1, len(block.numbers) - 1
    second, decider = walk.chain[final - 1], walk.chain[final]
    levels, references = tables.levels[second], len(block.price)
    after = tables.positions[tables.rows[second]] + 1
    row, deep = tables.rows[decider], tables.levels[decider] + 1
    lead = 0 if tables.leads[decider] else 1
    to_end = tables.steps[0, tables.positions[row] + 1, last]
    wanted, costs = walk.wanted[final], np.zeros(4)
    counted = 0
    if tables.static >= 0:
        static_cost(tables, walk.chain, final + 1, tables.positions[row], costs)
    plate.gains[: levels + 1], plate.stops[: levels + 1] = 0, 0
    for top in range(1, plate.tops[0] + 1):
        add_gains(tables, block, walk, plate, plate.passed[top - 1], plate.passed[top], second)
        plate.gain[:], plate.stop[:] = 0, 0
        reached = spent_at(tables, walk, plate, top)
        for level in range(1, levels + 1):
            for t in range(deep):
                plate.stop[t] += plate.stops[level - 1, t]
            for j in range(references):
                for t in range(deep):
                    plate.gain[j, t] += plate.gains[level - 1, j, t]
            left = plate.left[top, level]
            base = reached + left * (tables.steps[0, after, row] + to_end)
            if tables.static >= 0:
                base = costs[tables.static]
            gain, prefix = plate.gain[plate.best[top, level]], plate.prefix[top, level]
            highest = top_gain(gain, lead, deep)
            known = beaten(marks, base - left * to_end)
            if prefix + highest <= tables.present * (known - SLACK):
                continue  # even with the most that any leaf brings, at the least cost
            some = False
            wanted[0] = False
            for t in range(lead, deep):
                known = beaten(marks, base - plate.stop[t] * to_end)
                wanted[t] = prefix + gain[t] > tables.present * (known - SLACK)
                some = some or wanted[t]
            if some:
                if plate.two:
                    walk.chosen[plate.place] = top
                walk.chosen[final - 1] = level
                arrive(tables, walk, plate)
                count_leaves(tables, marks, walk, final)
                counted += 1
                if counted > FEW:
                    return False
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def count_plate(tables: Tables, marks: Marks, walk: Walk, plate: Plate) -> None:
    """Count all lines of a last decider exactly, by cumulative sums over the plate."""
    last, width, final = tables.counts.shape[0] - 1, tables.counts.shape[2], len(walk.chain) - 1
    second, decider = walk.chain[final - 1], walk.chain[final]
    levels, deep = tables.levels[second], tables.levels[decider] + 1
    row, classes = tables.rows[decider], width // 2
    after = tables.positions[tables.rows[second]] + 1
    lead = 0 if tables.leads[decider] else 1
    to_end = tables.steps[0, tables.positions[row] + 1, last]
    total, present = np.zeros(deep), np.zeros(deep)
    costs, wanted = np.zeros(4), walk.wanted[final]
    changes, change = plate.changes, plate.change
    if tables.static >= 0:
        static_cost(tables, walk.chain, final + 1, tables.positions[row], costs)
    changes[: levels + 1], plate.stops[: levels + 1] = 0, 0
    for top in range(1, plate.tops[0] + 1):
        for i in range(plate.passed[top - 1], plate.passed[top]):
            n = plate.order[i]
            level, stops = tables.bins[second, n], tables.bins[decider, n] + 1
            for t in range(stops):
                plate.stops[level, t] += 1.0
            for c in range(width):
                more = tables.counts[row, n, c] - tables.counts[last, n, c]
                if more != 0:
                    for t in range(stops):
                        changes[level, c, t] += more
        change[:], plate.stop[:] = 0, 0
        reached = spent_at(tables, walk, plate, top)
        for level in range(1, levels + 1):
            total[:], present[:] = 0, 0
            for t in range(deep):
                plate.stop[t] += plate.stops[level - 1, t]
            for c in range(classes):
                hits, union = plate.sums[top, level, c], plate.sums[top, level, classes + c]
                for t in range(deep):
                    change[c, t] += changes[level - 1, c, t]
                    change[classes + c, t] += changes[level - 1, classes + c, t]
                    here = union + change[classes + c, t]
                    total[t] += (hits + change[c, t]) / max(here, 0.5)  # whole: 0 hits of 0
                    present[t] += min(here, 1.0)
            left = plate.left[top, level]
            base = reached + left * (tables.steps[0, after, row] + to_end)
            if tables.static >= 0:
                base = costs[tables.static]
            some = False
            wanted[0] = False
            for t in range(lead, deep):
                known = beaten(marks, base - plate.stop[t] * to_end)
                wanted[t] = total[t] > present[t] * (known - SLACK)
                some = some or wanted[t]
            if some:
                if plate.two:
                    walk.chosen[plate.place] = top
                walk.chosen[final - 1] = level
                arrive(tables, walk, plate)
                count_leaves(tables, marks, walk, final)


@njit(nogil=True, cache=True, error_model="numpy")
def arrive(tables: Tables, walk: Walk, plate: Plate) -> None:
    """Bring the images of one point of a plate to the last place, and read its head."""
    place, two, final = plate.place, plate.two, len(walk.chain) - 1
    first, second, decider = walk.chain[place], walk.chain[final - 1], walk.chain[final]
    top = walk.chosen[place] if two else 1
    level, count = walk.chosen[final - 1], 0
    for i in range(plate.passed[top]):
        n = plate.order[i]
        if tables.bins[second, n] < level:
            walk.running[final, count] = n
            count += 1
    walk.count[final] = count
    walk.sums[final] = plate.sums[top, level]
    after = tables.positions[tables.rows[second]] + 1
    for m in range(MEANS):
        here = walk.here[place, m]
        if two:
            step = tables.steps[m, tables.positions[tables.rows[first]] + 1]
            here += plate.passed[top] * step[tables.rows[second]]
        walk.here[final, m] = here + count * tables.steps[m, after, tables.rows[decider]]


@njit(nogil=True, cache=True, error_model="numpy")
def go_on(tables: Tables, block: Block, walk: Walk, place: int) -> None:
    """Hand the images that the chosen level does not stop on to the next place."""
    decider, level = walk.chain[place], walk.chosen[place]
    row, last = tables.rows[decider], tables.counts.shape[0] - 1
    walk.sums[place + 1] = walk.sums[place]
    walk.spent[place + 1] = walk.here[place]
    left = 0
    for i in range(walk.count[place]):
        n = walk.running[place, i]
        if tables.bins[decider, n] < level:
            walk.running[place + 1, left] = n
            left += 1
        else:
            for c in range(tables.counts.shape[2]):
                walk.sums[place + 1, c] += tables.counts[row, n, c] - tables.counts[last, n, c]
    walk.count[place + 1] = left
    walk.tried[place + 1] = 0
    prefix_bounds(tables, block, walk.sums[place + 1], walk.prefix[place + 1])


@njit(nogil=True, cache=True, error_model="numpy")
def begin(tables: Tables, walk: Walk, decider: int) -> None:
    """Let all images arrive at the first place and read the head of its decider."""
    images, last = tables.counts.shape[1], tables.counts.shape[0] - 1
    walk.count[0] = images
    walk.sums[0] = 0
    for n in range(images):
        walk.running[0, n] = n
        walk.sums[0] += tables.counts[last, n]
    walk.chain[0] = decider
    for m in range(MEANS):
        walk.here[0, m] = images * tables.steps[m, 0, tables.rows[decider]]


@njit(nogil=True, cache=True, error_model="numpy")
def search_alone(tables: Tables, marks: Marks, out: Array) -> int:
    """Count the network without early exits. Returns how many designs were noted: 1 or 0."""
    images, last = tables.counts.shape[1], tables.counts.shape[0] - 1
    sums = np.zeros(tables.counts.shape[2])
    for n in range(images):
        sums += tables.counts[last, n]
    costs = np.zeros(4)
    chain = np.zeros(DEPTH, np.int64)
    kept = static_cost(tables, chain, 0, tables.positions[last], costs)
    for m in range(MEANS):
        kept = kept and images * tables.steps[m, 0, last] <= tables.limits[m]
    miou = mean_iou(sums, len(sums) // 2)
    if not kept or miou < 0:
        return 0
    out[0] = -1
    out[0, 0] = costs[tables.static] if tables.static >= 0 else images * tables.steps[0, 0, last]
    out[0, 1] = miou
    mark(marks, out[0, 0], out[0, 1])
    return 1


@njit(nogil=True, cache=True, error_model="numpy")
def search_single(tables: Tables, marks: Marks, decider: int, out: Array) -> int:
    """Count all designs of one early exit exactly. Returns how many were noted."""
    walk = new_walk(tables, 1, 1, out)
    begin(tables, walk, decider)
    walk.wanted[0] = True
    walk.wanted[0, 0] = tables.leads[decider]
    count_leaves(tables, marks, walk, len(walk.chain) - 1)
    return int(walk.noted[0])


@njit(nogil=True, cache=True, error_model="numpy")
def search_block(tables: Tables, marks: Marks, block: Block, halt: Array, out: Array) -> int:
    """Search a block of two or more early exits, until `halt[0]` is set.

    The last places are searched as plates; the places before them by walking.

    Returns:
        How many designs were noted.

    Raises:
        IndexError: `out` has no room for the front.
    """
    tops = tables.levels.max() + 1
    walk = new_walk(tables, len(block.numbers), len(block.price), out)
    plate = new_plate(tables, len(block.numbers), len(block.price))
    begin(tables, walk, block.first)
    if plate.place == 0:
        search_plates(tables, marks, block, walk, plate, halt)
        return int(walk.noted[0])
    prefix_bounds(tables, block, walk.sums[0], walk.prefix[0])
    weigh(tables, marks, block, walk, 0)
    walk.tried[0] = block.numbers[0]
    place = 0
    while place >= 0 and not halt[0]:
        if place < plate.place:
            decider, level = walk.chain[place], walk.chosen[place] + 1
            while level <= tables.levels[decider] and not walk.wanted[place, level]:
                level += 1
            walk.chosen[place] = level
            if level <= tables.levels[decider]:
                go_on(tables, block, walk, place)
                place += 1
                walk.chosen[place] = tops  # no decider, so no level, was tried here yet
                continue
        if walk.tried[place] == block.numbers[place]:
            place -= 1
            continue
        decider = block.deciders[place, walk.tried[place]]
        walk.chain[place], walk.chosen[place] = decider, tops
        walk.tried[place] += 1
        before = tables.positions[tables.rows[walk.chain[place - 1]]] + 1
        for m in range(MEANS):
            step = tables.steps[m, before, tables.rows[decider]]
            walk.here[place, m] = walk.spent[place, m] + walk.count[place] * step
        if walk.here[place, 0] > tables.limits[0] or not weigh(tables, marks, block, walk, place):
            continue
        if place == plate.place:
            search_plates(tables, marks, block, walk, plate, halt)
        else:
            walk.chosen[place] = 0
    return int(walk.noted[0])


@njit(nogil=True, cache=True, error_model="numpy")
def search_plates(
    tables: Tables, marks: Marks, block: Block, walk: Walk, plate: Plate, halt: Array
) -> None:
    """Search all plates whose first decider has been chosen."""
    line_up(tables, walk, plate)
    for index in range(block.numbers[plate.place + 1] if plate.two else 1):
        if halt[0]:
            break
        if plate.two:
            walk.chain[plate.place + 1] = block.deciders[plate.place + 1, index]
        lay_plate(tables, block, walk, plate)
        tile_plate(tables, marks, block, walk, plate)
        search_plate(tables, marks, block, walk, plate)


@njit(nogil=True, cache=True, error_model="numpy")
def open_bounds(tables: Tables, marks: Marks, block: Block) -> Array:
    """Bound what a block may still hold; a row for each level of its first decider.

    Returns:
        Rows of J: Σ y ≤ b + price·cost. Prefixes that cannot beat the marks are left out.
    """
    images, width = tables.counts.shape[1], tables.counts.shape[2]
    last = tables.counts.shape[0] - 1
    first = block.first
    row, levels = tables.rows[first], tables.levels[first]
    rows, kept = np.zeros((levels, len(block.price))), 0
    least = images * tables.steps[0, 0, row] if tables.static < 0 else marks.low
    for level in range(1, levels + 1):
        sums = np.zeros(width)
        for n in range(images):
            sums += tables.counts[last if tables.bins[first, n] < level else row, n]
        prefix_bounds(tables, block, sums, rows[kept])
        for j in range(len(block.price)):
            for n in range(images):
                if tables.bins[first, n] < level:
                    rows[kept, j] += block.hopes[0, j, n]
            rows[kept, j] -= block.price[j] * images * tables.steps[0, 0, row]
        if may_beat(marks, rows[kept], block.price, tables.present, least):
            kept += 1
    return rows[:kept]
