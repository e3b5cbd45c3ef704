"""Layers in sequence. A normalisation and the ReLU after it run as one operation, in one pass over memory.

So do a mirrored border and the convolution after it, which then needs no copy with the border, and a normalisation at
the end of a residual block and the block's sum. On a GPU, a convolution leaves moments for the normalisation after it,
or applies the ReLU after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigan import kernels
from minigan.engine import Tensor
from minigan.engine.state import state
from minigan.errors import ShapeError
from minigan.nn.activations import LeakyReLU, ReLU
from minigan.nn.containers import Numbered
from minigan.nn.layers import Conv2d, ConvTranspose2d, UpConv2d
from minigan.nn.module import Module
from minigan.nn.norms import BatchNorm2d, InstanceNorm2d
from minigan.nn.padding import ReflectionPad2d

CONVOLUTIONS, NORMS = (Conv2d, ConvTranspose2d, UpConv2d), (BatchNorm2d, InstanceNorm2d)


def _is(layer: Module, *types: type) -> bool:
    """Whether a layer is of one of these types and does what they do: no subclass, no method of the instance's own."""
    return type(layer) in types and not {"forward", "compute"} & vars(layer).keys()


def _slope(layer: Module) -> float | None:
    """The slope of a ReLU or LeakyReLU that the layer before it can apply; None for others, subclasses included."""
    if isinstance(layer, ReLU | LeakyReLU) and _is(layer, ReLU, LeakyReLU):
        slope: float = layer.options.get("slope", 0.0)
        return slope if slope >= 0 else None
    return None


def _mirrored(border: Module, layer: Module, x: Any) -> tuple[int, int] | None:
    """The widths (h, w) of a mirrored border that the convolution after it can add by itself; None for others.

    One that x is too small for is left to the border's layer, whose error names it.
    """
    if not (isinstance(border, ReflectionPad2d) and _is(border, ReflectionPad2d)):
        return None
    if not (isinstance(layer, Conv2d) and _is(layer, Conv2d)) or layer.geometry["padding"] not in (0, (0, 0)):
        return None
    left, right, top, bottom = border.sides
    if x.ndim != 4 or left != right or top != bottom:
        return None
    return (top, left) if 0 <= top < x.shape[2] and 0 <= left < x.shape[3] else None


def _leaves_moments(layer: Module, norm: Any) -> bool:
    """Whether a convolution's result goes into a normalisation by its own statistics."""
    return _is(layer, *CONVOLUTIONS) and _is(norm, *NORMS) and norm._by_own_statistics()


class Sequential(Numbered):
    """Modules in sequence, named "0", "1", ..., or as in one dict of modules.

    >>> from minigan import nn
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> len(net[:-1]), list(net[1:].state_dict())
    (2, ['2.weight', '2.bias'])

    In a module of your own, `self.block(x, addend=x)` is a residual block, x + self.block(x), in fewer passes over
    memory if the last layer is a normalisation.

    Raises:
        ModuleError: an argument is no Module, such as a list, a class or a function.
    """

    separable = True

    def __init__(self, *layers: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            parts = dict(layers[0])
        else:
            parts = {str(i): layer for i, layer in enumerate(layers)}  # type: ignore[misc]
        for name, part in parts.items():
            setattr(self, name, self.part(part)) if isinstance(name, str) else self.add_module(name, part)

    def forward(self, x: Any, addend: Tensor | None = None) -> Any:
        """The output of the last layer, plus `addend`, of its shape, if there is one.

        Two layers that are one operation run as one, and so do a normalisation at the end and the sum: see above.
        """
        layers = list(self)
        while layers:
            layer = layers.pop(0)
            border: tuple[Any, ...] = ()  # the widths of one that a convolution adds by itself
            if layers and (widths := _mirrored(layer, layers[0], x)) is not None:
                layer, border = layers.pop(0), (widths,)
            if layers and _is(layer, *NORMS) and (slope := _slope(layers[0])) is not None:
                x = layer(x, slope)
                del layers[0]
            elif layers and _is(layer, Conv2d) and (slope := _slope(layers[0])) is not None and not state.watchers:
                with kernels.opening_follows(slope):
                    x = layer(x, *border)
            elif layers and _leaves_moments(layer, layers[0]):
                with kernels.moments_wanted():
                    x = layer(x, *border)
            elif not layers and _is(layer, *NORMS) and addend is not None:
                return layer(x, addend=addend)
            else:
                x = layer(x, *border)
        if addend is not None and addend.shape != x.shape:
            raise ShapeError(f"Sequential: the addend {addend.shape} must have the result's shape {x.shape}")
        return x if addend is None else addend + x

    def taken(self, items: dict[str, Module]) -> Sequential:
        """A slice keeps the layers' names, as in PyTorch."""
        return Sequential(items)
