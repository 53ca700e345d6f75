"""Any ONNX file that takes one image, to time a bundle against."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.core.errors import BadInput
from offramp.core.model import Size
from offramp.runtime.ort import load_graph, share_pool
from offramp.runtime.paths import FULL, Lap

_UINT8, _FLOAT = "tensor(uint8)", "tensor(float)"


class Plain:
    """A graph in ONNX Runtime, in the thread pool of the process.

    What the graph leaves out is not timed: where it gives logits, nobody enlarges them.

    Args:
        file: takes one image, uint8 1×H×W×C or float 1×C×H×W, and nothing else.
        size: height and width in pixels where the graph leaves them open.
        threads: see `share_pool`.
        clock: seconds that only go forward.

    Raises:
        BadInput: it takes something else.
        BundleError: ONNX Runtime cannot load it.
    """

    def __init__(
        self,
        file: Path,
        size: Size,
        threads: int | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not file.is_file():
            raise BadInput(f"{file} does not exist")
        share_pool(threads)
        self.file = file
        self._session = load_graph(file)
        self._feed = {name: _image(kind, shape, size, file) for name, kind, shape in self._takes()}
        self._clock = clock

    @property
    def takes(self) -> dict[str, str]:
        """What it is fed, by name: kind and shape, such as "uint8 1x64x96x3"."""
        return {name: f"{v.dtype} {_text(v.shape)}" for name, v in self._feed.items()}

    @property
    def gives(self) -> tuple[str, ...]:
        """The names of what it gives."""
        return tuple(value.name for value in self._session.get_outputs())

    def courses(self) -> Mapping[int, Callable[[], Lap]]:
        """Offer the whole graph."""
        return {FULL: self.full}

    def full(self) -> Lap:
        """Run it once."""
        start = self._clock()
        self._session.run(None, self._feed)
        return Lap(1000 * (self._clock() - start))

    def _takes(self) -> list[tuple[str, str, list[Any]]]:
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise BadInput(
                f"{self.file} cannot be timed",
                expected="a graph that takes one image",
                got=f"one that takes {', '.join(value.name for value in inputs) or 'nothing'}",
            )
        return [(value.name, value.type, value.shape) for value in inputs]


def _image(kind: str, shape: list[Any], size: Size, file: Path) -> NDArray[Any]:
    """Make a random image of the kind and shape that a graph takes; open lengths are filled in."""
    channels_last = kind == _UINT8
    axes = (1, *size, 3) if channels_last else (1, 3, *size)
    filled = tuple(
        told if isinstance(told, int) and told > 0 else ours
        for told, ours in zip(shape, axes, strict=False)
    )
    channels = filled[-1 if channels_last else 1] if len(filled) == 4 else 0
    fits = len(shape) == 4 and filled[0] == 1 and channels in (1, 3)
    if kind not in (_UINT8, _FLOAT) or not fits:
        raise BadInput(
            f"{file} takes no image",
            expected="uint8 1xHxWxC or float 1xCxHxW, C being 1 or 3",
            got=f"{kind} {_text(shape)}",
        )
    rng = np.random.default_rng(0)
    if channels_last:
        return rng.integers(0, 256, filled, dtype=np.uint8)
    return rng.random(filled, dtype=np.float32)


def _text(shape: Any) -> str:
    return "x".join(str(length) for length in shape)
