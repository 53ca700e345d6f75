"""PyTorch: the network itself, rebuilt from its description and the weights of a bundle.

It takes what ONNX Runtime does not: NVIDIA cards without a graph compiler, and 16 bits (bf16).
This is the one module of the runtime that needs the build half; it is imported by name alone.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from threading import Lock
from typing import Any

import numpy as np

from offramp.core.bundle import EXIT_BEFORE, FRAME_BEFORE, Bundle
from offramp.core.errors import BadInput, MissingExtra
from offramp.core.score import ScoreSpec
from offramp.data.images import Array
from offramp.runtime.engine import NOBODY, Reading, State, count_threads, on_grid, settle

try:
    import torch
    from torch import Tensor, nn

    from offramp.models.rebuilt import load_weights, planned_exits
except ModuleNotFoundError as error:
    raise MissingExtra(error.name or "torch", "train", "the engine torch") from error

from offramp.models.captured import Captured
from offramp.models.network import MultiExitNetwork
from offramp.models.network import State as Walk
from offramp.scores import Context
from offramp.scores import labels as labels_of

_AT = "at"
"""Under which name a state holds how far a frame has come."""

_QUICK = ("avx512_bf16", "amx_bf16", "bf16")
"""What a processor has that computes in bf16; another imitates it, slower than in f32."""


class TorchEngine:
    """A bundle's network in PyTorch on the CPU.

    Args:
        bundle: what to run; it must hold the form torch.
        threads: how many threads compute, in all of the process: torch knows one number; absent:
            as many as torch is set to.
        precision: "f32" or, where the processor has it, "bf16". Scores are computed in f32 from
            logits that are rounded to bf16.

    Raises:
        BundleError: the bundle lacks the form, or its weights do not fit.
        BadInput: it cannot compute in this precision here, or the network is your own and its
            file is not at hand.
    """

    name = "torch"
    device = "cpu"

    def __init__(
        self, bundle: Bundle, threads: int | None = None, precision: str | None = None
    ) -> None:
        manifest = bundle.manifest
        self.precision = settle(
            self.name,
            precision,
            manifest.plan.precision,
            ("f32", "bf16") if self._has_bf16() else ("f32",),
            "" if self._has_bf16() else "what computes here has no bf16",
        )
        if threads is not None:
            torch.set_num_threads(count_threads(threads))
        self.label = f"{self.name} {torch.__version__}, {self._where()}"
        self._size = manifest.model.size
        self._exits = planned_exits(manifest)  # as many as segments
        self._scores = [ScoreSpec.parse(name) for name in manifest.plan.scores]
        self._compares = any(spec.needs for spec in self._scores)
        network = load_weights(bundle).to(self.device)
        self._network = network if self.precision == "f32" else _lowered(network, self.device)

    def begin(self, frame: Array) -> State:
        """Take a frame uint8 RGB H×W×3 of the bundle's input size."""
        if frame.shape != (*self._size, 3):
            expected = f"{self._size[0]}x{self._size[1]}x3"
            raise BadInput("a frame of another size", expected=expected, got=str(frame.shape))
        # A copy: torch takes no views that run backwards, nor memory that cannot be written.
        pixels = torch.from_numpy(np.array(frame, order="C"))[None]
        with self._scope():
            return State({_AT: self._begin(pixels)})

    def advance(self, index: int, state: State, until: float | None = None) -> State:
        """Run segment `index`; torch cannot be cancelled, so `until` is not heeded."""
        with self._scope():
            return State({_AT: self._advance(index, state.values[_AT])})

    def read(self, index: int, state: State, until: float | None = None) -> Reading:
        """Ask the head of exit `index`; its logits stay on the device. `until` is not heeded."""
        names = (EXIT_BEFORE, FRAME_BEFORE) if self._compares else ()
        before = [state.values.get(name, NOBODY) for name in names]
        with self._scope():
            logits, scores = self._read(index, state.values[_AT].feature, before)
            cells = labels_of(logits).cpu().numpy() if self._compares else None
            return Reading(logits, tuple(scores.tolist()), cells)

    def decode(self, logits: Any, size: tuple[int, int]) -> Array:
        """Enlarge an answer to labels uint8 H×W of height and width `size`."""
        with self._scope():
            enlarged = self._network.decode(torch.as_tensor(logits, device=self.device), size)
            labels: Array = enlarged[0].cpu().numpy()
            return labels

    def _scope(self) -> AbstractContextManager[Any]:
        """Say how all steps compute: without gradients."""
        scope: AbstractContextManager[Any] = torch.inference_mode()
        return scope

    def _begin(self, pixels: Tensor) -> Walk:
        return self._network.begin(pixels)

    def _advance(self, index: int, walk: Walk) -> Walk:
        with _autocast(self.device, self.precision):
            return self._network.advance(index, walk)

    def _read(self, index: int, feature: Tensor, before: Sequence[Array]) -> tuple[Tensor, ...]:
        return self._score(index, feature, *map(torch.from_numpy, before))

    def _score(self, index: int, feature: Tensor, *before: Tensor) -> tuple[Tensor, Tensor]:
        """Map a feature 1×D×h×w, and labels that came before, to logits 1×C×h×w and scores S."""
        exit_before, frame_before = before or (None, None)
        context = Context(exit_before=exit_before, frame_before=frame_before)
        _, head = self._exits[index]
        reading = self._network.read(index, Walk({}, feature), head, self._scores, context)
        return reading.logits, torch.cat([reading.scores[spec.name] for spec in self._scores])

    def _has_bf16(self) -> bool:
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        return any(capabilities.get(name, False) for name in _QUICK)

    def _where(self) -> str:
        return f"{torch.get_num_threads()} threads"


