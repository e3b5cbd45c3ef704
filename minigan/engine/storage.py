"""Tensors whose numbers are stored as bfloat16, half of float32: the upper half of its bits. Only on a GPU.

In precision "bf16" convolutions store images so; what follows keeps the type of its images. Parameters, statistics,
sums and losses are float32. Two rules hold everywhere:

    arguments    where bfloat16 meets float32, it is cast to float32, unless the primitive takes both (`mixed`)
    cotangents   have the type of what they belong to: float32 for parameters, bfloat16 for images
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan import kernels
from minigan.engine.primitive import Primitive, S
from minigan.engine.tensor import Array, Operand, Tensor, bind

FLOAT32 = np.dtype(np.float32)


def _cast(x: Array, dtype: Any) -> Array:
    """Numbers of x stored as another type of float.

    Forward   y = x, rounded to nearest, ties to even
    VJP       gx = gy
    Why       away from rounding y is x; the cotangent is then stored as x is.
    """
    return kernels.cast(x, dtype)


cast = Primitive(_cast, lambda rng: [S(rng.normal(size=(2, 3)), dtype=np.float64)], linear_in=("x",), keeps=())
cast.defvjp(x=lambda gy, y, x, *, dtype: cast(gy, dtype=x.dtype))


def _cast_method(x: Tensor, dtype: Any) -> Tensor:
    """The numbers stored as another type of float."""
    return cast(x, dtype=dtype)


bind(cast=_cast_method)


def full(x: Operand) -> Any:
    """x, or float32 numbers if it is a tensor stored as bfloat16: what losses and penalties begin with."""
    return cast(x, dtype=FLOAT32) if isinstance(x, Tensor) and kernels.is_bfloat16(x) else x
