"""A check for all kernels: the same bytes in every order of threads, and in a second run."""

import numpy as np


def in_every_order(device, compute):
    """The arrays that compute() returns (one or a tuple), on the host; it runs in every order of threads and again."""
    results = [_on_host(device, compute()) for _ in device.orders()]
    results.append(_on_host(device, compute()))
    for result in results[1:]:
        assert [a.tobytes() for a in result] == [a.tobytes() for a in results[0]]
    return results[0] if len(results[0]) > 1 else results[0][0]


def _on_host(device, arrays):
    return [device.get(a) for a in (arrays if isinstance(arrays, tuple) else (arrays,))]


def channels_last(x):
    """x (N, C, ...) with the channels innermost in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def is_channels_last(x):
    """Whether an array of a device or of the host is stored channels-last."""
    return x.transpose(0, *range(2, x.ndim), 1).flags.c_contiguous
