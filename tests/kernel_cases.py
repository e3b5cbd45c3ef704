"""Small arguments for every kernel and every path through its code. A kernel without a case fails test_poison.py.

In the arguments of an optimiser, a list holds the arrays of all parameters. `HOST` names arguments that stay NumPy
arrays on any device.
"""

import numpy as np

from minigan.kernels import Counter, Rate
from minigan.kernels.cpu.means import FUNCTIONS
from minigan.kernels.geometry import out_size

HOST = {"place": (1,), "scatter_add": (1,), "resample": (1, 2)}
ONE, TWO, NONE = (1, 1), (2, 2), (0, 0)
rng = np.random.default_rng(11)


def draw(*shape, dtype=np.float64):
    """Normally distributed numbers; images are stored channels-last."""
    x = rng.standard_normal(shape).astype(dtype)
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if x.ndim == 4 else x


def counts(*shape, high=2**32, dtype=np.uint32):
    return rng.integers(0, high, shape, dtype)


CONVOLUTIONS = [  # N  C   O   H   W   kernel  stride  padding dilation dtype
    (2, 3, 5, 11, 14, (3, 4), (2, 3), (1, 2), ONE, np.float64),  # gathers; its adjoint spreads
    (2, 3, 5, 6, 7, (3, 2), ONE, (2, 1), (2, 3), np.float32),  # few channels: its adjoint spreads
    (2, 24, 2, 6, 7, (3, 4), ONE, (1, 2), ONE, np.float64),  # spreads to few channels; its adjoint gathers by phases
    (2, 24, 6, 6, 7, (3, 4), ONE, (1, 2), (1, 2), np.float32),  # spreads
    (2, 24, 5, 7, 8, (2, 3), (3, 2), ONE, ONE, np.float64),  # phases of a stride, one without taps
    (3, 5, 2, 4, 3, (4, 3), ONE, NONE, ONE, np.float64),  # one window
    (1, 96, 96, 24, 23, (3, 3), ONE, ONE, ONE, np.float32),  # fewer products in C
]
MIRRORED = [  # the same without dilation, with a mirrored border
    (2, 3, 2, 5, 4, (3, 4), ONE, (2, 3), np.float64),
    (1, 2, 3, 4, 3, (2, 3), TWO, (3, 1), np.float64),
    (1, 40, 33, 18, 17, (3, 3), ONE, ONE, np.float32),  # fewer products in C
]
UPCONVOLUTIONS = [  # N C O size kernel scale padding
    (2, 3, 5, (4, 3), (3, 3), TWO, ONE),
    (1, 2, 3, (2, 3), (3, 5), (3, 2), (0, 2)),
    (2, 48, 40, (9, 12), (3, 3), TWO, ONE),  # fewer products
]
NORMS = [(over, shape, dtype) for over in ("batch", "instance", "layer")
         for shape, dtype in (((3, 4, 5, 6), np.float64), ((2, 3, 9, 8), np.float32))]
POOLS = [((2, 3, 7, 9), (3, 2), (2, 1), (1, 1)), ((1, 2, 6, 8), TWO, TWO, NONE)]
PADS = [((3, 4), ((1, 0), (2, 3))), ((2, 3, 5, 7), (NONE, NONE, (1, 1), (2, 1)))]


def _convolutions():
    cases = {"conv2d": [], "conv_transpose2d": [], "conv2d_weight_grad": []}
    for N, C, O, H, W, kernel, *how, dtype in CONVOLUTIONS:
        size = (out_size(*axis) for axis in zip((H, W), kernel, *how, strict=True))
        x, gy, w = draw(N, C, H, W, dtype=dtype), draw(N, O, *size, dtype=dtype), draw(O, C, *kernel, dtype=dtype)
        b, c = draw(O, dtype=dtype), draw(C, dtype=dtype)
        cases["conv2d"] += [(x, w, b, *how), (x, w, None, *how)]
        cases["conv_transpose2d"] += [(gy, w, c, *how, (H, W)), (gy, w, None, *how, (H, W))]
        cases["conv2d_weight_grad"] += [(x, gy, kernel, *how)]
    for N, C, O, H, W, kernel, stride, padding, dtype in MIRRORED:
        size = (out_size(*axis) for axis in zip((H, W), kernel, stride, padding, strict=True))
        x, gy, w = draw(N, C, H, W, dtype=dtype), draw(N, O, *size, dtype=dtype), draw(O, C, *kernel, dtype=dtype)
        cases["conv2d"] += [(x, w, draw(O, dtype=dtype), stride, padding, ONE, True)]
        cases["conv2d_weight_grad"] += [(x, gy, kernel, stride, padding, ONE, True)]
    return cases


