"""The checks of declared operations, on their own samples: first and second order, linearity, adjoints."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from minigan.engine import Operation, Sample, no_grad
from minigan.errors import GradientError
from minigan.gradcheck.differences import (
    ROUNDING,
    Function,
    analytic_gradient,
    differences,
    gradcheck,
    gradgradcheck,
    on_device,
    random_cotangent,
    relative_error,
    values,
)

RTOL_LINEAR = 1e-12


@dataclass
class Row:
    """The results of one operation's checks: largest relative errors, the time, and the first failure."""

    name: str
    samples: int = 0
    first: float = 0.0
    second: float = 0.0
    linear: float | None = None
    seconds: float = 0.0
    failure: str = ""


def apply(op: Operation, sample: Sample) -> Function:
    """The operation as a function of its tensors alone."""
    return lambda *tensors: op(*tensors, **sample.params)


def samples_of(op: Operation) -> list[Sample]:
    """The operation's own samples, the same at every call.

    Raises:
        GradientError: there are none: an operation without samples would pass every check.
    """
    samples = list(op.samples(np.random.default_rng(0)))
    if not samples:
        raise GradientError(f"{op.name}: its table of samples is empty, so nothing would be checked")
    return samples


def check_linear(op: Operation, sample: Sample, seed: int = 0) -> float:
    """For every argument the operation is linear in: differences at step 1, and the adjoint identity. Largest error."""
    f, rng, worst = apply(op, sample), np.random.default_rng(seed), 0.0
    for i in linear_positions(op, sample):
        v = random_cotangent(values(f, sample.args), seed)
        exact, sizes = differences(f, list(sample.args), i, v, 1.0)
        gx = analytic_gradient(f, list(sample.args), i, v)
        step = rng.normal(size=gx.shape)
        there = [a + step if j == i else a for j, a in enumerate(sample.args)]
        with no_grad():
            forward = f(*map(on_device, map(np.array, there))).numpy() - f(*map(on_device, sample.args)).numpy()
        terms = np.sum(np.abs(step * gx)) + np.sum(np.abs(forward * v))
        adjoint = abs(np.sum(forward * v) - np.sum(step * gx)) / (terms or 1.0)
        worst = max(worst, relative_error(gx, exact, ROUNDING / RTOL_LINEAR * sizes.max(initial=0.0)), float(adjoint))
    if not worst <= RTOL_LINEAR:
        raise GradientError(f"{op.name} is declared linear, but its exact differences are off by {worst:.2e}")
    return worst


def linear_positions(op: Operation, sample: Sample) -> list[int]:
    """Positions of the arguments the operation is linear in (all, for a variadic one that is)."""
    if op.variadic and op.linear_in:
        return list(range(len(sample.args)))
    return [i for i in range(len(sample.args)) if op.argnames[i] in op.linear_in]


def check_operation(op: Operation) -> Row:
    """All checks of one operation; a failure is recorded in the row, not raised."""
    row, start = Row(op.name), time.perf_counter()
    try:
        for sample in samples_of(op):
            f = apply(op, sample)
            row.first = max(row.first, gradcheck(f, sample.args))
            row.second = max(row.second, gradgradcheck(f, sample.args))
            if op.linear_in:
                row.linear = max(row.linear or 0.0, check_linear(op, sample))
            row.samples += 1
    except Exception as error:
        row.failure = f"{type(error).__name__}: {error}"
    row.seconds = time.perf_counter() - start
    return row
