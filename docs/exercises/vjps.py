# %% [markdown]
# # Fill in the vjp
#
# Each function gets a cotangent, usually `gy`, and returns what its docstring asks for. Use NumPy only, not minigan.
# `python docs/exercises/vjps.py` compares every answer with the engine: exact, close, wrong (and where), or not done.

# %%
"""Thirteen derivations to fill in; run the file to see which answers are right."""

import sys

import numpy as np

import minigan as mg
from minigan import losses, nn, ops
from minigan.teach.exercise import compare

rng = np.random.default_rng(2024)
verdicts, RIGHT = {}, ("exact", "close")


def check(name, mine, reference):
    """Print and record a verdict. In a notebook, a wrong answer is an error: nbgrader counts cells that fail."""
    verdicts[name] = compare(name, mine, reference)
    assert verdicts[name] in RIGHT or "ipykernel" not in sys.modules, f"{name}: {verdicts[name]}"


def gradients(f, *arrays, cotangent=None):
    """The engine's gradients of f with respect to each array, from a cotangent."""
    tensors = [mg.tensor(np.asarray(a, np.float64), requires_grad=True) for a in arrays]
    return [g.data for g in mg.grad(f(*tensors), tensors, cotangent)]


# %% [markdown]
# ## 1 The chain rule (lesson 1)

# %%
def neuron_vjp(gy, x, w, b):
    """For y = tanh(sum_i w_i x_i + b) with x and w (N,), return gw (N,)."""
    raise NotImplementedError("your turn")


# %%
x, w = rng.normal(size=(2, 4))
check("1 chain rule", lambda: neuron_vjp(1.7, x, w, 0.3),
      gradients(lambda w: ops.tanh(ops.sum(w * x) + 0.3), w, cotangent=1.7)[0])

# %% [markdown]
# ## 2 Broadcasting (lesson 2)

# %%
def unbroadcast(gy, shape):
    """For y = x broadcast to gy.shape, return gx; `shape` is x's. NumPy may have added axes and stretched others."""
    raise NotImplementedError("your turn")


# %%
gy = rng.normal(size=(5, 2, 3, 4))
check("2 broadcasting", lambda: unbroadcast(gy, (3, 1)),
      gradients(lambda x: ops.broadcast_to(x, shape=gy.shape), rng.normal(size=(3, 1)), cotangent=gy)[0])

# %% [markdown]
# ## 3 Convolution: its two transposes (lesson 3)

# %%
def conv1d_vjps(gy, x, w):
    """For y[i] = sum_k x[i+k] w[k] with x (N,), w (K,), y (N-K+1,), return gx (N,) and gw (K,), concatenated (N+K,)."""
    raise NotImplementedError("your turn")


# %%
x, w, gy = rng.normal(size=7), rng.normal(size=3), rng.normal(size=5)
check("3 convolution", lambda: conv1d_vjps(gy, x, w), np.concatenate([g.ravel() for g in gradients(
    lambda x, w: ops.conv2d(x, w), x.reshape(1, 1, 1, 7), w.reshape(1, 1, 1, 3), cotangent=gy.reshape(1, 1, 1, 5))]))

# %% [markdown]
# ## 4 Transposed convolution (lesson 4)

# %%
def transposed_conv1d_vjp(gy, w, stride, n):
    """For y[i*stride + k] += x[i] w[k] with x (n,), w (K,), return gx (n,)."""
    raise NotImplementedError("your turn")


# %%
gy = rng.normal(size=12)
check("4 transposed convolution", lambda: transposed_conv1d_vjp(gy, w, 3, 4), gradients(
    lambda x: ops.conv_transpose2d(x, mg.tensor(w.reshape(1, 1, 1, 3)), stride=(1, 3)), rng.normal(size=(1, 1, 1, 4)),
    cotangent=gy.reshape(1, 1, 1, 12))[0].ravel())

# %% [markdown]
# ## 5 Up-convolution is a blurred transposed convolution (lesson 5)

# %%
def blurred(w):
    """Repeating every element of x twice and correlating with w (K,), with K-1 zeros on both sides, is a transposed
    convolution with stride 2: y[2i + r] += x[i] v[r]. Return v (K+1,)."""
    raise NotImplementedError("your turn")


# %%
check("5 up-convolution", lambda: blurred(w),
      ops.blur_filters(mg.tensor(w.reshape(1, 1, 1, 3)), scale=(1, 2)).data.ravel())

# %% [markdown]
# ## 6 Batch norm: three terms (lesson 6)

# %%
def batch_norm_vjp(gy, x, gamma, eps=1e-5):
    """For y = gamma (x - mean) / sqrt(var + eps) with x (N, C), gamma (C,), mean and biased var over N, return gx."""
    raise NotImplementedError("your turn")


# %%
x, gy, gamma = rng.normal(2, 3, size=(6, 3)), rng.normal(size=(6, 3)), rng.normal(size=3)
check("6 batch norm", lambda: batch_norm_vjp(gy, x, gamma),
      gradients(lambda x: ops.batch_norm(x, mg.tensor(gamma), mg.tensor(np.zeros(3))), x, cotangent=gy)[0])

# %% [markdown]
# ## 7 Losses from logits (lesson 7)

