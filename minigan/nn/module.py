"""Module: a tree of layers that hold parameters. Names and state_dict follow PyTorch, so weights can be exchanged.

Attributes are found by their type: a Parameter is a parameter, a Module is a child. An array passed to
`register_buffer` is saved with the weights but not trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from minigan import kernels
from minigan.engine import Array, Tensor, device, tensor
from minigan.engine.state import state
from minigan.errors import CheckpointError, MiniganError


class Parameter(Tensor):
    """A leaf that is trained: it requires a gradient, and a Module finds it by its type."""

    __slots__ = ()

    def __init__(self, array: Array) -> None:
        super().__init__(tensor(array).data, requires_grad=True)


class Module:
    """Base of layers and networks. A subclass assigns its parts in `__init__` and defines `forward`.

    >>> from minigan import nn
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> [(name, p.shape) for name, p in net.named_parameters()][:2]
    [('0.weight', (3, 4)), ('0.bias', (3,))]
    """

    def __init__(self) -> None:
        self.training = True
        self._buffers: list[str] = []

    def forward(self, *inputs: Any) -> Any:
        """Compute the module's output; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self, *inputs: Any) -> Any:
        """Call `forward`; error messages then name this module."""
        state.modules.append(self)
        try:
            return self.forward(*inputs)
        except MiniganError as error:
            if error.path is None:  # raised in this module, the innermost; the outermost one knows the full name
                error.path = state.modules[0].path_of(self)
            raise
        finally:
            state.modules.pop()

    # ---- the tree ----
    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Modules assigned to this one, in order of assignment."""
        yield from ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, with dotted names; this module's name is the prefix."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        yield from (module for _, module in self.named_modules())

    def path_of(self, module: Module) -> str:
        """The path of `module` below this one, such as "Discriminator.layers.3", for messages."""
        name = next((name for name, m in self.named_modules() if m is module), type(module).__name__)
        return f"{type(self).__name__}.{name}" if name else type(self).__name__

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Parameters with dotted names, as in PyTorch; a parameter that two modules share is listed once."""
        seen: set[Parameter] = set()
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and value not in seen:
                    seen.add(value)
                    yield (f"{prefix}.{name}" if prefix else name), value

    def parameters(self) -> list[Parameter]:
        """All parameters, in the order of `named_parameters`."""
        return [parameter for _, parameter in self.named_parameters()]

    def register_buffer(self, name: str, array: Array) -> None:
        """Add an array that is saved with the weights but not trained."""
        setattr(self, name, device.put(array, device.default()))
        self._buffers.append(name)

    def named_buffers(self) -> Iterator[tuple[str, Array]]:
        """Buffers with dotted names."""
        for prefix, module in self.named_modules():
            for name in module._buffers:
                yield (f"{prefix}.{name}" if prefix else name), getattr(module, name)

    # ---- state ----
    def train(self, mode: bool = True) -> Self:
        """Training mode: batch norm uses the batch's statistics, dropout drops."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Evaluation mode: batch norm uses its running statistics, dropout does nothing."""
        return self.train(False)

    def requires_grad_(self, mode: bool = True) -> Self:
        """Set requires_grad of all parameters: False freezes them."""
        for parameter in self.parameters():
            parameter.requires_grad = mode
        return self

    def zero_grad(self) -> None:
        """Set `.grad` of all parameters to None."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, name: str) -> Self:
        """Move parameters and buffers to a device, in place. DeviceError if it is missing."""
        target = device.resolve(name)
        for module in self.modules():
            for key, value in list(vars(module).items()):
                if isinstance(value, Parameter):
                    value._data = device.put(value._data, target)
                elif key in module._buffers:
                    setattr(module, key, device.put(value, target))
        return self

    def astype(self, dtype: Any) -> Self:
        """Convert parameters and buffers to float32 or float64, in place."""
        for module in self.modules():
            for key, value in list(vars(module).items()):
                if isinstance(value, Parameter):
                    value._data = tensor(value, dtype=dtype, device=value.device).data
                elif key in module._buffers:
                    setattr(module, key, value.astype(dtype))
        return self

    def average_in(self, other: Module, decay: float) -> None:
        """Average with `other`, a module of the same shapes: p <- decay * p + (1 - decay) * (other's p).

        Buffers are copied: running statistics are averages already.
        """
        pairs = list(zip(self.parameters(), other.parameters(), strict=True))
        kernels.ema([target.writable() for target, _ in pairs], [source.data for _, source in pairs], decay)
        for (_, target), (_, source) in zip(self.named_buffers(), other.named_buffers(), strict=True):
            target[...] = source

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call `function` on this module and all below it."""
        for module in self.modules():
            function(module)
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of parameters and buffers on the host, row-major, under PyTorch's names and layouts."""
        tensors = {**{n: p.data for n, p in self.named_parameters()}, **dict(self.named_buffers())}
        return {name: np.array(device.asnumpy(array), order="C") for name, array in tensors.items()}

    def load_state_dict(self, weights: Mapping[str, Any]) -> None:
        """Copy all weights in, or none if there is an error. PyTorch's `num_batches_tracked` is ignored.

        Raises:
            CheckpointError: a name is missing or unknown, or a shape differs.
        """
        targets: dict[str, Any] = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        arrays = {n: np.asarray(w) for n, w in weights.items() if not n.endswith("num_batches_tracked")}
        problems = [f"{name} is missing" for name in targets if name not in arrays]
        problems += [f"{name} is unknown to this model" for name in arrays if name not in targets]
        problems += [f"{name} has shape {arrays[name].shape}, the model needs {target.shape}"
                     for name, target in targets.items() if name in arrays and arrays[name].shape != target.shape]
        if problems:
            more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
            raise CheckpointError(f"{type(self).__name__}: these weights belong to another model: "
                                  f"{'; '.join(problems[:5])}{more}")
        for name, target in targets.items():
            array = target.writable() if isinstance(target, Tensor) else target
            array[...] = device.put(arrays[name].astype(array.dtype), device.of(array))

    def __repr__(self) -> str:
        children = list(self.named_children())
        if not children:
            return f"{type(self).__name__}({self.describe()})"
        lines = "\n".join(f"({name}): {child!r}" for name, child in children).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {lines}\n)"

    def describe(self) -> str:
        """The sizes and options that `repr` shows."""
        return ""
