"""Trace a module with `torch.fx`, run each step, and keep whole what cannot be looked into."""

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.proxy import Attribute

from offramp.models.fake import faking, reason, remembered


class Untraceable(Exception):
    """Say why a module cannot be traced.

    Args:
        why: the reason.
        path: the part of the network where it was found, if that is known.
    """

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(why)
        self.path = path


class _Proxy(fx.Proxy):
    """A step that knows what it yields for the sample."""

    tracer: "Tracer"

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


class Tracer(fx.Tracer):
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
        call: Callable[..., Any]
        self._running = True
        try:
            if node.op == "get_attr":
                return operator.attrgetter(str(node.target))(self.root)
            if node.op == "call_module":
                call = self.root.get_submodule(str(node.target))
            elif node.op == "call_method":
                call = getattr(args[0], str(node.target))
                args = args[1:]
            else:
                call = node.target
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
        if self._holds_a_point(path):
            return True
        large = 2 * _parameters(m) > self._all_parameters
        return large and bool(m._modules) and not _has_hooks(m)

    def _holds_a_point(self, path: str) -> bool:
        return any(point.startswith(path + ".") for point in self.points)

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
        restore = remembered(m) if m._modules else None  # what has no parts is not looked into
        self._may_ask.append(self._must_enter(m, path))
        try:
            given = super().call_module(m, forward, args, kwargs)
        except Exception as error:  # a foreign forward may raise anything
            why = error if isinstance(error, Untraceable) and error.path else _located(error, path)
            if self._holds_a_point(path):
                raise why from error
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
                raise why from error
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


def _located(error: Exception, path: str) -> Untraceable:
    return Untraceable(f"within '{path}': {reason(error)}", path)


def _has_hooks(module: nn.Module) -> bool:
    return any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
