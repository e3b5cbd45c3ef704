"""Borders and their adjoint in C: the twin's bits, any layout, poisoned memory, any number of threads."""

import numpy as np
import pytest
from kernel_cases import CASES
from poison import poison_new_memory

from minigan.kernels import cpu, native
from minigan.kernels.native.library import LIBRARY

NONE = (0, 0)
WIDTHS = [((1, 1), (1, 1)), ((3, 3), (3, 3)), ((2, 0), (0, 1)), (NONE, (2, 1)), ((1, 2), NONE), ((4, 4), (5, 5)),
          ((0, 3), (3, 0))]  # fmt: skip
SIZES = [(1, 1, 5, 6), (2, 3, 5, 6), (3, 5, 9, 7), (1, 16, 33, 32), (2, 17, 6, 70), (1, 64, 40, 41), (2, 200, 5, 6)]
MODES = ("constant", "reflect", "edge")


def last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@pytest.mark.usefixtures("_poison")
@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_equal_their_twins(shape, mode, rng, monkeypatch):
    for pairs in WIDTHS:
        widths = (NONE, NONE, *pairs)
        for stored in (last, np.ascontiguousarray):
            x = stored(rng.standard_normal(shape, np.float32))
            y = cpu.pad(x, widths, mode, 0.7)
            g = stored(rng.standard_normal(y.shape, np.float32))
            before = x.tobytes(), g.tobytes()
            with monkeypatch.context() as patched:
                poison_new_memory(patched)
                result, folded = native.pad(x, widths, mode, 0.7), native.fold(g, widths, mode)
            assert result.strides == y.strides
            assert result.tobytes() == y.tobytes()
            wanted = cpu.fold(g, widths, mode)
            np.testing.assert_allclose(folded, wanted, rtol=1e-6, atol=1e-6)  # NumPy may add an edge in another order
            assert mode == "edge" or folded.tobytes() == wanted.tobytes()
            for addend in (x, np.ascontiguousarray(x)):
                np.testing.assert_array_equal(native.fold(g, widths, mode, addend), addend + folded)
            assert before == (x.tobytes(), g.tobytes())


@pytest.mark.parametrize("mode", ["reflect", "edge"])
def test_fold_is_the_adjoint(mode, rng):
    """<pad(x), g> = <x, fold(g)>, in float64."""
    for pairs in WIDTHS:
        widths = (NONE, NONE, *pairs)
        x = last(rng.standard_normal((2, 5, 6, 7), np.float32))
        y = native.pad(x, widths, mode)
        g = last(rng.standard_normal(y.shape, np.float32))
        inner = lambda a, b: np.vdot(a.astype(np.float64), b.astype(np.float64))
        np.testing.assert_allclose(inner(y, g), inner(x, native.fold(g, widths, mode)), rtol=1e-5, atol=1e-4)


def test_against_numpys_pad_for_any_axes(rng):
    x = rng.standard_normal((4, 5, 6, 3, 2), np.float32)
    for mode in MODES:
        for widths in ((NONE,) * 3 + ((1, 2), (1, 0)), ((1, 1), (2, 2), NONE, NONE, NONE), ((3, 3),) + (NONE,) * 4,
                       ((1, 0), NONE, (0, 1), NONE, NONE), ((1, 1),) * 5, (NONE,) * 5):
            for a in (x, x.transpose(4, 2, 3, 0, 1), x[::-1], np.repeat(x, 2, 4)[..., ::2]):
                if mode == "reflect" and any(max(pair) >= n for n, pair in zip(a.shape, widths, strict=True)):
                    continue
                np.testing.assert_array_equal(native.pad(a, widths, mode), np.pad(a, widths, mode))


