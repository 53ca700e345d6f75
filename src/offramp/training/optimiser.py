"""Build the optimiser of a stage and the schedule of its learning rate."""

import math
from collections.abc import Iterable

from torch import nn, optim
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from offramp.training.recipe import Optimisation


def optimiser(
    parameters: Iterable[nn.Parameter], how: Optimisation, steps: int
) -> tuple[optim.Optimizer, LRScheduler]:
    """Build what `how` asks for.

    Args:
        parameters: what is trained.
        how: which optimiser and schedule.
        steps: how many steps T the stage takes.
    """
    wanted = list(parameters)
    made: optim.Optimizer
    if how.optimizer == "sgd":
        made = optim.SGD(wanted, lr=how.lr, momentum=how.momentum, weight_decay=how.weight_decay)
    else:
        kind = optim.AdamW if how.optimizer == "adamw" else optim.Adam
        made = kind(wanted, lr=how.lr, weight_decay=how.weight_decay)
    return made, LambdaLR(made, lambda step: share(how, step, steps))


def share(how: Optimisation, step: int, steps: int) -> float:
    """Say which share of the first learning rate holds at a step, from 0, of so many."""
    done = min(step / max(steps, 1), 1.0)
    if how.schedule == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    return (1 - done) ** how.power if how.schedule == "polynomial" else 1.0
