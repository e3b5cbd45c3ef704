# %% [markdown]
# # Fill in the vjp
#
# Each function gets a cotangent, usually `gy`, and returns what its docstring asks for. Use NumPy only, not minigan.
# `python docs/exercises/vjps.py` compares every answer with the engine, for several sizes: exact, close, wrong (what
# kind of mistake it looks like, and where), or not done.

# %%
"""Thirteen derivations to fill in; run the file to see which answers are right."""

import numpy as np

import minigan as mg
from minigan import losses, ops
from minigan.teach.exercise import Sheet

rng = np.random.default_rng(2024)
sheet = Sheet()
check, verdicts = sheet.check, sheet.verdicts


def gradients(f, *arrays, cotangent=None):
    """The engine's gradients of f with respect to each array, from a cotangent."""
    tensors = [mg.tensor(np.asarray(a, np.float64), requires_grad=True) for a in arrays]
    return [g.data for g in mg.grad(f(*tensors), tensors, cotangent)]


def row(a):
    """A vector as an image of one row."""
    return a.reshape(1, 1, 1, -1)  # (1, 1, 1, N)


def normal(*sizes):
    """Random arrays of these sizes."""
    return [rng.normal(size=n) for n in sizes]


# %% [markdown]
# ## 1 The chain rule (lesson 1)

# %%
def neuron_vjp(gy, x, w, b):
    """For y = tanh(sum_i w_i x_i + b) with x and w (N,), return gw (N,)."""
    raise NotImplementedError("your turn")


# %%
def neuron(gy, x, w, b):
    return gradients(lambda w: ops.tanh(ops.sum(w * x) + b), w, cotangent=gy)[0]


check("1 chain rule", neuron_vjp, neuron, 1.7, *normal(4, 4), 0.3)
check("1 chain rule", neuron_vjp, neuron, -0.6, *normal(7, 7), -0.2)

# %% [markdown]
# ## 2 Broadcasting (lesson 2)

# %%
def unbroadcast(gy, shape):
    """For y = x broadcast to gy.shape, return gx; `shape` is x's. NumPy may have added axes and stretched others."""
    raise NotImplementedError("your turn")


# %%
def summed(gy, shape):
    return gradients(lambda x: ops.broadcast_to(x, shape=gy.shape), np.zeros(shape), cotangent=gy)[0]


check("2 broadcasting", unbroadcast, summed, rng.normal(size=(5, 2, 3, 4)), (3, 1))
for shape in ((2, 1, 4), (5, 1, 1, 4), (2, 3, 4), (1,), ()):
    check("2 broadcasting", unbroadcast, summed, rng.normal(size=(5, 2, 3, 4)), shape)

# %% [markdown]
# ## 3 Convolution: its two transposes (lesson 3)

# %%
def conv1d_vjps(gy, x, w):
    """For y[i] = sum_k x[i+k] w[k] with x (N,), w (K,), y (N-K+1,), return gx (N,) and gw (K,), concatenated (N+K,)."""
    raise NotImplementedError("your turn")


# %%
def both(gy, x, w):
    return np.concatenate([g.ravel() for g in gradients(ops.conv2d, row(x), row(w), cotangent=row(gy))])


check("3 convolution", conv1d_vjps, both, *normal(5, 7, 3))
check("3 convolution", conv1d_vjps, both, *normal(6, 9, 4))
check("3 convolution", conv1d_vjps, both, *normal(4, 5, 2))

# %% [markdown]
# ## 4 Transposed convolution (lesson 4)

# %%
def transposed_conv1d_vjp(gy, w, stride, n):
    """For y[i*stride + k] += x[i] w[k] with x (n,), w (K,), return gx (n,)."""
    raise NotImplementedError("your turn")


# %%
def convolved(gy, w, stride, n):
    return gradients(lambda x: ops.conv_transpose2d(x, mg.tensor(row(w)), stride=(1, stride)), np.zeros((1, 1, 1, n)),
                     cotangent=row(gy))[0].ravel()


check("4 transposed convolution", transposed_conv1d_vjp, convolved, *normal(12, 3), 3, 4)
for K, stride, n in ((3, 2, 4), (5, 2, 3), (2, 3, 4), (4, 1, 5)):  # stamps that overlap, and stamps with gaps
    check("4 transposed convolution", transposed_conv1d_vjp, convolved, *normal((n - 1) * stride + K, K), stride, n)

