"""Trace a network: its `torch.fx` graph, and what flows along it.

The tracer looks inside every module that is merely composed of others. It leaves whole what
holds parameters of its own, what behaves otherwise in training, and what it fails to trace:
whatever such a block does inside, it does in the traced network too.

Every step is executed on fake tensors, which have shapes but no values. Lists and dictionaries
that modules exchange are hence real ones, and a branch on the values of a tensor is noticed.
Sizes stay open, so that the traced network takes any size that the original takes, except where
the way to a cut point asks for a number.
"""

import logging
import math
import operator
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.proxy import Attribute
from torch.overrides import TorchFunctionMode

from offramp.core.errors import BadInput, UnknownName

MAIN_OUTPUTS = ("out", "logits")
"""The keys under which networks that return a dictionary give their answer."""

_CONSTANT = "_tensor_constant"
"""How `torch.fx` calls a tensor that a forward makes out of nothing; it puts it on the root."""


@dataclass(frozen=True)
class Traced:
    """A network as traced in eval mode.

    Attributes:
        module: the network.
        graph: its steps.
        image: the step that takes the image.
        output: the step that yields its logits.
        values: what each step yields, as fake tensors and numbers.
        returned: by block, what each of its calls returned: steps, in lists and dictionaries.
        closed: by block, why it could not be looked into.
        any_size: whether the graph holds for other sizes than the one that it was traced at.
    """

    module: nn.Module
    graph: fx.Graph
    image: fx.Node
    output: fx.Node
    values: dict[fx.Node, Any]
    returned: dict[str, list[Any]]
    closed: dict[str, str]
    any_size: bool

    def is_tensor(self, node: fx.Node) -> bool:
        """Tell whether a step yields a tensor, not a size or another number."""
        return isinstance(self.values.get(node), Tensor)

    def end_of(self, point: str) -> list[fx.Node]:
        """Find the maps that leave the block `point`.

        Raises:
            UnknownName: there is no such block.
            BadInput: an exit cannot sit there.
        """
        known = [name for name, _ in self.module.named_modules() if name]
        if point not in known:
            raise UnknownName("block to cut after", point, known)
        calls = self.returned.get(point, [])
        if len(calls) != 1:
            closed = [f"{n} ({why})" for n, why in self.closed.items() if point.startswith(n + ".")]
            raise BadInput(
                f"cannot cut after '{point}'",
                expected="a block that runs once",
                got=f"{len(calls)} runs" + "".join(f", within {name}" for name in closed),
            )
        ends = list(dict.fromkeys(nodes_in(calls[0])))
        shapes = [tuple(getattr(self.values[node], "shape", ())) for node in ends]
        if not ends or any(len(shape) != 4 for shape in shapes):
            raise BadInput(
                f"cannot cut after '{point}'",
                expected="a block that yields maps N×D×h×w",
                got=", ".join(map(str, shapes)) or "no tensor",
            )
        if self.output in ends or not self.needed([self.output]).issuperset(ends):
            what = "the network's end, an exit as it is" if self.output in ends else "a side branch"
            raise BadInput(f"cannot cut after '{point}'", got=what)
        return ends

    def may_be_cut(self, point: str) -> bool:
        """Tell whether an exit may sit after a block, and the network goes on from there."""
        try:
            ends = self.end_of(point)
        except BadInput:
            return False
        rest = self.needed([self.output]) - self.needed(ends)
        return any(self._has_parameters(node) for node in rest)

    def _has_parameters(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            part = self.module.get_submodule(str(node.target))
            return next(part.parameters(), None) is not None
        return node.op == "get_attr"

    def needed(self, ends: Sequence[fx.Node]) -> set[fx.Node]:
        """Collect `ends` and all the steps that they depend on."""
        found: set[fx.Node] = set()
        waiting = list(ends)
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                waiting.extend(node.all_input_nodes)
        return found


class Untraceable(Exception):
    """Say why a module cannot be traced."""


def trace(
    module: nn.Module,
    sample: Tensor,
    points: Sequence[str] = (),
    output: str | int | None = None,
) -> Traced:
    """Trace a network.

    Args:
        module: maps N×D×H×W to logits N×C×h×w, or to a dictionary or tuple that holds them.
        sample: an image 1×D×H×W; only its size matters.
        points: names of blocks inside which the tracer must look for cut points.
        output: key or index of the logits among several outputs; absent: the only tensor, or
            the one under "out" or "logits".

    Raises:
        BadInput: the module cannot be traced, or does not say which output is its answer.
    """
    for name in [name for name in module.__dict__ if name.startswith(_CONSTANT)]:
        delattr(module, name)  # of the last trace: constants are to be numbered alike every time
    tracer = _Tracer(points, sample)
    try:
        with frozen(module):
            graph = tracer.trace(module)
    except Exception as error:  # what breaks in a foreign forward may be of any kind
        raise BadInput(
            f"{type(module).__name__} cannot be traced by torch.fx",
            got=reason(error),
            repair="keep branches on the values of tensors out of forward, or cut by hand: "
            "give the network a method segments(), see docs/networks.md",
        ) from error
    image, *_, end = graph.nodes
    return Traced(
        module=module,
        graph=graph,
        image=image,
        output=main_output(end.args[0], output),
        values=tracer.values,
        returned=tracer.returned,
        closed=tracer.closed,
        any_size=not tracer.numbers,
    )


def nodes_in(structure: Any) -> list[fx.Node]:
    """List the steps in nested lists, tuples and dictionaries; anything else is not listed."""
    found: list[fx.Node] = []
    fx.node.map_aggregate(
        structure,
        lambda part: (
            found.append(part.node if isinstance(part, fx.Proxy) else part)
            if isinstance(part, fx.Proxy | fx.Node)
            else None
        ),
    )
    return found


def main_output(structure: Any, wanted: str | int | None) -> Any:
    """Choose the logits among what a network returns: its steps when traced, else tensors.

    Raises:
        BadInput: there are several and none is named.
    """
    keys: list[str | int] = []
    if isinstance(structure, dict):
        keys = list(structure)
        usual = [key for key in MAIN_OUTPUTS if key in structure]
        wanted = usual[0] if wanted is None and usual else wanted
    elif isinstance(structure, tuple | list):
        keys = list(range(len(structure)))
    else:
        wanted = None
    if wanted is None and len(keys) == 1:
        wanted = keys[0]
    chosen = structure if not keys else structure[wanted] if wanted in keys else None
    if isinstance(chosen, fx.Node | Tensor):
        return chosen
    raise BadInput(
        "a network must say which of its outputs is the answer",
        expected=f"one tensor, or one under {' or '.join(map(repr, MAIN_OUTPUTS))}",
        got=f"{type(structure).__name__.removeprefix('immutable_')} of {keys}"
        if keys
        else repr(structure),
        repair=f"name it: attach(..., output={keys[0]!r})" if keys else "",
    )


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode for a while.

    Afterwards every part has its own mode back, and forgets what its forward put aside.
    """
    restore = _remembered(module)
    module.eval()
    try:
        yield
    finally:
        restore()


def _remembered(module: nn.Module) -> Callable[[], None]:
    """Note the attributes of all parts, and what the collections among them hold.

    Returns:
        a function that brings all of it back, but for the constants of a trace.
    """
    before = [(part, dict(part.__dict__)) for part in module.modules()]
    collections: dict[int, tuple[Any, Any]] = {}
    waiting = [value for _, attributes in before for value in attributes.values()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list | set | deque) and id(value) not in collections:
            collections[id(value)] = (value, copy(value))
            waiting.extend(value.values() if isinstance(value, dict) else value)

    def restore() -> None:
        for part, attributes in before:
            constants = {k: v for k, v in part.__dict__.items() if k.startswith(_CONSTANT)}
            part.__dict__.clear()
            part.__dict__.update(constants | attributes)
        for value, content in collections.values():
            value.clear()
            value.extend(content) if isinstance(value, list | deque) else value.update(content)

    return restore


@contextmanager
def faking(mode: FakeTensorMode) -> Iterator[None]:
    """Compute on fake tensors; a failure is raised but not logged, since it may be expected."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with mode, _ShapesOfBatchNorm():
            yield
    finally:
        log.setLevel(level)


class _ShapesOfBatchNorm(TorchFunctionMode):
    """Let batch norm give the shape of its input: fake tensors take milliseconds to find it out."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.nn.functional.batch_norm:
            return torch.empty_like(args[0])
        return func(*args, **(kwargs or {}))


def fake_run(module: nn.Module, image: Tensor) -> Any:
    """Run a module in eval mode on an image without values; what it gives has shapes only."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with frozen(module), torch.no_grad(), faking(mode):
        return module(mode.from_tensor(image))


def reason(error: BaseException) -> str:
    """Say in one line why something failed."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


class _Proxy(fx.Proxy):
    """A step that knows what it yields for the sample."""

    tracer: "_Tracer"

    @property
    def value(self) -> Any:
        return self.tracer.values.get(self.node)

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # so that isinstance(x, Tensor) in a forward tells the truth
        return Tensor if isinstance(self.value, Tensor) else _Proxy

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(self.value, name):
            raise AttributeError(name)
        if callable(getattr(self.value, name)):
            return Attribute(self, name)
        return self.tracer.create_proxy("call_function", getattr, (self, name), {})

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(len(self))])

    def __len__(self) -> int:
        return self.tracer.number(len(self.value))

    def __bool__(self) -> bool:
        if isinstance(self.value, Tensor):
            raise Untraceable("a branch depends on the values of a tensor")
        return self.tracer.number(bool(self.value))

    def __int__(self) -> int:
        return self.tracer.number(int(self.value))

    def __index__(self) -> int:
        return self.tracer.number(operator.index(self.value))

    def __float__(self) -> float:
        return self.tracer.number(float(self.value))


class _Tracer(fx.Tracer):
    """Trace and execute; keep whole what cannot be looked into."""

    def __init__(self, points: Sequence[str], sample: Tensor) -> None:
        super().__init__(autowrap_modules=(math,))
        self.points = points
        self.values: dict[fx.Node, Any] = {}
        self.returned: dict[str, list[Any]] = {}
        self.closed: dict[str, str] = {}
        self.numbers: list[object] = []
        self._running = False
        self._may_ask = [True]  # whether the forward that is traced may ask for numbers
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        # Two images, so that a forward which takes the batch for one image fails the check.
        self._sample = self._fake.from_tensor(sample.expand(2, *sample.shape[1:]))

    def number(self, value: Any) -> Any:
        """Let a forward have a number that depends on the size, where that cannot be helped."""
        if not self._may_ask[-1]:
            raise Untraceable("a branch depends on the size of the image")
        self.numbers.append(value)
        return value

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: Any = None
    ) -> tuple[Any, list[Any]]:
        self._all_parameters = _parameters(self.root)
        return root_fn, [self.root, self.create_proxy("placeholder", "image", (), {})]

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def create_arg(self, a: Any) -> Any:
        if issubclass(type(a), fx.Proxy):
            return a.node
        given = super().create_arg(a)
        if isinstance(a, Tensor):  # a constant
            self.values[given] = a
        return given

    def create_proxy(
        self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **named: Any
    ) -> Any:
        """Record a step, run it, and give lists and dictionaries as real ones."""
        proxy = super().create_proxy(kind, target, args, kwargs, *rest, **named)
        value = self.values[proxy.node] = self._run(proxy.node)
        if isinstance(value, tuple | list):
            items = [proxy[i] for i in range(len(value))]
            if isinstance(value, list):
                return items
            if type(value).__module__ == "torch.return_types":  # x.max(1).values
                return type(value)(items)
            return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
        if isinstance(value, dict):
            return {key: proxy[key] for key in value}
        if value is None or isinstance(value, str) or target in ("dim", "ndimension"):
            return value
        if target is getattr and args[1] == "ndim":
            return value
        return proxy

    def _run(self, node: fx.Node) -> Any:
        """Execute a step on fake tensors."""
        if node.op == "placeholder":
            return self._sample
        args = fx.node.map_arg(node.args, self.values.__getitem__)
        kwargs = fx.node.map_arg(node.kwargs, self.values.__getitem__)
        if node.op == "get_attr":
            return operator.attrgetter(str(node.target))(self.root)
        call: Callable[..., Any]
        if node.op == "call_module":
            call = self.root.get_submodule(str(node.target))
        elif node.op == "call_method":
            call = getattr(args[0], str(node.target))
            args = args[1:]
        else:
            call = node.target
        self._running = True
        try:
            with torch.no_grad(), faking(self._fake):
                return call(*args, **kwargs)
        finally:
            self._running = False

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val if self._running else super().getattr(attr, attr_val, parameter_proxy_cache)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if module_qualified_name in self.closed:
            return True
        if self._must_enter(m, module_qualified_name):
            return False
        return (
            super().is_leaf_module(m, module_qualified_name)
            or bool(m._parameters or m._buffers)
            or not m._modules
            or _has_hooks(m)  # the tracer would not call them
            or "training" in getattr(getattr(type(m).forward, "__code__", None), "co_names", ())
        )

    def _must_enter(self, m: nn.Module, path: str) -> bool:
        """Tell whether cut points lie within a module, or most of the network."""
        if any(point.startswith(path + ".") for point in self.points):
            return True
        large = 2 * _parameters(m) > self._all_parameters
        return large and bool(m._modules) and not _has_hooks(m)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> Any:
        """Look inside a module, or keep it whole where that fails."""
        if self._running:
            return forward(*args, **kwargs)
        path = self.path_of_module(m)
        stack, mark = dict(self.module_stack), next(iter(reversed(self.graph.nodes)))
        runs = {name: len(calls) for name, calls in self.returned.items()}
        asked = len(self.numbers)
        restore = _remembered(m) if m._modules else None  # what has no parts is not looked into
        must = self._must_enter(m, path)
        self._may_ask.append(must)
        try:
            given = super().call_module(m, forward, args, kwargs)
        except Exception as error:
            if isinstance(error, Untraceable) and must and "'" in str(error):
                raise
            if must and any(point.startswith(path + ".") for point in self.points):
                raise Untraceable(f"within '{path}': {reason(error)}") from error
            if self.is_leaf_module(m, path):
                raise
            self._roll_back(mark, runs)
            if restore is not None:
                restore()
            del self.numbers[asked:]
            self.module_stack.clear()
            self.module_stack.update(stack)
            self.closed[path] = reason(error)
            try:
                given = super().call_module(m, forward, args, kwargs)
            except Exception:  # it fails for the same reason, but says so in torch's words
                raise Untraceable(f"within '{path}': {reason(error)}") from error
        finally:
            self._may_ask.pop()
        self.returned.setdefault(path, []).append(given)
        return given

    def _roll_back(self, mark: fx.Node, runs: dict[str, int]) -> None:
        """Forget the steps after `mark`, and what blocks returned after their first `runs`."""
        for node in reversed(list(self.graph.nodes)):
            if node is mark:
                break
            self.graph.erase_node(node)
            self.values.pop(node, None)
        self.returned = {name: self.returned[name][:count] for name, count in runs.items()}


def _has_hooks(module: nn.Module) -> bool:
    return any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
