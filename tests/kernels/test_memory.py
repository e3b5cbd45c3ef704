"""Recycled memory: reused as soon as no array holds it, never before, and bounded."""

import mmap
import threading

import numpy as np
import pytest

from minigan.kernels.cpu import memory

SHAPE = (256, 1024)  # a MiB of float32


def test_memory_nobody_holds_is_used_again():
    first = memory.empty(SHAPE, np.float32)
    where = first.ctypes.data
    del first
    assert memory.empty((1024, 256), np.float32).ctypes.data == where  # same size, another shape


def test_memory_somebody_holds_is_left_alone():
    held = [memory.empty(SHAPE, np.float32) for _ in range(5)]
    views = [a.T[3:4] for a in held]
    for i, view in enumerate(views):
        view[...] = i
    del held  # only the views keep it
    for _ in range(10):
        memory.empty(SHAPE, np.float32)[...] = -1
    assert [view[0, 0] for view in views] == [0, 1, 2, 3, 4]


def test_threads_never_share():
    taken, lock = [], threading.Lock()

    def take():
        for _ in range(50):
            array = memory.empty(SHAPE, np.float32)
            with lock:
                taken.append(array)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({array.ctypes.data for array in taken}) == 200


def test_idle_memory_is_bounded():
    for k in range(60):  # 60 sizes of some 10 MiB, each held for a moment
        memory.empty(((10 << 20) + k,), np.uint8)
    assert sum(size * len(same) for size, same in memory._buffers.items()) < memory.KEPT + (16 << 20)


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="only Linux is asked for large pages")
@pytest.mark.parametrize("size", [(2 << 20) - 4, 2 << 20, (2 << 20) + 4, (9 << 20) + 4100])
def test_large_arrays_begin_at_a_large_page(size):
    """A large page holds 2 MiB whose address is a multiple of 2 MiB; an array that fills none may lie anywhere."""
    array = memory.empty((size,), np.uint8)
    assert array.shape == (size,)
    assert size < 2 << 20 or array.ctypes.data % (2 << 20) == 0
    array[...] = 1  # all of it is there
    assert array.sum(dtype=np.int64) == size


def test_small_arrays_are_numpys():
    assert memory.empty((10, 10), np.float64).base is None


def test_empty_like_keeps_the_memory_order():
    x = np.zeros((8, 32, 64, 16), np.float32).transpose(0, 3, 1, 2)  # channels-last
    assert memory.empty_like(x).strides == x.strides
    for odd in (x[:, ::2], x[::-1], np.broadcast_to(x[:1], x.shape), x[:, :1]):
        y = memory.empty_like(odd)
        assert (y.shape, y.dtype) == (odd.shape, odd.dtype)
        assert np.empty_like(odd).strides == y.strides
