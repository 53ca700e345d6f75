"""How much memory a computation needs at once: which tensors are alive, operation by operation.

A tensor is alive from the operation that makes it to the last one that reads it; what the caller
keeps stays alive to the end. While an operation runs, what it reads and what it makes are there
together. Operations are noted as torch executes them, so blocks may do inside what they like;
views and operations in place share their storage and count once. Parameters and buffers do not
count, nor does what nobody reads, such as the indices of a max pooling.

This is the need of a program that runs these very operations and frees at the earliest. Engines
differ in both directions: they fuse convolution, batch norm and activation into one operation
without a map in between, and they take work space for convolutions, round sizes up, and hold
inputs that a caller has not let go.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Liveness(TorchDispatchMode):
    """Notes what each operation reads and makes while the mode is active.

    It holds no tensor: a weak reference keeps a storage's identity apart from later ones, and
    lets its memory go.
    """

    def __init__(self) -> None:
        super().__init__()
        self._steps = 0
        self._made: dict[StorageWeakRef, int] = {}
        self._read: dict[StorageWeakRef, int] = {}
        self._bytes: dict[StorageWeakRef, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for storage in _storages((args, kwargs or {})):
            self._read[storage] = self._steps
        for storage, size in _storages(result).items():
            if storage not in self._read:
                self._made.setdefault(storage, self._steps)
            self._bytes[storage] = size  # an operation in place may have grown it
        self._steps += 1
        return result

    def peak(self, given: Iterable[Tensor], kept: Iterable[Tensor]) -> int:
        """Find the most bytes that were alive at once.

        Args:
            given: what was there before; freed after its last use unless it is kept.
            kept: what stays when the computation is over: its results, and what later ones need.
        """
        inputs, results = _storages(list(given)), _storages(list(kept))
        sizes = inputs | results | self._bytes
        last = dict(self._read) | dict.fromkeys(results, self._steps)
        change = [0] * (self._steps + 2)  # one moment an operation, and one when all is over
        for storage in self._made | dict.fromkeys(inputs, 0):
            if storage in last:
                change[0 if storage in inputs else self._made[storage]] += sizes[storage]
                change[last[storage] + 1] -= sizes[storage]
        alive, most = 0, 0
        for difference in change:
            alive += difference
            most = max(most, alive)
        return most


def _storages(structure: Any) -> dict[StorageWeakRef, int]:
    """List the storages of all tensors in a structure, each with its bytes."""
    found: dict[StorageWeakRef, int] = {}
    for leaf in tree_leaves(structure):
        if isinstance(leaf, Tensor) and leaf.layout is torch.strided:
            storage = leaf.untyped_storage()
            found[StorageWeakRef(storage)] = storage.nbytes()
    return found
