# %% [markdown]
# # Beyond the lessons
#
# Seven exercises whose answers stand in no lesson. As before, use NumPy only; `python docs/exercises/beyond.py`
# compares your answers with the engine, for several sizes. Exercises 19 and 20 hand you a wrong kernel to mend.

# %%
"""Seven exercises beyond the lessons; run the file to see which answers are right."""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import minigan as mg
from minigan import losses, ops
from minigan.teach.exercise import Sheet

rng = np.random.default_rng(2025)
sheet = Sheet()
check, verdicts = sheet.check, sheet.verdicts


def gradients(f, *arrays, cotangent=None):
    """The engine's gradients of f with respect to each array, from a cotangent."""
    tensors = [mg.tensor(np.asarray(a, np.float64), requires_grad=True) for a in arrays]
    return [g.data for g in mg.grad(f(*tensors), tensors, cotangent)]


def normal(*sizes):
    """Random arrays of these sizes."""
    return [rng.normal(size=n) for n in sizes]


# %% [markdown]
# ## 14 Forward mode (lesson 1; level 2)
#
# Reverse mode carries a cotangent from the output to all inputs. Forward mode carries a *tangent* the other way: if the
# inputs move by `tx`, `tw`, `tb` per unit of time, how fast does y move?

# %%
def neuron_jvp(x, w, b, tx, tw, tb):
    """For y = tanh(sum_i w_i x_i + b) with x, w and their tangents tx, tw (N,), return the tangent of y, a number."""
    raise NotImplementedError("your turn")


# %%
def moved(x, w, b, tx, tw, tb):
    gx, gw, gb = gradients(lambda x, w, b: ops.tanh(ops.sum(w * x) + b), x, w, b)
    return gx @ tx + gw @ tw + gb * tb


check("14 forward mode", neuron_jvp, moved, *normal(4, 4), 0.3, *normal(4, 4), -0.7)
check("14 forward mode", neuron_jvp, moved, *normal(6, 6), -0.1, *normal(6, 6), 0.0)
check("14 forward mode", neuron_jvp, moved, *normal(3, 3), 0.2, np.zeros(3), np.zeros(3), 1.3)

# %% [markdown]
# ## 15 A convolution with stride, padding and dilation (lesson 3; level 2)

# %%
def dilated_vjps(gy, x, w, stride, padding, dilation):
    """For y[i] = sum_k x[i*stride - padding + k*dilation] w[k], x (N,) being 0 outside, w (K,), return gx (N,) and
    gw (K,), concatenated (N+K,)."""
    raise NotImplementedError("your turn")


# %%
def dilated(gy, x, w, stride, padding, dilation):
    def images(x, w):
        return ops.conv2d(x.reshape(1, 1, 1, -1), w.reshape(1, 1, 1, -1), stride=(1, stride), padding=(0, padding),
                          dilation=(1, dilation))  # (N,), (K,) -> (1, 1, 1, N), (1, 1, 1, K)

    return np.concatenate(gradients(images, x, w, cotangent=gy.reshape(1, 1, 1, -1)))


