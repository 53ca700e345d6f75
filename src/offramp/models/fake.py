"""Run a module on an image without values, and leave no trace of that in the module."""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

CONSTANT = "_tensor_constant"
"""How `torch.fx` calls a tensor that a forward makes out of nothing; it puts it on the root."""


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode for a while.

    Afterwards every part has its own mode back, and forgets what its forward put aside.
    """
    restore = remembered(module)
    module.eval()
    try:
        yield
    finally:
        restore()


def remembered(module: nn.Module) -> Callable[[], None]:
    """Note the attributes of all parts, and what the collections among them hold.

    Returns:
        a function that brings all of it back, but for the constants of a trace.
    """
    before = [(part, dict(part.__dict__)) for part in module.modules()]
    collections: dict[int, tuple[Any, Any]] = {}
    waiting = [value for _, attributes in before for value in attributes.values()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list | set | deque) and id(value) not in collections:
            collections[id(value)] = (value, copy(value))
            waiting.extend(value.values() if isinstance(value, dict) else value)

    def restore() -> None:
        for part, attributes in before:
            constants = {k: v for k, v in part.__dict__.items() if k.startswith(CONSTANT)}
            part.__dict__.clear()
            part.__dict__.update(constants | attributes)
        for value, content in collections.values():
            value.clear()
            value.extend(content) if isinstance(value, list | deque) else value.update(content)

    return restore


@contextmanager
def faking(mode: FakeTensorMode) -> Iterator[None]:
    """Compute on fake tensors; a failure is raised but not logged, since it may be expected."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with mode, _ShapesOfBatchNorm():
            yield
    finally:
        log.setLevel(level)


class _ShapesOfBatchNorm(TorchFunctionMode):
    """Let batch norm give the shape of its input: fake tensors take milliseconds to find it out."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.nn.functional.batch_norm:
            return torch.empty_like(args[0])
        return func(*args, **(kwargs or {}))


def fake_run(module: nn.Module, image: Tensor) -> Any:
    """Run a module in eval mode on an image without values; what it gives has shapes only."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with frozen(module), torch.no_grad(), faking(mode):
        return module(mode.from_tensor(image))


def reason(error: BaseException) -> str:
    """Say in one line why something failed."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
