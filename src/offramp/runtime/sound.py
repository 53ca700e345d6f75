"""Whether an engine's answers are what the manifest promises: tried once on a blank frame.

Hashes and seal show damage. A graph whose author sealed it himself may still answer with too few
scores, or with classes that the bundle does not name; then nothing that follows could be trusted.
"""

from typing import Any

import numpy as np

from offramp.core.bundle import Manifest
from offramp.core.errors import BundleError, OfframpError
from offramp.data.images import Array
from offramp.runtime.engine import Engine, Reading


def check_answers(engine: Engine, manifest: Manifest) -> None:
    """Run a blank frame through every segment and head, and look at what they say.

    Args:
        engine: has loaded the bundle.
        manifest: of the bundle.

    Raises:
        BundleError: a graph fails, or does not answer as the manifest says.
    """
    size = manifest.model.size
    before: Array | None = None
    try:
        state = engine.begin(np.zeros((*size, 3), dtype=np.uint8))
        for index, graph in enumerate(manifest.heads):
            state = engine.advance(index, state)
            reading = engine.read(index, state.beside(before, None))
            before = reading.cells
            labels = engine.decode(reading.logits, size)
            fault = _reading_fault(reading, manifest) or _labels_fault(labels, manifest)
            if fault:
                raise BundleError(
                    f"exit {index} does not answer as it should ({graph.file}): {fault}"
                )
    except OfframpError:
        raise
    except Exception as error:  # whatever an array of another shape or type leads to
        raise BundleError("the bundle's graphs cannot be run", got=repr(error)[:200]) from error


def _reading_fault(reading: Reading, manifest: Manifest) -> str:
    wanted = len(manifest.plan.scores)
    if len(reading.scores) != wanted or not all(isinstance(s, float) for s in reading.scores):
        return f"{wanted} scores were expected"
    shape = tuple(int(side) for side in reading.logits.shape)
    if len(shape) != 4 or shape[:2] != (1, manifest.model.classes):
        return f"logits of shape {shape}"
    cells: Any = reading.cells
    if cells is not None and (cells.dtype != np.uint8 or cells.shape != (1, *shape[2:])):
        return f"labels of shape {cells.shape}"
    return ""


def _labels_fault(labels: Array, manifest: Manifest) -> str:
    if labels.dtype != np.uint8 or labels.shape != manifest.model.size:
        return f"labels {labels.dtype} of shape {labels.shape}"
    if int(labels.max()) >= manifest.model.classes:
        return f"the class {int(labels.max())} of {manifest.model.classes}"
    return ""
