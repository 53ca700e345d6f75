"""Is the loss still what it was? Watched for ever, with few false alarms in all that time.

A test that is looked at again after every new loss rejects sooner or later whatever is true. An
*e-process* does not: as long as the mean loss, given all that came before, is at most the limit, it
is a fair or losing bet, and the chance that its capital ever grows by 1/δ is at most δ (Ville's
inequality). Losses lie in [0, 1] and need not be alike or independent.
"""

from dataclasses import dataclass, field
from math import log, log1p, sqrt

from offramp.core.errors import BadInput

BOLDNESS = 0.5
"""Share of the capital that may be lost by one loss of 0: bets beyond it gain little and ruin."""

HORIZON = 50
"""How many losses a bet is fitted on, with weights that fade: a drift may begin at any time."""

PRIOR_VARIANCE = 0.25
"""Variance before any loss was seen: the largest within [0, 1]."""


@dataclass
class Drift:
    """A bet against "the mean loss is at most `limit`", after Waudby-Smith and Ramdas (2024).

    The capital is ∏ (1 + ν_t (L_t - limit)). The stakes ν_t come from the losses before alone:
    the fading mean's excess over the limit by the fading second moment about it, as in aGRAPA
    (arXiv 2010.09686, appendix B.3), at most `BOLDNESS` / limit.

    Attributes:
        limit: the mean loss that is borne, within (0, 1).
        delta: how probable a false alarm may be, in all the time to come.
        log_capital: logarithm of the capital; begins with 0.
        seen: number of losses.
    """

    limit: float
    delta: float = 0.01
    log_capital: float = 0.0
    seen: int = 0
    _excess: float = field(default=0.0, repr=False)
    _square: float = field(default=PRIOR_VARIANCE, repr=False)

    def __post_init__(self) -> None:
        _check("limit", self.limit)
        _check("delta", self.delta)

    @property
    def alarm(self) -> bool:
        """Tell whether the capital has reached 1/δ."""
        return self.log_capital >= -log(self.delta)

    def note(self, loss: float) -> bool:
        """Bet on one more loss in [0, 1]; tells whether there is an alarm.

        Raises:
            BadInput: the loss is not in [0, 1].
        """
        _check_loss(loss)
        stake = min(max(self._excess, 0.0) / self._square, BOLDNESS / self.limit)
        excess = loss - self.limit
        self.log_capital += log1p(stake * excess)
        self.seen += 1
        fade = max(1 / (self.seen + 1), 1 / HORIZON)
        self._excess += fade * (excess - self._excess)
        self._square += fade * (excess**2 - self._square)
        return self.alarm


@dataclass
class MeanBound:
    """An upper bound of the mean loss that holds at all times at once.

    The one-sided predictable plug-in empirical-Bernstein confidence sequence of Waudby-Smith and
    Ramdas (2024, arXiv 2010.09686, theorem 2). It covers the average of the conditional means
    where losses are not alike.

    Attributes:
        delta: how probable it may be that the bound is ever below the mean.
        seen: number of losses.
        mean: their plain mean.
    """

    delta: float = 0.05
    seen: int = 0
    mean: float = 0.0
    _guess: float = field(default=0.5, repr=False)
    _variance: float = field(default=PRIOR_VARIANCE, repr=False)
    _stakes: float = field(default=0.0, repr=False)
    _weighted: float = field(default=0.0, repr=False)
    _penalty: float = field(default=0.0, repr=False)
    _squares: float = field(default=PRIOR_VARIANCE, repr=False)
    _lowest: float = field(default=1.0, repr=False)

    def __post_init__(self) -> None:
        _check("delta", self.delta)

    @property
    def upper(self) -> float:
        """The smallest upper bound so far: all of them hold at once. 1 before any loss."""
        return self._lowest

    def note(self, loss: float) -> None:
        """Take one more loss in [0, 1].

        Raises:
            BadInput: the loss is not in [0, 1].
        """
        _check_loss(loss)
        t = self.seen + 1
        budget = log(1 / self.delta)
        stake = min(sqrt(2 * budget / (self._variance * t * log1p(t))), BOLDNESS)
        self._stakes += stake
        self._weighted += stake * loss
        self._penalty += (loss - self._guess) ** 2 * (-log1p(-stake) - stake)
        bound = (self._weighted + budget + self._penalty) / self._stakes
        self._lowest = min(self._lowest, bound)
        self.mean += (loss - self.mean) / t
        self.seen = t
        self._guess = (0.5 + self.mean * t) / (t + 1)
        self._squares += (loss - self._guess) ** 2
        self._variance = self._squares / (t + 1)


def _check(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise BadInput(f"a {name} that cannot be kept", expected="within (0, 1)", got=f"{value}")


def _check_loss(loss: float) -> None:
    if not 0 <= loss <= 1:
        raise BadInput("a loss that is none", expected="within [0, 1]", got=f"{loss}")
