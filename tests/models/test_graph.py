"""Tracing looks into what is merely composed, leaves the rest whole, and leaves no trace."""

import functools
import math
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from offramp.core.errors import BadInput, UnknownName
from offramp.models.fake import fake_run, frozen, reason
from offramp.models.graph import Traced, main_output, nodes_in, trace
from offramp.models.intake import find_intake
from offramp.models.split import IMAGE, cut

SAMPLE = torch.zeros(1, 3, 16, 16)
OTHERS = [(1, 3, 16, 16), (3, 3, 16, 16), (2, 3, 24, 20)]


class Block(nn.Module):
    """A convolution within a module that is composed of it, and what `run` makes of both."""

    def __init__(self, run: Callable[..., Any] | None = None, d_in: int = 4) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(d_in, 4, 3, padding=1))
        self.run = run or (lambda m, x: m.inner(x))

    def forward(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return self.run(self, x, *args, **kwargs)


class Net(nn.Module):
    """A small `block` between `first` and `bulk`, which holds most of the parameters."""

    def __init__(self, block: nn.Module | None = None, run: Callable[..., Any] | None = None):
        super().__init__()
        self.first = Block(d_in=3)
        self.block = block if block is not None else Block()
        self.bulk = nn.Sequential(*(nn.Conv2d(4, 4, 3, padding=1) for _ in range(9)))
        self.last = nn.Conv2d(4, 2, 1)
        self.run = run or (lambda m, x: m.last(m.bulk(m.block(m.first(x)))))

    def forward(self, x: Tensor, scale: float = 1.0, *args: Any, flag: bool = True) -> Any:
        return self.run(self, x)


@torch.no_grad()
def assert_sound(module: nn.Module, points: list[str], any_size: bool = True) -> Traced:
    """Assert that the pieces answer as the module does, at other sizes and batches too."""
    parts = cut(module, points, SAMPLE)
    module.eval()
    assert parts.any_size == any_size
    for shape in OTHERS if any_size else OTHERS[:2]:
        image = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
        values = {IMAGE: image}
        for piece in parts.pieces:
            given = piece.module(*(values[name] for name in piece.takes))
            values.update(zip(piece.gives, given, strict=True))
        assert torch.equal(given[0], main_output(module(image.clone()), None))
    traced = trace(module, SAMPLE, points)
    traced.graph.lint()
    return traced


def steps(traced: Traced) -> list[str]:
    return [str(node.target) for node in traced.graph.nodes if node.op == "call_module"]


# ------------------------------------------------------------------------------ what is seen into


def shuffled(m: Block, x: Tensor) -> Tensor:
    n, d, h, w = x.shape
    return m.inner(x.view(n, d // 2, 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w))


def swapped(m: Block, x: Tensor) -> Tensor:
    one, two = x.chunk(2, 1)
    return m.inner(torch.cat([two, one], 1))


def constant(m: Block, x: Tensor) -> Tensor:
    return m.inner(x) * torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1).to(x)


def best(m: Block, x: Tensor) -> Tensor:
    found = x.max(1, keepdim=True)
    return m.inner(x - found.values + found[0] + found.indices)


OPEN: dict[str, Callable[..., Tensor]] = {
    "shape": lambda m, x: F.interpolate(m.inner(x), size=x.shape[-2:]),
    "size": lambda m, x: m.inner(x).reshape(x.size(0), -1, *x.size()[2:]),
    "arithmetic": lambda m, x: m.inner(F.pad(x, (0, (4 - x.shape[3] % 4) % 4)))[..., : x.shape[3]],
    "math": lambda m, x: F.interpolate(m.inner(x), size=(math.ceil(x.shape[2] / 1), x.shape[3])),
    "new": lambda m, x: m.inner(x) + x.new_ones(x.shape) + torch.zeros_like(x),
    "of-size": lambda m, x: m.inner(x) + torch.ones((x.shape[2], x.shape[3]), device=x.device),
    "arange": lambda m, x: m.inner(x) + torch.arange(x.shape[3], dtype=x.dtype),
    "tokens": lambda m, x: m.inner(x.flatten(2).transpose(1, 2).transpose(1, 2).view(x.shape)),
    "ndim": lambda m, x: m.inner(x) if x.ndim == x.dim() == len(x.shape) == 4 else 1 / 0,
    "isinstance": lambda m, x: m.inner(x) if isinstance(x, Tensor) and torch.is_tensor(x) else 0,
    "shuffle": shuffled,
    "chunk": swapped,
    "constant": constant,
    "maximum": best,
    "method": lambda m, x: m.inner(x).add(x).mul_(2),
}


@pytest.mark.parametrize("run", OPEN.values(), ids=OPEN)
def test_a_composite_is_looked_into_and_its_sizes_stay_open(run: Callable[..., Tensor]) -> None:
    traced = assert_sound(Net(Block(run)), ["bulk"])
    assert traced.closed == {}
    assert "block.inner.0" in steps(traced)


@pytest.mark.parametrize("case", OPEN)
def test_the_root_may_do_the_same(case: str) -> None:
    net = Net(run=lambda m, x: m.last(m.bulk(OPEN[case](m.block, m.first(x)))))
    # torch.ones asks a number wherever it gets one: there the size is fixed.
    assert assert_sound(net, ["bulk"], any_size=case != "of-size").closed == {}


def test_shapes_are_tuples_of_sizes_that_stay_open() -> None:
    seen: list[Any] = []

    def look(m: Block, x: Tensor) -> Tensor:
        seen.append((x.shape, x.shape[-2:], x.shape[1]))
        return m.inner(x)

    with frozen(net := Net(Block(look))):
        trace(net, SAMPLE)
    whole, sides, channels = seen[0]
    assert type(whole) is tuple
    assert (len(whole), len(sides)) == (4, 2)
    assert not isinstance(channels, int)


# ------------------------------------------------------------------------------ what is left whole


class Scaled(Block):
    """Has a parameter of its own."""

    def __init__(self) -> None:
        super().__init__(lambda m, x: m.inner(x) * m.scale)
        self.scale = nn.Parameter(torch.ones(1))


class Buffered(Block):
    def __init__(self) -> None:
        super().__init__(lambda m, x: m.inner(x) * m.scale)
        self.register_buffer("scale", torch.ones(1))


class Moody(Block):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.inner(x), 0.5, self.training)


def hooked(kind: str, inside: bool = False) -> Block:
    block = Block()
    part = block.inner[0] if inside else block
    if kind == "pre":
        part.register_forward_pre_hook(lambda _m, given: (given[0] * 2,))
    else:
        part.register_forward_hook(lambda _m, _i, given: given * 2)
    return block


class Partial(Block):
    """Its forward has no code of its own to look at."""

    def _forward(self, _number: int, x: Tensor) -> Tensor:
        return self.inner(x)

    forward = functools.partialmethod(_forward, 3)  # type: ignore[assignment]


WHOLE: dict[str, Callable[[], nn.Module]] = {
    "parameter": Scaled,
    "buffer": Buffered,
    "training": Moody,
    "hook": lambda: hooked("post"),
    "hook-inside": lambda: hooked("post", True),
    "pre-hook": lambda: hooked("pre"),
    "pre-hook-inside": lambda: hooked("pre", True),
}


@pytest.mark.parametrize("make", WHOLE.values(), ids=WHOLE)
def test_what_is_more_than_composed_is_left_whole(make: Callable[[], nn.Module]) -> None:
    traced = assert_sound(Net(make()), ["bulk"])
    assert "block" in steps(traced)
    assert "block" not in traced.closed  # nothing failed


def test_a_forward_without_code_is_no_obstacle() -> None:
    assert_sound(Net(Partial()), ["bulk"])


def overwritten(m: Block, x: Tensor) -> Tensor:
    x = m.inner(x).clone()
    x[:, 0] = 0
    return x


FAILING: dict[str, tuple[Callable[..., Tensor], str]] = {
    "int": (lambda m, x: F.interpolate(m.inner(x), size=int(x.shape[2])), "size of the image"),
    "bool": (lambda m, x: m.inner(x) if x.shape[2] % 2 == 0 else x, "size of the image"),
    "len": (lambda m, x: m.inner(x) * len(x), "size of the image"),
    "range": (lambda m, x: m.inner(x) + sum(range(x.shape[2])), "size of the image"),
    "index": (lambda m, x: m.inner(x) + [*range(99)][x.shape[2]], "size of the image"),
    "float": (lambda m, x: m.inner(x) * float(x.shape[2]), "size of the image"),
    "item": (overwritten, "item assignment"),
}


@pytest.mark.parametrize(("run", "why"), FAILING.values(), ids=FAILING)
def test_what_fails_is_left_whole_and_the_graph_stays_sound(
    run: Callable[..., Tensor], why: str
) -> None:
    def square(m: Block, x: Tensor) -> Tensor:  # so that both sides agree
        return run(m, x)[:, :, :16, :16]

    net = Net(Block(square))
    traced = trace(net, SAMPLE)
    traced.graph.lint()
    assert why in traced.closed["block"]
    assert traced.any_size
    assert "block.inner.0" not in steps(traced)
    assert traced.returned.get("block.inner", []) == []
    assert set(traced.values) == {n for n in traced.graph.nodes if n.op != "output"}
    assert cut(net, ["bulk"], SAMPLE).points == ("bulk",)


@pytest.mark.parametrize("case", ["int", "bool", "len", "range", "float"])
def test_a_number_asked_on_the_way_to_a_cut_point_fixes_the_size(case: str) -> None:
    run, _ = FAILING[case]
    traced = trace(Net(Block(run)), SAMPLE, ["block.inner.0"])
    assert not traced.any_size
    assert traced.closed == {}
    if case != "len":  # which asks for the batch
        assert_sound(Net(Block(run)), ["block.inner.0"], any_size=False)


def test_a_number_asked_by_what_is_then_left_whole_fixes_nothing() -> None:
    def ask(m: nn.Module, x: Tensor) -> Tensor:
        assert int(x.shape[1]) == 4
        return overwritten(m, x)

    large = Block(ask)
    large.inner = nn.Sequential(*(nn.Conv2d(4, 4, 7, padding=3) for _ in range(9)))
    traced = assert_sound(Net(large), ["bulk"])
    assert "item assignment" in traced.closed["block"]


def test_why_a_point_is_out_of_reach_is_said() -> None:
    with pytest.raises(BadInput, match=r"within 'block'.*item assignment"):
        trace(Net(Block(overwritten)), SAMPLE, ["block.inner.0"])
    with pytest.raises(BadInput, match=r"0 runs, within block \(.*size of the image\)"):
        trace(Net(Block(FAILING["int"][0])), SAMPLE).end_of("block.inner")


@pytest.mark.parametrize("where", ["root", "block"])
def test_a_branch_on_values_is_refused_with_the_repair(where: str) -> None:
    def branch(m: Any, x: Tensor) -> Tensor:
        return x if x.mean() > 0 else -x

    net = Net(Block(branch)) if where == "block" else Net(run=branch)
    with pytest.raises(BadInput, match=r"values of a tensor; keep branches.*segments\(\)"):
        trace(net, SAMPLE)


def test_a_block_that_fails_may_hold_one_that_others_use() -> None:
    shared = nn.Conv2d(4, 4, 3, padding=1)
    block = Block(lambda m, x: overwritten(m, m.shared(x)))
    net = Net(block, lambda m, x: m.last(m.bulk(m.block(m.first(x)))))
    net.shared = block.shared = shared
    net._modules = {"shared": shared, **net._modules}  # under this name first
    traced = assert_sound(net, ["bulk"])
    assert "block" in traced.closed
    assert not traced.may_be_cut("shared")
    with pytest.raises(BadInput, match="got 0 runs"):
        traced.end_of("shared")


# ---------------------------------------------------------------------------- what modules exchange


class Pair(NamedTuple):
    one: Any
    two: Any


EXCHANGED: dict[str, tuple[Callable[..., Any], Callable[[Any], Any]]] = {
    "list": (lambda m, x: [m.inner(x), x], lambda y: y[0] + y[-1]),
    "tuple": (lambda m, x: (m.inner(x), x), lambda y: y[0] + y[1]),
    "named": (lambda m, x: Pair(m.inner(x), x), lambda y: y.one + y.two),
    "dict": (lambda m, x: {"a": m.inner(x), "b": x}, lambda y: y["a"] + y["b"]),
    "nested": (lambda m, x: {"a": [m.inner(x), (x, None)]}, lambda y: y["a"][0] + y["a"][1][0]),
    "none": (lambda m, x: (m.inner(x), None), lambda y: y[0] if y[1] is None else 1 / 0),
    "string": (lambda m, x: {"a": m.inner(x), "s": "a"}, lambda y: y[y["s"]]),
    "iterated": (lambda m, x: [m.inner(x), x], lambda y: sum(part for part in y)),
    "starred": (lambda m, x: (m.inner(x), x, x), lambda y: (lambda a, *b: a + b[-1])(*y)),
}


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(("give", "take"), EXCHANGED.values(), ids=EXCHANGED)
def test_modules_may_exchange_structures(
    give: Callable[..., Any], take: Callable[[Any], Any], whole: bool
) -> None:
    block = Block(give)
    if whole:
        block.own = nn.Parameter(torch.zeros(1))
    net = Net(block, lambda m, x: m.last(m.bulk(take(m.block(m.first(x))))))
    assert_sound(net, ["bulk"])


def test_a_block_may_take_structures_options_and_more() -> None:
    block = Block(lambda m, x, *more, scale=1.0, **rest: m.inner(x["q"][0]) * scale + more[0])

    def run(m: Net, x: Tensor) -> Tensor:
        y = m.first(x)
        return m.last(m.bulk(m.block({"q": [y]}, y, scale=2.0, unused=None)))

    assert assert_sound(Net(block, run), ["block"]).closed == {}


def test_a_shared_module_runs_twice_on_the_graph() -> None:
    net = Net(run=lambda m, x: m.last(m.bulk(m.block(m.block(m.first(x))))))
    traced = assert_sound(net, ["bulk"])
    assert len(traced.returned["block"]) == 2
    assert not traced.may_be_cut("block")


def test_in_place_functions_are_kept_in_the_graph() -> None:
    net = Net(run=lambda m, x: m.last(m.bulk(F.relu(m.block(m.first(x)), inplace=True))))
    assert_sound(net, ["first"])


# ---------------------------------------------------------------------------------- the main output


@pytest.mark.parametrize(
    ("structure", "wanted"),
    [
        (lambda y: y, None),
        (lambda y: {"aux": y[:, :1], "out": y}, None),
        (lambda y: {"logits": y, "aux": y[:, :1]}, None),
        (lambda y: {"any": y}, None),
        (lambda y: OrderedDict(out=y), None),
        (lambda y: (y,), None),
        (lambda y: [y], None),
        (lambda y: (y[:, :1], y), 1),
        (lambda y: {"a": y[:, :1], "b": y}, "b"),
        (lambda y: {"out": y[:, :1], "b": y}, "b"),
        (lambda y: y, "named-in-vain"),
    ],
)
def test_the_answer_is_found_among_outputs(
    structure: Callable[[Tensor], Any], wanted: str | int | None
) -> None:
    logits = torch.randn(1, 2, 4, 4)
    assert main_output(structure(logits), wanted) is logits or wanted is None
    net = Net(run=lambda m, x: structure(m.last(m.bulk(m.first(x)))))
    traced = trace(net, SAMPLE, output=wanted)
    assert str(traced.output.target) == "last"
    assert cut(net, ["first"], SAMPLE, wanted).points == ("first",)


@pytest.mark.parametrize(
    ("structure", "wanted", "message"),
    [
        (lambda y: (y, y), None, r"tuple of \[0, 1\]; name it: attach\(..., output=0\)"),
        (lambda y: {"a": y, "b": y}, None, r"dict of \['a', 'b'\]; .*output='a'"),
        (lambda y: (y, y), 2, r"tuple of \[0, 1\]"),
        (lambda y: {"out": y}, "logits", r"dict of \['out'\]"),
        (lambda y: {"out": [y, y]}, None, r"dict of \['out'\]"),
        (lambda y: None, None, "got None"),
        (lambda y: (), None, r"got \(\)"),
    ],
)
def test_an_answer_that_is_not_named_is_refused(
    structure: Callable[[Tensor], Any], wanted: str | int | None, message: str
) -> None:
    with pytest.raises(BadInput, match="which of its outputs is the answer; expected one tensor"):
        main_output(structure(torch.zeros(1)), wanted)
    net = Net(run=lambda m, x: structure(m.last(m.bulk(m.first(x)))))
    with pytest.raises(BadInput, match=message):
        trace(net, SAMPLE, output=wanted)


# ----------------------------------------------------------------------------- leaving no trace


class Caching(Block):
    """Puts tensors aside in every way that there is."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.fails = kind == "fails"
        self.calls = 0
        self.grid: Tensor | None = None
        self.table: dict[Any, Any] = {}
        self.nested: dict[str, dict[str, Any]] = {"a": {}}
        self.ordered: OrderedDict[str, Any] = OrderedDict()
        self.lists: defaultdict[str, list[Any]] = defaultdict(list)
        self.seen: list[Any] = []
        self.last = deque(maxlen=2)
        self.ids: set[int] = set()
        if kind == "whole":
            self.register_buffer("kept", None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.grid is None:
            self.grid = x.mean((2, 3), keepdim=True)
        for table in (self.table, self.nested["a"], self.ordered):
            table.setdefault("grid", self.grid)
        self.lists["x"].append(x)
        self.seen.append(self.grid)
        self.last.append(x)
        self.ids.add(id(x))
        self._buffers.update(dict.fromkeys(self._buffers, self.grid))
        self.late = x
        if self.fails:
            x = overwritten(self, x)
        return self.inner(x) + self.grid

    def held(self) -> list[Any]:
        return [
            self.grid, self.table, self.nested["a"], dict(self.ordered), dict(self.lists),
            self.seen, list(self.last), self.ids, dict(self._buffers), self.calls,
            hasattr(self, "late"),
        ]  # fmt: skip


@pytest.mark.parametrize("kind", ["open", "fails", "whole"])
def test_what_a_forward_puts_aside_is_forgotten(kind: str) -> None:
    net = Net(Caching(kind))
    net.block.table["old"] = old = torch.ones(1)
    empty = net.block.held()
    table, seen = net.block.table, net.block.seen
    for step in (
        lambda: find_intake(net, (16, 16)),
        lambda: trace(net, SAMPLE),
        lambda: cut(net, ["bulk"], SAMPLE),
    ):
        step()
        assert net.block.held() == empty
    assert net.block.table is table
    assert net.block.seen is seen
    assert table["old"] is old
    answer = net.eval()(torch.randn(1, 3, 16, 16))
    assert not isinstance(answer, FakeTensor)
    assert torch.isfinite(answer).all()


def test_tracing_what_caches_gives_the_answer_for_every_image() -> None:
    net = Net(Caching("open"))
    first, second = cut(net, ["bulk"], SAMPLE).pieces
    one, two = (torch.randn(1, 3, 16, 16) for _ in range(2))
    with torch.no_grad():
        net.eval()
        net.block.grid = None
        wanted = net(two)
        net.block.grid = None
        first.module(one)
        assert torch.equal(second.module(*first.module(two)[:1])[0], wanted)


def test_modes_come_back_part_by_part_even_after_a_failure() -> None:
    net = Net(Block(lambda m, x: x if x.mean() > 0 else -x)).train()
    net.bulk.eval()
    net.first.inner.eval()
    before = [part.training for part in net.modules()]
    with pytest.raises(BadInput):
        trace(net, SAMPLE)
    assert [part.training for part in net.modules()] == before
    with frozen(net):
        assert not any(part.training for part in net.modules())
    assert [part.training for part in net.modules()] == before


def test_a_module_built_in_forward_is_forgotten_too() -> None:
    class Late(Block):
        def forward(self, x: Tensor) -> Tensor:
            if not hasattr(self, "more"):
                self.more = nn.Conv2d(4, 4, 1)
            return self.inner(x)

    net = Net(Late())
    fake_run(net, SAMPLE)
    assert not hasattr(net.block, "more")


def test_constants_are_numbered_alike_however_often_a_module_is_traced() -> None:
    net = Net(Block(constant))
    keys = [list(cut(net, ["bulk"], SAMPLE).pieces[0].module.state_dict()) for _ in range(3)]
    assert keys[0] == keys[1] == keys[2]
    assert any("constant" in key for key in keys[0])  # it moves to a GPU, and is saved


def test_a_fake_run_tells_shapes_and_computes_nothing() -> None:
    net = Net()
    answer = fake_run(net, torch.zeros(2, 3, 4096, 4096))
    assert isinstance(answer, FakeTensor)
    assert answer.shape == (2, 2, 4096, 4096)


# ------------------------------------------------------------------------------------- small things


def test_steps_are_found_in_structures() -> None:
    traced = trace(Net(), SAMPLE)
    one, two = traced.image, traced.output
    assert nodes_in({"a": [one, (two, None, 3)], "b": "x"}) == [one, two]
    assert nodes_in("x") == []


def test_a_reason_is_one_line() -> None:
    assert reason(ValueError("a\nb")) == "a"
    assert reason(KeyError()) == "KeyError"


def test_what_a_point_may_be() -> None:
    class Side(Net):
        def forward(self, x: Tensor) -> Any:  # type: ignore[override]
            y = self.first(x)
            return {"out": self.last(self.bulk(y)), "aux": self.block(y)}

    traced = trace(Side(), SAMPLE)
    assert [name for name in ("first", "bulk", "block", "last", "bulk.3") if
            traced.may_be_cut(name)] == ["first", "bulk", "bulk.3"]  # fmt: skip
    with pytest.raises(BadInput, match="cannot cut after 'block'; got a side branch"):
        traced.end_of("block")
    with pytest.raises(BadInput, match="cannot cut after 'last'; got the network's end"):
        traced.end_of("last")
    with pytest.raises(UnknownName, match="did you mean 'first'"):
        traced.end_of("frist")


def test_nothing_with_parameters_after_it_makes_no_exit() -> None:
    net = Net(run=lambda m, x: F.interpolate(m.last(m.bulk(m.first(x))), scale_factor=2.0))
    traced = trace(net, SAMPLE)
    assert not traced.may_be_cut("last")
    assert traced.may_be_cut("bulk")


class Scaled(nn.Module):
    """A network with a parameter of its own beside its parts."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((4, 1, 1), 2.0))
        self.first, self.last = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.scale * self.first(x) if self.scale is not None else x)


@torch.no_grad()
def test_parameters_of_the_network_s_own_stay_parameters() -> None:
    module = Scaled().eval()
    first, last = cut(module, ["first"], SAMPLE).pieces
    image = torch.randn(2, 3, 16, 16)
    (feature,) = first.module(image)
    assert torch.equal(last.module(feature)[0], module(image))
    assert any(parameter is module.scale for parameter in last.module.parameters())
