"""Up-sampling, block sums and the general linear map along both axes, each with its adjoint."""

import numpy as np
import pytest
import reference

from minigan import kernels

rng = np.random.default_rng(5)
X = rng.standard_normal((3, 4, 6, 10))
ROWS, COLUMNS = rng.standard_normal((7, 6)), rng.standard_normal((3, 10))


@pytest.mark.parametrize("scale", [(1, 1), (2, 2), (3, 2), (1, 5), (6, 10)])
def test_nearest_and_block_sum(scale):
    np.testing.assert_array_equal(kernels.upsample_nearest(X, scale), reference.upsample_nearest(X, scale))
    if X.shape[2] % scale[0] == 0 and X.shape[3] % scale[1] == 0:
        np.testing.assert_allclose(kernels.block_sum(X, scale), reference.block_sum(X, scale), rtol=1e-13, atol=1e-13)
    y = kernels.upsample_nearest(X, scale)
    g = rng.standard_normal(y.shape)
    np.testing.assert_allclose((y * g).sum(), (X * kernels.block_sum(g, scale)).sum(), rtol=1e-12)


@pytest.mark.parametrize("rows", [ROWS, None, ROWS.astype(np.float32), ROWS[::-1]])
@pytest.mark.parametrize("columns", [COLUMNS, None, np.asfortranarray(COLUMNS)])
def test_resample(rows, columns):
    y = kernels.resample(X, rows, columns)
    np.testing.assert_allclose(y, reference.resample(X, rows, columns), rtol=1e-12, atol=1e-12)
    g = rng.standard_normal(y.shape)
    back = kernels.resample(g, None if rows is None else rows.T, None if columns is None else columns.T)
    np.testing.assert_allclose((y * g).sum(), (X * back).sum(), rtol=1e-12)


def every_map(x):
    rows, columns = np.ones((3, x.shape[2])), np.eye(x.shape[3])[::2]
    return (
        kernels.upsample_nearest(x, (2, 3)),
        kernels.block_sum(x, (2, 2)),
        kernels.resample(x, rows, columns),
        kernels.resample(x, None, None),
    )


def test_any_layout_gives_the_same_and_nothing_is_written():
    wanted = every_map(X)
    for x in reference.layouts(X):
        for result, value in zip(every_map(x), wanted, strict=True):
            assert reference.is_channels_last(result)
            np.testing.assert_allclose(result, value, rtol=1e-13, atol=1e-13)


def test_no_copy_at_the_door():
    before = kernels.layout_copies()
    every_map(reference.stored_channels_last(X))
    assert kernels.layout_copies() == before


def test_float32_and_the_same_bytes_at_any_number_of_workers(with_workers):
    x = rng.standard_normal((5, 8, 60, 80), dtype=np.float32)
    results = [with_workers(n, every_map, x) for n in (1, 2, 3)]
    assert all(y.dtype == np.float32 for y in results[0])
    for other in results[1:]:
        assert all(a.tobytes() == b.tobytes() for a, b in zip(results[0], other, strict=True))
    for result, wanted in zip(results[0], every_map(x.astype(np.float64)), strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-4)


def test_one_large_image_in_row_blocks():
    x = rng.standard_normal((1, 3, 200, 300))
    rows, columns = rng.standard_normal((150, 200)), rng.standard_normal((400, 300))
    np.testing.assert_allclose(
        kernels.resample(x, rows, columns), reference.resample(x, rows, columns), rtol=1e-10, atol=1e-10
    )
