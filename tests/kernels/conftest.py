"""Shared by the kernel tests."""

import pytest

from minigan import kernels


@pytest.fixture
def with_workers():
    """with_workers(n, f, *args): f(*args) with n workers; the old number is restored afterwards."""
    before = kernels.get_threads()

    def call(n, f, *args, **options):
        kernels.set_threads(n)
        return f(*args, **options)

    yield call
    kernels.set_threads(before)
