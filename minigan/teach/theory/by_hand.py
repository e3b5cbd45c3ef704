"""Backprop through a convolutional GAN and a cycle, written index by index, as loops.

The networks of the problem set (docs/lessons/problem_set.md): one image x or y of 3x3 pixels, noise z of 2x2.

    A_m = sum_{k,l} x[k,l] K_D[m,k,l]        D = sigmoid(s),  s = b_D + sum_m W_D[m] A_m        m = 0 ... 4
    y[2i-1+k, 2j-1+l] += z[i,j] K_G[k,l]     G: transposed convolution, stride 2, padding 1
    u[i,j] = sum_{k,l} y[i-1+k, j-1+l] K_F[k,l]     F: convolution, padding 1, so 3 + 2 - 2 + 1 = 4: a 4x4 kernel

Terms with indices outside an array are left out: that is what padding means. Nothing here is fast, and nothing is
hidden. Inputs may be complex, so that a step along the imaginary axis gives a derivative. The sizes are those of the
arrays; other strides and paddings, for variants of the problem set (variants.py), are a `Geometry`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minigan.engine import Array


class Geometry(NamedTuple):
    """Stride S and padding P of the generator G, and padding of F, whose stride is 1."""

    S: int = 2
    P: int = 1
    P_F: int = 1

    def image(self, z: Array, K_G: Array) -> int:
        """Height and width of G(z)."""
        return (len(z) - 1) * self.S - 2 * self.P + len(K_G)

    def noise(self, y: Array, K_F: Array) -> int:
        """Height and width of F(y)."""
        return len(y) + 2 * self.P_F - len(K_F) + 1


AS_STATED = Geometry()


# ---- the two networks of problem 1, forward ----
def features(x: Array, K_D: Array) -> Array:
    """A (5,): each 3x3 filter at the only place where it fits into an image x (3, 3)."""
    A = np.zeros(len(K_D), np.result_type(x, K_D))
    for m in range(len(K_D)):
        for k in range(len(x)):
            for l in range(len(x)):
                A[m] += x[k, l] * K_D[m, k, l]
    return A


def logit(x: Array, K_D: Array, W_D: Array, b_D: Array) -> Array:
    """s, the input of the discriminator's sigmoid."""
    A, s = features(x, K_D), b_D[()]
    for m in range(len(K_D)):
        s = s + W_D[m] * A[m]
    return s


def sigmoid(s: Array) -> Array:
    """One over 1 + e^-s."""
    return 1 / (1 + np.exp(-s))


def generate(z: Array, K_G: Array, at: Geometry = AS_STATED) -> Array:
    """Image y (3, 3): every noise value of z (2, 2) adds the filter, times the value, two pixels further on."""
    H = at.image(z, K_G)
    y = np.zeros((H, H), np.result_type(z, K_G))
    for i in range(len(z)):
        for j in range(len(z)):
            for k in range(len(K_G)):
                for l in range(len(K_G)):
                    a, c = at.S * i - at.P + k, at.S * j - at.P + l
                    if 0 <= a < H and 0 <= c < H:
                        y[a, c] += z[i, j] * K_G[k, l]
    return y


def discriminator_loss(x: Array, z: Array, K_D: Array, W_D: Array, b_D: Array, K_G: Array,
                       at: Geometry = AS_STATED) -> Array:
    """-ln D(x) - ln(1 - D(G(z))): what the discriminator descends."""
    real, fake = logit(x, K_D, W_D, b_D), logit(generate(z, K_G, at), K_D, W_D, b_D)
    return -np.log(sigmoid(real)) - np.log(sigmoid(-fake))  # 1 - sigmoid(s) = sigmoid(-s), which loses no digits


def generator_loss(z: Array, K_D: Array, W_D: Array, b_D: Array, K_G: Array, saturating: bool = True,
                   at: Geometry = AS_STATED) -> Array:
    """ln(1 - D(G(z))), what algorithm 1 descends, or -ln D(G(z)), the log D trick."""
    fake = logit(generate(z, K_G, at), K_D, W_D, b_D)
    return np.log(sigmoid(-fake)) if saturating else -np.log(sigmoid(fake))


