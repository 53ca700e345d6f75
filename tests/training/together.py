"""What `test_distributed` lets two processes do; each leaves what it found as RANK.pt."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from offramp.core.errors import BadInput
from offramp.core.progress import Track
from offramp.training import peers

IMAGES = 6


class Small(nn.Module):
    """Layers that all processes use, one that only the first uses, and one that none uses."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.all = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 3))
            self.some, self.none = nn.Conv2d(2, 1, 1), nn.Conv2d(2, 1, 1)
        self.trained, self.frozen = nn.BatchNorm2d(2), nn.BatchNorm2d(2).eval()

    def loss(self, images: torch.Tensor) -> torch.Tensor:
        return self.all(images).square().mean()


def images() -> torch.Tensor:
    return torch.randn(IMAGES, 2, 8, 8, generator=torch.Generator().manual_seed(1))


def meet(folder: Path, track: Track) -> None:
    """Average and add up; then the second process fails while the first waits for it."""
    rank, network = peers.rank(), Small()
    network.loss(images()[rank :: peers.count()]).backward()
    if rank == 0:
        network.some(images()).mean().backward()
    peers.mean_gradients(network.parameters())
    for layer in (network.trained, network.frozen):
        layer.running_mean.fill_(1.0 + 2 * rank)
    peers.mean_statistics(network)
    counts = peers.total(np.array([[rank, 2**60 + rank]]), torch.device("cpu"))
    found = {
        "gradients": {name: p.grad for name, p in network.named_parameters()},
        "means": [network.trained.running_mean, network.frozen.running_mean],
        "counts": counts.tolist(),
    }
    torch.save(found, folder / f"{rank}.pt")
    for _ in track(range(5), 5, "waiting"):
        pass
    peers.wait()
    if rank == 1:
        raise BadInput("the second process is out of luck")
    peers.wait()
