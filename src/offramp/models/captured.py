"""A step of a network as a CUDA graph: launched at once instead of layer by layer.

See https://pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
"""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


class Captured:
    """A step as a CUDA graph, from inputs and to outputs that lie still.

    What comes out is copied, on the card, so that it may wait while other calls are made.

    Args:
        step: maps tensors on the card to others, always by the same kernels.
        samples: what it is captured with; later calls take the same shapes.
        pool: memory of all graphs of an engine; they run one at a time.
        stream: on which it is captured and run.
        lock: of that stream.
    """

    def __init__(
        self,
        step: Callable[..., Sequence[Tensor]],
        samples: Sequence[Tensor],
        pool: Any,
        stream: Any,
        lock: Lock,
    ) -> None:
        self._takes = [sample.clone() for sample in samples]
        self._lock = lock
        brought = Brought()
        for _ in range(3):  # libraries choose their kernels before the capture, not within
            with brought.again():
                step(*self._takes)
        self._graph = torch.cuda.CUDAGraph()
        capture = torch.cuda.graph(
            self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"
        )
        with capture, brought.again():
            self._gives = tuple(step(*self._takes))

    def __call__(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Do the step; values on the host are copied to the card first."""
        with self._lock:  # no other frame may enter between these
            for into, value in zip(self._takes, values, strict=True):
                into.copy_(value)
            self._graph.replay()
            return tuple(value.clone() for value in self._gives)


class Brought(TorchFunctionMode):
    """Keeps what a step brings from the host, constants that it makes; the next time gives copies.

    A capture may not wait for the host. What a step makes without looking at a tensor on the card
    is the same each time, so it is told by its number among the step's calls.

    Args:
        device: type of the card.
    """

    def __init__(self, device: str = "cuda") -> None:
        super().__init__()
        self.device = device
        self.kept: dict[int, Tensor] = {}
        self._calls = 0

    def again(self) -> "Brought":
        """Begin the step anew."""
        self._calls = 0
        return self

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Do one call of the step."""
        self._calls += 1
        if self._calls in self.kept:
            return self.kept[self._calls].clone()
        given = func(*args, **(kwargs or {}))
        if self._there(given) and self._from_host(func, args, kwargs or {}):
            self.kept[self._calls] = given.clone()
        return given

    def _from_host(self, func: Callable, args: tuple, kwargs: dict) -> bool:
        if func is Tensor.to:  # the other tensor, if any, says no more than where to
            return not self._there(args[0])
        return not any(self._there(value) for value in tree_leaves((args, kwargs)))

    def _there(self, value: object) -> bool:
        return isinstance(value, Tensor) and value.device.type == self.device
