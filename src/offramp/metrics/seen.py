"""What a chain of exits says of each image: the part of a trace that a policy sees."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Seen:
    """The scores of E exits on N images.

    Attributes:
        scores: float64 E×N×S.
        column: which score is the agreement with the answer to the image before, if one is.
        frames: E×E×N, that agreement of exit e if exit f answered the image before; 0 at the
            start of a clip.
    """

    scores: NDArray[np.float64]
    column: int | None = None
    frames: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, scores: NDArray[np.float64]) -> "Seen":
        """Take one score per exit and image, E×N."""
        return cls(scores[:, :, None])

    def at(self, index: int, n: int, before: int) -> list[float]:
        """List what exit `index` says of image n, if exit `before` answered the image before."""
        scores: list[float] = self.scores[index, n].tolist()
        if self.column is not None and self.frames is not None:
            scores[self.column] = float(self.frames[index, before, n])
        return scores
