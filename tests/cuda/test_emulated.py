"""The emulated device: its arrays follow CuPy's rules, and faults planted in kernels are detected."""

import numpy as np
import pytest

from minigan.engine.device import why_no_emulation
from minigan.errors import DeviceError
from minigan.kernels.cuda import emulated
from minigan.kernels.cuda.loader import kernel
from minigan.kernels.cuda.source import Table

NO_EMULATION = why_no_emulation()
pytestmark = pytest.mark.skipif(NO_EMULATION is not None, reason=f"device emulated: {NO_EMULATION}")

FAULTS = """#include "common.cuh"
extern "C" __global__ void copy_at(const REAL* x, REAL* y, int from, int to) { y[to] = x[from]; }

extern "C" __global__ void write_by_table(Table table) { ((REAL*)table.word[0])[table.word[1]] = 1; }

extern "C" __global__ void reverse(const REAL* x, REAL* y, bool wait) {
  __shared__ REAL tile[64];
  int t = threadIdx.x;
  tile[t] = x[t];
  if (wait) __syncthreads();
  y[t] = tile[63 - t];
}

extern "C" __global__ void neighbours(REAL* x, int rounds, bool wait) {  // x[t] += x[t+1], in place
  for (int k = 0; k < rounds; k++) {
    REAL next = x[(threadIdx.x + 1) % blockDim.x];
    if (wait) __syncthreads();
    x[threadIdx.x] += next;
    __syncthreads();
  }
}

extern "C" __global__ void diverge(REAL* y, int how) {
  bool first = threadIdx.x < 16;
  if (how == 0) {
    if (first) __syncthreads();
    else __syncwarp();
  } else {
    if (first) __syncthreads();
    y[threadIdx.x] = 1;
    __syncthreads();
  }
}

extern "C" __global__ void unwritten_shared(REAL* y) {
  __shared__ REAL fixed[32];
  DYNAMIC_SHARED(REAL, dynamic);
  if (threadIdx.x == 7) fixed[7] = dynamic[7] = 5;
  __syncthreads();
  y[threadIdx.x] = fixed[threadIdx.x];
  y[32 + threadIdx.x] = dynamic[threadIdx.x];
}

extern "C" __global__ void staged(const REAL* x, REAL* y, bool commit, bool wait, int valid) {
  __shared__ __align__(16) REAL tile[32 * 4];
  cp_async16(tile + 4 * threadIdx.x, x + 4 * threadIdx.x, valid);
  if (commit) cp_async_commit();
  if (wait) cp_async_wait<0>();
  for (int e = 0; e < 4; e++) y[4 * threadIdx.x + e] = tile[4 * threadIdx.x + e];
  if (commit) cp_async_wait<0>();
}

extern "C" __global__ void never_waited(const REAL* x) {
  __shared__ __align__(16) REAL tile[32 * 4];
  cp_async16(tile + 4 * threadIdx.x, x + 4 * threadIdx.x);
  cp_async_commit();
}

extern "C" __global__ void twice(const REAL* x, REAL* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = 2 * x[i];
}
"""


@pytest.fixture(scope="module")
def fault(tmp_path_factory):
    """fault(name, grid, block, arguments, ...): launch one of the kernels above."""
    path = tmp_path_factory.mktemp("faults") / "faults.cu"
    path.write_text(FAULTS)

    def launch(name, *launch_arguments, **options):
        kernel(str(path), name, emulated.empty(1, np.float32))(*launch_arguments, **options)

    return launch


def put(array):
    return emulated.asarray(np.asarray(array, np.float32))


def numbers(n):
    return put(np.arange(1, n + 1))


# ---- arrays ----
def test_numpy_arrays_are_refused():
    x, host = numbers(3), np.ones(3, np.float32)
    meetings = [lambda: x + host, lambda: host * x, lambda: np.add(x, host), lambda: np.maximum(host, x),
                lambda: np.where(x > 0, host, x), lambda: np.concatenate([x, host]), lambda: x.__setitem__(0, host),
                lambda: np.asarray(x), lambda: np.array(x), lambda: x[host > 0], lambda: np.copyto(host, x)]
    for meet in meetings:
        with pytest.raises(TypeError, match="Unsupported type|Implicit conversion"):
            meet()


