"""Convolutions in C against the twins in float64: any geometry and channels, every algorithm, poisoned memory."""

import numpy as np
import pytest

from minigan.kernels import cpu, get_precision, native, set_precision
from minigan.kernels.geometry import out_size
from minigan.kernels.native import conv, direct, winograd
from minigan.kernels.native.library import LIBRARY

CHANNELS = (1, 2, 3, 4, 5, 16, 17, 33, 64)
ONE = (1, 1)


@pytest.fixture(autouse=True)
def _poisoned():
    LIBRARY.poison(True)
    yield
    LIBRARY.poison(False)


def geometries(count):
    """Sizes drawn at random: strides beyond the kernel, borders beyond it, dropped rows, one window, one pixel."""
    rng = np.random.default_rng(3)
    pair = lambda least, *most: tuple(int(rng.integers(least, m + 1)) for m in most)
    while count:
        N, C, O = rng.choice([1, 2, 5]), *rng.choice(CHANNELS, 2)
        kernel, stride, padding, dilation = pair(1, 5, 4), pair(1, 4, 3), pair(0, 4, 3), pair(1, 3, 2)
        size = pair(1, 13, 14)
        out = [out_size(*axis) for axis in zip(size, kernel, stride, padding, dilation, strict=True)]
        if min(out) > 0:
            count -= 1
            yield int(N), int(C), int(O), size, kernel, stride, padding, dilation, tuple(out)


def draw(rng, N, C, O, size, kernel, out):
    """Images, filters (KH, KW, C, O) that keep the scale, cotangents and biases, all channels last."""
    shapes = (N, *size, C), (*kernel, C, O), (N, *out, O), (O,), (C,)
    x, w, g, b, c = (rng.standard_normal(shape, np.float32) for shape in shapes)
    return x, w / np.float32(np.sqrt(np.prod(kernel) * C)), g, b, c


def wanted(x, w, g, b, c, stride, padding, dilation):
    """The three results in float64, from the twins."""
    first = lambda a: a.astype(np.float64).transpose(0, 3, 1, 2)
    filters, b, c = w.astype(np.float64).transpose(3, 2, 0, 1), b.astype(np.float64), c.astype(np.float64)
    y = cpu.conv2d(first(x), filters, b, stride, padding, dilation)
    gx = cpu.conv_transpose2d(first(g), filters, c, stride, padding, dilation, x.shape[1:3])
    gw = cpu.conv2d_weight_grad(first(x), first(g), w.shape[:2], stride, padding, dilation)
    return y.transpose(0, 2, 3, 1), gx.transpose(0, 2, 3, 1), gw.transpose(2, 3, 1, 0)


def error(result, truth):
    """The largest error over the deviation of the truth, or over 1."""
    return np.abs(result - truth).max() / max(1, truth.std())


@pytest.mark.parametrize("case", list(geometries(150)), ids=str)
def test_direct(case, rng, with_threads):
    N, C, O, size, kernel, *how, out = case
    x, w, g, b, c = draw(rng, N, C, O, size, kernel, out)
    truth, before = wanted(x, w, g, b, c, *how), None
    for threads in (1, 2, 3):
        results = y, gx, gw = [np.full(a.shape, np.nan, np.float32) for a in (g, x, w)]
        with_threads(threads, direct.forward, x, w, b, y, *how)
        with_threads(threads, direct.adjoint, g, w, c, gx, *how)
        with_threads(threads, direct.weights, x, g, gw, *how)
        assert before in (None, [a.tobytes() for a in results])
        before = [a.tobytes() for a in results]
    assert max(map(error, results, truth)) < 3e-6


