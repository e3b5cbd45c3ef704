"""Layers in sequence. A normalisation and the ReLU after it run as one operation, in one pass over memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigan.nn.activations import LeakyReLU, ReLU
from minigan.nn.containers import Numbered
from minigan.nn.module import Module
from minigan.nn.norms import BatchNorm2d, InstanceNorm2d


def _slope(layer: Module) -> float | None:
    """The slope of a ReLU or LeakyReLU that a normalisation can apply; None for others, subclasses included."""
    if isinstance(layer, ReLU | LeakyReLU) and type(layer) in (ReLU, LeakyReLU):
        slope: float = layer.options.get("slope", 0.0)
        return slope if slope >= 0 else None
    return None


class Sequential(Numbered):
    """Modules in sequence, named "0", "1", ..., or as in one dict of modules.

    >>> from minigan import nn
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> len(net[:-1]), list(net[1:].state_dict())
    (2, ['2.weight', '2.bias'])

    Raises:
        ModuleError: an argument is no Module, such as a list, a class or a function.
    """

    def __init__(self, *layers: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            parts = dict(layers[0])
        else:
            parts = {str(i): layer for i, layer in enumerate(layers)}  # type: ignore[misc]
        for name, part in parts.items():
            setattr(self, name, self.part(part)) if isinstance(name, str) else self.add_module(name, part)

    def forward(self, x: Any) -> Any:
        """The output of the last layer. A normalisation applies the ReLU that follows it, in one operation."""
        layers = list(self)
        while layers:
            layer = layers.pop(0)
            slope = _slope(layers[0]) if layers and type(layer) in (BatchNorm2d, InstanceNorm2d) else None
            if slope is None:
                x = layer(x)
            else:
                x = layer(x, slope)
                del layers[0]
        return x

    def taken(self, items: dict[str, Module]) -> Sequential:
        """A slice keeps the layers' names, as in PyTorch."""
        return Sequential(items)