# %% [markdown]
# ## 5 Up-convolution is a blurred transposed convolution (lesson 5)

# %%
def blurred(w):
    """Repeating every element of x twice and correlating with w (K,), with K-1 zeros on both sides, is a transposed
    convolution with stride 2: y[2i + r] += x[i] v[r]. Return v (K+1,)."""
    raise NotImplementedError("your turn")


# %%
def blur(w):
    return ops.blur_filters(mg.tensor(row(w)), scale=(1, 2)).data.ravel()


check("5 up-convolution", blurred, blur, *normal(3))
for K in (4, 2, 5):
    check("5 up-convolution", blurred, blur, *normal(K))

# %% [markdown]
# ## 6 Batch norm: three terms (lesson 6)

# %%
def batch_norm_vjp(gy, x, gamma, eps=1e-5):
    """For y = gamma (x - mean) / sqrt(var + eps) with x (N, C), gamma (C,), mean and biased var over N, return gx."""
    raise NotImplementedError("your turn")


# %%
def norm(gy, x, gamma, eps):
    return gradients(lambda x: ops.batch_norm(x, mg.tensor(gamma), mg.tensor(0 * gamma), eps=eps), x, cotangent=gy)[0]


check("6 batch norm", batch_norm_vjp, norm, rng.normal(size=(6, 3)), rng.normal(2, 3, size=(6, 3)), *normal(3), 1e-5)
check("6 batch norm", batch_norm_vjp, norm, rng.normal(size=(4, 2)), rng.normal(-1, 2, size=(4, 2)), *normal(2), 0.3)

# %% [markdown]
# ## 7 Losses from logits (lesson 7)

# %%
def cross_entropy_vjp(logits, targets):
    """For the mean over N of -t ln D - (1-t) ln(1-D) with D = sigmoid(logit), return the gradient with respect to the
    logits (N,). It must also be right for logits of +-1000."""
    raise NotImplementedError("your turn")


# %%
def cross_entropy(logits, targets):
    return gradients(lambda x: losses.bce_with_logits(x, targets), logits)[0]


logits, targets = np.array([-1000.0, -2.0, 0.5, 30.0, 1000.0]), np.array([0.0, 1.0, 0.9, 1.0, 0.0])
check("7 losses from logits", cross_entropy_vjp, cross_entropy, logits, targets, safe=True)
check("7 losses from logits", cross_entropy_vjp, cross_entropy, np.array([1000.0, -1000.0, -0.1]),
      np.array([1.0, 0.3, 0.2]), safe=True)

# %% [markdown]
# ## 8 Adam (lesson 8)

# %%
def adam_two_steps(w, g1, g2, lr=0.01, beta1=0.5, beta2=0.999, eps=1e-8):
    """Return the weights after two Adam steps with gradients g1, then g2: zero initial moments, bias correction."""
    raise NotImplementedError("your turn")


# %%
def adam(w, g1, g2, lr, beta1, beta2, eps):
    parameter = mg.tensor(w, requires_grad=True)
    optimizer = mg.optim.Adam([parameter], lr=lr, betas=(beta1, beta2), eps=eps)
    for g in (g1, g2):
        optimizer.minimize(ops.sum(parameter * g))
    return parameter.data


check("8 Adam", adam_two_steps, adam, *normal(4, 4, 4), 0.01, 0.5, 0.999, 1e-8)
check("8 Adam", adam_two_steps, adam, *normal(5, 5, 5), 0.2, 0.9, 0.99, 0.1)

# %% [markdown]
# ## 9 The best discriminator (lesson 9)

# %%
def best_logits(p_data, p_g):
    """For densities p_data and p_g at given points, return the logits s that maximise p_data ln D + p_g ln(1-D), where
    D = sigmoid(s)."""
    raise NotImplementedError("your turn")


# %%
def newton(p, q):
    s = mg.tensor(np.zeros(len(p)), requires_grad=True)
    for _ in range(60):  # on the engine's gradients; the second derivative is (p + q) D (1 - D)
        slope, = mg.grad(ops.sum(p * ops.softplus(-s) + q * ops.softplus(s)), [s])
        D = ops.sigmoid(s).data
        s.data = s.data - slope.data / ((p + q) * D * (1 - D))
    return s