WEIGHTS = [  # N C O size kernel stride padding dilation
    (40, 1, 64, (16, 16), (4, 4), (2, 2), ONE, ONE),  # few rows, many pieces
    (3, 3, 40, (40, 700), (5, 3), ONE, (2, 1), ONE),  # blocks of part of a row
    (2, 200, 130, (12, 9), (3, 3), ONE, ONE, ONE),  # bands of kernel rows, strips of columns
    (2, 256, 32, (12, 12), (3, 3), ONE, ONE, (2, 1)),  # copies with channels apart from powers of two
    (9, 17, 30, (4, 3), (4, 3), ONE, (0, 0), ONE),  # one window is the whole image
    (9, 17, 30, (7, 3), (4, 3), ONE, (0, 0), (2, 1)),  # one column of windows, each as wide as the image
    (5, 64, 1, (30, 31), (4, 4), ONE, ONE, ONE),  # few filters: rows are filters
    (5, 24, 2, (30, 31), (3, 4), (2, 1), ONE, ONE),
    (5, 20, 3, (30, 31), (7, 7), ONE, (3, 3), (1, 2)),
    (5, 40, 5, (30, 31), (3, 3), ONE, ONE, ONE),
    (5, 40, 7, (30, 31), (1, 1), (2, 2), (0, 0), ONE),
    (2, 5, 6, (9, 8), (2, 2), (5, 4), (3, 3), ONE),  # windows apart
]


@pytest.mark.parametrize("N, C, O, size, kernel, stride, padding, dilation", WEIGHTS)
def test_direct_weights(N, C, O, size, kernel, stride, padding, dilation, rng, with_threads):
    how = stride, padding, dilation
    out = tuple(out_size(*axis) for axis in zip(size, kernel, *how, strict=True))
    x, w, g, b, c = draw(rng, N, C, O, size, kernel, out)
    truth = wanted(x, w, g, b, c, *how)[2]
    results = [np.full_like(w, np.nan) for _ in range(4)]
    for threads, gw in zip((1, 2, 3, 8), results, strict=True):
        with_threads(threads, direct.weights, x, g, gw, *how)
    assert len({gw.tobytes() for gw in results}) == 1
    assert error(results[0], truth) < 3e-6


def test_weights_of_many_pixels_are_added_in_parts(rng):
    """One float32 sum of 65,536 products of one sign has an error of 1e-4 or more of its size."""
    x, g = rng.random((4, 128, 128, 2), np.float32), rng.random((4, 128, 128, 16), np.float32)
    gw = np.empty((1, 1, 2, 16), np.float32)
    direct.weights(x, g, gw, ONE, (0, 0), ONE)
    truth = np.einsum("nhwc,nhwo->co", x.astype(np.float64), g.astype(np.float64))
    np.testing.assert_allclose(gw[0, 0], truth, rtol=3e-6)


def test_infinity_and_nan_stay_in_their_channel(rng):
    x, w, g, *_ = draw(rng, 2, 5, 20, (9, 9), (3, 3), (9, 9))
    x[1, 4, 4, 3] = np.inf
    g[0, 2, 2, 7] = np.nan
    gw = np.empty_like(w)
    direct.weights(x, g, gw, ONE, ONE, ONE)
    finite = np.isfinite(gw)
    assert not finite[:, :, 3].any()
    assert not finite[..., 7].any()
    assert finite[:, :, [0, 1, 2, 4]][..., [o for o in range(20) if o != 7]].all()


def test_no_images_are_numpys():
    x, g, w = np.zeros((0, 3, 5, 5), np.float32), np.zeros((0, 4, 5, 5), np.float32), np.zeros((4, 3, 3, 3), np.float32)
    assert conv.conv2d(x, w, None, ONE, ONE, ONE).shape == (0, 4, 5, 5)
    assert conv.conv_transpose2d(g, w, None, ONE, ONE, ONE, (5, 5)).shape == x.shape
    assert not conv.conv2d_weight_grad(x, g, (3, 3), ONE, ONE, ONE).any()
    y = conv.conv2d(np.zeros((2, 0, 5, 5), np.float32), np.zeros((4, 0, 3, 3), np.float32), None, ONE, ONE, ONE)
    assert y.tobytes() == np.zeros((2, 4, 5, 5), np.float32).tobytes()


def test_sums_of_many_terms_are_added_in_parts(rng):
    x, w, g, b, c = draw(rng, 2, 256, 32, (12, 12), (3, 3), (12, 12))
    y, how = np.empty_like(g), (ONE, ONE, ONE)
    direct.forward(x, w, b, y, *how)
    assert error(y, wanted(x, w, g, b, c, *how)[0]) < 3e-6  # one sum of 2,304 terms has 9e-6