# ---- problem 1, backward ----
def discriminator_gradients(x: Array, z: Array, K_D: Array, W_D: Array, b_D: Array, K_G: Array,
                            at: Geometry = AS_STATED) -> dict[str, Array]:
    """1(a): d loss / d K_D, W_D, b_D.

    d(-ln sigmoid(s))/ds = sigmoid(s) - 1 and d(-ln(1 - sigmoid(s)))/ds = sigmoid(s): call it e, the error. Then
    d/dW[m] = e A_m, because s is linear in W; d/db = e; d/dK[m,k,l] = e W[m] x[k,l], because A_m is linear in K[m].
    Both images add up.
    """
    y = generate(z, K_G, at)
    gK, gW, gb = np.zeros(K_D.shape), np.zeros(len(K_D)), np.zeros(())
    for image, is_real in ((x, True), (y, False)):
        A = features(image, K_D)
        D = sigmoid(logit(image, K_D, W_D, b_D))
        e = D - 1 if is_real else D
        gb += e
        for m in range(len(K_D)):
            gW[m] += e * A[m]
            for k in range(len(x)):
                for l in range(len(x)):
                    gK[m, k, l] += e * W_D[m] * image[k, l]
    return {"K_D": gK, "W_D": gW, "b_D": gb}


def generator_gradients(z: Array, K_D: Array, W_D: Array, b_D: Array, K_G: Array,
                        saturating: bool = True, at: Geometry = AS_STATED) -> dict[str, Array]:
    """1(b): d loss / d K_G, through a fixed discriminator.

    e = d loss / ds is -D for ln(1 - D), and D - 1 for -ln D. A pixel of y reaches s through every filter:
    gy[a,c] = e sum_m W[m] K_D[m,a,c].
    """
    y = generate(z, K_G, at)
    D = sigmoid(logit(y, K_D, W_D, b_D))
    e = -D if saturating else D - 1
    gy = np.zeros(y.shape)
    for a in range(len(y)):
        for c in range(len(y)):
            for m in range(len(K_D)):
                gy[a, c] += e * W_D[m] * K_D[m, a, c]
    return {"K_G": through_generator(gy, z, at)}


def through_generator(gy: Array, z: Array, at: Geometry = AS_STATED) -> Array:
    """Gradient by K_G (3, 3) from d loss / dy: K_G[k,l] is added once per noise value, at (2i-1+k, 2j-1+l)."""
    H = len(gy)
    K = H - (len(z) - 1) * at.S + 2 * at.P  # of the filter
    gK = np.zeros((K, K))
    for k in range(K):
        for l in range(K):
            for i in range(len(z)):
                for j in range(len(z)):
                    a, c = at.S * i - at.P + k, at.S * j - at.P + l
                    if 0 <= a < H and 0 <= c < H:
                        gK[k, l] += z[i, j] * gy[a, c]
    return gK


# ---- problem 2 ----
def back_again(y: Array, K_F: Array, at: Geometry = AS_STATED) -> Array:
    """Noise u = F(y) (2, 2)."""
    n, H = at.noise(y, K_F), len(y)
    u = np.zeros((n, n), np.result_type(y, K_F))
    for i in range(n):
        for j in range(n):
            for k in range(len(K_F)):
                for l in range(len(K_F)):
                    a, c = i - at.P_F + k, j - at.P_F + l
                    if 0 <= a < H and 0 <= c < H:
                        u[i, j] += y[a, c] * K_F[k, l]
    return u


def cycle_loss(z: Array, K_G: Array, K_F: Array, at: Geometry = AS_STATED) -> Array:
    """|F(G(z)) - z|_1, the sum over the four pixels."""
    u, loss = back_again(generate(z, K_G, at), K_F, at), 0j
    for i in range(len(z)):
        for j in range(len(z)):
            difference = u[i, j] - z[i, j]
            loss += difference if difference.real > 0 else -difference  # its absolute value, also of a complex one
    return loss


def cycle_subgradients(z: Array, K_G: Array, K_F: Array, at: Geometry = AS_STATED) -> dict[str, Array]:
    """2(a) and 2(b): one subgradient of the cycle loss by K_F and by K_G.

    t[i,j] = sign(u[i,j] - z[i,j]); at a kink, any number in [-1, 1] is right, and 0 is taken. As u is linear in K_F,
    gF[k,l] = sum_{i,j} t[i,j] y[i-1+k, j-1+l]; as it is linear in y, gy[a,c] = sum_{i,j} t[i,j] K_F[a-i+1, c-j+1].
    The rest is problem 1(b).
    """
    y = generate(z, K_G, at)
    u, H = back_again(y, K_F, at), len(y)
    gF, gy = np.zeros(K_F.shape), np.zeros(y.shape)
    for i in range(len(z)):
        for j in range(len(z)):
            t = 0.0 if u[i, j] == z[i, j] else 1.0 if u[i, j] > z[i, j] else -1.0
            for k in range(len(K_F)):
                for l in range(len(K_F)):
                    a, c = i - at.P_F + k, j - at.P_F + l
                    if 0 <= a < H and 0 <= c < H:
                        gF[k, l] += t * y[a, c]
                        gy[a, c] += t * K_F[k, l]
    return {"K_F": gF, "K_G": through_generator(gy, z, at)}
