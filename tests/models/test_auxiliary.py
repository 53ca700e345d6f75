"""Auxiliary networks: what they read, what they say, what they cost."""

import functools
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from offramp.core.errors import BadInput
from offramp.core.head import LIGHT, HeadSpec
from offramp.core.headcost import head_cost
from offramp.core.model import ModelSpec
from offramp.core.score import LEARNED, ScoreSpec
from offramp.export.graphs import write_module
from offramp.models import zoo
from offramp.models.auxiliary import WIDTH, Auxiliary, digest, learned_scores
from offramp.models.blocks import Block, profile, usual_exits
from offramp.models.count import auxiliary_share, count, count_macs, count_parameters
from offramp.models.network import build_network
from offramp.runtime.ort import load_graph, share_pool
from tests.contracts.score import plain_entropy, probabilities, smooth
from tests.scores.plain import touches

NAMES = [spec.name for spec in LEARNED]
SIZES = [(24, 40), (16, 16), (9, 11), (5, 7), (1, 1)]
SPEC = ModelSpec(name="fastscnn", names=("a", "b"), size=(64, 96), knobs={"width": 0.25})


def made(classes: int = 4, positions: int = 3, place: int = 1, seed: int = 0) -> Auxiliary:
    """Make an auxiliary network that has something to say."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        auxiliary = Auxiliary(classes, positions, place)
        auxiliary.standardise(digest(smooth(seed, 8, classes)))
        auxiliary.answer.weight.data *= 4
    return auxiliary.eval()


def plain_digest(logits: np.ndarray) -> np.ndarray:
    """Digest one image's logits C×h×w with numpy, bin by bin."""
    from scipy import ndimage

    p = probabilities(logits)
    band = ndimage.binary_dilation(touches(logits.argmax(axis=0)), np.ones((3, 3)))
    entropy = plain_entropy(logits) / np.log(len(logits))
    maps = np.stack([*p, p.max(axis=0), entropy, band, band * p.max(axis=0)])
    _, height, width = maps.shape
    bins = min(8, height, width)
    pooled = np.zeros((len(maps), bins, bins))
    for i in range(bins):
        for j in range(bins):
            rows = slice(i * height // bins, -(-(i + 1) * height // bins))
            columns = slice(j * width // bins, -(-(j + 1) * width // bins))
            pooled[:, i, j] = maps[:, rows, columns].mean(axis=(1, 2))
    return pooled


@pytest.mark.parametrize("size", SIZES)
def test_a_digest_is_what_numpy_says(size: tuple[int, int]) -> None:
    logits = smooth(3, 2, 4, size)
    found = digest(logits)
    expected = np.stack([plain_digest(image.numpy().astype(np.float64)) for image in logits])
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=2e-6)


@torch.no_grad()
def test_the_network_is_two_layers_on_cells_and_one_on_what_they_sum_to() -> None:
    auxiliary, logits = made(), smooth(5, 3)
    weights = {name: value.double().numpy() for name, value in auxiliary.state_dict().items()}
    said = auxiliary(logits)
    for n, image in enumerate(logits.numpy().astype(np.float64)):
        x = (plain_digest(image) - weights["mean"][0]) / weights["spread"][0]
        for layer in ("cells.0", "cells.2"):
            matrix = weights[f"{layer}.weight"][:, :, 0, 0]
            x = np.einsum("od,dhw->ohw", matrix, x) + weights[f"{layer}.bias"][:, None, None]
            x = np.maximum(x, 0)
        summed = np.concatenate([x.mean(axis=(1, 2)), x.max(axis=(1, 2))])
        judged = weights["answer.weight"] @ summed + weights["answer.bias"]
        sure, miou = 1 / (1 + np.exp(-judged[:2]))
        expected = dict(zip(NAMES, (sure, miou, probabilities(judged[2:])[:2].sum()), strict=True))
        for name, value in expected.items():
            assert float(said[name][n]) == pytest.approx(value, abs=2e-5), name


@torch.no_grad()
def test_each_image_is_judged_alone() -> None:
    auxiliary, logits = made(), smooth(1, 6)
    together = auxiliary(logits)
    for name in NAMES:
        assert together[name].shape == (6,)
        alone = torch.cat([auxiliary(logits[n : n + 1])[name] for n in range(6)])
        torch.testing.assert_close(together[name], alone, rtol=0, atol=1e-6)


@torch.no_grad()
def test_any_finite_logits_give_a_share() -> None:
    auxiliary = made(classes=3)
    for extreme in (0.0, 1e-40, 1.0, 1e4, 3e38):
        for size in SIZES:
            logits = extreme * torch.randn(2, 3, *size).sign()
            for name, got in auxiliary(logits).items():
                assert ((got >= 0) & (got <= 1)).all(), (name, extreme)


@torch.no_grad()
def test_the_choice_of_an_exit_adds_up_along_the_path() -> None:
    first, logits = made(positions=4, place=0), smooth(2, 5)
    weights, shares = first.state_dict(), []
    for place in range(4):
        at = Auxiliary(4, 4, place)
        at.load_state_dict(weights)
        shares.append(at(logits)["exit-choice"])
    table = torch.stack(shares)  # E×N
    assert (table.diff(dim=0) > 0).all()
    torch.testing.assert_close(table[-1], torch.ones(5))


class Scores(nn.Module):
    """Learned scores as the end of a graph."""

    def __init__(self, auxiliary: Auxiliary) -> None:
        super().__init__()
        self.auxiliary = auxiliary

    def forward(self, logits: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.auxiliary(logits)[name] for name in NAMES)


@torch.no_grad()
@pytest.mark.parametrize("size", [(24, 40), (9, 11), (1, 1)])
def test_the_engine_says_what_torch_says(size: tuple[int, int], tmp_path: Path) -> None:
    auxiliary, file = made(), tmp_path / "scores.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_module(Scores(auxiliary), (smooth(0, 1, 4, size),), file, ["logits"], NAMES)
    share_pool()
    session = load_graph(file)
    for seed in range(5):
        logits = smooth(seed, 1, 4, size, 5.0)
        for got, expected in zip(
            session.run(None, {"logits": logits.numpy()}), auxiliary(logits).values(), strict=True
        ):
            np.testing.assert_allclose(got, expected.numpy(), rtol=0, atol=1e-5)


def test_a_channel_that_never_varied_is_not_blown_up() -> None:
    auxiliary = Auxiliary(2, 2, 0)
    auxiliary.standardise(torch.full((4, 6, 8, 8), 0.25))
    assert float(auxiliary.spread.min()) == pytest.approx(0.01)
    assert float(auxiliary.mean.max()) == 0.25


def test_nothing_learned_is_nothing_computed_and_nothing_trained_is_refused() -> None:
    logits, plain = smooth(0, 1), ScoreSpec.parse("mean-top1")
    assert learned_scores(None, [plain], logits) == {}
    with pytest.raises(BadInput, match=r"score 'regressor'.*offramp learn RUN"):
        learned_scores(None, [plain, ScoreSpec("regressor")], logits)
    assert set(learned_scores(made(), [plain, ScoreSpec("regressor")], logits)) == {"regressor"}


@torch.no_grad()
def test_a_network_computes_learned_scores_beside_the_others() -> None:
    network = build_network(SPEC, {"stem": [HeadSpec()]}).eval()
    specs = (ScoreSpec.parse("mean-top1"), *LEARNED)
    state = network.advance(0, network.begin(torch.zeros(2, 64, 96, 3, dtype=torch.uint8)))
    assert network.learned == ()
    with pytest.raises(BadInput, match="offramp learn RUN"):
        network.read(0, state, "r1-b0-fcn", specs)
    before = network.read(0, state, "r1-b0-fcn", specs[:1])
    auxiliaries = network.add_auxiliaries()
    after = network.read(0, state, "r1-b0-fcn", specs)
    assert network.learned == LEARNED
    assert torch.equal(before.logits, after.logits)
    assert torch.equal(before.scores["mean-top1"], after.scores["mean-top1"])
    expected = auxiliaries.of(0, "r1-b0-fcn")(after.logits)
    assert all(torch.equal(after.scores[name], expected[name]) for name in NAMES)


def test_the_work_of_auxiliary_networks_is_counted_with_their_heads() -> None:
    network = build_network(SPEC, {"stem": [HeadSpec()]})
    bare = count(network)
    assert auxiliary_share(network) == 0
    network.add_auxiliaries()
    equipped = count(network)
    # 8×12 cells of 2 + 4 channels are averaged to 8×8 by two products with matrices.
    pooling = 6 * (8 * 8 * 12 + 8 * 12 * 8)
    macs = pooling + 64 * (6 * WIDTH + WIDTH * WIDTH) + 2 * WIDTH * (2 + 2)
    parameters = 6 * WIDTH + WIDTH + WIDTH * WIDTH + WIDTH + 2 * WIDTH * 4 + 4
    for point, name in (("stem", "r1-b0-fcn"), ("end", "own")):
        assert equipped.heads[point][name].macs - bare.heads[point][name].macs == macs
        more = equipped.heads[point][name].parameters - bare.heads[point][name].parameters
        assert more == parameters
    assert equipped.segments == bare.segments
    share = macs / bare.of([("stem", "r1-b0-fcn")]).macs
    assert auxiliary_share(network) == pytest.approx(share)
    heads = [cost for table in equipped.heads.values() for cost in table.values()]
    pieces = sum(piece.parameters for piece in (*equipped.segments, *heads))
    assert pieces == count_parameters(network)


@pytest.mark.parametrize("classes", [19, 150])
@pytest.mark.parametrize("name", [name for name in zoo.ZOO if name != "lenet"])
def test_they_cost_three_percent_at_the_most(name: str, classes: int) -> None:
    share = guarded(name, classes, 512, LIGHT)
    assert 0 < share <= 0.03


def test_they_cost_little_where_the_network_is_tiny() -> None:
    assert 0 < guarded("lenet", 10, 28, [zoo.entry("lenet").head]) <= 0.03


@functools.cache
def before_the_end(name: str, side: int) -> tuple[Block, ...]:
    """Profile the blocks with exits but the end, where alone the classes matter: here ten."""
    with torch.device("meta"):
        module = zoo.build(name, 10)
    spec = ModelSpec(name=name, names=tuple(map(str, range(10))), size=(side, side))
    return profile(module, (side, side), usual_exits(spec)).blocks[:-1]


def guarded(name: str, classes: int, side: int, heads: tuple[HeadSpec, ...]) -> float:
    """Find the largest share of an auxiliary network's work in the path to its exit's answer."""
    blocks, shares = before_the_end(name, side), []
    for place, block in enumerate(blocks):
        cells = 1 if heads[0].kind == "fc" else side // block.stride
        auxiliary = Auxiliary(classes, len(blocks) + 1, place)
        macs = count_macs(lambda a=auxiliary, n=cells: a(torch.zeros(1, classes, n, n)))
        feature = (block.channels, side // block.stride, side // block.stride)
        paths = [block.path_macs + head_cost(head, feature, classes).macs for head in heads]
        shares.append(macs / min(paths))
    return max(shares)
