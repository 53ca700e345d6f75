"""The range that each value of a bundle's graphs has on real images, for quantisation.

A graph is given one more pair of outputs for each value that may be quantised, its least and its
greatest number. So all graphs are watched in one walk along the exits, image by image, and each
sees what those before it give in float.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization.calibrate import (
    CalibrationMethod,
    MinMaxCalibrater,
    TensorsData,
    save_tensors_data,
)

from offramp.core.bundle import Graph
from offramp.runtime.engine import NOBODY, State
from offramp.runtime.ort import load_graph


class Watched:
    """A graph that notes the range of its values whenever it runs.

    Args:
        graph: what it takes and gives.
        prepared: its file, as ONNX Runtime's preparation for quantisation writes it.
        operations: whose inputs and outputs are watched.
    """

    def __init__(self, graph: Graph, prepared: Path, operations: Sequence[str]) -> None:
        self.graph = graph
        watching = prepared.with_suffix(".watched.onnx")
        # The calibrater's own session would bring a second thread pool, which ONNX Runtime
        # refuses beside a shared one; only its rewriting of the graph is used.
        calibrater = MinMaxCalibrater(str(prepared), list(operations), str(watching))
        calibrater.augment_graph()
        self._session = load_graph(watching)
        self._inputs = {value.name: value.shape for value in self._session.get_inputs()}
        self._names = [value.name for value in self._session.get_outputs()]
        self._least: dict[str, Any] = {}
        self._most: dict[str, Any] = {}

    def run(self, state: State) -> State:
        """Run on a state that holds what the graph takes; what it gives comes besides."""
        feed = {name: _fit(state.values[name], shape) for name, shape in self._inputs.items()}
        given = dict(zip(self._names, self._session.run(None, feed), strict=True))
        for name, value in given.items():
            inner, _, kind = name.rpartition("_")
            if name in self.graph.gives:
                continue
            known = self._least if kind == "ReduceMin" else self._most
            further = np.minimum if kind == "ReduceMin" else np.maximum
            known[inner] = further(known[inner], value) if inner in known else value
        return State({**state.values, **{name: given[name] for name in self.graph.gives}})

    def save(self, file: Path) -> None:
        """Write the ranges down, as `quantize_static` reads them."""
        pairs: dict[str, Any] = {name: (self._least[name], self._most[name]) for name in self._most}
        save_tensors_data(TensorsData(CalibrationMethod.MinMax, pairs), file)


def _fit(value: Any, shape: Sequence[int]) -> Any:
    """Take "labels that agree with none" to a head's grid; leave all else as it is."""
    return np.full(shape, NOBODY.item(), NOBODY.dtype) if value is NOBODY else value
