"""The cases of benchmarks/gpu.py, ours: training steps and single convolutions. PyTorch's are in gpu_peers.py.

`build(case)` returns a function to be called many times, on the device set by mg.set_device. If the environment
variable GPU_REHEARSAL is set, all sizes are small enough for the emulated device.
"""

import argparse
import os
from typing import NamedTuple

import works

import minigan as mg
from minigan import kernels
from minigan.losses import gan_loss

REHEARSAL = bool(os.environ.get("GPU_REHEARSAL"))
LOSSES_ONLY = ", losses only"  # DCGAN's step without the trainer's metrics, as the peers' is
FLOAT64 = ", float64"  # a product in double precision
BF16 = ", bf16"  # a step in that precision; it needs ml_dtypes


class Step(NamedTuple):
    """A training step: the work of works.py, and its sizes."""

    work: str
    batch: int
    size: int
    channels: int
    upsample: str = "upconv"

    @property
    def options(self):
        """As works.py and torch_twin.py take them."""
        batch, size, width = self.batch, self.size, 64
        if REHEARSAL:
            batch, size, width = min(batch, 2), min(size, 32), 2
        return argparse.Namespace(batch=batch, size=size, channels=self.channels, width=width, upsample=self.upsample,
                                  threads=1, start=None)


STEPS = {  # the most important first, then the short ones, in case time runs out
    "DCGAN-64 b128": Step("dcgan", 128, 64, 3),
    "DCGAN-32 b64": Step("dcgan", 64, 32, 1),
    "WGAN-GP b64": Step("wgan_gp", 64, 32, 1),
    "CycleGAN-128 b1": Step("cyclegan", 1, 128, 3),
    "CycleGAN-256 b1": Step("cyclegan", 1, 256, 3),
    "DCGAN-64 b128, deconv": Step("dcgan", 128, 64, 3, "deconv"),  # the same arithmetic in ours and in PyTorch's
    "DCGAN-32 b64, deconv": Step("dcgan", 64, 32, 1, "deconv"),
}


class Layer(NamedTuple):
    """A convolution's sizes: images N x C x H x H, O filters of K x K."""

    N: int
    C: int
    H: int
    O: int  # noqa: E741
    K: int
    stride: int
    padding: int

    @property
    def out(self):
        """Height and width of the output."""
        return (self.H + 2 * self.padding - self.K) // self.stride + 1

    @property
    def shapes(self):
        """Of images, filters and outputs as they lie in memory: (N, H, W, C), (KH, KW, C, O), (N, OH, OW, O)."""
        return ((self.N, self.H, self.H, self.C), (self.K, self.K, self.C, self.O),
                (self.N, self.out, self.out, self.O))

    @property
    def flop(self):
        """Of each of the three products, borders counted as if they were inside."""
        return 2 * self.N * self.out**2 * self.O * self.C * self.K**2

    @property
    def bytes(self):
        """Of images, filters and outputs, float32; each is read or written once."""
        return sum(4 * a * b * c * d for a, b, c, d in self.shapes)


LAYERS = {
    "DCGAN-64 D2": Layer(128, 64, 32, 128, 4, 2, 1),
    "DCGAN-64 D3": Layer(128, 128, 16, 256, 4, 2, 1),
    "DCGAN-64 D4": Layer(128, 256, 8, 512, 4, 2, 1),
    "CycleGAN-256 residual": Layer(1, 256, 66, 256, 3, 1, 0),
    "CycleGAN-128 residual": Layer(1, 256, 34, 256, 3, 1, 0),
    "DCGAN-64 D1": Layer(128, 3, 64, 64, 4, 2, 1),
    "DCGAN-32 D2": Layer(64, 64, 16, 128, 4, 2, 1),
    "DCGAN-32 D3": Layer(64, 128, 8, 256, 4, 2, 1),
    "CycleGAN-256 down": Layer(1, 64, 256, 128, 3, 2, 1),
    "CycleGAN-256 first": Layer(1, 3, 262, 64, 7, 1, 0),
    "CycleGAN-256 last": Layer(1, 64, 262, 3, 7, 1, 0),
    "PatchGAN 3": Layer(1, 128, 64, 256, 4, 2, 1),
    "PatchGAN 4": Layer(1, 256, 32, 512, 4, 1, 1),
    "DCGAN-64 D5": Layer(128, 512, 4, 1, 4, 1, 0),
    "DCGAN-32 D1": Layer(64, 1, 32, 64, 4, 2, 1),
}
if REHEARSAL:
    LAYERS = {name: layer._replace(N=min(layer.N, 2), C=min(layer.C, 8), H=min(layer.H, 12), O=min(layer.O, 8))
              for name, layer in LAYERS.items()}
