"""Find out what a network can be fed: colour or luma, and which size."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from offramp.core.errors import BadInput
from offramp.core.model import Size, format_size
from offramp.models.fake import fake_run, frozen, reason

MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128)
"""To which multiples the sides of an image are rounded up, until the network takes it."""


@dataclass(frozen=True)
class Intake:
    """What a network is fed.

    Attributes:
        channels: 3 for RGB, 1 for luma.
        size: height and width in pixels, padding included.
        any_size: whether it takes images of other sizes too.
    """

    channels: int
    size: Size
    any_size: bool = True

    def of_any_size(self, any_size: bool) -> "Intake":
        """Tell whether other sizes may enter."""
        return replace(self, any_size=any_size)

    def sample(self, module: nn.Module) -> Tensor:
        """Make a blank image 1×D×H×W where the module's parameters are."""
        like = next(module.parameters(), torch.zeros(0))
        return like.new_zeros(1, self.channels, *self.size)


def find_intake(module: nn.Module, size: Size) -> Intake:
    """Try a network on images that are at least `size`; the least padding that works counts.

    Args:
        module: the network.
        size: height and width in pixels of the images that it shall answer.

    Raises:
        BadInput: it fails on all of them, or is not yet complete.
    """
    if any(is_lazy(parameter) for parameter in module.parameters()):
        raise BadInput(
            f"{type(module).__name__} has parameters without a shape",
            repair="run it once on an image before",
        )
    fault: Exception | None = None
    first = next((m.in_channels for m in module.modules() if isinstance(m, nn.Conv2d)), 3)
    with torch.inference_mode(False), torch.no_grad():
        for channels in (1, 3) if first == 1 else (3, 1):
            for multiple in MULTIPLES:
                intake = Intake(channels, _rounded_up(size, multiple))
                try:
                    fake_run(module, intake.sample(module))
                except Exception as error:  # a foreign forward may raise anything
                    fault = fault or error
                else:
                    return intake
        try:  # a forward that looks at values cannot run on fake tensors
            with frozen(module):
                module(Intake(3, size).sample(module))
        except Exception as error:  # here too
            raise BadInput(
                f"{type(module).__name__} cannot be run on an image of {format_size(size)}",
                expected="a module that maps N×3×H×W or N×1×H×W to logits",
                got=reason(fault or error),
            ) from error
    return Intake(3, size)


def _rounded_up(size: Size, multiple: int) -> Size:
    height, width = (-(-side // multiple) * multiple for side in size)
    return height, width
