"""Several batches through a network in one pass.

A discriminator judges real images and generated ones, a generator translates images of both domains. Apart, these are
two passes with the same weights. As one pass over all images they take half as many operations, each on twice as many
images: on a GPU, whose small kernels take as long for one image as for two, nearly half of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minigan import kernels, ops
from minigan.engine import Tensor
from minigan.engine.state import several_batches, state
from minigan.nn.module import Module

__all__ = ["Parts", "in_one_pass"]


class Parts(list[Any]):
    """A network's outputs, one for each batch; `whole` is that of all batches, None if they did not pass as one."""

    def __init__(self, outputs: Iterable[Any], whole: Any = None) -> None:
        super().__init__(outputs)
        self.whole = whole

    def and_whole(self) -> list[Any]:
        """The outputs and, if there is one, that of all batches."""
        return [*self, *([] if self.whole is None else [self.whole])]


def in_one_pass(network: Callable[[Tensor], Any], *batches: Tensor) -> Parts:
    """network(x) for each of the batches x (N, ...), in one pass if that gives the same.

    It does if every layer says that it is `separable`: it treats each sample by itself or, as batch norm does, by the
    statistics of its own batch. Else (dropout, spectral norm, whose estimate moves with every pass, statistics of a
    minibatch, functions, modules of your own that do not say so), and for batches that differ in shape, the batches
    pass one after the other.

    To make a module of your own separable, write `separable = True` in the class that defines its forward. A subclass
    that defines `forward`, `features` or `__call__` is not, unless it says so, too.

    >>> from minigan import nn, tensor
    >>> double, x = nn.Sequential(nn.ReLU()), tensor([[1.0, -1.0]])
    >>> in_one_pass(double, x, -x)
    [Tensor([[1., 0.]], dtype=float32), Tensor([[0., 1.]], dtype=float32)]
    """
    kinds = {(x.shape, np.dtype(np.float32) if kernels.is_bfloat16(x) else x.dtype, x.device) for x in batches}
    if state.batches > 1 or len(kinds) != 1 or not len(batches[0]) or not _separable(network):
        return Parts(network(x) for x in batches)
    with several_batches(len(batches)):
        y = network(ops.concat(batches))  # (batches * N, ...)
    return Parts(_parts(y, len(batches[0])), y)


def _separable(network: Any) -> bool:
    """Whether a network and all its parts are; `modules` would do, but this is asked in every step, so it is quick."""
    if not isinstance(network, Module):
        return False
    parts, seen = [network], {id(network)}
    while parts:
        part = parts.pop()
        flag: Any = type(part).separable  # the class's: an attribute of this name may be anything
        if (flag.__get__(part) if isinstance(flag, property) else flag) is not True:
            return False
        for inner in vars(part).values():
            if isinstance(inner, Module) and id(inner) not in seen:
                seen.add(id(inner))
                parts.append(inner)
    return True


def _parts(y: Any, size: int) -> list[Any]:
    """A network's output, a tensor or a list of such, cut into batches of `size`."""
    if isinstance(y, Tensor):
        return ops.split(y, size)
    return [list(part) for part in zip(*(ops.split(each, size) for each in y), strict=True)]
