"""Numbers as a reader wants them: shares, work, time and ratios, each with its unit."""

NONE = "–"
"""Stands where nothing was measured."""


def percent(share: float, digits: int = 2) -> str:
    """Write a share from 0 to 1 as a percentage."""
    return f"{100 * share:.{digits}f} %" if share == share else NONE  # NaN is not itself


def points(change: float) -> str:
    """Write a change of a share in percentage points, with its sign."""
    return f"{100 * change:+.2f}".replace("-", "−") + " points"


def work(macs: float) -> str:
    """Write multiply-accumulates with a unit."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if macs >= size:
            return f"{macs / size:.2f} {unit}MAC"
    return f"{macs:.0f} MAC"


def milliseconds(latency_ms: float) -> str:
    """Write a time; 0 stands for "not measured"."""
    return f"{latency_ms:.2f} ms" if latency_ms > 0 else NONE


def times(ratio: float | None) -> str:
    """Write how many times less something is."""
    return NONE if ratio is None else f"{ratio:.2f}×"


def number(value: float) -> str:
    """Write a whole number with thin gaps between thousands."""
    return f"{value:,.0f}".replace(",", "\u202f")