def test_numbers_and_other_device_arrays_are_not():
    x = numbers(3)
    for y in (x + 1, 1 + x, x * np.float32(2), x**2, np.exp(x), np.where(x > 1, x, 0), np.stack([x, x])):
        assert isinstance(y, emulated.ndarray)
        assert y.dtype == np.float32
    x += x
    x[1:] = 0.5
    x[0] = x[2]
    assert x.get().tolist() == [0.5, 0.5, 0.5]


def test_sums_and_elements_are_arrays_without_axes():
    x = put([[1, 2], [3, 4]])
    for y, value in ((x.sum(), 10), (x[1, 0], 3), (x.mean(), 2.5), (np.sum(x), 10), (np.max(x), 4)):
        assert isinstance(y, emulated.ndarray)
        assert y.shape == ()
        assert y.item() == value
        assert isinstance(y.item(), float)


def test_views_share_memory_and_copies_keep_the_order():
    x = put(np.arange(24).reshape(2, 3, 4))
    for view in (x.T, x[1], x.reshape(6, 4), x.transpose(2, 0, 1), x.ravel(), x.swapaxes(0, 1), np.squeeze(x[:1])):
        view[...] = view + 1
    assert (x.get() >= np.arange(24).reshape(2, 3, 4) + 5).all()
    channels_last = np.zeros((2, 5, 4, 3), np.float32).transpose(0, 3, 1, 2)
    there = emulated.asarray(channels_last)
    assert there.strides == channels_last.strides == there.get().strides
    assert not np.may_share_memory(there.host, channels_last)
    back = there.get()
    back[...] = 1
    assert there.sum().item() == 0


def test_new_memory_holds_no_zeros():
    assert np.isnan(emulated.empty((3, 2), np.float32).get()).all()
    assert np.isnan(emulated.empty(4, np.float64).get()).all()
    assert emulated.empty((), np.int64).item() == -1
    assert emulated.full((2,), 3, np.int64).get().tolist() == [3, 3]


# ---- faults in kernels ----
@pytest.mark.parametrize("place", [-1, 5, 6, -200, 200])
def test_a_write_out_of_bounds_is_an_error(fault, place):
    x, y = numbers(5), emulated.empty(5)
    with pytest.raises(DeviceError, match=r"copy_at: wrote outside an array of shape \(5,\)"):
        fault("copy_at", 1, 1, (x, y, 0, place))
    with pytest.raises(DeviceError, match=r"write_by_table: wrote outside an array of shape \(5,\)"):
        fault("write_by_table", 1, 1, (Table([emulated.empty(5)], [place % 2**64]),))
    y = emulated.empty(5)
    fault("write_by_table", 1, 1, (Table([y], [4]),))
    assert y[4].item() == 1


@pytest.mark.parametrize("place", [-1, 5, 6, -200, 200])
def test_a_read_out_of_bounds_is_nan(fault, place):
    y = emulated.full((1,), 0, np.float32)
    fault("copy_at", 1, 1, (numbers(5), y, place, 0))
    assert np.isnan(y.get()).all()


def test_what_a_kernel_does_not_write_stays_nan(fault):
    y = emulated.empty(5)
    fault("copy_at", 1, 1, (numbers(5), y, 4, 2))
    np.testing.assert_array_equal(y.get(), [np.nan, np.nan, 5, np.nan, np.nan])


def in_three_orders(launch):
    results = []
    for order in (0, 1, 2):
        with emulated.threads_in_order(order):
            results.append(launch().get().tobytes())
    return results


def test_a_missing_syncthreads_shows_in_the_order_of_threads(fault):
    def reverse(wait):
        y = emulated.empty(64)
        fault("reverse", 1, 64, (numbers(64), y, wait))
        return y

    def neighbours(wait):
        x = numbers(64)
        fault("neighbours", 1, 64, (x, 3, wait))
        return x

    for run in (reverse, neighbours):
        assert len(set(in_three_orders(lambda run=run: run(True)))) == 1
        assert len(set(in_three_orders(lambda run=run: run(False)))) == 3
    np.testing.assert_array_equal(reverse(True).get(), np.arange(64, 0, -1))
    assert np.isnan(reverse(False).get()).any()


@pytest.mark.parametrize("how, message", [
    (0, "diverge: a barrier that not all threads of the block"),
    (1, "diverge: threads of one block wait at different __syncthreads"),
])
def test_a_divergent_barrier_is_reported(fault, how, message):
    for order in (0, 1, 2):
        with emulated.threads_in_order(order), pytest.raises(DeviceError, match=message):
            fault("diverge", 1, 32, (emulated.empty(32), how))
    fault("twice", 1, 32, (numbers(32), emulated.empty(32), 32))  # and the next launch works


