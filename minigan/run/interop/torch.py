"""Tensors and networks to PyTorch and back: `to_torch` and `from_torch`, for both.

Tensors share their memory, whatever its layout. A network in the other framework is one node of that framework's graph:
its gradient is the other's backward pass, and is a node again, so that gradients of any order pass through.

    minigan's in PyTorch    y = net(x)     an edge from x and the weights to y, a torch.autograd.Function
                            backward       walks minigan's graph behind y; to be differentiated again, it is recorded,
                                           and the next edge leads from x, the weights and gy to the gradients
    PyTorch's in minigan    the same with the roles exchanged
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from minigan import nn
from minigan.engine import Node, Tensor
from minigan.engine.autodiff import walk
from minigan.engine.state import recording, state
from minigan.errors import DTypeError, require

__all__ = ["from_torch", "to_torch"]


def to_torch(x: Tensor | nn.Module) -> Any:
    """A tensor without its history as a torch.Tensor of the same memory; or a network as a torch.nn.Module.

    PyTorch does not know that the memory is read-only here: do not change such a tensor in place.

    The module's parameters and buffers have the network's names. It trains with PyTorch's optimisers, and the network
    uses what they make of them; its dropout and batch norm follow train() and eval(). Inputs of other types than
    float32 and float64 are passed on as NumPy arrays.

    Raises:
        ModuleNotFoundError: PyTorch is missing.
    """
    torch = require("torch", "mg.interop.torch")
    return _classes()[1](x) if isinstance(x, nn.Module) else torch.from_dlpack(x.detach())


def from_torch(x: Any, requires_grad: bool = False) -> Any:
    """A torch.Tensor without its history as a Tensor of the same memory; or a torch.nn.Module as a Module.

    The Module has copies of the module's parameters, under its names, for minigan's optimisers; the buffers are the
    module's own. In the graph it is one node.

    Raises:
        DTypeError: the tensor is neither float32 nor float64. ModuleNotFoundError: PyTorch is missing.
    """
    torch = require("torch", "mg.interop.torch")
    if isinstance(x, torch.nn.Module):
        return FromTorch(x)
    if x.dtype not in (torch.float32, torch.float64):
        raise DTypeError(f"from_torch: a tensor of {x.dtype}; only float32 and float64 can be differentiated here: "
                         "x.float()")
    return Tensor(_array(x), requires_grad)


def _array(x: Any) -> Any:
    """The memory of a torch.Tensor as an array of NumPy or CuPy."""
    x = x.detach()
    return x.numpy() if x.device.type == "cpu" else require("cupy", "a tensor on a GPU").from_dlpack(x)


# ---- minigan's networks in PyTorch ----
@lru_cache(maxsize=1)
def _classes() -> tuple[Any, Any]:
    """The two classes that are built on PyTorch's: an edge of its graph, and a module."""
    torch = require("torch", "mg.interop.torch")

    class Edge(torch.autograd.Function):  # type: ignore[name-defined]
        """From `inputs` to what minigan has computed from `leaves`, their twins."""

        @staticmethod
        def forward(ctx: Any, leaves: Sequence[Tensor], y: Tensor, *inputs: Any) -> Any:
            ctx.leaves, ctx.y = leaves, y
            ctx.save_for_backward(*inputs)
            return to_torch(y).clone()  # PyTorch may change it in place

        @staticmethod
        def backward(ctx: Any, gy: Any) -> Any:
            inputs, again = ctx.saved_tensors, torch.is_grad_enabled()  # an error if one was changed in place
            cotangent = from_torch(gy.contiguous(), requires_grad=again)
            wanted = [leaf for leaf, need in zip(ctx.leaves, ctx.needs_input_grad[2:], strict=True) if need]
            with recording(again):
                gradients = walk([(ctx.y, cotangent)], wanted, again, retain_graph=True)
            return None, None, *(
                _edge([*ctx.leaves, cotangent], gradients[leaf.place], (*inputs, gy))
                if need and leaf.place in gradients else None
                for leaf, need in zip(ctx.leaves, ctx.needs_input_grad[2:], strict=True))

    def _edge(leaves: Sequence[Tensor], y: Tensor, inputs: Sequence[Any]) -> Any:
        return Edge.apply(leaves, y, *inputs) if y.requires_grad else to_torch(y).clone()

    class FromMinigan(torch.nn.Module):  # type: ignore[name-defined]
        """A network of minigan; see `to_torch`."""

        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.minigan, first = network, {id(p): name for name, p in network.named_parameters()}
            self.names = [(name, first[id(p)]) for name, p in network.named_parameters(remove_duplicate=False)]
            for name, p in network.named_parameters():
                own = torch.nn.Parameter(to_torch(p).clone(), requires_grad=p.requires_grad)
                _place(self, name, torch.nn.Module).register_parameter(name.rpartition(".")[2], own)
            for name, buffer in network.named_buffers():
                own = torch.from_dlpack(buffer)
                _place(self, name, torch.nn.Module).register_buffer(name.rpartition(".")[2], own)

        def forward(self, *inputs: Any) -> Any:
            """The network's output; of a list of outputs, a list."""
            self.minigan.train(self.training)
            parameters = list(self.named_parameters())
            twins = {name: _twin(own) for name, own in parameters}
            for name, first in self.names:
                vars(_owner(self.minigan, name))[name.rpartition(".")[2]] = twins[first]
            for name, own in self.named_buffers():
                setattr(_owner(self.minigan, name), name.rpartition(".")[2], _array(own))
            floats = [isinstance(x, torch.Tensor) and x.is_floating_point() for x in inputs]
            given = [from_torch(x, x.requires_grad) if is_float else x.numpy() if isinstance(x, torch.Tensor) else x
                     for x, is_float in zip(inputs, floats, strict=True)]
            with recording(torch.is_grad_enabled()):
                y = self.minigan(*given)
            leaves = [*(t for t in given if isinstance(t, Tensor)), *(twins[name] for name, _ in parameters)]
            edges = [*(x for x, is_float in zip(inputs, floats, strict=True) if is_float), *(p for _, p in parameters)]
            return [_edge(leaves, t, edges) for t in y] if isinstance(y, list | tuple) else _edge(leaves, y, edges)

    return Edge, FromMinigan