SIZES = [  # N C O size padding
    (1, 16, 16, (8, 8), ONE), (2, 5, 3, (7, 9), (1, 0)), (3, 17, 33, (12, 11), (2, 1)), (1, 64, 64, (9, 33), (0, 0)),
    (5, 1, 1, (5, 5), ONE), (4, 24, 40, (4, 4), ONE), (64, 32, 16, (8, 8), ONE), (2, 200, 70, (16, 13), ONE),
    (1, 3, 3, (5, 6), (3, 3)), (2, 12, 20, (34, 34), (0, 0)),
]
KERNELS = {winograd.F22: [(4, 4), (3, 3), (4, 3)], winograd.F23: [(3, 3), (2, 3)],
           winograd.F42: [(4, 4), (3, 3), (3, 4)], winograd.F43: [(3, 3), (3, 2)], winograd.F34: [(4, 4), (4, 3)],
           winograd.C43: [(3, 3), (2, 3)], winograd.C34: [(4, 4), (3, 4)]}


@pytest.mark.parametrize("which, kernel", [(which, kernel) for which in KERNELS for kernel in KERNELS[which]])
@pytest.mark.parametrize("N, C, O, size, padding", SIZES)
def test_fewer_products(which, kernel, N, C, O, size, padding, rng, with_threads):
    step = winograd.ALGORITHMS[which][2]
    out = tuple((n + 2 * p - k) // step + 1 for n, p, k in zip(size, padding, kernel, strict=True))
    x, w, g, b, c = draw(rng, N, C, O, size, kernel, out)
    truth, before = wanted(x, w, g, b, c, (step, step), padding, ONE), None
    for threads in (1, 2, 3):
        results = y, gx, gw = [np.full(a.shape, np.nan, np.float32) for a in (g, x, w)]
        with_threads(threads, winograd.forward, which, x, w, b, y, padding)
        with_threads(threads, winograd.adjoint, which, g, w, c, gx, padding)
        with_threads(threads, winograd.weights, which, x, g, gw, padding)
        assert before in (None, [a.tobytes() for a in results])
        before = [a.tobytes() for a in results]
    assert max(map(error, results, truth)) < (1e-5 if which in winograd.PRECISE else 5e-5)


@pytest.mark.parametrize("which, bound", [(winograd.F23, 8e-6), (winograd.C43, 8e-6), (winograd.F43, 3e-5)])
def test_fewer_products_of_many_tiles_are_added_in_parts(which, bound, rng):
    """One sum over the tiles of 65,536 pixels would have errors of 4e-5 and 1e-4 of the deviation."""
    x, g = (rng.standard_normal((16, 64, 64, 16), np.float32) for _ in range(2))
    gw = np.empty((3, 3, 16, 16), np.float32)
    winograd.weights(which, x, g, gw, ONE)
    truth = wanted(x, gw, g, np.zeros(16), np.zeros(16), ONE, ONE, ONE)[2]
    assert error(gw, truth) < bound


UPSAMPLED = [  # N C O size
    (1, 16, 16, (8, 8)), (2, 5, 3, (7, 9)), (3, 17, 33, (1, 6)), (1, 64, 64, (3, 33)), (5, 1, 1, (5, 5)),
    (64, 32, 16, (4, 4)), (2, 200, 70, (8, 5)), (4, 3, 3, (1, 1)), (9, 33, 128, (9, 1)),
]


@pytest.mark.parametrize("N, C, O, size", UPSAMPLED)
def test_up_convolution_with_fewer_products(N, C, O, size, rng, with_threads):
    """Against the convolution of the enlarged image in float64; the bounds are the errors of F(2x2, 3x3)."""
    large = 2 * size[0], 2 * size[1]
    x, w, g, b, _ = draw(rng, N, C, O, size, (3, 3), large)
    enlarged = x.repeat(2, axis=1).repeat(2, axis=2)
    y, genlarged, gw = wanted(enlarged, w, g, b, np.zeros(C), ONE, ONE, ONE)
    truth = y, genlarged.reshape(N, size[0], 2, size[1], 2, C).sum((2, 4)), gw
    before = None
    for threads in (1, 2, 3, 8):
        results = y, gx, gw = [np.full(a.shape, np.nan, np.float32) for a in (g, x, w)]
        with_threads(threads, winograd.forward, winograd.UP, x, w, b, y, ONE)
        with_threads(threads, winograd.adjoint, winograd.UP, g, w, None, gx, ONE)
        with_threads(threads, winograd.weights, winograd.UP, x, g, gw, ONE)
        assert before in (None, [a.tobytes() for a in results])
        before = [a.tobytes() for a in results]
    assert max(map(error, results, truth)) < 5e-6


@pytest.mark.parametrize("N, C, O, side", [(64, 256, 128, 4), (16, 128, 64, 8)])
def test_errors_of_an_up_convolution_on_layers_of_a_generator(N, C, O, side, rng):
    """The largest is about 3e-6 of the deviation, a tenth of what F(4x4, 2x2) has on the phases of blurred filters."""
    x, w, g, *_ = draw(rng, N, C, O, (side, side), (3, 3), (2 * side, 2 * side))
    images, cotangents, filters = x.transpose(0, 3, 1, 2), g.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1)
    for kernel, *arguments in (("upconv2d", images, filters, None), ("upconv2d_adjoint", cotangents, filters),
                               ("upconv2d_weight_grad", images, cotangents, (3, 3))):
        exact = [a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in arguments]
        truth = getattr(cpu, kernel)(*exact, (2, 2), ONE)
        before = get_precision()
        set_precision("fp32")
        try:
            precise = getattr(native, kernel)(*arguments, (2, 2), ONE)
        finally:
            set_precision(before)
        assert np.abs(precise - truth).max() / truth.std() < 6e-6


