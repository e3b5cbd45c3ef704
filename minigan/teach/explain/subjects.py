"""What `python -m minigan explain` can explain without being given a graph. Each builds one; all numbers are seeded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minigan import losses, models, nn, ops
from minigan import random as randomness
from minigan.engine import PRIMITIVES, Primitive, Tensor, grad, tensor
from minigan.errors import OptionError
from minigan.teach.explain import Explanation, explain


def neuron() -> Explanation:
    """One neuron, y = sigmoid(w x + b), and its cross entropy for the label 1: the chain rule at its smallest."""
    x, w, b = (tensor(values, requires_grad=i > 0) for i, values in enumerate(([0.5, -1.0], [2.0, 1.0], -0.5)))

    def loss() -> dict[str, Tensor]:
        p = ops.sigmoid(ops.sum(w * x) + b)
        return {"loss": -ops.log(p)}

    return explain(loss, names={"x": x, "w": w, "b": b})


def batch_norm() -> Explanation:
    """Batch norm of six points in two channels: the three terms of its backward pass."""
    rng = np.random.default_rng(0)
    x = tensor(rng.normal(2, 3, size=(6, 2)), requires_grad=True)
    gamma, beta = tensor(np.array([1.0, 0.5]), requires_grad=True), tensor(np.zeros(2), requires_grad=True)
    return explain(lambda: ops.batch_norm(x, gamma, beta), cotangent=rng.normal(size=(6, 2)),
                   names={"x": x, "gamma": gamma, "beta": beta})


def penalty() -> Explanation:
    """The gradient penalty of a critic with two layers: a gradient is part of the loss, and is differentiated again."""
    randomness.seed(0)
    critic = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).astype(np.float64)
    u = tensor(np.random.default_rng(0).normal(size=(4, 2)), requires_grad=True)

    def loss() -> dict[str, Tensor]:
        slope, = grad(ops.sum(critic(u)), [u], create_graph=True)
        return {"penalty": ops.mean(ops.square(ops.norm(slope, axis=1) - 1.0))}

    return explain(loss, names={"u": u, "critic": critic}, fold=False)


def dcgan() -> Explanation:
    """One whole step of a small DCGAN, layers folded: both losses, before either network is changed."""
    randomness.seed(0)
    generator, discriminator = models.dcgan(channels=1, size=32, latent=16, width=8)
    z = tensor(randomness.default.normal((8, 16)))
    real = tensor(_squares(8, 32))
    names: dict[str, Any] = {"G": generator, "D": discriminator, "z": z, "real": real}

    def step() -> dict[str, Tensor]:
        names["fake"] = fake = generator(z)
        game = losses.non_saturating
        d_loss = game.discriminator_loss(discriminator(real), discriminator(fake.detach()))
        discriminator.requires_grad_(False)  # the generator's step changes the generator only
        g_loss = game.generator_loss(discriminator(fake))
        discriminator.requires_grad_(True)
        return {"d_loss": d_loss, "g_loss": g_loss}

    return explain(step, names=names)


def _squares(count: int, side: int) -> np.ndarray:
    """White squares on black, (count, 1, side, side): real data for a page that needs no data set."""
    images = np.full((count, 1, side, side), -1.0, np.float32)
    for i, image in enumerate(images):
        image[0, 4 + i : 14 + 2 * i, 6 : 12 + 2 * i] = 1.0
    return images


def operation(primitive: Primitive[...]) -> Explanation:
    """One operation on the first of the samples that it is checked with, from a random cotangent."""
    rng = np.random.default_rng(0)
    sample = primitive.samples(rng)[0]
    given = [Tensor(np.array(a), requires_grad=True) for a in sample.args]
    names = {f"{primitive.argnames[0]}{i}" if primitive.variadic else primitive.argnames[i]: t
             for i, t in enumerate(given)}
    y = primitive(*given, **sample.params)
    return explain(y, cotangent=rng.normal(size=y.shape), names=names)


SUBJECTS: dict[str, Callable[[], Explanation]] = {
    "neuron": neuron, "batch_norm": batch_norm, "penalty": penalty, "dcgan": dcgan}


def find(name: str) -> Explanation:
    """The explanation of a subject or of an operation.

    Raises:
        OptionError: there is none of that name; the message lists those there are.
    """
    if name in SUBJECTS:
        return SUBJECTS[name]()
    if name in PRIMITIVES:
        return operation(PRIMITIVES[name])
    raise OptionError(f"explain: nothing is called {name!r}; there are the graphs {listed(SUBJECTS)} and the "
                      f"operations {listed(PRIMITIVES)}")


def listed(names: Iterable[str]) -> str:
    """Names, sorted, with commas."""
    return ", ".join(sorted(names))