def _place(root: Any, name: str, kind: Any) -> Any:
    """The module that has the parameter of a dotted name; those on the way are made if they are missing."""
    for part in name.split(".")[:-1]:
        if getattr(root, part, None) is None:
            root.add_module(part, kind())
        root = getattr(root, part)
    return root


def _twin(own: Any) -> nn.Parameter:
    """A new leaf with the memory of PyTorch's parameter: each graph has its own, PyTorch notices changes in place."""
    parameter = nn.Parameter.__new__(nn.Parameter)
    Tensor.__init__(parameter, _array(own), own.requires_grad)
    return parameter


def _owner(root: nn.Module, name: str) -> nn.Module:
    return root.get_submodule(name.rpartition(".")[0])


# ---- PyTorch's modules in minigan ----
class _Held:
    """A module of PyTorch as an attribute, which nn.Module would refuse: its parameters are registered apart."""

    __slots__ = ("module",)

    def __init__(self, module: Any) -> None:
        self.module = module


class FromTorch(nn.Module):
    """A module of PyTorch; see `from_torch`."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self._held = _Held(module)
        for name, p in module.named_parameters():
            own = nn.Parameter(_array(p))
            own.requires_grad = p.requires_grad
            _place(self, name, nn.Module).register_parameter(name.rpartition(".")[2], own)
        for name, buffer in module.named_buffers():
            if buffer.is_floating_point():
                _place(self, name, nn.Module).register_buffer(name.rpartition(".")[2], _array(buffer))

    def forward(self, *inputs: Any) -> Any:
        """The module's output; of a list or tuple of outputs, a list."""
        torch, module = require("torch", "mg.interop.torch"), self._held.module.train(self.training)
        named = dict(self.named_parameters())
        arguments = [*(x for x in inputs if isinstance(x, Tensor)), *named.values()]
        leaves = [to_torch(x).requires_grad_(x.requires_grad and state.recording) for x in arguments]
        given = iter(leaves)
        tensors = [next(given) if isinstance(x, Tensor) else torch.as_tensor(x) if isinstance(x, np.ndarray) else x
                   for x in inputs]
        with torch.set_grad_enabled(state.recording):
            y = torch.func.functional_call(module, dict(zip(named, given, strict=True)), tuple(tensors))
        several = isinstance(y, list | tuple)
        results = [_recorded(t, leaves, arguments) for t in (y if several else [y])]
        return results if several else results[0]


class _Made:
    """What made a tensor: PyTorch, from `leaves`. To minigan's graph it is a primitive."""

    name, broadcasts, onnx, gate, product = "torch", False, None, None, False

    def __init__(self, y: Any, leaves: Sequence[Any]) -> None:
        self.y, self.leaves = y, leaves
        self.sums: dict[int, Any] = {}

    def function(self, *arrays: Any) -> Any:
        """The result: nothing computes it again, as `needs` says."""
        return _array(self.y)

    def needs(self, args: tuple[Tensor | None, ...], params: dict[str, Any]) -> tuple[tuple[()], bool]:
        """No numbers: PyTorch's graph has them."""
        return (), False

    def vjps(self, need: list[int], gy: Tensor, node: Node, arrived: dict[int, Tensor]) -> list[Tensor | None]:
        """The cotangents of the arguments `need`, by PyTorch's backward pass; recorded if this one is."""
        torch, again = require("torch", "mg.interop.torch"), state.recording
        cotangent = to_torch(gy).clone().requires_grad_(again)
        gradients = torch.autograd.grad(self.y, [self.leaves[i] for i in need], cotangent, retain_graph=True,
                                        create_graph=again, allow_unused=True)
        arguments = [*(node.args or ()), gy]  # the leaves themselves: a gradient belongs to an object
        return [None if g is None else _recorded(g, [*self.leaves, cotangent], arguments) for g in gradients]


def _recorded(y: Any, leaves: Sequence[Any], arguments: Sequence[Tensor | None]) -> Tensor:
    """A result of PyTorch's as a Tensor that knows what it was made of."""
    result = from_torch(y.detach().clone())  # it may be a view of an argument
    if state.recording and y.requires_grad:
        result.requires_grad = True
        made: Any = _Made(y, leaves)
        result.node = Node(made, tuple(arguments), {}, result.data)
        for watcher in state.watchers:
            watcher.result(result.node.primitive, result, arguments)
    return result
