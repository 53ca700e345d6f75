"""One design of a frontier, and all that is known of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """One design on the frontier.

    Attributes:
        miou: dataset mIoU on the fitted images, from 0 to 1.
        macs: mean multiply-accumulates an image.
        latency_ms: mean milliseconds an image.
        worst_latency_ms: milliseconds of an image that goes to the plan's last exit.
        parameters: of what the plan can run.
        bytes: of the bundle.
        memory: peak bytes.
        exits: "point/head" in the order of the path.
        thresholds: one for each exit but the last.
        scores: the score that decides at each exit but the last.
        shares: share of the images that stop at each exit.
        held_out: dataset mIoU on the held-out images; absent where none were held out.
        network: which of several runs that were searched side by side.
    """

    miou: float
    macs: float
    latency_ms: float
    worst_latency_ms: float
    parameters: int
    bytes: int
    memory: int
    exits: tuple[str, ...]
    thresholds: tuple[float, ...] = ()
    scores: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    held_out: float | None = None
    network: str = ""