def _upconvolutions():
    cases = {"upconv2d": [], "upconv2d_adjoint": [], "upconv2d_weight_grad": []}
    for N, C, O, size, kernel, scale, padding in UPCONVOLUTIONS:
        large = [n * s + 2 * p - k + 1 for n, s, p, k in zip(size, scale, padding, kernel, strict=True)]
        x, g, w, b = draw(N, C, *size), draw(N, O, *large), draw(O, C, *kernel), draw(O)
        cases["upconv2d"] += [(x, w, b, scale, padding), (x, w, None, scale, padding)]
        cases["upconv2d_adjoint"] += [(g, w, scale, padding)]
        cases["upconv2d_weight_grad"] += [(x, g, kernel, scale, padding)]
    return cases


def _norms():
    cases = {"norm_stats": [], "norm_apply": [], "norm_grad": [], "normalized": []}
    for over, shape, dtype in NORMS:
        x, gy, y = (draw(*shape, dtype=dtype) for _ in range(3))
        gamma, beta = (draw(shape[1], dtype=dtype) for _ in range(2))
        axes = {"batch": (0, 2, 3), "instance": (2, 3), "layer": (1, 2, 3)}[over]
        mean, rstd = x.mean(axes, keepdims=True), 1 / np.sqrt(x.var(axes, keepdims=True) + dtype(1e-5))
        cases["norm_stats"] += [(x, over, 1e-5)]
        cases["normalized"] += [(x, over, 1e-5, gamma, beta, 0.2), (x, over, 1e-5, None, None),
                                (x, over, 1e-5, gamma, None, None, None, gy)]
        cases["norm_apply"] += [(x, mean, rstd, gamma, beta), (x, mean, rstd, None, None, 0.2),
                                (x, mean, rstd, gamma, beta, None, gy), (x, mean, rstd, gamma, None, 0.2, gy)]
        cases["norm_grad"] += [(gy, x, mean, rstd, gamma, over), (gy, x, mean, rstd, None, over, y, 0.2)]
    return cases


def _pools():
    cases = {"max_pool2d": [], "pool_take": [], "pool_put": []}
    for shape, kernel, stride, padding in POOLS:
        x, geometry = draw(*shape), (kernel, stride, padding)
        size = [out_size(*axis) for axis in zip(shape[2:], *geometry, strict=True)]
        inside = kernel[0] * kernel[1] if padding == NONE else 1
        index, g = counts(*shape[:2], *size, high=inside, dtype=np.uint8), draw(*shape[:2], *size)
        low = x.copy(order="K")
        low[:, :, :4, :5] = -np.inf  # windows in which no number is larger than the first
        cases["max_pool2d"] += [(x, *geometry), (low, *geometry)]
        cases["pool_take"] += [(x, index, *geometry)]
        cases["pool_put"] += [(g, index, *geometry, shape[2:])]
    x, geometry, dilation = draw(2, 3, 8, 7), (TWO, (3, 2), (1, 0)), (2, 3)
    size = [out_size(*axis, True) for axis in zip(x.shape[2:], *geometry, dilation, strict=True)]
    index, g = counts(2, 3, *size, high=1, dtype=np.uint8), draw(2, 3, *size)
    cases["max_pool2d"] += [(x, *geometry, dilation, True)]
    cases["pool_take"] += [(x, index, *geometry, dilation)]
    cases["pool_put"] += [(g, index, *geometry, x.shape[2:], dilation)]
    return cases


def _pads():
    cases = {"pad": [], "fold": []}
    for shape, widths in PADS:
        x, g = draw(*shape), draw(*(n + b + a for n, (b, a) in zip(shape, widths, strict=True)))
        for mode in ("constant", "reflect", "edge"):
            cases["pad"] += [(x, widths, mode, 0.7)]
            cases["fold"] += [(g, widths, mode), (g, widths, mode, draw(*shape))]
    return cases


