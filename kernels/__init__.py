"""Arrays in, arrays out: the hot operations, one function each, for whatever device the arrays are on.

A kernel has never heard of a Tensor or of a gradient tape. Images are indexed (N, C, H, W) and stored channels-last;
stride, padding, dilation, sizes and scales are (h, w) pairs that the caller has checked. The formulas are in
`kernels/cpu`; here each name only finds the wing of the first array it is given.

This is the only door. Beside the kernels it has

    Counter, Rate, Moments          what kernels take and return beside arrays and numbers
    backend(device)                 who allocates, copies and captures on a device that is not the CPU
    set_precision, get_precision    how float32 numbers are multiplied
    bfloat16, is_bfloat16           the type in which precision "bf16" stores images on a GPU
    set_threads, get_threads        how many workers share the work on the CPU
    layout_copies                   how often a CPU kernel had to copy an image to channels-last
    constant_weights()              a context in which kernels keep what they make of weights, until weights_change(w)
    moments_wanted()                a context for a convolution that a norm follows
    WING                            what computes there: "native v3 kernels", or "NumPy only" and why
    out_size, out_sizes             how many windows of a convolution or a pool fit along an axis, along both
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import cpu
from .cpu.blocks import get_threads, set_threads
from .cpu.memory import layout_copies
from .geometry import out_size, out_sizes
from .native.library import WING
from .precision import get_precision, set_precision
from .values import Counter, Moments, Rate, bfloat16, is_bfloat16
from .wings import backend, constant_weights, dispatched, kernels_of, moments_wanted, weights_change

if TYPE_CHECKING:
    from .cpu import *  # for editors and mypy: a kernel has the signature and the docstring of its CPU twin
    from .cuda.backend import Backend

globals().update({name: dispatched(name) for name in kernels_of(cpu)})