def test_borders_as_wide_as_the_image(rng):
    """Every pixel is mirrored to both sides; an edge is repeated more often than there are pixels; 1 x 1 images."""
    x = last(rng.standard_normal((2, 3, 4, 5), np.float32))
    for widths, mode in (((NONE, NONE, (3, 3), (4, 4)), "reflect"), ((NONE, NONE, (9, 8), (7, 9)), "edge")):
        y = native.pad(x, widths, mode)
        np.testing.assert_array_equal(y, np.pad(x, widths, mode))
        np.testing.assert_allclose(native.fold(y, widths, mode), cpu.fold(y, widths, mode), rtol=1e-6)
    one, widths = last(rng.standard_normal((2, 3, 1, 1), np.float32)), (NONE, NONE, (2, 1), (1, 2))
    np.testing.assert_array_equal(native.pad(one, widths, "edge"), np.pad(one, widths, "edge"))
    np.testing.assert_allclose(native.fold(native.pad(one, widths, "edge"), widths, "edge"), 16 * one, rtol=1e-6)


def test_same_bytes_at_any_number_of_threads(rng, with_threads):
    x, widths = last(rng.standard_normal((3, 33, 97, 101), np.float32)), (NONE, NONE, (3, 2), (1, 4))
    for mode in ("reflect", "edge"):
        assert len({with_threads(n, native.pad, x, widths, mode).tobytes() for n in (1, 2, 3, 8)}) == 1
        assert len({with_threads(n, native.fold, x, widths, mode).tobytes() for n in (1, 2, 3, 8)}) == 1


def test_common_cases_types_and_layouts(rng):
    for name in ("pad", "fold"):
        for x, *rest in CASES[name]:
            for dtype in (np.float32, np.float64, np.int32):
                a, *rest = ((9 * v).astype(dtype) if isinstance(v, np.ndarray) else v for v in (x, *rest))
                wanted, result = getattr(cpu, name)(a, *rest), getattr(native, name)(a, *rest)
                assert result.dtype == wanted.dtype
                np.testing.assert_allclose(result, wanted, rtol=1e-6, atol=1e-5)
    x = last(rng.standard_normal((2, 3, 5, 6), np.float32))
    odd = np.frombuffer(b"\0" + x.transpose(0, 2, 3, 1).tobytes(), np.uint8)[1:].view(np.float32).reshape(2, 5, 6, 3)
    widths = (NONE, NONE, (1, 1), (2, 1))
    for a in (odd.transpose(0, 3, 1, 2), x[:, ::-1].copy()[:, ::-1], np.repeat(x, 2, 3)[..., ::2]):
        np.testing.assert_array_equal(native.pad(a, widths, "reflect"), np.pad(x, widths, "reflect"))
        np.testing.assert_array_equal(native.fold(a, widths, "reflect"), cpu.fold(x, widths, "reflect"))


def test_numpy_raises_its_errors(rng):
    x = last(rng.standard_normal((2, 3, 5, 6), np.float32))
    with pytest.raises(ValueError, match="mode"):
        native.pad(x, (NONE, NONE, (1, 1), (1, 1)), "mirror")
    with pytest.raises(ValueError, match="negative"):
        native.pad(x, (NONE, NONE, (-1, 1), (1, 1)))


def test_wrong_sizes_are_refused():
    x, y = np.zeros(24, np.float32), np.zeros(120, np.float32)
    good = [1, 4, 3, 2, 1, 1, 2, 1]
    LIBRARY.pad(1, x, y[:72], *good, 1, 0.0)
    LIBRARY.fold(1, y[:72], None, x, *good, 1)
    with pytest.raises(ValueError, match="fold: an array is missing, or smaller"):
        LIBRARY.fold(1, y[:72], x[1:], x, *good, 1)
    for place, size in [(0, 2), (0, 0), (1, -4), (2, 2**40), (3, 2**62), (4, 4), (4, -1), (6, 3), (6, 2**62), (3, 3)]:
        sizes = [*good[:place], size, *good[place + 1 :]]
        with pytest.raises(ValueError, match="pad: an array is missing, or smaller than its sizes say"):
            LIBRARY.pad(1, x, y[:72], *sizes, 1, 0.0)
        with pytest.raises(ValueError, match="fold: an array is missing, or smaller than its sizes say"):
            LIBRARY.fold(1, y[:72], None, x, *sizes, 1)
    with pytest.raises(ValueError, match="pad: an array is missing"):
        LIBRARY.pad(1, x, y[:72], *good, 3, 0.0)