def test_up_convolutions_choose_their_way():
    layers = [(64, (8, 8), 128, 64), (64, (16, 16), 64, 1)]
    three, two = (3, 3), (2, 2)
    before = get_precision()
    for precision, kinds in (("fast", ("forward",)), ("fp32", ("forward", "adjoint", "weights"))):
        set_precision(precision)
        try:
            for kind in kinds:
                assert [winograd.enlarges(kind, *layer, three, two, ONE) for layer in layers] == [True, False]
        finally:
            set_precision(before)
    for kernel, scale, padding in (((5, 3), two, ONE), (three, (2, 3), ONE), (three, two, (1, 0))):
        assert not winograd.enlarges("forward", *layers[0], kernel, scale, padding)


def test_the_precision_chooses_among_algorithms():
    residual = 1, (32, 32), 256, 256, (3, 3), ONE, ONE
    strided = 64, (8, 8), 64, 128, (4, 4), (2, 2), ONE
    before = get_precision()
    try:
        set_precision("fast")
        assert [winograd.cheapest(*layer) for layer in (residual, strided)] == [winograd.F43, winograd.F42]
        set_precision("fp32")
        assert [winograd.cheapest(*layer) for layer in (residual, strided)] == [winograd.C43, winograd.F22]
    finally:
        set_precision(before)


def test_layouts(rng):
    x, w = rng.standard_normal((2, 3, 9, 8), np.float32), rng.standard_normal((4, 3, 3, 3), np.float32)
    truth = cpu.conv2d(x.astype(np.float64), w.astype(np.float64), None, ONE, ONE, ONE)
    odd = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)  # at an odd address
    flipped, strided = x[:, ::-1].copy()[:, ::-1], np.repeat(x, 2, axis=3)[..., ::2]
    for images in (x, flipped, strided, odd):
        assert error(conv.conv2d(images, w, None, ONE, ONE, ONE), truth) < 3e-6


