"""The cost table: counted work, and a time for every piece."""

from offramp.core.costs import Costs
from offramp.models.count import count
from offramp.models.network import MultiExitNetwork


def untimed(costs: Costs) -> Costs:
    def still(cost: object) -> object:
        return cost.model_copy(update={"latency_ms": 0.0})  # type: ignore[attr-defined]

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


def test_every_piece_has_a_time(costs: Costs) -> None:
    heads = [cost for table in costs.heads.values() for cost in table.values()]
    pieces = [*costs.segments, *heads, costs.decode]
    assert len(pieces) == 4 + 7 + 1
    assert all(cost.latency_ms > 0 for cost in pieces)


def test_decoding_counts_no_work(costs: Costs) -> None:
    assert costs.decode.macs == costs.decode.parameters == 0


def test_the_engine_is_described(costs: Costs) -> None:
    assert costs.engine["engine"].startswith("onnxruntime ")
    assert costs.engine["threads"] == "1"
    assert set(costs.engine) >= {"machine", "processor", "cores"}


def test_costs_read_back(costs: Costs) -> None:
    assert Costs.parse(costs.model_dump(mode="json"), "costs.json") == costs
