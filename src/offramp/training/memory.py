"""How much memory a stage needs, found out by a step on tensors without values."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from offramp.core.errors import BadInput
from offramp.models.fake import frozen
from offramp.training.stages import Stage

GIB = 1 << 30

PLENTY = 20_000
"""Bytes for each pixel of a batch: where there are more, nothing is estimated."""

_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def needed_bytes(stage: Stage, batch: int) -> int:
    """Estimate the bytes that a training step takes at its peak.

    Counted are weights, gradients, the optimiser's state, and what the largest part of the loss
    keeps for its way back. Buffers that kernels use for a moment come on top.

    Args:
        stage: what is trained.
        batch: images a step.
    """
    network = stage.network
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    most = 0
    was_training = stage.training
    before = [(buffer, buffer.clone()) for buffer in stage.buffers()]
    with frozen(stage), mode, torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        stage.train()
        images = torch.zeros(batch, *network.spec.size, 3, dtype=torch.uint8)
        labels = torch.zeros(batch, *network.spec.size, dtype=torch.int64)
        for _ in stage.losses(images, labels, 0):
            most = max(most, sum(kept.values()))
            kept.clear()
    stage.train(was_training)
    for buffer, value in before:  # batch norm counts its batches even so
        buffer.copy_(value)
    weights = sum(p.numel() for p in network.parameters())
    trained = sum(p.numel() for p in stage.trained())
    states = 1 if stage.how.optimizer == "sgd" else 2
    return 4 * weights + 4 * (1 + states) * trained + most


def available_bytes() -> int:
    """Say how much memory this process may still take: of the GPU if there is one."""
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    info = Path("/proc/meminfo")
    for line in info.read_text().splitlines() if info.is_file() else ():
        if line.startswith("MemAvailable:"):
            free = 1024 * int(line.split()[1])
    limits = [Path(name).read_text().strip() for name in _CGROUPS if Path(name).is_file()]
    return min([free, *(int(limit) for limit in limits if limit.isdigit())])


def require_memory(stage: Stage, batch: int, available: int | None = None) -> None:
    """Refuse a stage that cannot fit, and say what would.

    Args:
        stage: what shall be trained.
        batch: images a step.
        available: bytes that there are; absent: asked of the machine.

    Raises:
        BadInput: a step needs more.
    """
    there = available_bytes() if available is None else available
    height, width = stage.network.spec.size
    if batch * height * width * PLENTY <= there:
        return
    needed = needed_bytes(stage, batch)
    if needed <= there:
        return
    smaller: Any = batch
    while smaller > 2 and needed_bytes(stage, smaller) > there:
        smaller //= 2
    smaller = max(smaller, 2)
    name = type(stage).__name__.lower()
    fits = needed_bytes(stage, smaller) <= there
    raise BadInput(
        f"{name} does not fit into memory",
        expected=f"at most {there / GIB:.1f} GiB",
        got=f"at least {needed / GIB:.1f} GiB with batches of {batch}",
        repair=f"set {name}.batch={smaller}, and {name}.accumulate={batch // smaller} beside it"
        if fits
        else "take a smaller input size, or fewer and lighter heads (exits.heads)",
    )
