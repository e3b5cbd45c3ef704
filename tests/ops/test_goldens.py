"""Values, gradients and second derivatives as PyTorch computes them, in float64, from goldens/ops.npz.

The inputs are not stored: both sides draw them from NumPy's RandomState, whose stream never changes. The script
goldens/make.py has the same table with PyTorch's functions; it is run by hand where PyTorch is installed.
"""

from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan import Tensor, ops

FILE = Path(__file__).parents[1] / "goldens" / "ops.npz"
IMAGE, VECTOR = (2, 3, 5, 4), (3,)
WIDE = {"stride": (2, 1), "padding": (1, 2)}
FAR = {"stride": (1, 2), "padding": (2, 0), "dilation": (2, 1)}


def batch_norm(training):
    """Output and running statistics in one array, so that all are compared."""

    def f(x, gamma, beta):
        mean, var = np.linspace(-1, 1, 3), np.linspace(0.5, 2, 3)
        y = ops.batch_norm(x, gamma, beta, mean, var, training, momentum=0.3)
        return ops.concat([y.reshape(-1), mg.tensor(mean), mg.tensor(var)])

    return f


def bce_with_logits(x):
    """Targets 1 for the first half, 0 for the second."""
    return ops.mean(ops.concat([ops.softplus(-x[:3]), ops.softplus(x[3:])]))


CASES = {  # name: (shapes of the inputs, function); inputs are standard normal, times a factor if given
    "conv2d": ([IMAGE, (4, 3, 3, 2), (4,)], ops.conv2d),
    "conv2d wide": ([IMAGE, (4, 3, 3, 2), (4,)], lambda x, w, b: ops.conv2d(x, w, b, **WIDE)),
    "conv2d far": ([(1, 2, 6, 5), (3, 2, 3, 2)], lambda x, w: ops.conv2d(x, w, **FAR)),
    "conv2d one pixel": ([(2, 3, 4, 4), (1, 3, 4, 4), (1,)], ops.conv2d),
    "conv_transpose2d": ([(2, 3, 2, 3), (3, 2, 3, 2), (2,)], ops.conv_transpose2d),
    "conv_transpose2d doubling": ([(1, 3, 3, 2), (3, 2, 4, 4), (2,)],
                                  lambda x, w, b: ops.conv_transpose2d(x, w, b, 2, 1)),
    "conv_transpose2d wide": ([(1, 2, 3, 4), (2, 3, 3, 2)], lambda x, w: ops.conv_transpose2d(
        x, w, stride=(3, 2), padding=(1, 0), output_padding=(2, 1))),
    "conv_transpose2d far": ([(1, 2, 4, 3), (2, 3, 3, 2)], lambda x, w: ops.conv_transpose2d(
        x, w, stride=(2, 1), padding=(1, 1), output_padding=(1, 0), dilation=(1, 3))),
    "upconv2d": ([(2, 3, 2, 3), (2, 3, 3, 3), (2,)], ops.upconv2d),
    "linear": ([(3, 4), (2, 4), (2,)], ops.linear),
    "matmul": ([(2, 1, 3, 4), (3, 4, 2)], ops.matmul),
    "batch_norm training": ([IMAGE, VECTOR, VECTOR], batch_norm(True)),
    "batch_norm evaluation": ([IMAGE, VECTOR, VECTOR], batch_norm(False)),
    "batch_norm of vectors": ([(5, 3), VECTOR, VECTOR], ops.batch_norm),
    "instance_norm": ([IMAGE, VECTOR, VECTOR], ops.instance_norm),
    "layer_norm": ([(2, 3, 2, 2), (3, 2, 2), (3, 2, 2)], ops.layer_norm),
    "bilinear up": ([(1, 2, 3, 4)], lambda x: ops.upsample2d(x, 2, "bilinear")),
    "bilinear down": ([(1, 2, 5, 7)], lambda x: ops.interpolate(x, (3, 4), "bilinear")),
    "nearest": ([(1, 2, 2, 3)], lambda x: ops.upsample2d(x, (2, 3))),
    "nearest down": ([(1, 2, 6, 8)], lambda x: ops.interpolate(x, (3, 5), "nearest")),
    "avg_pool2d": ([IMAGE], lambda x: ops.avg_pool2d(x, (3, 2), (2, 1), (1, 1))),
    "max_pool2d": ([IMAGE], lambda x: ops.max_pool2d(x, (3, 2), (2, 1), (1, 1))),
    "pixel_shuffle": ([(1, 8, 2, 3)], lambda x: ops.pixel_shuffle(x, 2)),
    "pad constant": ([(1, 2, 3, 4)], lambda x: ops.pad(x, ((0, 0), (0, 0), (1, 0), (2, 3)), value=0.5)),
    "pad reflect": ([(1, 2, 3, 4)], lambda x: ops.pad(x, ((0, 0), (0, 0), (2, 1), (3, 0)), mode="reflect")),
    "pad edge": ([(1, 2, 3, 4)], lambda x: ops.pad(x, ((0, 0), (0, 0), (2, 1), (3, 0)), mode="edge")),
    "relu": ([(3, 4)], ops.relu), "leaky_relu": ([(3, 4)], ops.leaky_relu), "elu": ([(3, 4)], ops.elu),
    "sigmoid": ([(3, 4)], lambda x: ops.sigmoid(3.0 * x)), "tanh": ([(3, 4)], ops.tanh),
    "softplus": ([(3, 4)], lambda x: ops.softplus(9.0 * x)),
    "log_sigmoid": ([(3, 4)], lambda x: ops.log_sigmoid(9.0 * x)),
    "softmax": ([(2, 4, 3)], lambda x: ops.softmax(x, 1)),
    "log_softmax": ([(2, 4, 3)], lambda x: ops.log_softmax(x, 1)),
    "logsumexp": ([(2, 4, 3)], lambda x: ops.logsumexp(x, (0, 2), True)),
    "var": ([(2, 4, 3)], lambda x: ops.var(x, (0, 2))), "norm": ([(2, 4, 3)], lambda x: ops.norm(x, (1, 2))),
    "max": ([(2, 4, 3)], lambda x: ops.max(x, (1, 2))), "min": ([(2, 4, 3)], lambda x: ops.min(x, 1, True)),
    "rows taken twice": ([(4, 3)], lambda x: x[np.array([3, 0, 3])]),
    "power": ([(3, 4)], lambda x: (x * x + 0.5) ** 1.7),
    "bce with logits": ([(6,)], bce_with_logits),
    "minimax": ([(6,)], lambda x: ops.mean(ops.log_sigmoid(x[:3])) + ops.mean(ops.log_sigmoid(-x[3:]))),
    "gradient penalty": ([(3, 2, 2, 2)], lambda x: ops.mean((ops.norm(x.reshape(3, 8), 1) - 1.0) ** 2)),
}


