"""What IOT measured on a Raspberry Pi 4: tables 4.6 to 4.23, FastSCNN on its own images."""

from typing import NamedTuple


class Measured(NamedTuple):
    """One trained network of the thesis.

    Attributes:
        table: where it stands.
        size_px: side of the square input.
        channels: 3 for RGB, 1 for luma.
        a: width multiplier.
        t: expansion rate.
        r: repetition.
        pyramid: with pyramid pooling.
        latency_s: seconds an image.
        iou: of the object.
        retrained: on images of this size; otherwise at 512 pixels.
    """

    table: str
    size_px: int
    channels: int
    a: float
    t: int
    r: int
    pyramid: bool
    latency_s: float
    iou: float
    retrained: bool = True


def _sizes(table: str, channels: int, retrained: bool, rows: str) -> list[Measured]:
    """Read "size latency IoU" lines of tables 4.6, 4.7 and 4.9, which have no pyramid."""
    found = []
    for line in rows.strip().splitlines():
        size, latency, iou = line.split()
        found.append(Measured(table, int(size), channels, 1, 6, 3, False, float(latency),
                              float(iou), retrained))  # fmt: skip
    return found


def _topologies(table: str, rows: str) -> list[Measured]:
    """Read "size a t r pp latency IoU" lines of the other tables."""
    found = []
    for line in rows.strip().splitlines():
        size, a, t, r, pyramid, latency, iou = line.split()
        found.append(Measured(table, int(size), 3, float(a), int(t), int(r), pyramid == "1",
                              float(latency), float(iou)))  # fmt: skip
    return found


UNTRAINED = _sizes("4.6", 3, False, """
512 0.2169 0.9792
256 0.0611 0.5440
224 0.0467 0.4361
192 0.0355 0.2583
160 0.0265 0.2137
128 0.0164 0.2208
96  0.0117 0.1602
""")  # fmt: skip

RETRAINED = _sizes("4.7", 3, True, """
512 0.2177 0.9788
256 0.0639 0.9729
224 0.0467 0.9708
192 0.0350 0.9723
160 0.0260 0.9641
128 0.0165 0.9564
96  0.0119 0.9393
""")  # fmt: skip

LUMA = _sizes("4.9", 1, True, """
512 0.2068 0.9715
256 0.0553 0.9542
224 0.0435 0.9458
192 0.0343 0.9335
160 0.0249 0.9227
128 0.0158 0.9219
96  0.0116 0.8974
""")  # fmt: skip

WIDTH = _topologies("4.12", """
512 1     6 3 1 0.2204 0.9777
512 0.75  6 3 1 0.1648 0.9771
512 0.5   6 3 1 0.1000 0.9782
512 0.25  6 3 1 0.0485 0.9762
512 0.125 6 3 1 0.0265 0.9711
512 0.75  4 3 1 0.1384 0.9778
512 0.5   4 3 1 0.0871 0.9773
512 0.25  4 3 1 0.0420 0.9738
512 0.125 4 3 1 0.0238 0.9716
512 0.75  2 3 1 0.1123 0.9788
512 0.5   2 3 1 0.0726 0.9774
512 0.25  2 3 1 0.0354 0.9740
512 0.125 2 3 1 0.0212 0.9686
""")  # fmt: skip

REPETITION = _topologies("4.15", """
512 1 6 3 0 0.2391 0.9792
512 1 6 2 1 0.1973 0.9741
512 1 6 2 0 0.1942 0.9750
512 1 6 1 1 0.1643 0.9778
512 1 6 1 0 0.1663 0.9802
""")  # fmt: skip

TOPOLOGY = _topologies("4.19", """
512 0.25  6 2 0 0.0435 0.9744
512 0.25  6 1 0 0.0383 0.9747
512 0.25  4 2 0 0.0380 0.9711
512 0.25  4 1 0 0.0352 0.9733
512 0.25  2 2 0 0.0344 0.9733
512 0.25  2 1 0 0.0320 0.9702
512 0.125 6 2 0 0.0243 0.9739
512 0.125 6 1 0 0.0224 0.9701
512 0.125 4 2 0 0.0219 0.9717
512 0.125 4 1 0 0.0203 0.9614
512 0.125 2 2 0 0.0209 0.9706
512 0.125 2 1 0 0.0201 0.9677
""")  # fmt: skip

