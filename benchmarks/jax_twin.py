"""The same networks and training steps in JAX: one jitted function per step, with donated state.

Images and filters are NHWC and HWIO. Batch norm keeps no running statistics here: no step reads them.
Needs JAX (`pip install jax`); minigan itself does not.
"""

import os
import sys

import jax
import networks
from jax import lax
from jax import nn as jnn
from jax import numpy as jnp

NN = sys.modules[__name__]  # the layers below, under PyTorch's names
LAYOUT = ("NHWC", "HWIO", "NHWC")


# ---- layers: called with all weights of a network by name, the layer's own name, and x ----
class Conv2d:
    def __init__(self, inputs, outputs, kernel_size, stride=1, padding=0, bias=True):
        self.stride, self.padding = (stride, stride), [(padding, padding)] * 2

    def __call__(self, p, name, x):
        y = lax.conv_general_dilated(x, p[name + "weight"], self.stride, self.padding, dimension_numbers=LAYOUT)
        return y + p[name + "bias"] if name + "bias" in p else y


class ConvTranspose2d:
    def __init__(self, inputs, outputs, kernel_size, stride=1, padding=0, output_padding=0, bias=True):
        before = kernel_size - 1 - padding
        self.stride, self.padding = (stride, stride), [(before, before + output_padding)] * 2

    def __call__(self, p, name, x):
        y = lax.conv_transpose(x, p[name + "weight"], self.stride, self.padding, dimension_numbers=LAYOUT,
                               transpose_kernel=True)
        return y + p[name + "bias"] if name + "bias" in p else y


class UpConv2d(Conv2d):
    def __init__(self, inputs, outputs, kernel_size=3, bias=True):
        super().__init__(inputs, outputs, kernel_size, padding=1, bias=bias)

    def __call__(self, p, name, x):
        return super().__call__(p, name, x.repeat(2, 1).repeat(2, 2))


class InstanceNorm2d:
    axes = (1, 2)

    def __init__(self, channels):
        pass

    def __call__(self, p, name, x):
        mean = x.mean(self.axes, keepdims=True)
        var = jnp.square(x).mean(self.axes, keepdims=True) - jnp.square(mean)  # one sweep over x, as Flax does it
        return (x - mean) * lax.rsqrt(var + 1e-5)


class BatchNorm2d(InstanceNorm2d):
    axes = (0, 1, 2)

    def __call__(self, p, name, x):
        return super().__call__(p, name, x) * p[name + "weight"] + p[name + "bias"]


class ReflectionPad2d:
    def __init__(self, padding):
        self.widths = ((0, 0), (padding, padding), (padding, padding), (0, 0))

    def __call__(self, p, name, x):
        return jnp.pad(x, self.widths, "reflect")


class LeakyReLU:
    def __init__(self, slope):
        self.slope = slope

    def __call__(self, p, name, x):
        return jnn.leaky_relu(x, self.slope)


class ReLU:
    def __call__(self, p, name, x):
        return jnn.relu(x)


class Tanh:
    def __call__(self, p, name, x):
        return jnp.tanh(x)


class Sequential:
    def __init__(self, *layers):
        self.layers = layers

    def __call__(self, p, name, x):
        for i, layer in enumerate(self.layers):
            x = layer(p, f"{name}{i}.", x)
        return x


class Residual(Sequential):
    def __call__(self, p, name, x):
        return x + super().__call__(p, f"{name}body.", x)


# ---- works: each is a function of parameters, Adam's state and the inputs ----
def adam(parameters, gradients, state, lr, b1, b2):
    """New parameters and state, of one network or several together."""
    count, means, squares = state
    count = count + 1
    means = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, means, gradients)
    squares = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, squares, gradients)
    parameters = jax.tree.map(
        lambda p, m, v: p - lr * (m / (1 - b1**count)) / (jnp.sqrt(v / (1 - b2**count)) + 1e-8),
        parameters, means, squares)
    return parameters, (count, means, squares)


def fresh(parameters):
    """Adam's state before the first step."""
    return jnp.zeros(()), jax.tree.map(jnp.zeros_like, parameters), jax.tree.map(jnp.zeros_like, parameters)


def dcgan(options):
    """See torch_twin.GAN."""
    layers = networks.dcgan(NN, options.size, options.upsample, 100, options.width, options.channels)
    generator, discriminator = (Sequential(*row) for row in layers)

    def draw(g, z):
        return generator(g, "layers.", z[:, None, None, :])  # (N, 1, 1, latent)

    def judge(d, x):
        return discriminator(d, "layers.", x)

    def d_loss(d, real, fake):
        return jnn.softplus(-judge(d, real)).mean() + jnn.softplus(judge(d, fake)).mean()

    def step(parameters, states, real, z):
        g, d = parameters["generator"], parameters["discriminator"]
        fake, pull_back = jax.vjp(lambda g: draw(g, z), g)
        judged, gradients = jax.value_and_grad(d_loss)(d, real, fake)
        d, d_state = adam(d, gradients, states["d"], 2e-4, 0.5, 0.999)
        game, gy = jax.value_and_grad(lambda fake: jnn.softplus(-judge(d, fake)).mean())(fake)
        g, g_state = adam(g, *pull_back(gy), states["g"], 2e-4, 0.5, 0.999)
        return {"generator": g, "discriminator": d}, {"g": g_state, "d": d_state}, (judged, game)

    return step, lambda p: {"g": fresh(p["generator"]), "d": fresh(p["discriminator"])}