# %%
def cross_entropy_vjp(logits, targets):
    """For the mean over N of -t ln D - (1-t) ln(1-D) with D = sigmoid(logit), return the gradient with respect to the
    logits (N,). It must also be right for logits of +-1000."""
    raise NotImplementedError("your turn")


# %%
logits, targets = np.array([-1000.0, -2.0, 0.5, 30.0, 1000.0]), np.array([0.0, 1.0, 0.9, 1.0, 0.0])
check("7 losses from logits", lambda: cross_entropy_vjp(logits, targets),
      gradients(lambda x: losses.bce_with_logits(x, targets), logits)[0])

# %% [markdown]
# ## 8 Adam (lesson 8)

# %%
def adam_two_steps(w, g1, g2, lr=0.01, beta1=0.5, beta2=0.999, eps=1e-8):
    """Return the weights after two Adam steps with gradients g1, then g2: zero initial moments, bias correction."""
    raise NotImplementedError("your turn")


# %%
w, g1, g2 = rng.normal(size=(3, 4))
parameter = mg.tensor(w, requires_grad=True)
optimizer = mg.optim.Adam([parameter], lr=0.01, betas=(0.5, 0.999))
for g in (g1, g2):
    optimizer.minimize(ops.sum(parameter * g))
check("8 Adam", lambda: adam_two_steps(w, g1, g2), parameter)

# %% [markdown]
# ## 9 The best discriminator (lesson 9)

# %%
def best_logits(p_data, p_g):
    """For densities p_data and p_g at given points, return the logits s that maximise p_data ln D + p_g ln(1-D), where
    D = sigmoid(s)."""
    raise NotImplementedError("your turn")


# %%
p, q = rng.uniform(0.1, 2, size=(2, 6))
s = mg.tensor(np.zeros(6), requires_grad=True)
for _ in range(60):  # Newton's method on the engine's gradients; the second derivative is (p + q) D (1 - D)
    slope, = mg.grad(ops.sum(p * ops.softplus(-s) + q * ops.softplus(s)), [s])
    D = ops.sigmoid(s).data
    s.data = s.data - slope.data / ((p + q) * D * (1 - D))
check("9 the best discriminator", lambda: best_logits(p, q), s)

# %% [markdown]
# ## 10 Gradient penalty: differentiating a gradient (lesson 10)

# %%
def penalty_vjp(u, W, v):
    """For f(u) = v . tanh(W u) with u (N,), W (H, N), v (H,) and the penalty (|f'(u)| - 1)^2, return the gradient of
    the penalty with respect to v (H,)."""
    raise NotImplementedError("your turn")


# %%
u, W, v = rng.normal(size=3), rng.normal(size=(5, 3)), rng.normal(size=5)


def penalty(v):
    """The same penalty with the engine."""
    point = mg.tensor(u, requires_grad=True)
    slope, = mg.grad(ops.sum(v * ops.tanh(ops.matmul(mg.tensor(W), point.reshape(3, 1)).reshape(5))), [point],
                     create_graph=True)
    return ops.square(ops.norm(slope) - 1.0)


check("10 gradient penalty", lambda: penalty_vjp(u, W, v), gradients(penalty, v)[0])

# %% [markdown]
# ## 11 Spectral norm (lesson 11)

# %%
def spectral_vjp(gy, W, left, right):
    """For y = W / sigma, sigma = left . W right, with constant unit vectors left (O,), right (I,), return gW (O, I)."""
    raise NotImplementedError("your turn")


# %%
W, gy = rng.normal(size=(2, 3, 4))
U, _, Vt = np.linalg.svd(W)
check("11 spectral norm", lambda: spectral_vjp(gy, W, U[:, 0], Vt[0]), gradients(
    lambda W: W / ops.sum(W * np.outer(U[:, 0], Vt[0])), W, cotangent=gy)[0])

# %% [markdown]
# ## 12 A cycle's subgradient (lesson 12)

# %%
def cycle_subgradient(x, A, B):
    """For L = |B A x - x|_1 with x (N,), A (M, N), B (N, M), return the subgradient of smallest norm with respect to
    A (M, N)."""
    raise NotImplementedError("your turn")


# %%
x, A, B = rng.normal(size=3), rng.normal(size=(4, 3)), rng.normal(size=(3, 4))
x[0], A[1], B[0] = 0, A[0], (1, -1, 0, 0)  # the first element of B A x - x is 0: at the kink
check("12 cycle", lambda: cycle_subgradient(x, A, B), gradients(
    lambda A: ops.sum(ops.abs(mg.tensor(B) @ (A @ x.reshape(3, 1)) - x.reshape(3, 1))), A)[0])

# %% [markdown]
# ## 13 A gradient check (lesson 14)

# %%
def numeric_gradient(f, x, h=1e-5):
    """Return central differences of f with respect to every element of x; f maps an array of x's shape to a number."""
    raise NotImplementedError("your turn")


# %%
x = rng.normal(size=(2, 3))
layer = nn.Tanh()
check("13 a gradient check", lambda: numeric_gradient(lambda x: layer(mg.tensor(x)).sum().item(), x),
      gradients(lambda x: layer(x).sum(), x)[0])


# %%
if __name__ == "__main__" and "ipykernel" not in sys.modules:
    right = sum(v in RIGHT for v in verdicts.values())
    print(f"{right} of {len(verdicts)} right")
    sys.exit(right < len(verdicts))
