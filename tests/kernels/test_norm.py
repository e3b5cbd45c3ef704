"""Batch, instance and layer statistics, normalisation and its gradient, against float64 NumPy."""

import numpy as np
import pytest
import reference

from minigan import kernels

SHAPES = [(3, 5), (4, 3, 7), (2, 3, 4, 5), (1, 2, 8, 6), (6, 1, 5, 3), (2, 3, 3, 2, 4), (5, 48, 6, 6), (3, 200, 2, 2)]
CASES = [(over, s) for over in ("batch", "instance", "layer") for s in SHAPES if over != "instance" or len(s) > 2]


def draw(shape, dtype=np.float64, mean=0.5):
    rng = np.random.default_rng(7)
    x, gy = rng.standard_normal(shape) + mean, rng.standard_normal(shape)
    gamma, beta = rng.standard_normal(shape[1]), rng.standard_normal(shape[1])
    return tuple(v.astype(dtype) for v in (x, gy, gamma, beta))


def compute(module, x, gy, gamma, beta, over):
    mean, var, rstd = module.norm_stats(x, over, 1e-5)
    return mean, var, module.norm_apply(x, mean, rstd, gamma, beta), *module.norm_grad(gy, x, mean, rstd, gamma, over)


@pytest.mark.parametrize("over, shape", CASES)
@pytest.mark.parametrize("affine", [True, False])
def test_equal_numpy(over, shape, affine):
    x, gy, gamma, beta = draw(shape)
    arguments = (x, gy, gamma, beta, over) if affine else (x, gy, None, None, over)
    for result, wanted in zip(compute(kernels, *arguments), compute(reference, *arguments), strict=True):
        assert result.shape == wanted.shape
        np.testing.assert_allclose(result, wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype, bound", [(np.float64, 1e-11), (np.float32, 1e-4)])
@pytest.mark.parametrize("slope", [None, 0.2])
def test_a_batch_in_two_parts_that_share_their_sums(dtype, bound, slope):
    """Each part has its own ggamma and gbeta, which are sums, and its rows of the whole batch's gx."""
    x, gy, gamma, _ = draw((4, 5, 3, 6), dtype)
    mean, _, rstd = kernels.norm_stats(x, "batch", 1e-5)
    whole = kernels.norm_grad(gy, x, mean, rstd, gamma, "batch", x, slope)
    cut = [(gy[rows], x[rows], mean, rstd, gamma, "batch", x[rows], slope) for rows in (slice(2), slice(2, 4))]
    both = np.mean([np.stack(kernels.norm_grad(*part)[1:]) for part in cut], 0).astype(dtype)  # (2, C)
    seen = []
    parts = [kernels.norm_grad(*part, lambda sums: seen.append(sums.copy()) or both) for part in cut]
    np.testing.assert_allclose(np.concatenate([gx for gx, _, _ in parts]), whole[0], rtol=bound, atol=bound)
    for place in (1, 2):
        np.testing.assert_allclose(sum(part[place] for part in parts), whole[place], rtol=bound, atol=bound)
    np.testing.assert_array_equal(seen, [np.stack(part[1:]) for part in parts])


@pytest.mark.parametrize("over, shape", CASES)
def test_float32_stays_float32_and_close(over, shape):
    arguments = draw(shape, np.float32)
    for result, wanted in zip(compute(kernels, *arguments, over), compute(reference, *arguments, over), strict=True):
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("over", ["batch", "instance", "layer"])
def test_a_large_mean_does_not_eat_the_variance(over):
    x, gy, gamma, beta = draw((8, 16, 32, 32), np.float32, mean=1e3)
    mean, var, _ = kernels.norm_stats(x, over, 1e-5)
    wanted_mean, wanted_var, _ = reference.norm_stats(x, over, 1e-5)
    np.testing.assert_allclose(mean, wanted_mean, rtol=3e-7)  # a float32 near 1000 is a multiple of 6e-5
    np.testing.assert_allclose(var, wanted_var, rtol=1e-5)
    result, wanted = compute(kernels, x, gy, gamma, beta, over), compute(reference, x, gy, gamma, beta, over)
    for name, a, b in zip(("mean", "var", "y", "gx", "ggamma", "gbeta"), result, wanted, strict=True):
        error = np.abs(a - b).max() / max(1, np.abs(b).max())
        assert error < 3e-4, name  # float32 at 1000 has steps of 6e-5


@pytest.mark.parametrize("over", ["batch", "instance", "layer"])
def test_any_layout_gives_the_same_and_nothing_is_written(over):
    x, gy, gamma, beta = draw((3, 4, 5, 6))
    wanted = compute(kernels, x, gy, gamma, beta, over)
    for xs, gs in zip(reference.layouts(x), reference.layouts(gy), strict=True):
        result = compute(kernels, xs, gs, gamma, beta, over)
        assert reference.is_channels_last(result[2]) and reference.is_channels_last(result[3])
        for a, b in zip(result, wanted, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("over, shape", CASES)
def test_an_addend_gives_the_bits_of_a_sum(over, shape, dtype, monkeypatch):
    """One rounding of y and one of the sum, as in two sweeps; in blocks, with any layout, N = 1, one channel."""
    monkeypatch.setattr(kernels.cpu.norm, "PASS", 64)
    x, addend, gamma, beta = draw(shape, dtype)
    mean, _, rstd = kernels.norm_stats(x, over, 1e-5)
    for vectors, slope in ((gamma, beta), None), ((None, None), None), ((gamma, None), 0.2), ((None, beta), 0.0):
        wanted = addend + kernels.norm_apply(x, mean, rstd, *vectors)
        wanted = wanted if slope is None else kernels.leaky_relu(wanted, slope)
        for stored in reference.layouts(addend):
            y = kernels.norm_apply(x, mean, rstd, *vectors, slope, stored)
            np.testing.assert_array_equal(y, wanted)
            assert y.dtype == dtype and not np.shares_memory(y, stored)
            np.testing.assert_array_equal(kernels.normalized(x, over, 1e-5, *vectors, slope, None, stored)[0], wanted)


def test_no_copy_at_the_door():
    x, gy, gamma, beta = draw((3, 4, 5, 6))
    before = kernels.layout_copies()
    kernels.norm_apply(*(reference.stored_channels_last(v) for v in (x, np.ones((1, 4, 1, 1)), np.ones((1, 4, 1, 1)))),
                       gamma, beta, None, reference.stored_channels_last(gy))
    compute(kernels, reference.stored_channels_last(x), reference.stored_channels_last(gy), gamma, beta, "batch")
    assert kernels.layout_copies() == before


@pytest.mark.parametrize("over", ["batch", "instance", "layer"])
def test_same_bytes_at_any_number_of_workers(over, with_workers, monkeypatch):
    monkeypatch.setattr(kernels.cpu.norm, "SHARED", 0)
    monkeypatch.setattr(kernels.cpu.norm, "PASS", 1 << 12)
    arguments = draw((12, 6, 40, 30), np.float32)
    results = [with_workers(n, compute, kernels, *arguments, over) for n in (1, 2, 3)]
    for other in results[1:]:
        assert all(a.tobytes() == b.tobytes() for a, b in zip(results[0], other, strict=True))
    for result, wanted in zip(results[0], compute(reference, *arguments, over), strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=2e-3)


def test_running_statistics_may_be_applied():
    """In evaluation, batch norm applies statistics that are not those of the batch."""
    x, _, gamma, beta = draw((3, 4, 5, 6))
    mean, rstd = np.arange(4.0).reshape(1, 4, 1, 1), np.array([1, 2, 0.5, 3]).reshape(1, 4, 1, 1)
    np.testing.assert_allclose(
        kernels.norm_apply(x, mean, rstd, gamma, beta),
        reference.norm_apply(x, mean, rstd, gamma, beta),
        rtol=1e-12,
        atol=1e-12,
    )