def wgan_gp(options):
    """See torch_twin.WGANGP."""
    layers, _ = networks.dcgan(NN, options.size, options.upsample, 100, options.width, options.channels)
    generator = Sequential(*layers)
    critic = Sequential(*networks.critic(NN, options.size, options.width, options.channels))

    def loss(c, real, fake, u):
        slope = jax.grad(lambda u: critic(c, "", u).sum())(u)
        penalty = jnp.square(jnp.sqrt(jnp.square(slope).sum((1, 2, 3))) - 1).mean()
        distance = critic(c, "", fake).mean() - critic(c, "", real).mean()
        return distance + 10 * penalty, (distance, penalty)

    def step(parameters, state, real, z, e):
        g, c = parameters["generator"], parameters["critic"]
        fake = generator(g, "layers.", z[:, None, None, :])  # (N, 1, 1, latent)
        gradients, losses = jax.grad(loss, has_aux=True)(c, real, fake, e * real + (1 - e) * fake)
        c, state = adam(c, gradients, state, 1e-4, 0.0, 0.9)
        return {"generator": g, "critic": c}, state, losses

    return step, lambda p: fresh(p["critic"])


def cyclegan(options):
    """See torch_twin.CycleGAN."""
    generator = Sequential(*networks.resnet(NN, options.channels, options.width))
    patchgan = Sequential(*networks.patchgan(NN, options.channels, options.width))

    def draw(g, x):
        return generator(g, "", x)

    def wants(d, x, target):
        return jnp.square(patchgan(d, "", x) - target).mean()

    def far(x, y):
        return jnp.abs(x - y).mean()

    def g_loss(g, d, a, b):
        ab, ba = g["g_ab"], g["g_ba"]
        fake_b, fake_a = draw(ab, a), draw(ba, b)
        game = wants(d["d_b"], fake_b, 1) + wants(d["d_a"], fake_a, 1)
        cycle = far(draw(ba, fake_b), a) + far(draw(ab, fake_a), b)
        identity = far(draw(ab, b), b) + far(draw(ba, a), a)
        return game + 10 * cycle + 5 * identity, (fake_a, fake_b, (game, cycle, identity))

    def d_loss(d, a, b, fake_a, fake_b):
        return 0.5 * (wants(d["d_a"], a, 1) + wants(d["d_a"], fake_a, 0)
                      + wants(d["d_b"], b, 1) + wants(d["d_b"], fake_b, 0))

    def step(parameters, states, a, b):
        g, d = ({name: parameters[name] for name in names} for names in (("g_ab", "g_ba"), ("d_a", "d_b")))
        gradients, (fake_a, fake_b, losses) = jax.grad(g_loss, has_aux=True)(g, d, a, b)
        g, g_state = adam(g, gradients, states["g"], 2e-4, 0.5, 0.999)
        judged, gradients = jax.value_and_grad(d_loss)(d, a, b, fake_a, fake_b)
        d, d_state = adam(d, gradients, states["d"], 2e-4, 0.5, 0.999)
        return {**g, **d}, {"g": g_state, "d": d_state}, (*losses, judged)

    return step, lambda p: {"g": fresh({n: p[n] for n in ("g_ab", "g_ba")}),
                            "d": fresh({n: p[n] for n in ("d_a", "d_b")})}


WORKS = {"dcgan": dcgan, "wgan_gp": wgan_gp, "cyclegan": cyclegan, "cyclegan_mnist": cyclegan, "dcgan64": dcgan}


def work(name, options):
    """A step of the work, and a line that describes JAX."""
    if options.threads < os.cpu_count():  # XLA starts a thread per core it may use
        os.sched_setaffinity(0, range(options.threads))
    function, start = WORKS[name](options)
    weights, inputs = networks.load_start(options.start)
    parameters = {net: {key: jnp.asarray(_filters(array)) for key, array in row.items() if "running" not in key}
                  for net, row in weights.items()}
    batch = [jnp.asarray(array.transpose(0, 2, 3, 1) if array.ndim == 4 else array) for array in inputs]
    update = jax.jit(function, donate_argnums=(0, 1))
    state = parameters, start(parameters)

    def step():
        nonlocal state
        *state, losses = update(*state, *batch)
        jax.block_until_ready(state)
        return [loss.item() for loss in losses]

    return step, f"JAX {jax.__version__}, jit, {options.threads} threads"


def _filters(array):
    """(O, I, KH, KW) to HWIO; for transposed convolutions, (I, O, KH, KW) to HWOI."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
