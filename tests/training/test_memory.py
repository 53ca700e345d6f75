"""What a step needs is known before it is taken; what cannot fit is refused with the repair."""

import pytest
import torch

from offramp.core.errors import BadInput
from offramp.training.memory import PLENTY, available_bytes, needed_bytes, require_memory
from offramp.training.recipe import Distillation, Pretraining
from offramp.training.run import Run
from offramp.training.stages import Stage, Stage1, Stage2


@pytest.fixture(params=["stage1", "stage2"])
def stage(run: Run, request: pytest.FixtureRequest) -> Stage:
    network = run.plain_network()
    if request.param == "stage1":
        return Stage1(network, Pretraining(), None)
    return Stage2(network.with_heads(run.exits), Distillation(), None)


def really_kept(stage: Stage, batch: int) -> int:
    """Propagate a real batch forward; the most bytes that a part keeps for its way back."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    most = 0
    images = torch.zeros(batch, *stage.network.spec.size, 3, dtype=torch.uint8)
    labels = torch.zeros(batch, *stage.network.spec.size, dtype=torch.int64)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        for part in stage.train().losses(images, labels, 0):
            most = max(most, sum(kept.values()))
            kept.clear()
            del part
    return most


def test_the_estimate_is_what_a_real_step_keeps(stage: Stage) -> None:
    weights = sum(p.numel() for p in stage.network.parameters())
    trained = sum(p.numel() for p in stage.trained())
    estimated = needed_bytes(stage, 6) - 4 * weights - 12 * trained
    assert estimated == pytest.approx(really_kept(stage, 6), rel=0.1)


def test_it_grows_with_the_batch_and_leaves_no_trace(stage: Stage) -> None:
    before = {name: value.clone() for name, value in stage.network.state_dict().items()}
    mode = {name: part.training for name, part in stage.named_modules()}
    two, eight = needed_bytes(stage, 2), needed_bytes(stage, 8)
    assert two < eight < 4 * two
    assert mode == {name: part.training for name, part in stage.named_modules()}
    assert all(torch.equal(before[k], v) for k, v in stage.network.state_dict().items())
    assert all(parameter.grad is None for parameter in stage.parameters())


def test_what_cannot_fit_is_refused_with_a_batch_that_can(stage: Stage) -> None:
    name = type(stage).__name__.lower()
    need = needed_bytes(stage, 4)
    require_memory(stage, 4, need)
    with pytest.raises(BadInput, match=rf"{name} does not fit.*{name}.batch=2.*accumulate=2"):
        require_memory(stage, 4, need - 1)
    with pytest.raises(BadInput, match="take a smaller input size, or fewer and lighter heads"):
        require_memory(stage, 4, 1000)


def test_nothing_is_estimated_where_there_is_plenty(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offramp.training.memory.needed_bytes", None)
    height, width = stage.network.spec.size
    require_memory(stage, 4, 4 * height * width * PLENTY)
    assert available_bytes() > 0