def test_sizes_that_do_not_fit_are_refused(rng):
    """Neither arrays too small for their sizes, nor sizes whose product overflows, nor empty or negative ones."""
    x, w, g, b, _ = draw(rng, 1, 3, 4, (5, 5), (3, 3), (3, 3))
    good = [1, 5, 5, 3, 3, 3, 4, 3, 3, 1, 1, 0, 0, 1, 1]
    LIBRARY.direct_forward(1, x, w, b, g, *good)
    for place, size in [(0, 9), (0, 0), (2, 0), (4, -3), (6, 0), (7, 0), (9, 0), (11, -1), (13, 0), (9, 2**40),
                        (0, 2**62), *((k, 2**31) for k in range(9))]:
        sizes = [*good[:place], size, *good[place + 1 :]]
        for kernel, arrays in ((LIBRARY.direct_forward, (x, w, b, g)), (LIBRARY.direct_adjoint, (g, w, b, x)),
                               (LIBRARY.direct_weights, (x, g, w))):
            with pytest.raises(ValueError, match="an array is missing, or smaller than its sizes say"):
                kernel(1, *arrays, *sizes)
    with pytest.raises(ValueError, match="an array is missing, or smaller than its sizes say"):
        LIBRARY.winograd_forward(1, x, w, b, g, 99, 1, 5, 5, 3, 3, 3, 4, 3, 3, 0, 0, 0)
    for sizes in ((6, 5, 1, 1), (5, 5, 1, 1), (10, 10, 0, 1)):  # an up-convolution has one size and one border
        with pytest.raises(ValueError, match="an array is missing, or smaller than its sizes say"):
            LIBRARY.winograd_forward(1, x, w, b, g, winograd.UP, 1, 5, 5, 3, *sizes[:2], 4, 3, 3, *sizes[2:], 0)
    for sizes in ((2**62, 5, 5, 3, 3, 3, 4), (2**32, 2**32, 5, 3, 2**32, 2**32, 4)):
        for kernel, arrays in ((LIBRARY.winograd_forward, (x, w, b, g)), (LIBRARY.winograd_adjoint, (g, w, b, x)),
                               (LIBRARY.winograd_weights, (x, g, w))):
            with pytest.raises(ValueError, match="an array is missing, or smaller than its sizes say"):
                kernel(1, *arrays, winograd.F23, *sizes, 3, 3, 0, 0, 0)


@pytest.mark.parametrize("precision", ["fast", "fp32"])
@pytest.mark.parametrize("size, kernel, stride, padding", [((2, 2), 3, 1, 1), ((5, 3), 3, 1, 2), ((16, 13), 3, 1, 1),
                                                           ((9, 8), 4, 2, 1), ((7, 6), 4, 1, 2), ((12, 11), 7, 1, 3)])
@pytest.mark.parametrize("C, O", [(1, 5), (3, 16), (17, 33), (64, 200)])
def test_a_mirrored_border_equals_a_copy_to_the_bit(C, O, size, kernel, stride, padding, precision, rng, with_threads):
    """Windows that reach beyond even the border, as the last tiles do, must not read what is mirrored twice."""
    before = get_precision()
    set_precision(precision)
    how, none = ((stride, stride), (padding, padding), ONE), ((stride, stride), (0, 0), ONE)
    out = [out_size(n, kernel, stride, padding, 1) for n in size]
    x = rng.standard_normal((2, *size, C), np.float32).transpose(0, 3, 1, 2)
    w = rng.standard_normal((kernel, kernel, C, O), np.float32).transpose(3, 2, 0, 1)
    g = rng.standard_normal((2, *out, O), np.float32).transpose(0, 3, 1, 2)
    copy = np.pad(x, ((0, 0), (0, 0), *((padding, padding),) * 2), "reflect")
    try:
        y, gw = conv.conv2d(copy, w, None, *none), conv.conv2d_weight_grad(copy, g, (kernel, kernel), *none)
        for threads in (1, 3):
            mirrored = with_threads(threads, conv.conv2d, x, w, None, *how, True)
            assert mirrored.tobytes() == y.tobytes()
            mirrored = with_threads(threads, conv.conv2d_weight_grad, x, g, (kernel, kernel), *how, True)
            assert mirrored.tobytes() == gw.tobytes()
    finally:
        set_precision(before)
