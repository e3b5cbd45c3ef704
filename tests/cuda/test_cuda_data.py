"""Batches of images gathered on a device equal those of the loader, bit for bit."""

import numpy as np
import pytest

from minigan.data import Loader
from minigan.kernels import Counter
from minigan.kernels.cuda.data import gather_images

REALS = [np.float32, np.float64]


@pytest.mark.parametrize(
    "shape", [(9, 1, 5, 7), (9, 3, 5, 7), (12, 4, 2, 3), (11, 1, 8, 8), (6, 3, 32, 32), (1, 20, 1, 1)])
@pytest.mark.parametrize("dtype", REALS)
def test_batches_are_the_loaders(device, shape, dtype):
    """Every batch of an epoch, from positions passed as a number and from the device."""
    images, batch = np.random.default_rng(0).integers(0, 256, shape, np.uint8), max(1, shape[0] // 3)
    loader = Loader(images, batch, seed=4)
    table, order = loader._table.astype(dtype), loader._order
    there = [device.put(a) for a in (np.ascontiguousarray(images.transpose(0, 2, 3, 1)), order)]
    for position in range(0, shape[0] - batch + 1, batch):
        expected = next(loader).transpose(0, 2, 3, 1)  # (batch, H, W, C)
        base = device.put(np.array([position - 2], np.int64))
        for _ in device.orders():
            for where in (position, Counter(base, 2)):
                got = device.get(gather_images(*there, where, batch, device.put(table)))
                assert got.dtype == dtype
                np.testing.assert_array_equal(got.astype(np.float32), expected)


def test_images_from_beyond_the_epoch_are_nan(device):
    data, table = np.full((5, 2, 2, 1), 3, np.uint8), device.put(np.arange(256, dtype=np.float32))
    there = device.put(data), device.put(np.array([0, 1, 2, 5, -1, 0], np.int64))[:5]  # a sample 5 would pass unnoticed
    for position, missing in ((0, [False, False, False]), (2, [False, True, True]), (-1, [True, False, False]),
                              (3, [True] * 3), (2**40, [True] * 3)):
        got = device.get(gather_images(*there, position, 3, table))
        np.testing.assert_array_equal(np.isnan(got), np.broadcast_to(np.reshape(missing, (3, 1, 1, 1)), got.shape))
        assert (got[~np.isnan(got)] == 3).all()
    with pytest.raises(ValueError, match=r"needs order \(5,\) and table \(256,\)"):
        gather_images(there[0], there[1][:4], 0, 3, table)
