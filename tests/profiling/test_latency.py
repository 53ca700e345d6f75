"""The cost table: counted work, and a time for every piece."""

from pathlib import Path

import numpy as np

from offramp.core.bundle import Bundle
from offramp.core.costs import Costs
from offramp.core.head import HeadSpec
from offramp.core.model import ModelSpec
from offramp.core.plan import Plan, PlannedExit
from offramp.export import export
from offramp.models.count import count
from offramp.models.network import MultiExitNetwork, build_network
from offramp.profiling.latency import measure


def untimed(costs: Costs) -> Costs:
    def still(cost: object) -> object:
        return cost.model_copy(update={"latency_ms": 0.0, "bytes": 0})  # type: ignore[attr-defined]

    heads = {p: {n: still(c) for n, c in table.items()} for p, table in costs.heads.items()}
    return costs.model_copy(
        update={
            "segments": tuple(still(cost) for cost in costs.segments),
            "heads": heads,
            "decode": still(costs.decode),
            "engine": {},
        }
    )


def test_measuring_counts_what_counting_counts(costs: Costs, network: MultiExitNetwork) -> None:
    assert untimed(costs) == count(network)


def test_every_piece_has_a_time_a_file_and_a_peak(costs: Costs) -> None:
    heads = [cost for table in costs.heads.values() for cost in table.values()]
    pieces = [*costs.segments, *heads, costs.decode]
    assert len(pieces) == 4 + 7 + 1
    assert all(cost.latency_ms > 0 for cost in pieces)
    assert all(cost.bytes > 4 * cost.parameters * 0.9 for cost in pieces)
    assert all(cost.bytes > 0 and cost.memory > 0 for cost in pieces)


def test_decoding_counts_no_work(costs: Costs) -> None:
    assert costs.decode.macs == costs.decode.parameters == 0


def test_the_engine_is_described(costs: Costs) -> None:
    assert costs.engine["engine"].startswith("onnxruntime ")
    assert costs.engine["threads"] == "1"
    assert set(costs.engine) >= {"machine", "processor", "cores"}


def test_costs_read_back(costs: Costs) -> None:
    assert Costs.parse(costs.model_dump(mode="json"), "costs.json") == costs


def graph_bytes(bundle: Bundle) -> int:
    return sum(file.stat().st_size for file in bundle.folder.glob("*.onnx"))


def within_what_is_repeated(costs: Costs, exits: list[tuple[str, str]], actual: int) -> None:
    """The estimate is too high by what graphs repeat: at most an own head for each one merged."""
    merged = len(costs.points) - len({point for point, _ in [*exits, ("end", "own")]})
    over = costs.bundle_bytes(exits) - actual
    assert -2_000 <= over <= 2_000 + merged * costs.heads["end"]["own"].bytes


def test_the_weight_of_bundles_is_foretold(
    costs: Costs, plan: Plan, bundle: Bundle, short_plan: Plan, short_bundle: Bundle
) -> None:
    for planned, written in ((plan, bundle), (short_plan, short_bundle)):
        exits = [(e.point, e.head) for e in planned.exits]
        within_what_is_repeated(costs, exits, graph_bytes(written))


def test_the_weight_of_lenet_s_bundle_is_foretold_to_the_kilobyte(
    short_plan: Plan, tmp_path: Path
) -> None:
    spec = ModelSpec(name="lenet", names=tuple("0123456789"), size=(28, 28))
    head = HeadSpec(kind="fc")
    lenet = build_network(spec, {"block1": [head], "block2": [head]}).eval()
    exits = [("block1", "fc"), ("block2", "fc"), ("end", "own")]
    planned = tuple(PlannedExit(point=point, head=name) for point, name in exits)
    plan = short_plan.model_copy(update={"exits": planned, "size": (28, 28)})
    frames = [np.random.default_rng(3).integers(0, 256, (28, 28, 3), dtype=np.uint8)]
    written = export(lenet, plan, frames, tmp_path / "lenet.offramp")
    costs = measure(lenet, rounds=1, warm_up=0)
    assert abs(costs.bundle_bytes(exits) - graph_bytes(written)) < 1_000