class CudaEngine(TorchEngine):
    """A bundle's network on an NVIDIA card: each segment and each head is one CUDA graph.

    Features stay on the card, a copy for each frame that is under way. Scores alone cross to the
    host, in one copy for each head that is read.

    Args:
        bundle: what to run; it must hold the form torch.
        threads: how many threads of the host compute; hardly any work is left to them.
        precision: "f32", without TF32, or "bf16".

    Raises:
        BundleError, BadInput: as for `TorchEngine`; or there is no card that torch can use.
    """

    name = "torch-cuda"
    device = "cuda"

    def __init__(
        self, bundle: Bundle, threads: int | None = None, precision: str | None = None
    ) -> None:
        if not torch.cuda.is_available():
            raise BadInput(
                "the engine torch-cuda finds no CUDA device",
                expected="an NVIDIA card, and a PyTorch that was built for it",
                got=f"torch {torch.__version__}",
                repair="use the engine torch",
            )
        super().__init__(bundle, threads, precision)
        self._lock = Lock()
        self._stream = torch.cuda.Stream()
        flags = torch.backends.cudnn.flags
        with self._scope(), flags(enabled=True, benchmark=True, allow_tf32=False):
            self._capture()
        self._stream.synchronize()

    def _capture(self) -> None:
        """Walk a blank frame through the network, and capture each step on the way."""
        pool = torch.cuda.graph_pool_handle()

        def captured(step: Any, *samples: Tensor) -> Captured:
            return Captured(step, samples, pool, self._stream, self._lock)

        pixels = torch.zeros(1, *self._size, 3, dtype=torch.uint8, device=self.device)
        walk = super()._begin(pixels)
        self._first = captured(lambda pixels: _flat(super(CudaEngine, self)._begin(pixels)), pixels)
        self._names = [tuple(walk.values)]
        self._segments, self._heads = [], []
        self._grids: list[tuple[int, int]] = []
        for index in range(len(self._exits)):
            step = partial(self._flat_advance, index, self._names[index])
            self._segments.append(captured(step, *_flat(walk)))
            walk = super()._advance(index, walk)
            self._names.append(tuple(walk.values))
            cells = torch.zeros(1, 1, 1, dtype=torch.uint8, device=self.device)
            before = [cells, cells] if self._compares else []
            logits, _ = self._score(index, walk.feature, *before)
            height, width = (int(side) for side in logits.shape[-2:])
            self._grids.append((height, width))
            before = [cells.expand(1, height, width).contiguous() for cells in before]
            self._heads.append(captured(partial(self._score, index), walk.feature, *before))

    def _scope(self) -> AbstractContextManager[Any]:
        """Say how all steps compute: without gradients, one after another on one stream."""
        scope = ExitStack()
        scope.enter_context(torch.inference_mode())
        scope.enter_context(torch.cuda.stream(self._stream))
        return scope

    def _begin(self, pixels: Tensor) -> Walk:
        return _walk(self._names[0], self._first(pixels))

    def _advance(self, index: int, walk: Walk) -> Walk:
        return _walk(self._names[index + 1], self._segments[index](*_flat(walk)))

    def _read(self, index: int, feature: Tensor, before: Sequence[Array]) -> tuple[Tensor, ...]:
        cells = [torch.from_numpy(on_grid(labels, *self._grids[index])) for labels in before]
        return self._heads[index](feature, *cells)

    def _flat_advance(self, index: int, names: Sequence[str], *tensors: Tensor) -> Sequence[Tensor]:
        return _flat(super()._advance(index, _walk(names, tensors)))

    def _has_bf16(self) -> bool:
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))

    def _where(self) -> str:
        return f"CUDA {torch.version.cuda}, {torch.cuda.get_device_name()}"


class Lowered(nn.Module):  # type: ignore[misc]  # torch's types are not read here
    """A head that computes in bf16, and answers in f32: scores are sums of many pixels."""

    def __init__(self, head: nn.Module, device: str) -> None:
        super().__init__()
        self.head = head
        self.device = device

    def forward(self, feature: Tensor) -> Tensor:
        """Map a feature N×D×h×w to logits N×C×h×w."""
        with _autocast(self.device, "bf16"):
            return self.head(feature).float()


def _lowered(network: MultiExitNetwork, device: str) -> MultiExitNetwork:
    """Let all heads compute in bf16; segments do as `TorchEngine._advance` says."""
    for heads in network.heads.values():
        for name, head in heads.items():
            heads[name] = Lowered(head, device)
    return network


def _autocast(device: str, precision: str) -> AbstractContextManager[Any]:
    cast: AbstractContextManager[Any] = torch.autocast(
        device, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False
    )
    return cast


def _flat(walk: Walk) -> tuple[Tensor, ...]:
    return (*walk.values.values(), walk.feature)


def _walk(names: Sequence[str], tensors: Sequence[Tensor]) -> Walk:
    *values, feature = tensors
    return Walk(dict(zip(names, values, strict=True)), feature)