def parameters(order=(0, 1, 2, 3), dtype=np.float32):
    """Parameters in the form that an optimiser takes; `order` is the memory order of a filter's axes."""
    filters = np.ascontiguousarray(np.abs(draw(3, 2, 4, 4, dtype=dtype)).transpose(order)).transpose(np.argsort(order))
    return [filters, np.abs(draw(7, dtype=dtype)), np.abs(draw(5, 6, dtype=dtype))]


def _optimizers():
    p, g, m, s = parameters(), parameters((2, 3, 0, 1)), parameters(), parameters()
    return {
        "sgd": [(p, g, None, 0.1, 0.0, False, 0.0), (p, g, m, 0.1, 0.9, True, 0.01),
                (p, g, parameters((2, 3, 0, 1)), 0.1, 0.9, False, 0.0)],
        "rmsprop": [(p, g, s, 0.01, 0.9, 1e-3, 0.1), (p, g, s, 0.01, 0.9, 1e-3, 0.1, m, None, 0.0),
                    (p, g, s, 0.01, 0.9, 1e-3, 0.1, None, m, 0.9)],
        "adam": [(p, g, m, s, 3, 0.1, 0.9, 0.99, 0.1, 0.1), (p, g, m, s, 3, 0.1, 0.9, 0.99, 0.1, 0.1, True),
                 (p, g, m, s, 3, 2e-4, 0.5, 0.999, 1e-8, 0.0)],
        "ema": [(p, g, 0.9)],
        "add_up": [([*p, *g, p[0], g[0], p[0], p[1]], [1, 1, 1, 1, 1, 1, 3, 1]), ([g[0], *[p[0]] * 5], [6]),
                   ([p[1], g[1], p[2], g[2], m[2]], [2, 3])],
    }


def _means():
    cases = {"mean_of": [], "mean_of_grad": []}
    for dtype, shape in ((np.float64, (3, 2, 4, 5)), (np.float32, (1027,))):
        x, t, g = draw(*shape, dtype=dtype), draw(*shape, dtype=dtype), draw(dtype=dtype)
        for of in FUNCTIONS:
            for target in (1.0, t):
                cases["mean_of"] += [(x, target, of, -1.5)]
                cases["mean_of_grad"] += [(g, x, target, of, -1.5, by_target) for by_target in (False, True)]
    x, zeros = draw(3, 2, 4, 5), np.zeros((3, 4), np.float32)
    lengths = [(x, (1, 2, 3)), (zeros, (1,)), (x, (0, 2), True), (draw(5, 8), None), (x, (3,))]
    roots = [np.sqrt((array**2).sum(axes)) for array, axes, *_ in lengths]
    grads = [(np.ones_like(y), y, *case[:2]) for case, y in zip(lengths, roots, strict=True) if case[1]]
    terms = ((1.0, "cross_entropy", 1.0), (-1.0, "hinge", -2.5))
    halves = [(a, terms) for a in (draw(4, 3, 2, 2), draw(6, 1, dtype=np.float32), draw(2, 5))]
    cases |= {"means_of_halves": halves, "means_of_halves_grad": [(draw(dtype=a.dtype), a, t) for a, t in halves]}
    numbers = [draw() for _ in range(3)]
    return {**cases, "lengths": lengths, "lengths_grad": grads,
            "weighted_sum": [(numbers, [1.0, -2.5, 0.5]), (numbers[:1] * 300, [1.0] * 300)],
            "weighted_sum_grad": [(numbers[0], [1.0, -2.5]), (draw(dtype=np.float32), [0.5] * 500)]}


X, ADDRESS = draw(2, 3, 4, 6), (2**40 + 3, 7, 2**33 + 5)
SIGNS = [draw(2, 3, 4, 5), draw(1001, dtype=np.float32)]
LIKE, SHAPE = np.zeros(1, np.float32), (3, 5)
PIXELS, TABLE = counts(5, 4, 3, 2, high=256, dtype=np.uint8), np.linspace(-1, 1, 256).astype(np.float32)
ORDER = np.array([3, 1, 4, 0, 2])