for N, K, S, P, D in ((9, 3, 1, 0, 2),):
    check("15 dilation", dilated_vjps, dilated, *normal((N + 2 * P - D * (K - 1) - 1) // S + 1, N, K), S, P, D)
for N, K, S, P, D in ((10, 3, 2, 2, 3), (8, 2, 3, 1, 1), (7, 4, 1, 3, 2)):
    check("15 dilation", dilated_vjps, dilated, *normal((N + 2 * P - D * (K - 1) - 1) // S + 1, N, K), S, P, D)

# %% [markdown]
# ## 16 The norm's second derivative (lessons 6 and 10; level 3)
#
# A gradient penalty differentiates a gradient. So the rule of lesson 6, gx = r (g - mean g - xhat mean(g xhat)), needs
# a vjp of its own, in g and in x. First try g: what is the transpose of that map?

# %%
def norm_second_vjps(u, g, x, eps):
    """Let xhat = (x - mean) r with r = (var + eps)^(-1/2), all over the one axis of x (m,), and
    gx = r (g - mean g - xhat mean(g xhat)). From the cotangent u (m,) of gx return the cotangents of g and of x,
    concatenated (2m,)."""
    raise NotImplementedError("your turn")


# %%
def second(u, g, x, eps):
    one, zero = mg.tensor(np.ones(1)), mg.tensor(np.zeros(1))
    tg, tx = (mg.tensor(a.reshape(-1, 1), requires_grad=True) for a in (g, x))  # (m, 1)
    gx, = mg.grad(ops.batch_norm(tx, one, zero, eps=eps), [tx], tg, create_graph=True)
    return np.concatenate([a.data.ravel() for a in mg.grad(gx, [tg, tx], u.reshape(-1, 1))])


check("16 a norm, second order", norm_second_vjps, second, *normal(5, 5, 5), 1e-5)
check("16 a norm, second order", norm_second_vjps, second, *normal(8, 8, 8), 0.5)

# %% [markdown]
# ## 17 The spectral norm of a convolution's filters (lesson 11; level 3)
#
# In exercise 11 the singular vectors were constants. Here sigma is the largest singular value itself, and its vectors
# change with the filters. Why does that not matter? (Lesson 9 has the theorem.)

# %%
def spectral_filters_vjp(gy, w):
    """For y = w / sigma with w (O, C, K, K) and sigma the largest singular value of w as a matrix (O, C*K*K), return
    gw (O, C, K, K)."""
    raise NotImplementedError("your turn")


# %%
def by_differences(gy, w, h=1e-5):
    def loss(w):
        return np.sum(gy * w) / np.linalg.norm(w.reshape(len(w), -1), 2)  # (O, C*K*K)

    steps = h * np.eye(w.size).reshape(-1, *w.shape)
    return np.reshape([(loss(w + step) - loss(w - step)) / (2 * h) for step in steps], w.shape)


check("17 spectral norm of filters", spectral_filters_vjp, by_differences, *normal((3, 2, 2, 2), (3, 2, 2, 2)))
check("17 spectral norm of filters", spectral_filters_vjp, by_differences, *normal((5, 1, 3, 3), (5, 1, 3, 3)))

# %% [markdown]
# ## 18 A GAN loss of your own, with its equilibrium (lessons 7 and 9; level 3)
#
# Invent a loss for logits that the library does not have: what a discriminator pays for a real image, what it pays for
# a generated one, and what the generator pays. Find the logit of the best discriminator where the data has density p
# and the samples q. The check wants: your logit is the minimum of p real(s) + q fake(s); the generator pays less for a
# higher logit; and what is left for the generator, the sum over all points of that minimum, is largest for q = p.

# %%
def own_loss():
    """Return four NumPy functions: real(s), fake(s), generator(s) of logits s (N,); best(p, q) of densities (N,)."""
    raise NotImplementedError("your turn")


# %%
def wrong_with_my_loss(seeds):
    real, fake, generator, best = own_loss()
    grid = np.linspace(-2, 2, 41)
    for name, known in losses.GAN_LOSSES.items():
        theirs = [known.discriminator_loss(mg.tensor(s * np.ones((1, 1))), mg.tensor(np.ones((1, 1)))).item()
                  for s in grid]  # as a function of a real image's logit
        fitted = np.polynomial.Polynomial.fit(theirs, real(grid), 1)(np.array(theirs))
        if np.abs(fitted - real(grid)).max() < 1e-6:
            return f"what a real image costs is the library's {name}, up to a factor and a constant"
    if not (np.diff(generator(grid)) < 0).all():
        return "the generator does not pay less for a higher logit"
    for seed in seeds:
        p, q = np.random.default_rng(seed).dirichlet(np.ones(6), size=2)

        def value(p, q, s):
            return p * real(s) + q * fake(s)

        s = best(p, q)
        for step in (-1.0, -0.01, 0.01, 1.0):
            if not (value(p, q, s + step) > value(p, q, s)).all():
                return f"best(p, q) is no minimum: with a logit that is {step} higher the discriminator pays less"
        if not np.sum(value(p, q, s)) < np.sum(value(p, p, best(p, p))) + 1e-12:
            return "the discriminator is not worst off where q = p, so that is no equilibrium"
    return ""


sheet.judge("18 a loss of your own", lambda: wrong_with_my_loss(range(10)))

# %% [markdown]
# ## 19 A wrong CUDA kernel (lesson 13; level 2)
#
# One block of 64 threads adds up one row. On a GPU the kernel below is right most of the time. It has three mistakes:
# find them and return the source without them. It runs on the emulated device (you need g++), with the threads of a
# block in two orders, on shared memory that begins as NaN.

# %%
CUDA = r"""
#include "common.cuh"
extern "C" __global__ void row_sums(const REAL* x, REAL* y, int columns) {  // x (rows, columns), y (rows)
  __shared__ REAL part[64];
  int t = threadIdx.x;
  REAL sum = 0;
  for (int j = t; j <= columns; j += 64) sum += x[blockIdx.x * columns + j];
  part[t] = sum;
  for (int half = 32; half > 0; half /= 2) {
    if (t < half) part[t] += part[t + half];
  }
  if (t == 0) y[blockIdx.x] = part[0];
}
"""


def mended_cuda(source):
    """Return the source of the kernel without its mistakes; `source` is CUDA, above."""
    raise NotImplementedError("your turn")


# %%
def wrong_with_the_cuda_kernel(sizes):
    from minigan.kernels.cuda import emulated, loader

    path = Path(tempfile.mkdtemp()) / "row_sums.cu"  # a name of its own: a loaded kernel stays loaded
    path.write_text(mended_cuda(CUDA))
    for rows, columns in sizes:
        for order in (0, 1):
            x, y = rng.normal(size=(rows, columns)), emulated.empty((rows,), np.float64)
            device_x = emulated.asarray(x)
            with emulated.threads_in_order(order):
                loader.kernel(str(path), "row_sums", device_x)(rows, 64, (device_x, y, columns))
            if not np.allclose(y.get(), x.sum(1)):
                return (f"x ({rows}, {columns}), threads in order {order}: "
                        f"y is {y.get().round(3)}, not {x.sum(1).round(3)}")
    return ""


if shutil.which("g++"):
    sheet.judge("19 a CUDA kernel", lambda: wrong_with_the_cuda_kernel([(3, 64), (2, 5), (4, 200), (1, 1)]))
else:
    print("19 a CUDA kernel                 not run: it needs g++ (Debian, Ubuntu: apt-get install g++)")

# %% [markdown]
# ## 20 A wrong kernel in C (lesson 15; level 2)
#
# The backward rule of a leaky ReLU, eight numbers at a time so that the compiler uses vectors. It was tested with 64
# numbers, none of which was 0. Find what is wrong with it. (At the kink this project takes the slope of smallest size:
# lesson 12.)

# %%
C = r"""
void leaky_relu_vjp(const float *gy, const float *x, float *gx, long n, float slope)
{
  for (long i = 0; i + 8 <= n; i += 8)
    for (int j = 0; j < 8; j++) gx[i + j] = x[i + j] >= 0 ? gy[i + j] : slope * gy[i + j];
}
"""


def mended_c(source):
    """Return the source of the function without its mistakes; `source` is C, above."""
    raise NotImplementedError("your turn")


# %%
def wrong_with_the_c_kernel(sizes):
    folder = Path(tempfile.mkdtemp())  # a name of its own: a loaded library stays loaded
    source, library = folder / "leaky_relu.c", folder / "leaky_relu.so"
    source.write_text(mended_c(C))
    subprocess.run([compiler, "-O2", "-fPIC", "-shared", str(source), "-o", str(library)], check=True)
    function = ctypes.CDLL(str(library)).leaky_relu_vjp
    for n in sizes:
        gy, x = (np.append(a, np.nan).astype(np.float32) for a in normal(n, n))  # one number more, not to be read
        x[:n:3], gx = 0, np.full(n + 1, -7, np.float32)
        function(*(ctypes.c_void_p(a.ctypes.data) for a in (gy, x, gx)), ctypes.c_long(n), ctypes.c_float(0.2))
        right = np.append(np.where(x[:n] > 0, gy[:n], np.float32(0.2) * gy[:n]), np.float32(-7))
        if not np.array_equal(gx, right):
            place = int(np.flatnonzero(gx != right)[0])
            return f"n = {n}: gx[{place}] is {gx[place]}, not {right[place]} (x there is {x[place]})"
    return ""


compiler = next(filter(shutil.which, ("gcc", "cc", "clang")), None)
if compiler:
    sheet.judge("20 a kernel in C", lambda: wrong_with_the_c_kernel((64, 8, 13, 7, 1, 0)))
else:
    print("20 a kernel in C                 not run: it needs a C compiler (Debian, Ubuntu: apt-get install gcc)")


# %%
if __name__ == "__main__":
    sheet.end()
