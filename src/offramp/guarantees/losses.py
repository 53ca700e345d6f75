"""What an early answer costs on each image, from the trace.

The loss of a guarantee is a mean over images: per-image mIoU of the full network minus that of
the configuration. Dataset mIoU is a ratio of sums and no mean, so that its loss is another number
(see offramp.metrics.confusion). Disagreement, the share of pixels whose label is another than the
full network's, is a loss in [0, 1] that needs no labels. `certify` takes either, and any other
that lies in [-1, 1].
"""

import numpy as np
from numpy.typing import NDArray

from offramp.metrics.trace import Trace


def miou_losses(trace: Trace, taken: NDArray[np.intp]) -> NDArray[np.float64]:
    """Compute each image's mIoU under the full network minus its mIoU under each configuration.

    Args:
        trace: what was recorded.
        taken: rows of the trace; configuration l answers image n by `taken[l, n]`; L×N.

    Returns:
        In [-1, 1], positive where the early answer is worse; NaN where the image has no labelled
        pixel; L×N.
    """
    images = len(trace.images)
    full = trace.miou_per_image(np.full(images, len(trace.exits) - 1))  # N
    # Row by row: L×N×C counts would not fit for long lists of configurations.
    rows = [full - trace.miou_per_image(row) for row in taken]
    return np.stack(rows) if rows else np.empty((0, images))
