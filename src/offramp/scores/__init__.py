"""Boil an exit's prediction down to one number an image; torch, and exportable.

Each score is per image, whatever the batch. The same code runs when recording and inside the
exported graph, and is made of operations that every engine has: sums, extremes, pooling, matrix
products and rounding. Comparisons and arg-max are written as such arithmetic, see `steps`.
"""

from offramp.scores.context import Context
from offramp.scores.prediction import pixel_confidence, pixel_entropy
from offramp.scores.score import score, scores
from offramp.scores.steps import labels

__all__ = ["Context", "labels", "pixel_confidence", "pixel_entropy", "score", "scores"]
