"""A program: every native kernel on arrays that end, or begin, at a page that may not be touched.

    python guarded.py        prints one line per kernel; a read or write outside an array ends it with a fault

Inputs, outputs and what is changed in place all lie in such memory.
"""

import ctypes
import faulthandler
import mmap
import sys
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from kernel_cases import CASES, HOST, parameters  # noqa: E402
from poison import rooms  # noqa: E402

from minigan import kernels  # noqa: E402
from minigan.kernels import cpu, native  # noqa: E402
from minigan.kernels.geometry import out_size  # noqa: E402

PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None, use_errno=True)


class Guard:
    """Memory between two pages without access; arrays are laid at its end or at its beginning."""

    def __init__(self):
        self.at_end = True
        self.mapped = []

    def flat(self, size, dtype):
        """Room for `size` numbers, holding NaN or the like."""
        count = size * np.dtype(dtype).itemsize
        inside = max(1, -(-count // PAGE)) * PAGE
        pages = mmap.mmap(-1, inside + 2 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        for page in (start, start + PAGE + inside):
            if LIBC.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        self.mapped.append(pages)
        offset = PAGE + (inside - count if self.at_end else 0)
        memory = np.frombuffer(pages, np.uint8, count, offset)
        memory.fill(0xFF)
        return memory.view(dtype)

    def empty(self, shape, dtype=np.float64):
        shape = (shape,) if np.ndim(shape) == 0 else tuple(shape)
        return self.flat(int(np.prod(shape, dtype=np.int64)), dtype).reshape(shape)

    def like(self, x):
        order = sorted(range(x.ndim), key=lambda axis: (-x.strides[axis], axis))
        return self.empty([x.shape[axis] for axis in order], x.dtype).transpose(np.argsort(order))

    def copy(self, value):
        """An array, as float32 if it holds real numbers, or a list of them, in guarded memory and the same order."""
        if isinstance(value, list):
            return [self.copy(v) for v in value]
        if not isinstance(value, np.ndarray):
            return value
        y = self.like(value.astype(np.float32) if value.dtype == np.float64 else value)
        y[...] = value
        return y

    def install(self):
        """Native kernels' outputs come from here."""
        for room in rooms(native).values():
            for name, maker in (("empty", self.empty), ("empty_like", self.like)):
                if hasattr(room, name):
                    setattr(room, name, maker)


def images(rng, *shape):
    return np.ascontiguousarray(rng.standard_normal(shape, np.float32).transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def convolutions(rng):
    """Odd channels and sizes, with borders and without, for every algorithm."""
    channels = (1, 1, 1), (2, 3, 5), (1, 17, 33), (3, 16, 2), (2, 64, 3)  # N, C, O
    windows = (7, 3, 1, 1), (9, 4, 2, 1), (6, 3, 1, 0), (5, 1, 1, 0), (4, 4, 1, 0), (8, 2, 3, 0)  # size K S P
    layers = [(*a, *b) for a in channels for b in windows]
    layers += [(1, 200, 70, 16, 3, 1, 1), (2, 64, 64, 16, 4, 2, 1), (8, 70, 64, 9, 4, 1, 1), (1, 96, 96, 24, 3, 1, 0)]
    for N, C, O, size, k, s, p in layers:
        how, out = ((s, s), (p, p), (1, 1)), out_size(size, k, s, p, 1)
        x, g = images(rng, N, C, size, size), images(rng, N, O, out, out)
        w = rng.standard_normal((k, k, C, O), np.float32).transpose(3, 2, 0, 1)
        b, c = rng.random(O, np.float32), rng.random(C, np.float32)
        yield "conv2d", (x, w, b, *how)
        yield "conv_transpose2d", (g, w, c, *how, (size, size))
        yield "conv2d_weight_grad", (x, g, (k, k), *how)
        if 0 < p < size:  # a border that is mirrored
            yield "conv2d", (x, w, b, *how, True)
            yield "conv2d_weight_grad", (x, g, (k, k), *how, True)


def upconvolutions(rng):
    """With fewer products and by blurred filters, of odd sizes and channels."""
    for N, C, O, size in ((1, 16, 16, (8, 8)), (2, 17, 33, (7, 9)), (3, 40, 70, (1, 6)), (1, 3, 5, (3, 4)),
                          (40, 48, 20, (3, 2)), (2, 64, 1, (5, 4))):
        x, g = images(rng, N, C, *size), images(rng, N, O, 2 * size[0], 2 * size[1])
        w = rng.standard_normal((3, 3, C, O), np.float32).transpose(3, 2, 0, 1)
        yield "upconv2d", (x, w, rng.random(O, np.float32), (2, 2), (1, 1))
        yield "upconv2d_adjoint", (g, w, (2, 2), (1, 1))
        yield "upconv2d_weight_grad", (x, g, (3, 3), (2, 2), (1, 1))


def others(rng):
    shapes = (2, 1, 5, 7), (2, 3, 9, 11), (1, 17, 31, 33), (3, 64, 8, 8), (2, 200, 5, 6), (1, 5, 1, 1), (1, 300, 9, 9)
    for shape in shapes:
        x, gy = images(rng, *shape), images(rng, *shape)
        yield "add", (x, gy)
        yield "leaky_relu", (x, 0.2)
        yield "gate", (x, gy, 0.0)
        gamma, beta = rng.random((2, shape[1]), np.float32)
        for over in ("batch", "instance", "layer"):
            mean, _, rstd = cpu.norm_stats(x, over, 1e-5)
            yield "norm_stats", (x, over, 1e-5)
            yield "norm_apply", (x, mean, rstd, gamma, beta, 0.2)
            yield "norm_apply", (x, mean, rstd, gamma, beta, None, gy)
            yield "norm_grad", (gy, x, mean, rstd, gamma, over, x, 0.2)
            if over == "batch":
                yield "norm_grad", (gy, x, mean, rstd, gamma, over, x, 0.2, lambda sums: 0.5 * sums)
        if min(shape[2:]) > 2:
            y, index = cpu.max_pool2d(x, (3, 2), (2, 1), (1, 1))
            yield "max_pool2d", (x, (3, 2), (2, 1), (1, 1))
            yield "pool_take", (x, index, (3, 2), (2, 1), (1, 1))
            yield "pool_put", (y, index, (3, 2), (2, 1), (1, 1), shape[2:])
        yield "upsample_nearest", (x, (2, 3))
        yield "block_sum", (x, (shape[2], 1))
        near = np.eye(shape[2], dtype=np.float32), np.eye(2 * shape[3], shape[3], dtype=np.float32)
        yield "resample", (x, *near)
        yield "resample", (x, None, near[1])
        for axes in ((0, 2, 3), (1, 2, 3), (2, 3), None):
            yield "reduce_sum", (x, axes)
        if min(shape[2:]) > 2:
            widths = ((0, 0), (0, 0), (1, 2), (2, 1))
            for mode in ("constant", "reflect", "edge"):
                yield "pad", (x, widths, mode, 0.5)
                g = images(rng, *shape[:2], shape[2] + 3, shape[3] + 3)
                yield from (("fold", (g, widths, mode)), ("fold", (g, widths, mode, x)))
    for O, C in ((1, 1), (3, 9), (17, 8), (70, 33)):
        yield "blur_filters", (rng.standard_normal((3, 2, C, O), np.float32).transpose(3, 2, 0, 1), (2, 2))
        yield "unblur_filters", (rng.standard_normal((4, 3, O, C), np.float32).transpose(3, 2, 0, 1), (2, 2))
    rows = [parameters() for _ in range(4)]
    yield "adam", (*rows, 3, 0.1, 0.9, 0.99, 0.1, 0.1)


def cases():
    """(kernel, arguments) of everything above and of the common cases."""
    rng = np.random.default_rng(0)
    names = [name for name in vars(native) if name in CASES]
    yield from ((name, arguments) for name in names for arguments in CASES[name])
    yield from convolutions(rng)
    yield from upconvolutions(rng)
    yield from others(rng)


def main():
    faulthandler.enable()
    rooms(native)["reduce"].FEW = rooms(native)["reduce"].THIN = 1
    rooms(native)["resample"].NARROW = 0
    guard, counts = Guard(), {}
    guard.install()
    kernels.set_threads(2)
    empty = np.empty
    for name, arguments in cases():
        print(name, len(counts), flush=True) if name not in counts else None
        for guard.at_end in (True, False):
            given = [v if i in HOST.get(name, ()) else guard.copy(v) for i, v in enumerate(arguments)]
            np.empty = guard.empty
            try:
                getattr(native, name)(*given)
            finally:
                np.empty = empty
            guard.mapped.clear()
            counts[name] = counts.get(name, 0) + 1
    print("done", *(f"{name}:{count}" for name, count in counts.items()))


if __name__ == "__main__":
    main()
