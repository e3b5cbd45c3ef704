"""Is a gradient right? Finite differences in float64, over every element, with a random cotangent.

    python -m minigan.gradcheck                 every operation
    python -m minigan.gradcheck conv2d tanh     these two

For a function f and a random cotangent v, the vjp claims to be the gradient of the number s(x) = <v, f(x)>. Central
differences (s(x+h) - s(x-h)) / 2h give each element of that gradient to about h^2; h = 1e-5 and float64 leave ten
digits. The cotangent must be random: with ones, the gradient of batch norm is zero, and a rule that returns zeros
passes. Where f is linear, the difference with a step of 1 is exact up to rounding, and <A x, y> = <x, A* y> tests the
adjoint.

The second order is the first order of the gradient: the map x, v -> vjp(x, v), differentiated by all of its arguments.

    differences.py  gradcheck and gradgradcheck of any function; formula, for a rule that is no declared operation
    operations.py   every check of a declared operation, on its samples
"""

from minigan.gradcheck.differences import RTOL, STEP, formula, gradcheck, gradgradcheck
from minigan.gradcheck.operations import (
    RTOL_LINEAR,
    Row,
    apply,
    check_linear,
    check_operation,
    linear_positions,
    samples_of,
)

__all__ = ["RTOL", "RTOL_LINEAR", "STEP", "Row", "apply", "check_linear", "check_operation", "formula", "gradcheck",
           "gradgradcheck", "linear_positions", "samples_of"]
