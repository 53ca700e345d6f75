"""The form "prefixes": for each exit one graph, from the frame to that exit's answer.

For programs that always stop at the same exit, and to measure what the cuts cost: no other
exit's head is inside.
"""

from pathlib import Path
from typing import Any

import numpy as np

from offramp.core.bundle import CELLS, FRAME, Bundle, Graph, Manifest
from offramp.data.images import Array
from offramp.export.compose import read, write_chain
from offramp.models.network import MultiExitNetwork
from offramp.runtime.engine import Reading, State, on_grid
from offramp.runtime.ort import load_graph


def write_prefixes(
    network: MultiExitNetwork, manifest: Manifest, folder: Path
) -> dict[str, tuple[Graph, ...]]:
    """Write `prefix_K.onnx` for each exit of a bundle, the network's own end included.

    A head that compares its labels with others takes those besides the frame.

    Args:
        network: what the bundle was exported from; its graphs suffice.
        manifest: of the bundle.
        folder: where its graphs are, and where the new ones go.

    Returns:
        The field of the manifest: `prefixes`.
    """
    bundle = Bundle(folder, manifest)
    segments = [read(bundle, segment) for segment in manifest.segments]
    graphs = []
    for index, head in enumerate(manifest.heads):
        models = [*segments[: index + 1], read(bundle, head)]
        graphs.append(write_chain(models, head.gives, folder / f"prefix_{index}.onnx"))
    return {"prefixes": tuple(graphs)}


class PrefixEngine:
    """Answers with a bundle's prefixes, each from the frame on: to compare them.

    Args:
        bundle: one that has them.
    """

    name = label = "prefixes"

    def __init__(self, bundle: Bundle) -> None:
        self.precision: str = bundle.manifest.precision
        self._prefixes = [(g, load_graph(bundle.path(g))) for g in bundle.manifest.prefixes]
        self._decoder = load_graph(bundle.path(bundle.manifest.decoder))

    def begin(self, frame: Array) -> State:
        """Take a frame uint8 RGB H×W×3."""
        return State({FRAME: np.ascontiguousarray(frame)[None]})

    def advance(self, index: int, state: State, until: float | None = None) -> State:
        """Do nothing: a prefix begins at the frame."""
        return state

    def read(self, index: int, state: State, until: float | None = None) -> Reading:
        """Run the prefix of exit `index`."""
        graph, session = self._prefixes[index]
        shapes = {value.name: value.shape for value in session.get_inputs()}
        feed = {FRAME: state.values[FRAME]}
        for name in graph.takes[1:]:
            feed[name] = on_grid(state.values[name], *shapes[name][1:])
        given = dict(zip(graph.gives, session.run(list(graph.gives), feed), strict=True))
        return Reading(given["logits"], tuple(given["scores"].tolist()), given.get(CELLS))

    def decode(self, logits: Any, size: tuple[int, int]) -> Array:
        """Enlarge an answer to labels uint8 H×W of height and width `size`."""
        feed = {"logits": logits, "size": np.array(size, dtype=np.int64)}
        labels: Array = self._decoder.run(None, feed)[0][0]
        return labels
