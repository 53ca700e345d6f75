"""What a network is fed: colour or luma, and the least padding that it takes."""

import pytest
import torch
from torch import Tensor, nn

from offramp.core.errors import BadInput
from offramp.models import zoo
from offramp.models.intake import Intake, find_intake


class Picky(nn.Module):
    """Takes sides that are multiples of `multiple` only."""

    def __init__(self, multiple: int, channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2, 1)
        self.multiple = multiple

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] % self.multiple or x.shape[-2] % self.multiple:
            raise ValueError(f"sides must be multiples of {self.multiple}")
        return self.conv(x)


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("multiple", [1, 2, 4, 8, 16, 32, 64, 128, 3])
def test_the_least_multiple_is_found(multiple: int, channels: int) -> None:
    size = (45, 100) if multiple != 3 else (45, 99)
    wanted = tuple(-(-side // multiple) * multiple for side in size)
    assert find_intake(Picky(multiple, channels), size) == Intake(channels, wanted)


@pytest.mark.parametrize("size", [(64, 96), (256, 128)])
def test_what_fits_is_not_padded(size: tuple[int, int]) -> None:
    assert find_intake(Picky(32), size) == Intake(3, size)


@pytest.mark.parametrize(
    ("name", "size", "wanted"),
    [
        ("fastscnn", (61, 95), (61, 95)),
        ("lenet", (28, 28), (28, 28)),
        ("hrnet_w18_small_v2", (65, 95), (96, 96)),
    ],
)
def test_networks_of_the_zoo(name: str, size: tuple[int, int], wanted: tuple[int, int]) -> None:
    with torch.device("meta"):
        module = zoo.build(name, 3)
    assert find_intake(module, size) == Intake(1 if name == "lenet" else 3, wanted)


def test_colour_comes_before_luma() -> None:
    class Either(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean(1, keepdim=True)

    assert find_intake(Either(), (16, 16)).channels == 3


def test_a_network_that_fails_on_everything_says_why_itself() -> None:
    with pytest.raises(BadInput, match=r"Picky cannot be run on an image of 20x10; expected .*"
                       "N×3×H×W.*; got sides must be multiples of 999"):  # fmt: skip
        find_intake(Picky(999), (10, 20))


def test_the_reason_is_that_of_the_plain_image() -> None:
    with pytest.raises(BadInput, match="to have 5 channels, but got 3 channels"):
        find_intake(nn.Conv2d(5, 2, 1), (16, 16))


class Branching(nn.Module):
    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) if x.sum() > -1 else self.conv(-x)


def test_one_that_looks_at_values_is_run_as_it_is() -> None:
    module = Branching().train()
    assert find_intake(module, (17, 19)) == Intake(3, (17, 19))
    assert module.training
    with pytest.raises(BadInput, match="Branching cannot be run"):
        find_intake(Branching(7), (17, 19))


def test_trying_changes_nothing() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout()).train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    find_intake(module, (16, 16))
    assert all(part.training for part in module.modules())
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_a_network_that_is_not_complete_is_refused_unharmed() -> None:
    module = nn.Sequential(nn.LazyConv2d(4, 1))
    with pytest.raises(BadInput, match="without a shape; run it once on an image"):
        find_intake(module, (16, 16))
    module(torch.zeros(1, 3, 16, 16))
    assert find_intake(module, (16, 16)) == Intake(3, (16, 16))


def test_a_sample_is_like_the_parameters() -> None:
    module = nn.Conv2d(1, 2, 1, dtype=torch.float64)
    sample = Intake(1, (8, 12)).sample(module)
    assert sample.shape == (1, 1, 8, 12)
    assert sample.dtype == torch.float64
    assert Intake(3, (8, 12)).sample(nn.ReLU()).dtype == torch.float32
    assert not Intake(3, (8, 12)).of_any_size(False).any_size
