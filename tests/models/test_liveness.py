"""What is alive at once, by hand on small computations."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from offramp.models.liveness import Liveness

X = torch.zeros(1, 3, 10, 10)
"""An image of 1200 bytes."""


def peak(run: Callable[[Tensor], Tensor], kept: tuple[Tensor, ...] = ()) -> int:
    with torch.no_grad(), Liveness() as alive:
        result = run(X)
    return alive.peak([X], [result, *kept])


@pytest.mark.parametrize(("wide", "out"), [(8, 2), (2, 8), (1, 1)])
def test_convolution_relu_convolution(wide: int, out: int) -> None:
    net = nn.Sequential(nn.Conv2d(3, wide, 1), nn.ReLU(), nn.Conv2d(wide, out, 1))
    assert peak(net) == 400 * max(3 + wide, wide + wide, wide + out)


def test_what_is_kept_stays_and_what_is_not_goes() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 6, 1), nn.Conv2d(6, 5, 1))
    assert peak(net) == 400 * (6 + 5)
    assert peak(net, kept=(X,)) == 400 * (3 + 6 + 5)


def test_a_residual_waits_for_its_sum() -> None:
    conv = nn.Conv2d(3, 3, 1)
    assert peak(lambda x: x + conv(conv(x))) == 400 * (3 + 3 + 3)


def test_views_and_operations_in_place_cost_nothing() -> None:
    assert peak(lambda x: x.permute(0, 2, 3, 1).reshape(-1, 3).t()) == 1200
    assert peak(lambda x: (x * 2).relu_().mul_(3)) == 2400


def test_indices_that_nobody_reads_do_not_count() -> None:
    assert peak(nn.MaxPool2d(2)) == 1200 + 300


def test_weights_do_not_count() -> None:
    assert peak(nn.Conv2d(3, 1, 1)) == 400 * (3 + 1)
    norm = nn.BatchNorm2d(3).eval()
    assert peak(norm) == 400 * (3 + 3)


def test_nothing_done_keeps_what_is_there() -> None:
    assert peak(nn.Identity()) == 1200


def test_an_address_used_again_is_another_tensor() -> None:
    def chain(x: Tensor) -> Tensor:
        for _ in range(50):
            x = x + 1  # the allocator hands the same block out again and again
        return x

    assert peak(chain) == 2 * 1200
