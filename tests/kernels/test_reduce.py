"""reduce_sum: exact sums of small integers over any axes, in any layout."""

import itertools

import numpy as np
import pytest
import reference

from minigan import kernels


@pytest.mark.parametrize("axes", [None, 1, -1, (), *itertools.combinations(range(4), 2), (0, 2, 3)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_sums_are_exact(axes, keepdims):
    x = np.random.default_rng(7).integers(-9, 10, (3, 4, 5, 7))
    summed = range(4) if axes is None else {axes % 4} if isinstance(axes, int) else axes
    wanted = np.zeros([1 if axis in summed else n for axis, n in enumerate(x.shape)])
    for place in np.ndindex(x.shape):
        wanted[tuple(0 if axis in summed else i for axis, i in enumerate(place))] += x[place]
    wanted = wanted if keepdims else wanted.reshape([n for axis, n in enumerate(x.shape) if axis not in summed])
    for dtype in (np.float32, np.float64):
        for stored in reference.layouts(x.astype(dtype)):
            y = kernels.reduce_sum(stored, axes, keepdims)
            assert y.dtype == dtype
            np.testing.assert_array_equal(y, wanted)
