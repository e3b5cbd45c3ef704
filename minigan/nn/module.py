"""Module: a tree of layers that hold parameters. Names and state_dict follow PyTorch, so weights can be exchanged.

Attributes are found by their type: a Parameter is a parameter, a Module is a child. An array passed to
`register_buffer` is saved with the weights but not trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

import numpy as np

from minigan import kernels
from minigan.engine import Array, Tensor, device, tensor
from minigan.engine.state import state
from minigan.errors import CheckpointError, MiniganError, ModuleError
from minigan.nn import html, registration
from minigan.nn.registration import Parameter
from minigan.nn.signatures import ABSENT_METHODS
from minigan.nn.tree import Tree

__all__ = ["LoadedKeys", "Module", "Parameter"]

_Number: TypeAlias = float  # inside Module, float is a method


class LoadedKeys(NamedTuple):
    """What `load_state_dict` did not use: names that only the model has, and names that only the weights have."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module(Tree):
    """Base of layers and networks. A subclass assigns its parts in `__init__` and defines `forward`.

    >>> from minigan import nn
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> [(name, p.shape) for name, p in net.named_parameters()][:2]
    [('0.weight', (3, 4)), ('0.bias', (3,))]
    """

    training: bool
    separable: bool = False  # whether `forward` may be given several batches as one, see nn.in_one_pass
    _buffers: list[str]
    _parameter_names: set[str]  # names that are or were Parameters: a bias that is None may become one again

    def __init__(self) -> None:
        vars(self).update(_buffers=[], _parameter_names=set())
        self.training = True

    def __init_subclass__(cls, **options: Any) -> None:
        """Raises as `registration.check_class`."""
        super().__init_subclass__(**options)
        registration.check_class(cls)
        declared = next(i for i, base in enumerate(cls.__mro__) if "separable" in vars(base))
        if any(name in vars(base) for base in cls.__mro__[:declared] for name in ("forward", "features", "__call__")):
            cls.separable = False  # what was true of the base's forward need not be of this one

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign an attribute; a Module or Parameter becomes a part. Raises as `registration.check`."""
        registration.check(self, name, value)
        if isinstance(value, Module | Parameter):
            (self._parameter_names.add if isinstance(value, Parameter) else self._parameter_names.discard)(name)
            if name in self._buffers:
                self._buffers.remove(name)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._parameter_names.discard(name)
        if name in self._buffers:
            self._buffers.remove(name)

    def __setstate__(self, values: dict[str, Any]) -> None:
        """Unpickle or copy; modules that an earlier version pickled have no names of parameters."""
        vars(self).update({"_parameter_names": {n for n, v in values.items() if isinstance(v, Parameter)}, **values})

    if not TYPE_CHECKING:  # mypy would take any name for an attribute

        def __getattr__(self, name: str) -> Any:
            """Called for what is missing. A method of PyTorch's modules is named in the error, with the remedy."""
            if name in ABSENT_METHODS:
                raise ModuleError(f"{type(self).__name__}.{name}: minigan lacks this method of PyTorch's; "
                                  f"{ABSENT_METHODS[name]}")
            return object.__getattribute__(self, name)  # Python's error, or what a property of this name raised

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Compute the module's output; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Call `forward` with all arguments; error messages then name this module."""
        state.modules.append(self)
        try:
            return self.forward(*inputs, **options)
        except MiniganError as error:
            if error.path is None:  # raised in this module, the innermost; the outermost one knows the full name
                error.path = state.modules[0].path_of(self)
            raise
        finally:
            state.modules.pop()

    def register_buffer(self, name: str, array: Array | None) -> None:
        """Add an array that is saved with the weights but not trained; None: a name without an array yet.

        Raises:
            OptionError: the name is empty, contains a dot or is a method's.
            ModuleError: it is a Parameter, a Module, or another attribute already.
        """
        registration.check_name(self, name)
        if name in vars(self) and name not in self._buffers:
            raise ModuleError(f"{type(self).__name__}: {name!r} is an attribute already; delete it or use another name")
        array = array.data if isinstance(array, Tensor) else array
        setattr(self, name, None if array is None else device.put(array, device.default()))
        if name not in self._buffers:
            self._buffers.append(name)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Assign a Parameter, or None for one that may come later. Raises ModuleError for another type."""
        self._register(name, parameter, Parameter)
        self._parameter_names.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Assign a module. Raises ModuleError for another type."""
        self._register(name, module, Module)

    register_module = add_module

    def _register(self, name: str, part: Any, kind: type) -> None:
        registration.check_name(self, name)
        if part is not None and not isinstance(part, kind):
            raise ModuleError(f"{type(self).__name__}: {name!r} must be a {kind.__name__}, not {part!r:.80}")
        if name in vars(self) and not isinstance(vars(self)[name], (kind, type(None))):
            raise ModuleError(f"{type(self).__name__}: {name!r} is an attribute already; delete it or use another name")
        setattr(self, name, part)

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

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set `.grad` of all parameters to None, or to zeros."""
        for p in self.parameters():
            p.grad = None if set_to_none or p.grad is None else Tensor(np.zeros_like(p.data))

    def to(self, *targets: Any, device: str | None = None, dtype: Any = None) -> Self:
        """Move parameters and buffers to a device, or convert them, in place: "cuda", np.float64, or both.

        Raises:
            DeviceError: the device is missing.
            DTypeError: the data type is neither float32 nor float64.
        """
        for target in targets:
            if isinstance(target, str) and not target.startswith("float"):
                device = target
            else:
                dtype = target
        if dtype is not None:
            self.astype(dtype)
        return self if device is None else self._move(device)

    def cpu(self) -> Self:
        """Move parameters and buffers to the host."""
        return self.to("cpu")

    def cuda(self, number: int | None = None) -> Self:
        """Move parameters and buffers to a GPU. DeviceError if there is none."""
        return self.to("cuda" if number is None else f"cuda:{number}")

    def float(self) -> Self:
        """Convert parameters and buffers to float32."""
        return self.astype(np.float32)

    def double(self) -> Self:
        """Convert parameters and buffers to float64."""
        return self.astype(np.float64)

    def _move(self, name: str) -> Self:
        target = device.resolve(name)
        for module in self.modules():
            for key, value in list(vars(module).items()):
                if isinstance(value, Parameter):
                    value._data = device.put(value._data, target)
                elif key in module._buffers and value is not None:
                    setattr(module, key, device.put(value, target))
        return self

    def astype(self, dtype: Any) -> Self:
        """Convert parameters and buffers to float32 or float64, in place."""
        for module in self.modules():
            for key, value in list(vars(module).items()):
                if isinstance(value, Parameter):
                    value._data = tensor(value, dtype=dtype, device=value.device).data
                elif key in module._buffers and value is not None:
                    setattr(module, key, value.astype(dtype))
        return self

    def average_in(self, other: Module, decay: _Number) -> None:
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
        """Copies of parameters and buffers on the host, row-major, under PyTorch's names and layouts.

        A shared parameter or buffer is there under each of its names, as in PyTorch.
        """
        return {name: np.array(device.asnumpy(array.data if isinstance(array, Tensor) else array), order="C")
                for name, array in self._targets().items()}

    def _targets(self) -> dict[str, Any]:
        """Parameters, then buffers, under all their names."""
        return {**dict(self.named_parameters(remove_duplicate=False)),
                **dict(self.named_buffers(remove_duplicate=False))}

    def adopt(self, prefix: str, arrays: dict[str, Any]) -> None:
        """Rename PyTorch's names of this layer in `arrays`, in place, if they differ; `prefix` ends with a dot."""

    def load_state_dict(self, weights: Mapping[str, Any], strict: bool = True) -> LoadedKeys:
        """Copy all weights in, or none if there is an error; returns the names that were left out.

        PyTorch's `num_batches_tracked` is ignored. One name of a shared parameter is enough: earlier versions of
        minigan wrote only the first one. With strict=False, names may be missing or unknown.

        Raises:
            CheckpointError: a name is missing or unknown (if strict), a shape differs, or the names of one shared
                parameter hold different numbers. The message lists all of them.
            ModuleError: `weights` are no dict of arrays by name.
        """
        registration.check_weights(type(self).__name__, weights)
        targets = self._targets()
        arrays = {n: device.asnumpy(w.data) if isinstance(w, Tensor) else np.asarray(w) for n, w in weights.items()
                  if not n.endswith("num_batches_tracked")}
        for prefix, module in self.named_modules(remove_duplicate=False):
            module.adopt(f"{prefix}." if prefix else "", arrays)
        given: dict[int, str] = {}  # the identity of a target: the first name under which the weights have it
        problems = []
        for name, target in targets.items():
            if name not in arrays:
                continue
            if arrays[name].shape != target.shape:
                problems.append(f"{name} has shape {arrays[name].shape}, the model needs {target.shape}")
            first = given.setdefault(id(target), name)
            if arrays[first].shape == arrays[name].shape and not np.array_equal(arrays[first], arrays[name], True):
                problems.append(f"{first} and {name} are one array in this model, but differ in the weights")
        missing = [name for name, target in targets.items() if id(target) not in given]
        unknown = [name for name in arrays if name not in targets]
        if strict:
            problems = [*(f"{name} is missing" for name in missing),
                        *(f"{name} is unknown to this model" for name in unknown), *problems]
        if problems:
            raise CheckpointError(f"{type(self).__name__}: these weights belong to another model: "
                                  f"{'; '.join(problems)}")
        for name in given.values():
            target = targets[name]
            array = target.writable() if isinstance(target, Tensor) else target
            array[...] = device.put(arrays[name].astype(array.dtype), device.of(array))
        return LoadedKeys(missing, unknown)

    def __repr__(self) -> str:
        children = list(self.children_by_name().items())
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        rows = [row for row in self.extra_repr().split("\n") if row]
        lines = "\n".join([*rows, *(f"({name}): {child!r}" for name, child in children)]).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {lines}\n)"

    def _repr_html_(self) -> str:
        """A notebook shows the table of layers; see nn.html."""
        return html.module_table(self)

    def describe(self) -> str:
        """The sizes and options that `repr` shows."""
        return ""

    def extra_repr(self) -> str:
        """PyTorch's name of `describe`; a subclass may define either."""
        return self.describe()
