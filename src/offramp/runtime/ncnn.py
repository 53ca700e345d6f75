"""ncnn: one model of all exits, of which each step computes only what it asks for.

ncnn works backwards from the blob that is extracted, and keeps what it has computed of a frame.
So the feature of an exit costs the layers up to there and no others, and the next exit goes on
from it: early exit needs no cut. ncnn is at its best on ARM.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from offramp.core.bundle import Bundle, Ncnn
from offramp.core.errors import BadInput, BundleError, MissingExtra
from offramp.data.images import Array
from offramp.runtime.engine import Reading, State, count_threads, settle

try:
    import ncnn
except ModuleNotFoundError as error:
    raise MissingExtra("ncnn", "ncnn", "the engine ncnn") from error

_AT = "at"
"""Under which name a state holds how far a frame has come."""

_HALVES = (
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_packed",
    "use_bf16_storage",
)
"""By default ncnn keeps numbers in 16 bits where the processor has such; thresholds are of 32."""


@dataclass(frozen=True)
class _Walk:
    """A frame under way, and the model, which must not be gone before it."""

    extractor: Any
    net: Any


class NcnnEngine:
    """A bundle's ncnn model.

    Args:
        bundle: what to run; it must hold the form ncnn.
        threads: how many threads compute a frame.
        precision: "f32", the only one.

    Raises:
        BundleError: the bundle lacks the form, or ncnn cannot load it.
        BadInput: another precision was asked for.
    """

    name = "ncnn"

    def __init__(
        self, bundle: Bundle, threads: int | None = None, precision: str | None = None
    ) -> None:
        manifest = bundle.manifest
        if manifest.ncnn is None:
            raise BundleError(
                f"{bundle.folder} holds no model for ncnn",
                repair="export it again: offramp export RUN PLAN --form ncnn",
            )
        self.precision = settle(self.name, precision, manifest.plan.precision, ("f32",))
        self._threads = count_threads(threads)
        self.label = f"ncnn {ncnn.__version__}, {self._threads} threads"
        self._size = manifest.model.size
        self._form = manifest.ncnn
        self._net = load_net(bundle.folder, self._form, self._threads)

    def begin(self, frame: Array) -> State:
        """Take a frame uint8 RGB H×W×3 of the bundle's input size."""
        if frame.shape != (*self._size, 3):
            expected = f"{self._size[0]}x{self._size[1]}x3"
            raise BadInput("a frame of another size", expected=expected, got=str(frame.shape))
        return State({_AT: _Walk(feed(self._net, self._form, frame), self._net)})

    def advance(self, index: int, state: State, until: float | None = None) -> State:
        """Run segment `index`; ncnn cannot be cancelled, so `until` is not heeded."""
        _extract(state, self._form.features[index])
        return state

    def read(self, index: int, state: State, until: float | None = None) -> Reading:
        """Ask the head of exit `index`; `until` is not heeded."""
        logits, scores = (_extract(state, blob) for blob in self._form.exits[index])
        return Reading(np.array(logits)[None], tuple(np.array(scores).ravel().tolist()))

    def decode(self, logits: Any, size: tuple[int, int]) -> Array:
        """Enlarge an answer bilinearly to labels uint8 H×W of height and width `size`."""
        cells = np.ascontiguousarray(logits[0], dtype=np.float32)
        for side in (1, 2):  # ncnn's enlarging looks at two neighbours: a single one stands twice
            cells = cells.repeat(2, axis=side) if cells.shape[side] == 1 else cells
        mat = ncnn.resize_bilinear(ncnn.Mat(cells), size[1], size[0], self._net.opt)
        maps = np.array(mat, copy=False)  # C×H×W
        best, labels = maps[0].copy(), np.zeros(size, dtype=np.uint8)
        for label in range(1, len(maps)):  # NumPy's arg-max over channels takes 10 times as long
            np.copyto(labels, label, where=maps[label] > best)
            np.maximum(best, maps[label], out=best)
        return labels


def load_net(folder: Path, form: Ncnn, threads: int) -> Any:
    """Load an ncnn model that computes in 32 bits.

    Raises:
        BundleError: ncnn cannot load it.
    """
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    for option in _HALVES:
        setattr(net.opt, option, False)
    if net.load_param(str(folder / form.param)) != 0:
        raise BundleError(f"{folder / form.param} cannot be loaded by ncnn {ncnn.__version__}")
    if net.load_model(str(folder / form.bin)) != 0:
        raise BundleError(f"{folder / form.bin} cannot be loaded by ncnn {ncnn.__version__}")
    return net


def feed(net: Any, form: Ncnn, frame: Array) -> Any:
    """Make the extractor of a frame uint8 RGB H×W×3; nothing is computed yet.

    Raises:
        BundleError: the model takes no frame.
    """
    height, width, _ = frame.shape
    extractor, pixels = net.create_extractor(), np.ascontiguousarray(frame)
    mat = ncnn.Mat.from_pixels(pixels, ncnn.Mat.PixelType.PIXEL_RGB, width, height)
    if extractor.input(form.frame, mat) != 0:
        raise BundleError("the ncnn model takes no frame", got=f"no blob '{form.frame}'")
    return extractor


def _extract(state: State, blob: str) -> Any:
    status, mat = state.values[_AT].extractor.extract(blob)
    if status != 0 or mat.empty():
        raise BundleError(f"the ncnn model does not compute '{blob}'", got=f"status {status}")
    return mat
