"""Auxiliary networks: small networks on an exit's prediction that decide for it (VIDEO §3.5.2).

An exit's logits at its output stride are digested without parameters: class probabilities,
confidence, entropy and edges, averaged into a few cells. A network of some hundred weights reads
the cells one by one, keeps the mean and the largest of what it found, and answers all learned
scores at once:

`classifier`   the probability that no later exit gains more than 0.1 mIoU on this image
`regressor`    this image's expected mIoU at this exit
`exit-choice`  the probability that the exit to take is this one or an earlier one: the sum up to
               here of one prediction over all positions. From 0.5 on, the median of the
               predicted exit is not later.
"""

from collections.abc import Mapping, Sequence
from math import log

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from offramp.core.errors import BadInput
from offramp.core.score import LEARNED, ScoreSpec
from offramp.models.layers import AdaptivePool
from offramp.scores.prediction import Prediction

BINS = 8
"""Cells along each side of a digest, where the prediction has as many."""

WIDTH = 16

LEAST_SPREAD = 0.01
"""What hardly ever varies in training is not blown up where it does."""


def digest_channels(classes: int) -> int:
    """Say how many channels a digest of C classes has."""
    return classes + 4


def digest(logits: Tensor) -> Tensor:
    """Boil logits N×C×h×w down to what auxiliary networks read, N×(C+4)×b×b, from 0 to 1.

    The channels are averages of the C probabilities, the largest one, entropy / log C, the band
    around the edges of the labels, and the largest probability within it.
    """
    said = Prediction(logits)
    band, top1 = said.edge_band, said.top1
    entropy = said.entropy / log(max(said.classes, 2))
    maps = torch.cat([said.probabilities, top1, entropy, band, band * top1], dim=1)
    pooled: Tensor = AdaptivePool(min(BINS, *maps.shape[-2:]))(maps)
    return pooled


class Auxiliary(nn.Module):
    """The auxiliary network of one head.

    Args:
        classes: number of classes C.
        positions: number of positions E that an image may stop at.
        place: which of them this one is, from 0.
    """

    def __init__(self, classes: int, positions: int, place: int) -> None:
        super().__init__()
        channels = digest_channels(classes)
        self.place = place
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("spread", torch.ones(1, channels, 1, 1))
        self.cells = nn.Sequential(
            nn.Conv2d(channels, WIDTH, 1), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 1), nn.ReLU()
        )
        self.answer = nn.Linear(2 * WIDTH, 2 + positions)

    def reset(self) -> None:
        """Draw the weights anew from torch's generator."""
        for part in (*self.cells, self.answer):
            if isinstance(part, nn.Conv2d | nn.Linear):
                part.reset_parameters()

    @torch.no_grad()
    def standardise(self, digests: Tensor) -> None:
        """Take mean and spread of each channel from digests N×(C+4)×b×b."""
        spread, mean = torch.std_mean(digests, dim=(0, 2, 3), keepdim=True, correction=0)
        self.mean.copy_(mean)
        self.spread.copy_(spread.clamp(min=LEAST_SPREAD))

    def judge(self, digests: Tensor) -> Tensor:
        """Judge digests N×(C+4)×b×b; N×(2+E): logits of classifier, regressor and each exit."""
        found = self.cells((digests - self.mean) / self.spread)  # N×D×b×b
        summed = torch.cat([found.mean(dim=(2, 3)), found.amax(dim=(2, 3))], dim=1)  # N×2D
        judged: Tensor = self.answer(summed)
        return judged

    def forward(self, logits: Tensor) -> dict[str, Tensor]:
        """Compute the learned scores of logits N×C×h×w, each of shape N and from 0 to 1."""
        judged = self.judge(digest(logits))
        choice = F.softmax(judged[:, 2:], dim=1)[:, : self.place + 1].sum(dim=1)  # N
        values = (judged[:, 0].sigmoid(), judged[:, 1].sigmoid(), choice.clamp(0, 1))
        return dict(zip((spec.name for spec in LEARNED), values, strict=True))


class Auxiliaries(nn.Module):
    """One auxiliary network for each head.

    Args:
        classes: number of classes C.
        heads: names of the heads at each of the E positions, in the order of the path.
    """

    def __init__(self, classes: int, heads: Sequence[Sequence[str]]) -> None:
        super().__init__()
        self.places = nn.ModuleList(
            nn.ModuleDict({name: Auxiliary(classes, len(heads), place) for name in names})
            for place, names in enumerate(heads)
        )

    def of(self, place: int, head: str) -> Auxiliary:
        """Look up the auxiliary network of a head."""
        found: Auxiliary = self.places[place][head]
        return found

    def only(self, place: int, head: str) -> "Auxiliaries":
        """Share the auxiliary network of one head, as that of the first position."""
        alone = Auxiliaries(0, ())
        alone.places.append(nn.ModuleDict({head: self.of(place, head)}))
        return alone


def learned_scores(
    auxiliary: Auxiliary | None, specs: Sequence[ScoreSpec], logits: Tensor
) -> Mapping[str, Tensor]:
    """Compute those of `specs` that are learned, each of shape N.

    Raises:
        BadInput: one is learned, and there is no network for it.
    """
    wanted = [spec.name for spec in specs if spec.learned]
    require_trained(auxiliary, specs)
    if auxiliary is None or not wanted:
        return {}
    said = auxiliary(logits)
    return {name: said[name] for name in wanted}


def require_trained(auxiliary: nn.Module | None, specs: Sequence[ScoreSpec]) -> None:
    """Refuse learned scores where there is no network for them.

    Raises:
        BadInput: one of `specs` is learned, and nothing was trained.
    """
    for spec in specs:
        if spec.learned and auxiliary is None:
            raise BadInput(
                f"nothing was trained for the learned score '{spec.name}'",
                expected="a run with auxiliary networks",
                repair="train them: offramp learn RUN",
            )
