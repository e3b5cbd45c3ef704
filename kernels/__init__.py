"""Arrays in, arrays out: the hot operations, one function each, for whatever device the arrays are on.

A kernel has never heard of a Tensor or of a gradient tape. Images are indexed (N, C, H, W) and stored channels-last;
stride, padding, dilation, sizes and scales are (h, w) pairs that the caller has checked. The formulas are in
`kernels/cpu`; here each name only finds the wing of the first array it is given.

This is the only door. Beside the kernels it has

    Counter, Rate, Moments, Running what kernels take and return beside arrays and numbers
    backend(device)                 who allocates, copies and captures on a device that is not the CPU
    set_precision, get_precision    how float32 numbers are multiplied
    bfloat16, is_bfloat16           the type in which precision "bf16" stores images on a GPU
    set_threads, get_threads        how many workers share the work on the CPU
    layout_copies                   how often a CPU kernel had to copy an image to channels-last
    constant_weights()              a context in which kernels keep what they make of weights, until weights_change(w)
    moments_wanted()                a context for a convolution that a norm follows
    sums_wanted(yes)                a context for a weight gradient that a bias's gradient follows
    branches, reached, beside       for what may run beside a backward pass in a captured graph
    WING                            what computes there: "native v3 kernels", or "NumPy only" and why
    out_size, out_sizes             how many windows of a convolution or a pool fit along an axis, along both
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import cpu
from . import precision as _precision
from .cpu.blocks import get_threads, set_threads
from .cpu.memory import layout_copies
from .geometry import out_size, out_sizes
from .native.library import WING
from .precision import get_precision
from .values import Counter, Moments, Rate, Running, bfloat16, is_bfloat16
from .wings import (
    backend,
    beside,
    branches,
    constant_weights,
    dispatched,
    kernels_of,
    moments_wanted,
    reached,
    sums_wanted,
    weights_change,
)

if TYPE_CHECKING:
    from .cpu import *  # for editors and mypy: a kernel has the signature and the docstring of its CPU twin
    from .cuda.backend import Backend

_doors = {rounds: {name: dispatched(name, rounds) for name in kernels_of(cpu)} for rounds in (False, True)}
globals().update(_doors[False])


def set_precision(precision: str) -> None:
    """Multiply float32 numbers this way from now on; "tf32" is what earlier versions called "fast".

    Other kernels stand at the door from now on if bf16 is emulated, so that without it nothing asks.

    Raises ValueError for another name.
    """
    _precision.set_precision(precision)
    globals().update(_doors[get_precision() == "bf16-emulated"])
