"""Train the auxiliary networks of a finished run: predictions and truth to learned scores.

The network is frozen. It answers each image once, as it is. Of every head, the digests of its
predictions and the image's mIoU are kept, and from these alone its auxiliary network learns, in
seconds. Interrupted, it begins again.

Images are not augmented: crops have other shares of classes and other mIoU than what the exits
will see.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from offramp.core.errors import BadInput, DataFault
from offramp.core.model import ModelSpec
from offramp.core.progress import Track, silent
from offramp.data.dataset import Dataset
from offramp.data.images import resize_image
from offramp.data.sample import Sample
from offramp.metrics.confusion import intersections_unions, mean_iou
from offramp.models.auxiliary import BINS, Auxiliary, digest, digest_channels
from offramp.models.network import MultiExitNetwork
from offramp.policies.learned import Exit, Targets, targets
from offramp.policies.targets import labelled
from offramp.training.run import Run, save_weights

SPLITS = ("train", "val")
"""Images that may be learned from. Thresholds are fitted on others."""

MOST_IMAGES, MOST_BYTES = 4000, 1 << 30
"""How many images are shown at the most, and the memory that their digests may take."""

STEPS, BATCH, RATE, DECAY = 600, 64, 1e-2, 1e-2


def learn(run: Run, split: str = "train", track: Track = silent) -> MultiExitNetwork:
    """Train an auxiliary network for every head, and write them into the run.

    Args:
        run: a run trained to its end.
        split: which images to learn from, "train" or "val".
        track: shows progress.

    Returns:
        The run's network, with them.

    Raises:
        BadInput: the run is not trained to its end, or the split is for something else.
        DataFault: an image or mask cannot be read, or none has a labelled pixel.
    """
    if split not in SPLITS:
        raise BadInput(
            f"'{split}' is not to be learned from",
            expected=" or ".join(SPLITS),
            repair="keep the other images for thresholds and for the test",
        )
    network = run.load_network()
    seen = _observe(network, run.dataset, split, track)
    auxiliaries = network.add_auxiliaries()
    with torch.random.fork_rng(devices=[]):
        for row, exit_ in track(enumerate(seen.exits), len(seen.exits), "learning scores"):
            torch.manual_seed(run.recipe.seed)
            told = targets(seen.exits, seen.gains, row)
            auxiliary = auxiliaries.of(told.place, exit_[1])
            auxiliary.reset()
            _fit(auxiliary, seen.digests[exit_], told)
    save_weights(auxiliaries, run.auxiliary_file)
    return network


@dataclass(frozen=True)
class _Seen:
    """What each of E heads said of M labelled images: digests M×D×b×b, and mIoU E×M."""

    exits: tuple[Exit, ...]
    digests: dict[Exit, Tensor]
    gains: NDArray[np.float64]


@torch.no_grad()
def _observe(network: MultiExitNetwork, data: Dataset, split: str, track: Track) -> _Seen:
    """Read every head on images one by one; mIoU is at the masks' own size, as in a trace."""
    exits = tuple((point, head) for point in network.points for head in network.head_names(point))
    digests: dict[Exit, list[Tensor]] = {exit_: [] for exit_ in exits}
    spec, gains = network.spec, []
    samples = _spread(data.samples(split), len(exits), spec)
    for sample in track(samples, len(samples), f"reading {split}"):
        image, truth = data.read(sample)
        state = network.begin(torch.from_numpy(resize_image(image, spec.size).copy())[None])
        gained = []
        for index, point in enumerate(network.points):
            state = network.advance(index, state)
            for head in network.head_names(point):
                logits = network.read(index, state, head).logits
                digests[point, head].append(digest(logits))
                labels = network.decode(logits, truth.shape)[0].numpy()
                counts = intersections_unions(labels, truth, spec.classes, spec.ignore_index)
                gained.append(float(mean_iou(*counts)))
        gains.append(gained)
    table = np.array(gains).T  # E×M
    kept = labelled(table)
    if not kept.any():
        raise DataFault("no image has a labelled pixel, so there is nothing to learn from")
    chosen = torch.from_numpy(kept)
    return _Seen(exits, {e: torch.cat(d)[chosen] for e, d in digests.items()}, table[:, kept])


def _spread(samples: Sequence[Sample], heads: int, spec: ModelSpec) -> list[Sample]:
    """Keep all images, or evenly spread ones if those are too many."""
    bytes_each = 4 * heads * digest_channels(spec.classes) * BINS**2
    most = max(1, min(MOST_IMAGES, MOST_BYTES // bytes_each))
    rows = np.linspace(0, len(samples) - 1, min(most, len(samples))).round()
    return [samples[int(n)] for n in rows]


def _fit(auxiliary: Auxiliary, digests: Tensor, told: Targets) -> None:
    """Train one auxiliary network on digests M×D×b×b.

    Cross-entropy against a share is least at the share that is to be expected: it serves the
    regressor too.
    """
    shares = torch.from_numpy(np.stack([told.good, told.miou], axis=1)).float()  # M×2
    exits = torch.from_numpy(told.exit)
    auxiliary.standardise(digests)
    optimizer = torch.optim.AdamW(auxiliary.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, STEPS)
    for _ in range(STEPS):
        chosen = torch.randint(len(digests), (min(BATCH, len(digests)),))
        judged = auxiliary.judge(digests[chosen])
        loss = F.binary_cross_entropy_with_logits(judged[:, :2], shares[chosen])
        loss = loss + F.cross_entropy(judged[:, 2:], exits[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
