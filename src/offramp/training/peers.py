"""What the processes of one training run do together: agree, average, add up, take turns.

Each process holds the whole network and sees its own share of the images. The gradients are
averaged over the processes just before each step, so that all networks stay the same. Where a
process is alone, nothing here does anything.

torch's DistributedDataParallel is not used: it wants one way back a step through all parameters,
while stage 1 leaves out the heads whose turn it is not, and stage 2 propagates back head by head.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from lightning.pytorch.strategies import DDPStrategy
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

STATISTICS = ("running_mean", "running_var")
"""Names of the buffers in which batch norm keeps what it saw."""


class Peers(DDPStrategy):
    """Lightning's `ddp` without torch's wrapper; `Stage` averages the gradients itself."""

    def configure_ddp(self) -> None:
        """Start all processes from the first one's weights."""
        for tensor in self.model.state_dict().values():
            distributed.broadcast(tensor, 0)


def count() -> int:
    """Say how many processes train together."""
    return distributed.get_world_size() if _together() else 1


def rank() -> int:
    """Say which of them this is, from 0; the first alone writes and speaks."""
    return distributed.get_rank() if _together() else 0


def wait() -> None:
    """Wait until all have come this far."""
    if _together():
        distributed.barrier()


@contextmanager
def first_before_others() -> Iterator[None]:
    """Let the first process do it, and then the others, which find it done."""
    if rank() > 0:
        wait()
    yield
    if rank() == 0:
        wait()


def mean_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the processes.

    Where only some have a gradient, that of the others counts as 0; where none has, none gets one.

    Args:
        parameters: the same ones in the same order everywhere.
    """
    if not _together():
        return
    wanted = list(parameters)
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in wanted]
    there = torch.tensor([float(p.grad is not None) for p in wanted], device=wanted[0].device)
    *means, shares = _means([*parts, there])
    for parameter, mean, share in zip(wanted, means, shares.tolist(), strict=True):
        parameter.grad = mean if share > 0 else None


def mean_statistics(network: nn.Module) -> None:
    """Average the batch-norm statistics that each process gathered from its own images.

    Frozen layers, which are in eval mode, are left alone bit for bit.
    """
    if not _together():
        return
    layers = [layer for layer in network.modules() if layer.training]
    found = [getattr(layer, name, None) for layer in layers for name in STATISTICS]
    buffers = [buffer for buffer in found if isinstance(buffer, Tensor)]
    if buffers:
        for buffer, mean in zip(buffers, _means(buffers), strict=True):
            buffer.copy_(mean)


def total(counts: NDArray[np.int64], device: torch.device) -> NDArray[np.int64]:
    """Add whole numbers up over the processes, exactly.

    Args:
        counts: any shape, the same everywhere.
        device: where the processes exchange tensors.
    """
    if not _together():
        return counts
    summed = torch.from_numpy(counts).to(device)
    distributed.all_reduce(summed)
    return np.asarray(summed.cpu().numpy())


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _means(tensors: list[Tensor]) -> list[Tensor]:
    """Average tensors over the processes, all in one exchange."""
    flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
    distributed.all_reduce(flat)
    parts = (flat / count()).split([tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]
