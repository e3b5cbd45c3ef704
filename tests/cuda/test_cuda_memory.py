"""Memory orders on a device: when arrays are copied, and that results have the order of their arguments."""

import numpy as np
from same_bytes import channels_last

from minigan.kernels.cuda import memory


def test_what_lies_right_is_not_copied(device, rng):
    x = device.put(channels_last(rng.normal(size=(2, 3, 4, 5))))
    before = memory.layout_copies()
    last = memory.channels_last(x)
    assert last.shape == (2, 4, 5, 3) and last.data.ptr == x.data.ptr and memory.layout_copies() == before
    assert memory.contiguous(last) is last and memory.dense(x) is x and memory.in_order_of(x, x) is x
    assert memory.channels_last(device.put(rng.normal(size=(2, 3)))).shape == (2, 1, 1, 3)


def test_what_lies_otherwise_is_copied_once_and_keeps_its_numbers(device, rng):
    host = rng.normal(size=(2, 3, 4, 5))
    x, before = device.put(host), memory.layout_copies()
    last = memory.channels_last(x)
    assert last.flags.c_contiguous and memory.layout_copies() == before + 1
    np.testing.assert_array_equal(device.get(last), host.transpose(0, 2, 3, 1))
    gaps, model = x[:, :, ::2], device.put(channels_last(host[:, :, ::2]))
    for copied in (memory.contiguous(gaps), memory.dense(gaps), memory.in_order_of(model, gaps)):
        np.testing.assert_array_equal(device.get(copied), host[:, :, ::2])
    assert memory.in_order_of(model, gaps).strides == model.strides


def test_new_memory_has_the_order_of_its_model(device, rng):
    x = device.put(channels_last(rng.normal(size=(2, 3, 4, 5))))
    y = memory.empty_like(x, np.float32)
    assert y.shape == x.shape and y.dtype == np.float32 and memory.order_of(y) == memory.order_of(x) == (0, 2, 3, 1)
    assert memory.aligned(y) and not memory.aligned(device.put(np.zeros(5, np.float32))[1:])
