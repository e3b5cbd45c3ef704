"""The works of benchmarks/step.py in minigan: one training step each.

A function takes the options and returns a Work; the peers start from its weights and inputs. Every step sees the same
batch and the same noise (except for `update` under a CUDA graph, where the noise changes from step to step).
"""

from types import SimpleNamespace
from typing import NamedTuple

import networks
import numpy as np

import minigan as mg
from minigan.losses import gan_loss, gradient_penalty, l1
from minigan.models.mlp import dcgan_weights


class Work(NamedTuple):
    """Networks by name, the arrays a step sees, and the step itself: `update` leaves its losses on the device."""

    networks: dict
    inputs: list
    update: object
    rewind: object = lambda: None  # called before a step: back to the first step's noise

    def step(self):
        """Run one step; returns its losses as numbers."""
        self.rewind()
        return tuple(loss.item() for loss in self.update())


class Residual(mg.nn.Module):
    """x + body(x)."""

    separable = True

    def __init__(self, *layers):
        super().__init__()
        self.body = mg.nn.Sequential(*layers)

    def forward(self, x):
        return self.body(x, addend=x)


NN = SimpleNamespace(**vars(mg.nn), Residual=Residual)


def network(layers):
    """A sequence of layers with DCGAN's initial weights, which CycleGAN has too: N(0, 0.02), biases 0."""
    return mg.nn.Sequential(*layers).apply(dcgan_weights)


def images(options, stream):
    """A batch in (-1, 1), channels-last in memory as from our data loaders."""
    shape = (options.batch, options.size, options.size, options.channels)
    return np.tanh(mg.random.normal(shape, seed=0, stream=stream)).transpose(0, 3, 1, 2)


def noise():
    """The same stream for every step, as trainers.GAN makes it."""
    return mg.random.Stream(0, "noise")


START = noise().state_dict()


def dcgan(options):
    """One discriminator and one generator step of the GAN trainer."""
    generator, discriminator = mg.models.dcgan(options.channels, options.size, 100, options.width, options.upsample)
    trainer = mg.trainers.GAN(generator, discriminator)
    real = images(options, "real")

    batch = mg.device.put(real, mg.device.default())

    def update():
        metrics = trainer.update(batch)
        return metrics["d_loss"], metrics["g_loss"]

    return Work({"generator": generator, "discriminator": discriminator},
                [real, noise().normal((options.batch, 100))], update, lambda: trainer.noise.load_state_dict(START))


def wgan_gp(options):
    """One critic step of Gulrajani et al., 2017, algorithm 1: lambda_gp = 10, Adam (1e-4, 0, 0.9)."""
    generator, _ = mg.models.dcgan(options.channels, options.size, 100, options.width, options.upsample)
    critic = network(networks.critic(mg.nn, options.size, options.width, options.channels))
    optimizer, loss = mg.optim.Adam(critic.parameters(), 1e-4, (0.0, 0.9)), gan_loss("wasserstein")
    real, z = images(options, "real"), noise().normal((options.batch, 100))

    x, latent, coefficients = mg.tensor(real), mg.tensor(z), noise()

    def update():
        with mg.no_grad():
            fake = generator(latent)
        distance = loss.discriminator_loss(*mg.nn.in_one_pass(critic, x, fake).and_whole())
        penalty = gradient_penalty(critic, x, fake, coefficients)
        optimizer.minimize(mg.ops.weighted_sum([distance, penalty], [1.0, 10.0]))
        return distance, penalty

    return Work({"generator": generator, "critic": critic}, [real, z, noise().uniform((options.batch, 1, 1, 1))],
                update, lambda: coefficients.load_state_dict(START))


def cyclegan(options):
    """One step of Zhu et al., 2017: both generators together, then both discriminators on the same fakes."""
    g_ab, g_ba = (network(networks.resnet(NN, options.channels, options.width)) for _ in "ab")
    d_a, d_b = (network(networks.patchgan(NN, options.channels, options.width)) for _ in "ab")
    adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
    g_optimizer = mg.optim.Adam([*g_ab.parameters(), *g_ba.parameters()], **adam)
    d_optimizer = mg.optim.Adam([*d_a.parameters(), *d_b.parameters()], **adam)
    loss = gan_loss("least_squares")
    inputs = images(options, "a"), images(options, "b")

    a, b = (mg.tensor(array) for array in inputs)

    def update():
        (fake_b, same_b), (fake_a, same_a) = mg.nn.in_one_pass(g_ab, a, b), mg.nn.in_one_pass(g_ba, b, a)
        game = loss.generator_loss(d_b(fake_b)) + loss.generator_loss(d_a(fake_a))
        cycle = l1(g_ba(fake_b), a) + l1(g_ab(fake_a), b)
        identity = l1(same_b, b) + l1(same_a, a)
        total = mg.ops.weighted_sum([game, cycle, identity], [1.0, 10.0, 5.0])
        g_optimizer.minimize(total)  # computes no gradients of d_a's and d_b's weights
        judged = mg.ops.weighted_sum([loss.discriminator_loss(*mg.nn.in_one_pass(d, x, fake.detach()).and_whole())
                                      for d, x, fake in ((d_a, a, fake_a), (d_b, b, fake_b))], [0.5, 0.5])
        d_optimizer.minimize(judged)
        return game, cycle, identity, judged

    return Work({"g_ab": g_ab, "g_ba": g_ba, "d_a": d_a, "d_b": d_b}, [*inputs], update)


WORKS = {"dcgan": dcgan, "wgan_gp": wgan_gp, "cyclegan": cyclegan, "cyclegan_mnist": cyclegan, "dcgan64": dcgan}


def work(name, options):
    """The work, built from seed 0."""
    mg.seed(0)
    mg.set_threads(options.threads)
    return WORKS[name](options)


def save_start(path, name, options):
    """Initial weights and inputs for the peers: see networks.load_start."""
    networks, inputs, *_ = work(name, options)
    weights = {f"{net}:{key}": array for net, module in networks.items() for key, array in module.state_dict().items()}
    np.savez(path, **weights, **{f"inputs:{i}": np.ascontiguousarray(array) for i, array in enumerate(inputs)})
