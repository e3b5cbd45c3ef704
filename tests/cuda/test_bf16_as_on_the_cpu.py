"""bf16 on a device and its emulation on the CPU are written apart; a step's gradients agree in both."""

import numpy as np
import pytest

import minigan as mg
from minigan import losses, models
from minigan.engine import device as devices

pytest.importorskip("ml_dtypes")


def gradients(where, precision, z, real):
    """Of a GAN's two losses by all parameters, from equal weights."""
    mg.set_device("cpu")
    devices.set_precision("fast")
    mg.set_device(where)
    devices.set_precision(precision)
    mg.seed(0)
    generator, discriminator = models.dcgan(1, 32, 8, 4)
    fake = generator(mg.tensor(z))
    loss = losses.non_saturating.discriminator_loss(discriminator(mg.tensor(real)), discriminator(fake.detach()))
    by_d = mg.grad(loss, discriminator.parameters())
    loss = losses.non_saturating.generator_loss(discriminator(fake))
    return [g.numpy().astype(np.float64) for g in [*by_d, *mg.grad(loss, generator.parameters())]]


def test_a_dcgan_step(device, rng):
    """They differ by less than a fifth of what bf16 changes: by sums in another order, and by the cotangent of logits,
    which only a device stores as bf16."""
    z, real = (rng.standard_normal(shape, dtype=np.float32) for shape in ((4, 8), (4, 1, 32, 32)))
    exact, emulated = (gradients("cpu", precision, z, real) for precision in ("fp32", "bf16-emulated"))
    stored = gradients(device.name, "bf16", z, real)

    def apart(one, other):
        return np.sqrt(sum(np.square(a - b).sum() for a, b in zip(one, other, strict=True)))

    assert 0 < apart(stored, emulated) < apart(emulated, exact) / 5
