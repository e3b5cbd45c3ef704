"""Layers in sequence. A normalisation and the ReLU after it run as one operation, in one pass over memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minigan.nn.activations import LeakyReLU, ReLU
from minigan.nn.layers import BatchNorm2d, InstanceNorm2d
from minigan.nn.module import Module


def _slope(layer: Module) -> float | None:
    """The slope of a ReLU or LeakyReLU that a normalisation can apply; None for others, subclasses included."""
    if isinstance(layer, ReLU | LeakyReLU) and type(layer) in (ReLU, LeakyReLU):
        slope: float = layer.options.get("slope", 0.0)
        return slope if slope >= 0 else None
    return None


class Sequential(Module):
    """Modules in sequence, named "0", "1", ... ."""

    def __init__(self, *layers: Module) -> None:
        super().__init__()
        for i, layer in enumerate(layers):
            setattr(self, str(i), layer)

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

    def __iter__(self) -> Iterator[Module]:
        yield from (layer for _, layer in self.named_children())

    def __getitem__(self, i: int) -> Module:
        return list(self)[i]

    def __len__(self) -> int:
        return sum(1 for _ in self.named_children())
