"""matmul: the sum over the inner axis, with NumPy's rule for leading axes."""

import numpy as np
import pytest

from minigan import kernels

rng = np.random.default_rng(5)


@pytest.mark.parametrize("a, b, letters", [
    ((5, 7), (7, 3), "mk,kn->mn"), ((4, 5, 7), (7, 3), "bmk,kn->bmn"), ((5, 7), (4, 7, 3), "mk,bkn->bmn"),
    ((2, 1, 5, 7), (2, 3, 7, 3), "bzmk,bckn->bcmn"),
])
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-13), (np.float32, 1e-5)])
def test_is_the_sum_over_the_inner_axis(a, b, letters, dtype, tolerance):
    a, b = rng.standard_normal(a).astype(dtype), rng.standard_normal(b).astype(dtype)
    y = kernels.matmul(a, b)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, np.einsum(letters, a, b, dtype=np.float64), rtol=0, atol=tolerance * 10)


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="mismatch"):
        kernels.matmul(np.ones((2, 3)), np.ones((2, 3)))
