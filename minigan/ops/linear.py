"""Matrix product and the fully connected layer."""

from __future__ import annotations

import numpy as np

from minigan import kernels
from minigan.engine import Array, Operand, S, Tensor, bind, operation, primitive
from minigan.errors import ShapeError
from minigan.ops._samples import normal
from minigan.ops.shape import reshape, transpose


@primitive(samples=lambda rng: [S(normal(rng, 2, 3), normal(rng, 3, 4)), S(normal(rng, 4, 2, 3), normal(rng, 1, 3, 2)),
                                S(normal(rng, 5, 2, 3), normal(rng, 3, 1))], linear_in=("a", "b"), broadcasts=True)
def _matmul(a: Array, b: Array) -> Array:
    """Matrix product over the last two axes; leading axes broadcast.

    Forward   y[i,j] = sum_k a[i,k] b[k,j]
    VJP       ga = gy b^T        gb = a^T gy
    Why       y is linear in a: ga[i,k] = sum_j gy[i,j] dy[i,j]/da[i,k] = sum_j gy[i,j] b[k,j]; likewise in b.
    """
    return kernels.matmul(a, b)


def _swap(x):
    """Transpose the last two axes."""
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


_matmul.defvjp(a=lambda gy, y, a, b: matmul(gy, _swap(b)), b=lambda gy, y, a, b: matmul(_swap(a), gy))
_matmul.defonnx("MatMul")


def matmul(a: Operand, b: Operand) -> Tensor:
    """`a @ b`, as NumPy defines it: a vector on the left is a row, on the right a column.

    Raises:
        ShapeError: the inner sizes differ, or an argument is a scalar.
    """
    left, right = np.shape(a), np.shape(b)
    if not left or not right or left[-1] != right[-2 if len(right) > 1 else 0]:
        inner = f"{left[-1]} and {right[-2 if len(right) > 1 else 0]}" if left and right else "none (a scalar)"
        raise ShapeError(f"matmul: shapes {left} and {right} do not chain: the inner sizes are {inner}")
    if len(left) > 1 and len(right) > 1:
        return _matmul(a, b)
    y = _matmul(reshape(a, (1, -1)) if len(left) == 1 else a,  # (1, K)
                reshape(b, (-1, 1)) if len(right) == 1 else b)  # (K, 1)
    return reshape(y, (*(left[:-1] if len(left) > 1 else ()), *((*right[:-2], right[-1]) if len(right) > 1 else ())))


bind(__matmul__=lambda a, b: matmul(a, b), __rmatmul__=lambda a, b: matmul(b, a))


@operation(samples=lambda rng: [S(normal(rng, 2, 3), normal(rng, 4, 3), normal(rng, 4)),
                                S(normal(rng, 2, 3), normal(rng, 1, 3))], linear_in=("x", "w"))
def linear(x: Operand, w: Operand, b: Operand | None = None) -> Tensor:
    """Fully connected layer: x (N, in), w (out, in), b (out,) or None.

    Forward   y = x w^T + b
    VJP       gx = gy w        gw = gy^T x        gb = sum_n gy[n]
    Why       the matrix product's rule with b = w^T; b is added to every row, so it collects every row's cotangent.

    Raises:
        ShapeError: sizes that do not fit together.
    """
    if len(np.shape(w)) != 2 or np.shape(x)[-1:] != np.shape(w)[1:]:
        raise ShapeError(f"linear: x {np.shape(x)} has {np.shape(x)[-1] if np.shape(x) else 'no'} features, "
                         f"but w (out, in)={np.shape(w)} needs {np.shape(w)[-1] if np.shape(w) else 'two axes'}")
    if b is not None and np.shape(b) != np.shape(w)[:1]:
        raise ShapeError(f"linear: b {np.shape(b)} must have one element per output of w (out, in)={np.shape(w)}")
    y = matmul(x, transpose(w))
    return y if b is None else y + b


__all__ = ["linear", "matmul"]
