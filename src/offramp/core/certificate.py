"""What is promised about a plan's loss, and on what grounds; `offramp.guarantees` computes it."""

from typing import Literal

from offramp.core.spec import Spec

Method = Literal["wsr", "hb"]
Units = Literal["images", "clips"]
Quantity = Literal["miou", "disagreement"]


class Certificate(Spec):
    """What was promised, and on what grounds; or that nothing can be, and what it would take.

    Attributes:
        index: the last configuration that was certified; None if none was, then the full network
            has to run, which loses nothing.
        limit: the mean loss that is not exceeded.
        confidence: probability with which the promise holds.
        method: of the p-values.
        units: what counts once.
        n: how many units there were.
        dropped: images left out because they have no labelled pixel.
        seed: of the order in which the units were tested.
        p_values: of the configurations tested; the last is the first above 1 - confidence, unless
            all were certified.
        loss: mean loss on these units of the configuration `index`, or of the first if none was
            certified.
        bound: upper confidence bound on the mean loss of the same configuration. It would be a
            promise for a configuration fixed beforehand; these units have picked this one, so
            that the promise is `limit`.
        needed: how many units like these would certify the configuration at which testing
            stopped; None if all were certified, or no number up to a million would do.
    """

    index: int | None
    limit: float
    confidence: float
    method: Method
    units: Units
    n: int
    dropped: int
    seed: int
    p_values: tuple[float, ...]
    loss: float
    bound: float
    needed: int | None


class MeanControl(Spec):
    """The riskiest configuration whose mean loss keeps to the limit on average.

    Attributes:
        index: that configuration; None if there is none, then the full network has to run.
        limit: the mean loss that is not exceeded on average.
        units: what counts once.
        n: how many units there were.
        dropped: images left out because they have no labelled pixel.
        loss: mean of the growing losses at `index`, or at the first configuration if there is
            none.
        bound: the same with one more unit of loss 1: (n loss + 1) / (n + 1).
        needed: how many units with the same mean would allow the configuration after `index`;
            None if all are allowed, or no number would do.
    """

    index: int | None
    limit: float
    units: Units
    n: int
    dropped: int
    loss: float
    bound: float
    needed: int | None


class Promise(Certificate):
    """The certificate of a plan.

    Attributes:
        quantity: the loss whose mean over images is promised: "miou", the image's mIoU by the
            full network minus that by the plan; "disagreement", the share of its pixels whose
            label is another than the full network's.
        searched: images on which the designs were found; others than the `n` units.
        designs: how many were to be tested, the safest first; `index` is one of them.
        average: what conformal risk control, which states no confidence, makes of them.
    """

    quantity: Quantity
    searched: int
    designs: int
    average: MeanControl

    def __str__(self) -> str:
        limit = f"{100 * self.limit:g}"
        if self.quantity == "miou":
            what = f"on average an image's mIoU is at most {limit} pp below the full network's"
        else:
            what = (
                f"on average at most {limit} % of the pixels are labelled unlike the full network"
            )
        return f"with confidence {self.confidence:g}: {what}"
