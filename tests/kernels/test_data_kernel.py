"""gather_images: against its definition, one number at a time, and images beyond the end of an epoch."""

import numpy as np
import pytest

from minigan import kernels

rng = np.random.default_rng(3)
DATA = rng.integers(0, 256, (7, 4, 3, 2), np.uint8)
TABLE = np.linspace(-1, 1, 256).astype(np.float32)


@pytest.mark.parametrize("position, batch", [(0, 7), (2, 3), (6, 1), (3, 0)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_its_definition(position, batch, dtype):
    order, table = rng.permutation(7), TABLE.astype(dtype)
    y = kernels.gather_images(DATA, order, position, batch, table)
    assert (y.shape, y.dtype) == ((batch, 4, 3, 2), dtype)
    for i, h, w, c in np.ndindex(y.shape):
        assert y[i, h, w, c] == table[DATA[order[position + i], h, w, c]]


@pytest.mark.parametrize("position, missing", [(5, [0, 0, 1]), (-1, [1, 0, 0]), (7, [1, 1, 1]), (2**40, [1, 1, 1])])
def test_images_from_beyond_the_epoch_are_nan(position, missing):
    y = kernels.gather_images(DATA, np.arange(7), position, 3, TABLE)
    assert np.isnan(y).all(axis=(1, 2, 3)).tolist() == list(map(bool, missing))
    assert np.isnan(y).any(axis=(1, 2, 3)).tolist() == list(map(bool, missing))


def test_a_sample_that_is_not_there_is_nan():
    y = kernels.gather_images(DATA, np.array([0, 7, -1, 3, 4, 5, 6]), 0, 4, TABLE)
    assert np.isnan(y[1:3]).all() and not np.isnan(y[[0, 3]]).any()


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"needs order \(7,\) and table \(256,\), not \(6,\) and \(256,\)"):
        kernels.gather_images(DATA, np.arange(6), 0, 2, TABLE)
    with pytest.raises(ValueError, match=r"not \(7,\) and \(255,\)"):
        kernels.gather_images(DATA, np.arange(7), 0, 2, TABLE[1:])
