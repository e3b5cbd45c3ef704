"""Backprop through a convolutional GAN and a cycle, written index by index, as loops.

The networks of the problem set (docs/lessons/problem_set.md): one image x or y of 3x3 pixels, noise z of 2x2.

    A_m = sum_{k,q} x[k,q] K_D[m,k,q]        D = sigmoid(s),  s = b_D + sum_m W_D[m] A_m        m = 0 ... 4
    y[2i-1+k, 2j-1+q] += z[i,j] K_G[k,q]     G: transposed convolution, stride 2, padding 1
    u[i,j] = sum_{k,q} y[i-1+k, j-1+q] K_F[k,q]     F: convolution, padding 1, so 3 + 2 - 2 + 1 = 4: a 4x4 kernel

Terms with indices outside an array are left out: that is what padding means. Nothing here is fast, and nothing is
hidden. Inputs may be complex, so that a step along the imaginary axis gives a derivative.
"""

from __future__ import annotations

import numpy as np

from minigan.engine import Array


# ---- the two networks of problem 1, forward ----
def features(x: Array, K_D: Array) -> Array:
    """A (5,): each 3x3 filter at the only place where it fits into an image x (3, 3)."""
    A = np.zeros(len(K_D), np.result_type(x, K_D))
    for m in range(len(K_D)):
        for k in range(3):
            for q in range(3):
                A[m] += x[k, q] * K_D[m, k, q]
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


def generate(z: Array, K_G: Array) -> Array:
    """Image y (3, 3): every noise value of z (2, 2) adds the filter, times the value, two pixels further on."""
    y = np.zeros((3, 3), np.result_type(z, K_G))
    for i in range(2):
        for j in range(2):
            for k in range(3):
                for q in range(3):
                    a, c = 2 * i - 1 + k, 2 * j - 1 + q
                    if 0 <= a < 3 and 0 <= c < 3:
                        y[a, c] += z[i, j] * K_G[k, q]
    return y


def discriminator_loss(x: Array, z: Array, K_D: Array, W_D: Array, b_D: Array, K_G: Array) -> Array:
    """-ln D(x) - ln(1 - D(G(z))): what the discriminator descends."""
    real, fake = logit(x, K_D, W_D, b_D), logit(generate(z, K_G), K_D, W_D, b_D)
    return -np.log(sigmoid(real)) - np.log(sigmoid(-fake))  # 1 - sigmoid(s) = sigmoid(-s), which loses no digits


def generator_loss(z: Array, K_D: Array, W_D: Array, b_D: Array, K_G: Array, saturating: bool = True) -> Array:
    """ln(1 - D(G(z))), what algorithm 1 descends, or -ln D(G(z)), the log D trick."""
    fake = logit(generate(z, K_G), K_D, W_D, b_D)
    return np.log(sigmoid(-fake)) if saturating else -np.log(sigmoid(fake))


# ---- problem 1, backward ----
def discriminator_gradients(x: Array, z: Array, K_D: Array, W_D: Array, b_D: Array, K_G: Array) -> dict[str, Array]:
    """1(a): d loss / d K_D, W_D, b_D.

    d(-ln sigmoid(s))/ds = sigmoid(s) - 1 and d(-ln(1 - sigmoid(s)))/ds = sigmoid(s): call it e, the error. Then
    d/dW[m] = e A_m, because s is linear in W; d/db = e; d/dK[m,k,q] = e W[m] x[k,q], because A_m is linear in K[m].
    Both images add up.
    """
    y = generate(z, K_G)
    gK, gW, gb = np.zeros((len(K_D), 3, 3)), np.zeros(len(K_D)), np.zeros(())
    for image, is_real in ((x, True), (y, False)):
        A = features(image, K_D)
        D = sigmoid(logit(image, K_D, W_D, b_D))
        e = D - 1 if is_real else D
        gb += e
        for m in range(len(K_D)):
            gW[m] += e * A[m]
            for k in range(3):
                for q in range(3):
                    gK[m, k, q] += e * W_D[m] * image[k, q]
    return {"K_D": gK, "W_D": gW, "b_D": gb}


def generator_gradients(z: Array, K_D: Array, W_D: Array, b_D: Array, K_G: Array,
                        saturating: bool = True) -> dict[str, Array]:
    """1(b): d loss / d K_G, through a fixed discriminator.

    e = d loss / ds is -D for ln(1 - D), and D - 1 for -ln D. A pixel of y reaches s through every filter:
    gy[a,c] = e sum_m W[m] K_D[m,a,c].
    """
    D = sigmoid(logit(generate(z, K_G), K_D, W_D, b_D))
    e = -D if saturating else D - 1
    gy = np.zeros((3, 3))
    for a in range(3):
        for c in range(3):
            for m in range(len(K_D)):
                gy[a, c] += e * W_D[m] * K_D[m, a, c]
    return {"K_G": through_generator(gy, z)}


def through_generator(gy: Array, z: Array) -> Array:
    """Gradient by K_G (3, 3) from d loss / dy: K_G[k,q] is added once per noise value, at (2i-1+k, 2j-1+q)."""
    gK = np.zeros((3, 3))
    for k in range(3):
        for q in range(3):
            for i in range(2):
                for j in range(2):
                    a, c = 2 * i - 1 + k, 2 * j - 1 + q
                    if 0 <= a < 3 and 0 <= c < 3:
                        gK[k, q] += z[i, j] * gy[a, c]
    return gK


# ---- problem 2 ----
def back_again(y: Array, K_F: Array) -> Array:
    """Noise u = F(y) (2, 2)."""
    u = np.zeros((2, 2), np.result_type(y, K_F))
    for i in range(2):
        for j in range(2):
            for k in range(4):
                for q in range(4):
                    a, c = i - 1 + k, j - 1 + q
                    if 0 <= a < 3 and 0 <= c < 3:
                        u[i, j] += y[a, c] * K_F[k, q]
    return u


def cycle_loss(z: Array, K_G: Array, K_F: Array) -> Array:
    """|F(G(z)) - z|_1, the sum over the four pixels."""
    u, loss = back_again(generate(z, K_G), K_F), 0j
    for i in range(2):
        for j in range(2):
            difference = u[i, j] - z[i, j]
            loss += difference if difference.real > 0 else -difference  # its absolute value, also of a complex one
    return loss


def cycle_subgradients(z: Array, K_G: Array, K_F: Array) -> dict[str, Array]:
    """2(a) and 2(b): one subgradient of the cycle loss by K_F and by K_G.

    t[i,j] = sign(u[i,j] - z[i,j]); at a kink, any number in [-1, 1] is right, and 0 is taken. As u is linear in K_F,
    gF[k,q] = sum_{i,j} t[i,j] y[i-1+k, j-1+q]; as it is linear in y, gy[a,c] = sum_{i,j} t[i,j] K_F[a-i+1, c-j+1].
    The rest is problem 1(b).
    """
    y = generate(z, K_G)
    u = back_again(y, K_F)
    gF, gy = np.zeros((4, 4)), np.zeros((3, 3))
    for i in range(2):
        for j in range(2):
            t = 0.0 if u[i, j] == z[i, j] else 1.0 if u[i, j] > z[i, j] else -1.0
            for k in range(4):
                for q in range(4):
                    a, c = i - 1 + k, j - 1 + q
                    if 0 <= a < 3 and 0 <= c < 3:
                        gF[k, q] += t * y[a, c]
                        gy[a, c] += t * K_F[k, q]
    return {"K_F": gF, "K_G": through_generator(gy, z)}