check("9 the best discriminator", best_logits, newton, *rng.uniform(0.1, 2, size=(2, 6)))
check("9 the best discriminator", best_logits, newton, *rng.uniform(0.5, 3, size=(2, 3)))

# %% [markdown]
# ## 10 Gradient penalty: differentiating a gradient (lesson 10)

# %%
def penalty_vjp(u, W, v):
    """For f(u) = v . tanh(W u) with u (N,), W (H, N), v (H,) and the penalty (|f'(u)| - 1)^2, return the gradient of
    the penalty with respect to v (H,)."""
    raise NotImplementedError("your turn")


# %%
def penalty(u, W, v):
    point, matrix = mg.tensor(u.reshape(-1, 1), requires_grad=True), mg.tensor(W)  # (N, 1), (H, N)

    def loss(v):
        f = ops.sum(v.reshape(-1, 1) * ops.tanh(ops.matmul(matrix, point)))  # (H,) -> (H, 1)
        slope, = mg.grad(f, [point], create_graph=True)
        return ops.square(ops.norm(slope) - 1.0)

    return gradients(loss, v)[0]


check("10 gradient penalty", penalty_vjp, penalty, *normal(3, (5, 3), 5))
check("10 gradient penalty", penalty_vjp, penalty, *normal(4, (2, 4), 2))

# %% [markdown]
# ## 11 Spectral norm (lesson 11)

# %%
def spectral_vjp(gy, W, left, right):
    """For y = W / sigma, sigma = left . W right, with constant unit vectors left (O,), right (I,), return gW (O, I)."""
    raise NotImplementedError("your turn")


# %%
def spectral(gy, W, left, right):
    return gradients(lambda W: W / ops.sum(W * np.outer(left, right)), W, cotangent=gy)[0]


def with_vectors(gy, W):
    U, _, Vt = np.linalg.svd(W)
    return gy, W, U[:, 0], Vt[0]


check("11 spectral norm", spectral_vjp, spectral, *with_vectors(*normal((3, 4), (3, 4))))
check("11 spectral norm", spectral_vjp, spectral, *with_vectors(*normal((5, 2), (5, 2))))

# %% [markdown]
# ## 12 A cycle's subgradient (lesson 12)

# %%
def cycle_subgradient(x, A, B):
    """For L = |B A x - x|_1 with x (N,), A (M, N), B (N, M), return the subgradient of smallest norm with respect to
    A (M, N)."""
    raise NotImplementedError("your turn")


# %%
def cycle(x, A, B):
    column = x.reshape(-1, 1)  # (N, 1)
    return gradients(lambda A: ops.sum(ops.abs(mg.tensor(B) @ (A @ column) - column)), A)[0]


x, A, B = normal(3, (4, 3), (3, 4))
x[0], A[1], B[0] = 0, A[0], (1, -1, 0, 0)  # the first element of B A x - x is 0: at the kink
check("12 cycle", cycle_subgradient, cycle, x, A, B)
check("12 cycle", cycle_subgradient, cycle, *normal(5, (2, 5), (5, 2)))

# %% [markdown]
# ## 13 A gradient check (lesson 14)

# %%
def numeric_gradient(f, x, h=1e-5):
    """Return central differences of f with respect to every element of x; f maps an array of x's shape to a number."""
    raise NotImplementedError("your turn")


# %%
def tanh_sum(x):
    return np.tanh(x).sum()


def weighted_cubes(x):
    return np.sum(np.arange(1, 4) * x**3)


def exact_gradient(f, x, h):
    twins = {tanh_sum: lambda x: ops.tanh(x).sum(), weighted_cubes: lambda x: (x * x * x * np.arange(1.0, 4)).sum()}
    return gradients(twins[f], x)[0]


check("13 a gradient check", numeric_gradient, exact_gradient, tanh_sum, *normal((2, 3)), 1e-5)
check("13 a gradient check", numeric_gradient, exact_gradient, weighted_cubes, *normal(3), 1e-4)


# %%
if __name__ == "__main__":
    sheet.end()