PRODUCTS = {f"{product}, {layer}": (product, LAYERS[layer]) for layer in LAYERS
            for product in ("conv2d", "conv_transpose2d", "conv2d_weight_grad")}


def build(case):
    """The case as a function without arguments: a training step's losses, or a product's output."""
    if (name := case.removesuffix(FLOAT64)) in PRODUCTS:
        product, layer = PRODUCTS[name]
        return our_product(product, layer, operands(layer, "float32" if name == case else "float64"))
    if case.endswith(BF16):
        return in_bf16(case.removesuffix(BF16))
    if case.endswith(LOSSES_ONLY):
        return losses_only(STEPS[case.removesuffix(LOSSES_ONLY)].options)
    step = STEPS[case]
    return works.work(step.work, step.options).update


def in_bf16(case):
    """A case in precision bf16, whatever others are timed in between."""
    def called(function):
        before = kernels.get_precision()
        mg.device.set_precision("bf16")
        try:
            return function()
        finally:
            mg.device.set_precision(before)

    update = called(lambda: build(case))
    return lambda: called(update)


def losses_only(options):
    """DCGAN's step with nothing but its two losses: no mean of D(x) and D(G(z)), no slope."""
    mg.seed(0)
    generator, discriminator = mg.models.dcgan(options.channels, options.size, 100, options.width, options.upsample)
    adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
    g_optimizer = mg.optim.Adam(generator.parameters(), **adam)
    d_optimizer = mg.optim.Adam(discriminator.parameters(), **adam)
    loss, noise, real = gan_loss("non_saturating"), works.noise(), mg.tensor(works.images(options, "real"))

    def update():
        z = noise.normal((options.batch, 100), device=mg.device.default())
        fake = generator(mg.Tensor(z))
        d_loss = loss.discriminator_loss(*mg.nn.in_one_pass(discriminator, real, fake.detach()).and_whole())
        d_optimizer.minimize(d_loss)
        g_loss = loss.generator_loss(discriminator(fake))
        g_optimizer.minimize(g_loss)
        return d_loss, g_loss

    return update


def operands(layer, dtype="float32"):
    """Images, filters and outputs of a layer, standard normal (filters scaled to keep that), made on the device.

    Zeros would run faster than real data. Shapes (N, C, H, W), (O, C, KH, KW), (N, O, OH, OW), channels last in memory.
    """
    noise = works.noise()
    x, w, g = (noise.normal(shape, dtype, mg.device.default()) for shape in layer.shapes)
    w *= (layer.C * layer.K**2) ** -0.5
    return x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1), g.transpose(0, 3, 1, 2)


def our_product(product, layer, arrays):
    """One of the three products of a layer, by our kernels."""
    x, w, g = arrays
    geometry = (layer.stride,) * 2, (layer.padding,) * 2, (1, 1)  # stride, padding, dilation
    return {
        "conv2d": lambda: kernels.conv2d(x, w, None, *geometry),
        "conv_transpose2d": lambda: kernels.conv_transpose2d(g, w, None, *geometry, (layer.H, layer.H)),
        "conv2d_weight_grad": lambda: kernels.conv2d_weight_grad(x, g, (layer.K, layer.K), *geometry),
    }[product]
