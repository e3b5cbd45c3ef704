"""resample.cu against its CPU twin."""

import numpy as np
import pytest
from same_bytes import channels_last, in_every_order, is_channels_last

from minigan.kernels import cpu
from minigan.kernels.cuda.resample import block_sum, resample, upsample_nearest
from minigan.ops.resample import _averages, _matrix

SHAPES = [(1, 1, 5, 7), (2, 3, 5, 7), (2, 4, 1, 3), (3, 20, 4, 2), (1, 70, 3, 30)]
SCALES = [(1, 1), (2, 2), (3, 2)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", SCALES)
def test_blocks_to_the_bit(device, rng, dtype, shape, scale):
    x = channels_last(rng.normal(size=shape).astype(dtype))
    y = in_every_order(device, lambda: upsample_nearest(device.put(x), scale))
    np.testing.assert_array_equal(y, cpu.upsample_nearest(x, scale))
    x = channels_last(rng.normal(size=y.shape).astype(dtype))
    y = in_every_order(device, lambda: block_sum(device.put(x), scale))
    np.testing.assert_array_equal(y, cpu.block_sum(x, scale))


def matrices(H, W, rng):
    dense = rng.normal(size=(4, H)), rng.normal(size=(9, W))
    dense[0][1] = 0  # a row without numbers
    yield from [dense, (None, dense[1]), (dense[0], None), (None, None)]
    yield _matrix("bilinear", H, 2 * H), _matrix("nearest", W, W + 2)
    yield _matrix("bilinear", 2 * H, H).T, _matrix("bilinear", W, 2 * W)
    yield None, _averages(W, (W - 1) // 2 + 1, 3, 2, 1)


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 2e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize("shape", SHAPES)
def test_matrices(device, rng, dtype, tolerance, shape):
    x = channels_last(rng.normal(size=shape).astype(dtype))
    there = device.put(x)
    for rows, columns in matrices(*shape[2:], rng):
        y = in_every_order(device, lambda pair=(rows, columns): resample(there, *pair))
        wanted = cpu.resample(x.astype(np.float64), rows, columns)
        np.testing.assert_allclose(y, wanted, atol=tolerance * max(1, np.abs(wanted).max()))
        assert y.dtype == dtype and y.shape == wanted.shape


def test_a_matrix_is_sent_once_and_its_transpose_too(device, rng, monkeypatch):
    matrix, x = _matrix("bilinear", 5, 10), device.put(rng.normal(size=(1, 2, 5, 5)))
    big = resample(x, matrix, matrix)
    resample(big, matrix.T, matrix.T)
    monkeypatch.setattr(device.backend, "asarray", lambda _: pytest.fail("sent again"))
    resample(resample(x, matrix, matrix), matrix.T, matrix.T)


def test_other_layouts_come_out_channels_last(device, rng):
    x = rng.normal(size=(2, 3, 4, 6))
    for kernel, argument in ((upsample_nearest, ((2, 2),)), (block_sum, ((2, 3),)), (resample, (None, np.eye(6)))):
        y = kernel(device.put(x), *argument)
        assert is_channels_last(y)
        np.testing.assert_allclose(device.get(y), getattr(cpu, kernel.__name__)(x, *argument), rtol=1e-15)


def test_an_array_that_begins_between_packs(device, rng):
    room = rng.normal(size=1 + 2 * 4 * 4 * 4).astype(np.float32)
    there = device.put(room)[1:].reshape(2, 4, 4, 4).transpose(0, 3, 1, 2)
    wanted = cpu.block_sum(room[1:].reshape(2, 4, 4, 4).transpose(0, 3, 1, 2), (2, 2))
    np.testing.assert_array_equal(device.get(block_sum(there, (2, 2))), wanted)
