"""What a strategy is fitted on: of one chain of exits, scores, gains and times on N images.

Every fit, and every figure about a fit, is arithmetic on these three small tables.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.core.errors import BadInput

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """What images got, and what it took.

    Attributes:
        gain: mean over images of the mIoU at the exit taken, from 0 to 1.
        time: mean over images of the time until that exit, as a share of the full network's.
        shares: for each exit, the share of the images that it answered.
    """

    gain: float
    time: float
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Calibration:
    """One chain of E exits on N labelled images.

    Attributes:
        scores: float64 E×N×S; those of the last exit decide nothing.
        gains: float64 E×N, this image's mIoU if this exit answers it, from 0 to 1.
        times: float64 E, time or work of an image that stops here, heads read on the way
            included, as a share of the full network's; never falls along the chain.

    Raises:
        BadInput: shapes disagree, a gain or time is no number, times fall, or there is no image.
    """

    scores: Floats
    gains: Floats
    times: Floats

    def __post_init__(self) -> None:
        exits, images = self.gains.shape
        if self.scores.ndim != 3 or self.scores.shape[:2] != (exits, images):
            expected = f"shape ({exits}, {images}, scores)"
            raise BadInput("scores do not fit gains", expected=expected, got=str(self.scores.shape))
        if self.times.shape != (exits,):
            raise BadInput("times", expected=f"shape ({exits},)", got=str(self.times.shape))
        if not images:
            raise BadInput("nothing to fit on", expected="at least one image with labelled pixels")
        if not np.isfinite(self.gains).all():
            raise BadInput("gains that are no numbers", repair="build it with Calibration.of")
        if not np.isfinite(self.times).all() or (np.diff(self.times) < 0).any():
            raise BadInput(
                "times", expected="numbers that never fall along the chain", got=str(self.times)
            )

    @classmethod
    def of(cls, scores: Floats, gains: Floats, times: Floats) -> "Calibration":
        """Leave out images without labelled pixels (a gain that is no number).

        Args:
            scores: E×N, or E×N×S where several scores decide together.
            gains: E×N.
            times: E.
        """
        labelled = np.isfinite(gains).all(axis=0)
        deep = scores[:, :, None] if scores.ndim == 2 else scores  # E×N×S
        return cls(deep[:, labelled], gains[:, labelled], times)

    @property
    def exits(self) -> int:
        """How many exits the chain has, E."""
        return len(self.gains)

    @property
    def images(self) -> int:
        """How many images there are, N."""
        return len(self.gains.T)

    def outcome(self, taken: NDArray[np.intp]) -> Outcome:
        """Sum up what happens when image n is answered by exit `taken[n]` (shape N)."""
        counts = np.bincount(taken, minlength=self.exits)  # E
        return Outcome(
            gain=float(self.gains[taken, np.arange(self.images)].mean()),
            time=float(self.times[taken].mean()),
            shares=tuple(float(count) / self.images for count in counts),
        )
