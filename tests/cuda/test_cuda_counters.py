"""Counters on a device: one launch advances them."""

import numpy as np
import pytest

from minigan.kernels.cuda.counters import advance


def test_advance(device):
    start, steps = np.arange(300, dtype=np.int64) * 2**40, np.arange(300, dtype=np.int64)[::-1].copy()
    for _ in device.orders():
        counters = device.put(start)
        advance(counters, device.put(steps))
        np.testing.assert_array_equal(device.get(counters), start + steps)
    with pytest.raises(ValueError, match=r"advance: \(3,\) counters, but \(2,\) increments"):
        advance(device.put(start[:3]), device.put(steps[:2]))