CASES = {
    **_convolutions(), **_norms(), **_pools(), **_pads(), **_optimizers(), **_upconvolutions(),
    "update_running": [(draw(4), np.abs(draw(4)), draw(1, 4, 1, 1), np.abs(draw(1, 4, 1, 1)), 0.1, 30)],
    "add": [(x, x[::-1].copy()) for x in SIGNS],
    "leaky_relu": [(x, slope) for x in SIGNS for slope in (0.0, 0.2, 1.5)],
    "cast": [(draw(2, 3, 4, 5, dtype=np.float32), np.dtype(np.float64)), (draw(7), np.dtype(np.float64))],
    "gate": [(x[::-1].copy(), x, slope) for x in SIGNS for slope in (0.0, 0.2)],
    "mix": [(draw(*s, dtype=t), draw(*s, dtype=t), draw(s[0], *(1,) * (len(s) - 1), dtype=t)) for s, t in (
        ((2, 3, 4, 5), np.float64), ((3, 1, 4, 4), np.float32), ((5, 3), np.float64))],
    "tanh_grad": [(x[::-1].copy(), np.tanh(x)) for x in SIGNS],
    "sigmoid": [(x,) for x in SIGNS],
    "softplus": [(x,) for x in SIGNS],
    "tanh": [(x,) for x in SIGNS],
    **_means(),
    "blur_filters": [(draw(4, 3, 3, 2), TWO), (draw(1, 2, 3, 5), (3, 2))],
    "unblur_filters": [(draw(3, 4, 4, 3), TWO), (draw(2, 1, 5, 6), (3, 2))],
    "matmul": [(draw(5, 7), draw(7, 3)), (draw(2, 1, 5, 4), draw(3, 4, 6))],
    "reduce_sum": [(X, None, False), (X, (0, 2, 3), True), (X, 1, False)],
    "place": [(draw(2, 4), slice(1, 3), (5, 4)), (draw(3, 2), (slice(None), slice(-2, None)), (3, 5)),
              (draw(2, 1, 3), (slice(None, None, 2), None, slice(1, 4)), (4, 5)), (draw(3), (1, slice(0, 3)), (2, 3)),
              (draw(0, 3), slice(2, 2), (4, 3))],
    "scatter_add": [(draw(3, 4), np.array([0, 2, 2]), (4, 4)), (draw(2), (slice(1, 3), 2), (4, 4))],
    "upsample_nearest": [(X, (2, 3))],
    "block_sum": [(X, (2, 3))],
    "resample": [(X, draw(5, 4), draw(7, 6)), (X, None, draw(3, 6)), (X, draw(2, 4), None)],
    "philox4x32": [(counts(9, 4), counts(9, 2))],
    "uniform": [(LIKE, SHAPE, dtype, *ADDRESS) for dtype in (np.float32, np.float64)],
    "normal": [(LIKE, SHAPE, dtype, *ADDRESS) for dtype in (np.float32, np.float64)],
    "integers": [(LIKE, -4, 1000, SHAPE, *ADDRESS), (LIKE, -(2**63), 2**63, SHAPE, *ADDRESS)],
    "permutation_words": [(LIKE, 11, *ADDRESS)],
    "gather_images": [(PIXELS, ORDER, 1, 3, TABLE), (PIXELS, ORDER, 3, 4, TABLE)],
    "advance": [(np.arange(5), np.arange(5)[::-1].copy())],
}  # fmt: skip


def with_counters(name, arguments):
    """The arguments with every number that may come from an array in an array; None if there is no such number."""
    place = {"sgd": (3, Rate), "rmsprop": (3, Rate), "ema": (2, Rate), "adam": (4, Counter), "uniform": (5, Counter),
             "normal": (5, Counter), "integers": (6, Counter), "permutation_words": (4, Counter),
             "gather_images": (2, Counter)}.get(name)
    if place is None:
        return None
    i, kind = place
    number = Rate(np.array([arguments[i]])) if kind is Rate else Counter(np.array([arguments[i] - 2]), 2)
    return *arguments[:i], number, *arguments[i + 1 :]
