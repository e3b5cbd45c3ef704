# %% [markdown]
# # A bug hunt
#
# Six operations, each with its forward and its backward rule. Some rules are wrong. Reading them closely helps little,
# as the bugs are made to be overlooked: find them with gradient checks alone. Think about what a check needs to reveal
# a bug: which inputs, which shapes, which cotangent?

# %%
"""Six backward rules, some of them wrong; run the file to see whether your set of suspects is right."""

import hashlib
import sys

import numpy as np

from minigan.teach.exercise import in_notebook

DIGEST = "c3b18f4170c57822"  # of the sorted names of the wrong rules


def softplus(x):
    """Smooth rectifier: y = ln(1 + e^x)."""
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


def softplus_vjp(gy, x):
    """Rule for x of any shape."""
    return gy / (1 + np.exp(-x))


def row_means(x):
    """Means of the rows: y[i] = mean_j x[i,j]."""
    return x.mean(axis=1)


def row_means_vjp(gy, x):
    """Rule for x (N, M)."""
    return np.broadcast_to(gy[:, None], x.shape) / len(x)


def standardise(x):
    """Zero mean and unit deviation per column: y = (x - mean) / std."""
    return (x - x.mean(0)) / x.std(0)


def standardise_vjp(gy, x):
    """Rule for x (N, C)."""
    return (gy - gy.mean(0)) / x.std(0)


def correlate(x):
    """Correlation with stride 2: y[i] = sum_k x[2i+k] F[k]."""
    return np.array([x[2 * i : 2 * i + 3] @ FILTER for i in range((len(x) - 3) // 2 + 1)])


def correlate_vjp(gy, x):
    """Rule for x (N,)."""
    gx = np.zeros_like(x)
    for i in range(len(gy)):
        gx[2 * i : 2 * i + 3] += gy[i] * FILTER[::-1]
    return gx


def logsumexp(x):
    """Logarithm of a sum of exponentials, without overflow: y = ln sum_i e^(x_i)."""
    return x.max() + np.log(np.exp(x - x.max()).sum())


def logsumexp_vjp(gy, x):
    """Rule for x (N,)."""
    return gy * np.exp(x - logsumexp(x))


def direction(x):
    """Unit vector: y = x / |x|."""
    return x / np.sqrt(x @ x)


def direction_vjp(gy, x):
    """Rule for x (N,)."""
    length = np.sqrt(x @ x)
    return gy / length - x * (x @ gy) / length**3


FILTER = np.array([1.0, -2.0, 0.5])
RULES = {  # name: (forward, rule, shape of x)
    "softplus": (softplus, softplus_vjp, (2, 3)),
    "row_means": (row_means, row_means_vjp, (3, 3)),  # the shape is a suggestion
    "standardise": (standardise, standardise_vjp, (4, 2)),
    "correlate": (correlate, correlate_vjp, (7,)),
    "logsumexp": (logsumexp, logsumexp_vjp, (5,)),
    "direction": (direction, direction_vjp, (4,)),
}


# %%
def verdict(names):
    """Return "exact" or "wrong" for the whole set of names."""
    return "exact" if hashlib.sha256(" ".join(sorted(names)).encode()).hexdigest()[:16] == DIGEST else "wrong"


# %%
def suspects():
    """The set of names whose rule is wrong, found by gradient checks."""
    raise NotImplementedError("your turn")


# %%
if in_notebook():  # nbgrader counts cells that fail
    assert verdict(suspects()) == "exact", "not this set: look for inputs that a wrong rule cannot pass by luck"

# %%
if __name__ == "__main__" and not in_notebook():
    try:
        found = suspects()
    except NotImplementedError:
        print("bug hunt: not done")
        sys.exit(1)
    print(f"bug hunt: {verdict(found)}: {', '.join(sorted(found)) or 'no rule'}")
    sys.exit(verdict(found) != "exact")