COMBINED = _topologies("4.22", """
512 1     6 1 0 0.1663 0.9789
512 0.25  6 1 0 0.0381 0.9733
512 0.125 6 2 0 0.0244 0.9679
512 0.125 4 2 0 0.0223 0.9717
512 0.125 2 2 0 0.0207 0.9703
512 0.125 2 1 0 0.0205 0.9651
256 1     6 1 0 0.0431 0.9711
256 0.25  6 1 0 0.0091 0.9636
256 0.125 6 2 0 0.0065 0.9613
256 0.125 4 2 0 0.006  0.9524
256 0.125 2 2 0 0.0056 0.9541
256 0.125 2 1 0 0.0053 0.9391
192 1     6 1 0 0.0237 0.9703
192 0.25  6 1 0 0.0053 0.9588
192 0.125 6 2 0 0.004  0.9492
192 0.125 4 2 0 0.0037 0.9493
192 0.125 2 2 0 0.0033 0.9476
192 0.125 2 1 0 0.0031 0.9275
""") + _topologies("4.23", """
160 1     6 1 0 0.0161 0.9621
160 0.25  6 1 0 0.0039 0.9487
160 0.125 6 2 0 0.0031 0.9386
160 0.125 4 2 0 0.0028 0.9327
160 0.125 2 2 0 0.0025 0.9379
160 0.125 2 1 0 0.0023 0.9317
128 1     6 1 0 0.0107 0.957
128 0.25  6 1 0 0.0027 0.9397
128 0.125 6 2 0 0.0022 0.9143
128 0.125 4 2 0 0.002  0.9255
128 0.125 2 2 0 0.0018 0.9125
128 0.125 2 1 0 0.0017 0.93
96  1     6 1 0 0.0069 0.9387
96  0.25  6 1 0 0.0019 0.9101
96  0.125 6 2 0 0.0016 0.9053
96  0.125 4 2 0 0.0015 0.9051
96  0.125 2 2 0 0.0014 0.9027
96  0.125 2 1 0 0.0012 0.9054
""")  # fmt: skip

DEFAULTS = {"width": 1.0, "expansion": 6.0, "repetition": 3.0, "pyramid": 1.0, "channels": 3.0}
"""The knobs of the baseline, under the names that they have here."""

ALL = [*UNTRAINED, *RETRAINED, *LUMA, *WIDTH, *REPETITION, *TOPOLOGY, *COMBINED]
"""Every row."""


def baseline(row: Measured) -> Measured:
    """Give the thesis's network at full size that `row` is to be compared with.

    Tables 4.6 to 4.9 are of networks without pyramid, the others are set against one with it.
    """
    if row.table == "4.6":
        return UNTRAINED[0]
    return RETRAINED[0] if row.table in ("4.7", "4.9") else WIDTH[0]


def like(share: float, knobs: dict[str, float], retrained: bool) -> Measured | None:
    """Find the thesis's row with the same knobs whose size is as small a share of its 512 pixels.

    Args:
        share: side of the input over that of the native one.
        knobs: width, expansion, repetition, pyramid, channels.
        retrained: trained at its own size.

    Returns:
        The nearest within a tenth of the share, with the same pyramid if there is one; else none.
    """
    wanted = (knobs["width"], knobs["expansion"], knobs["repetition"], knobs["channels"], retrained)
    rows = [
        row
        for row in ALL
        if (row.a, row.t, row.r, row.channels, row.retrained) == wanted
        and abs(row.size_px / 512 - share) <= 0.1 * share
    ]
    return min(
        rows,
        key=lambda row: (row.pyramid != knobs["pyramid"], abs(row.size_px / 512 - share)),
        default=None,
    )
