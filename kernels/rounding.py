"""bf16 emulated on the CPU: what a device would store in 16 bits is rounded to them, and stays a float32 array.

A bf16 number has float32's sign and exponent and the first 7 bits of its mantissa. On a device an array's type says
whether it is stored so; here its numbers do: an image (N, C, H, W) of float32 counts as bf16 if all of its numbers are.
So the rule of `--precision bf16`, an activation has the type of its input, needs no types:

    a product            takes its images and filters as bf16, and stores an image as bf16; sums are float32
    a gradient of filters   takes its images as bf16, and stays float32
    any other kernel     stores bf16 if its input is

Statistics, sums of images over their axes, losses and optimisers are not named below: float32, as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import numpy as np

from .cpu.blocks import SHARED, cut, for_each_block, get_threads
from .cpu.memory import empty_like, in_order_of, memory_view
from .geometry import blurred_geometry, enlarged_size
from .native.library import LIBRARY
from .values import FLOAT32, Array, Pair

PRODUCTS = ("conv2d", "conv_transpose2d")
WEIGHT_GRADS = ("conv2d_weight_grad", "upconv2d_weight_grad")
STORED = {  # kernels that compute other numbers than they read; which arguments must be bf16: places, and an option
    "add": (0, 1), "block_sum": (0,), "fold": (0, "addend"), "gate": (0,), "leaky_relu": (0,), "norm_apply": (0,),
    "norm_grad": (1,), "normalized": (0,), "pool_put": (0,), "resample": (0,), "tanh": (0,), "tanh_grad": (1,),
}
PIECE = 1 << 15  # numbers that a few passes take at a time: in a core's cache from pass to pass
LOW = np.uint32(0xFFFF)  # the bits of a float32 number that bf16 has not
ONE = (1, 1)

Kernel = Callable[..., Any]


def to_bf16(x: Array) -> Array:
    """float32 x rounded to the nearest bf16 number, of two to the even one, as float32; NaN and infinity stay.

    A new array, stored like x. Half a bf16's last digit is 0x8000: 0x7FFF is added, and 1 more if the last digit is
    odd, so that a tie goes up from an odd digit only; then the lower 16 bits are cut off.
    """
    y = empty_like(x)
    flat, out = in_order_of(y, x), in_order_of(y, y)
    if x.size and LIBRARY is not None:
        LIBRARY.round_bf16(get_threads(), flat, out)
    elif x.size:
        _by_integers(flat, out)
    return y


def _by_integers(numbers: Array, y: Array) -> None:
    """to_bf16 in NumPy, of flat arrays."""
    bits, rounded = numbers.view(np.uint32), y.view(np.uint32)

    def piece(part: slice) -> None:
        out = rounded[part]
        np.right_shift(bits[part], 16, out=out)
        np.bitwise_and(out, 1, out=out)
        np.add(out, LOW >> 1, out=out)
        np.add(out, bits[part], out=out)
        np.bitwise_and(out, ~LOW, out=out)
        if np.isnan(np.max(numbers[part])):  # a sum may have carried a NaN's mantissa into its sign
            np.copyto(out, bits[part] & ~LOW | 0x00400000, where=np.isnan(numbers[part]))  # a quiet NaN

    for_each_block(piece, cut(y.size, PIECE), share=y.size > SHARED)


def is_image(v: Any) -> TypeGuard[Array]:
    """Whether v is an array of images, or of filters, in float32."""
    return isinstance(v, np.ndarray) and v.ndim == 4 and v.dtype == FLOAT32


def is_bf16(x: Array) -> bool:
    """Whether all numbers of a float32 array are bf16 numbers; the first piece with another one ends the search."""
    flat = memory_view(x)
    bits = (x.ravel() if flat is None else flat).view(np.uint32)
    return not any(np.bitwise_or.reduce(bits[part]) & LOW for part in cut(bits.size, PIECE))


def _taken(v: Any) -> Any:
    """What a product takes for an argument."""
    return to_bf16(v) if is_image(v) and not is_bf16(v) else v


def _product(kernel: Kernel) -> Kernel:
    summed = _weight_grad(kernel)

    def rounded(*given: Any, **options: Any) -> Any:
        y = summed(*given, **options)
        return to_bf16(y) if is_image(y) else y

    return rounded


def _weight_grad(kernel: Kernel) -> Kernel:
    return lambda *given, **options: kernel(*map(_taken, given), **{key: _taken(v) for key, v in options.items()})


def _stored(kernel: Kernel, places: tuple[int | str, ...]) -> Kernel:
    def rounded(*given: Any, **options: Any) -> Any:
        images = (given[place] if isinstance(place, int) else options.get(place) for place in places)
        if not all(image is None or (is_image(image) and is_bf16(image)) for image in images):
            return kernel(*given, **options)
        if "addend" in options:  # of a norm, which adds what has its images' type
            options["addend"] = _taken(options["addend"])
        y = kernel(*given, **options)
        return (to_bf16(y[0]), *y[1:]) if isinstance(y, tuple) else to_bf16(y)

    return rounded


def emulated(exact: Mapping[str, Kernel]) -> dict[str, Kernel]:
    """The kernels of the CPU that round, by name, made of the exact ones.

    An up-convolution is, as on a device, a product with blurred filters: these are what is rounded.
    """
    kernels = {name: _product(exact[name]) for name in PRODUCTS}
    kernels |= {name: _weight_grad(exact[name]) for name in WEIGHT_GRADS}
    kernels |= {name: _stored(exact[name], places) for name, places in STORED.items()}
    blurred = exact["blur_filters"]

    def upconv2d(x: Array, w: Array, b: Array | None, scale: Pair, padding: Pair) -> Any:
        size = enlarged_size(x.shape[2:], w.shape[2:], scale, padding)
        _, rest = blurred_geometry(w.shape[2:], scale, padding)
        return kernels["conv_transpose2d"](x, blurred(w, scale), b, scale, rest, ONE, size)

    def upconv2d_adjoint(g: Array, w: Array, scale: Pair, padding: Pair) -> Any:
        _, rest = blurred_geometry(w.shape[2:], scale, padding)
        return kernels["conv2d"](g, blurred(w, scale), None, scale, rest, ONE)

    return kernels | {"upconv2d": upconv2d, "upconv2d_adjoint": upconv2d_adjoint}