def draw(name, shapes):
    """The inputs of a case, and the generator that drew them."""
    random = np.random.RandomState(list(CASES).index(name))
    return [random.standard_normal(shape) for shape in shapes], random


@pytest.fixture(scope="module")
def goldens():
    with np.load(FILE, allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("name", CASES)
def test_as_pytorch(name, goldens):
    shapes, f = CASES[name]
    arrays, random = draw(name, shapes)
    xs = [Tensor(a, requires_grad=True) for a in arrays]
    y = f(*xs)
    gs = mg.grad(y, xs, random.standard_normal(y.shape), create_graph=True)
    weighed = sum((g * random.standard_normal(g.shape)).sum() for g in gs)
    seconds = mg.grad(weighed, xs) if weighed.requires_grad else [Tensor(np.zeros(x.shape)) for x in xs]
    labels = ["y", *(f"gradient {i}" for i in range(len(xs))), *(f"second derivative {i}" for i in range(len(xs)))]
    expected = goldens[name]
    for label, part in zip(labels, [y, *gs, *seconds], strict=True):
        theirs, expected = expected[: part.size].reshape(part.shape), expected[part.size :]
        scale = max(1e-3, np.max(np.abs(theirs)))
        np.testing.assert_allclose(part.data, theirs, rtol=0, atol=1e-10 * scale, err_msg=label)
    assert not expected.size


def test_the_file_holds_these_cases_and_is_small(goldens):
    assert set(goldens) == set(CASES)
    assert FILE.stat().st_size < 200_000