def test_shared_memory_starts_poisoned(fault):
    for _ in range(2):  # the second block and launch see nothing of the first
        y = emulated.empty(64)
        fault("unwritten_shared", 2, 32, (y,), shared=32 * 4)
        written = y.get()
        assert written[[7, 39]].tolist() == [5, 5]
        assert np.isnan(np.delete(written, [7, 39])).all()


def test_an_asynchronous_copy_arrives_when_waited_for(fault):
    x = numbers(128)

    def staged(*flags, valid=16):
        y = emulated.empty(128)
        fault("staged", 1, 32, (x, y, *flags, valid))
        return y.get()

    np.testing.assert_array_equal(staged(True, True), x.get())
    np.testing.assert_array_equal(staged(True, True, valid=8), (x.get().reshape(32, 4) * [1, 1, 0, 0]).ravel())
    np.testing.assert_array_equal(staged(True, True, valid=0), np.zeros(128))
    assert np.isnan(staged(True, False)).all()
    with pytest.raises(DeviceError, match="staged: a cp.async was never committed"):
        staged(False, True)
    with pytest.raises(DeviceError, match="never_waited: a cp.async was never waited for"):
        fault("never_waited", 1, 32, (x,))


# ---- graphs ----
def test_nothing_runs_while_a_graph_is_captured(fault):
    x, y, graph = numbers(5), emulated.empty(5), emulated.Graph()
    z = emulated.full((5,), 7, np.float32)
    with graph.capture():
        assert emulated.capturing()
        fault("twice", 1, 32, (x, y, 5))
        w = y + 1
        fault("twice", 1, 32, (w, y, 5))
        z.fill(3)
        z[0] = 4
        z += 1
        kept = emulated.full((2,), 9, np.float32)
    assert not emulated.capturing()
    assert np.isnan(y.get()).all()
    assert z.get().tolist() == [7] * 5
    for start in (1, 10):
        emulated.upload(x, np.full(5, start, np.float32))
        graph.launch()
        assert y.get().tolist() == [2 * (2 * start + 1)] * 5
        assert w.get().tolist() == [2 * start + 1] * 5
        assert z.get().tolist() == [5, 4, 4, 4, 4]
        assert kept.get().tolist() == [9, 9]


def test_a_launched_graph_gives_the_bytes_of_plain_work(fault):
    start = np.random.default_rng(0).normal(size=300)

    def step(x, y):
        fault("twice", 3, 128, (x, y, 300))
        fault("neighbours", 1, 300, (y, 2, True))
        np.multiply(y, 0.3, out=y)
        x -= y * 0.1 + np.sqrt(np.abs(x)).mean()

    plain, captured = ((put(start), emulated.empty(300)) for _ in range(2))
    graph = emulated.Graph()
    with graph.capture():
        step(*captured)
    for _ in range(20):
        step(*plain)
        graph.launch()
        assert [a.get().tobytes() for a in plain] == [a.get().tobytes() for a in captured]


def test_copies_are_refused_while_a_graph_is_captured():
    x = numbers(3)
    copies = [lambda: x.get(), lambda: x.sum().item(), lambda: bool(x[0] > 0), lambda: emulated.asarray(np.ones(3)),
              lambda: emulated.upload(x, np.ones(3)), lambda: emulated.fetch(x)]
    for copy in copies:
        with pytest.raises(DeviceError, match="may not copy between host and device"), emulated.Graph().capture():
            copy()
        assert not emulated.capturing()
    with (pytest.raises(DeviceError, match="a graph is being captured already"), emulated.Graph().capture(),
          emulated.Graph().capture()):
        pass
    assert not emulated.capturing()


def test_a_sources_error_leaves_no_library(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGAN_CACHE", str(tmp_path / "cache"))
    emulated._cache.cache_clear()
    try:
        path = tmp_path / "half.cu"
        path.write_text('#include "common.cuh"\nextern "C" __global__ void half(float* x) { x[0] = 1 }\n')
        x = emulated.full((1,), 0, np.float32)
        for _ in range(2):
            with pytest.raises(DeviceError, match=r"half\.cu:2"):
                kernel(str(path), "half", x)(1, 1, (x,))
        assert list((tmp_path / "cache" / "emulated").iterdir()) == []
    finally:
        emulated._cache.cache_clear()
