"""A head's architecture as four small choices (MESS eq. 1), and its short name.

`r2-b3-rapid-fcn` reads: channels divided by 2, three extra blocks, dilation doubling at each
block, FCN head. A parsed name and a built specification are the same thing; files hold names.
Beside these, `fc` is one fully connected layer, for networks that classify whole images.
"""

import re
from dataclasses import dataclass
from itertools import product
from typing import Literal

from offramp.core.errors import BadInput, UnknownName

Kind = Literal["fcn", "dlb", "fc"]
REDUCTIONS = (1, 2, 4, 8)
BLOCKS = (0, 1, 2, 3)
OWN = "own"
"""The name of the network's own head, which sits at its last exit."""

_NAME = re.compile(r"r([1248])-b([0-3])(-rapid)?-(fcn|dlb)")


@dataclass(frozen=True, order=True)
class HeadSpec:
    """One architecture of MESS eq. 1, or the fully connected one.

    Attributes:
        reduction: a 1×1 convolution divides the channels by this; 1 leaves it out.
        blocks: trainable 3×3 blocks after it.
        rapid: the dilation doubles at each block (2, 4, 8) instead of staying 1.
        kind: "fcn" (3×3 to a quarter of the channels, 1×1 to classes), "dlb" (DeepLabV3), or
            "fc" (one fully connected layer, which has neither reduction nor blocks).
    """

    reduction: int = 1
    blocks: int = 0
    rapid: bool = False
    kind: Kind = "fcn"

    def __post_init__(self) -> None:
        if self.reduction not in REDUCTIONS or self.blocks not in BLOCKS:
            raise BadInput(
                "no such head",
                expected=f"reduction in {REDUCTIONS} and blocks in {BLOCKS}",
                got=f"{self.reduction} and {self.blocks}",
            )
        if self.kind == "fc" and (self.reduction, self.blocks) != (1, 0):
            raise BadInput(
                "no such head",
                expected="reduction 1 and blocks 0 with kind 'fc'",
                got=f"{self.reduction} and {self.blocks}",
            )
        if self.rapid and not self.blocks:
            # Without blocks there is no dilation to raise: such twins count once.
            object.__setattr__(self, "rapid", False)

    @property
    def name(self) -> str:
        """The short name, such as "r2-b3-rapid-fcn"."""
        if self.kind == "fc":
            return "fc"
        return f"r{self.reduction}-b{self.blocks}{'-rapid' if self.rapid else ''}-{self.kind}"

    def width(self, d_in: int) -> int:
        """Tell how many channels the blocks have, of the `d_in` that enter."""
        return max(d_in // self.reduction, 4)  # so that the FCN head's quarter keeps one channel

    def reduces(self, d_in: int) -> bool:
        """Tell whether a 1×1 convolution leads from the `d_in` channels to those of the blocks."""
        return self.reduction > 1 or self.width(d_in) != d_in

    @classmethod
    def parse(cls, name: str) -> "HeadSpec":
        """Read a short name.

        Raises:
            UnknownName: `name` is neither the name of one of the 56 architectures nor "fc".
        """
        if name == "fc":
            return cls(kind="fc")
        match = _NAME.fullmatch(name)
        if match is None:
            raise UnknownName("head", name, [*(spec.name for spec in FULL), "fc"])
        reduction, blocks, rapid, kind = match.groups()
        return cls(
            int(reduction), int(blocks), rapid is not None, "dlb" if kind == "dlb" else "fcn"
        )


PLAIN = HeadSpec()
"""The FCN head alone: what stage 1 trains at every exit."""

CLASSIFIER = HeadSpec(kind="fc")
"""The only head of networks that classify whole images."""


def _full() -> tuple[HeadSpec, ...]:
    kinds: tuple[Kind, ...] = ("fcn", "dlb")
    space = product(REDUCTIONS, BLOCKS, (False, True), kinds)
    return tuple(dict.fromkeys(HeadSpec(r, b, rapid, kind) for r, b, rapid, kind in space))


FULL: tuple[HeadSpec, ...] = _full()
"""All 56 distinct architectures of MESS eq. 1 at a position."""

LIGHT: tuple[HeadSpec, ...] = tuple(
    HeadSpec.parse(name)
    for name in (
        "r1-b0-fcn",
        "r4-b0-fcn",
        "r2-b1-fcn",
        "r4-b2-rapid-fcn",
        "r2-b2-rapid-fcn",
        "r2-b3-rapid-fcn",
    )
)
"""Six FCN architectures from feather-light to strong: for small networks and short training."""
