"""Why D(x) jumps: the curvature of the discriminator's loss as Adam sees it, step by step of the default digits run.

    python benchmarks/sharpness.py [--first 100] [--last 140] [--seed 0] [--beta2 0.999]

Adam divides a gradient by the root of its running mean square, s. So what its learning rate meets is not the Hessian H
of the loss but S H S, S = diag(s)^(-1/2). Its largest eigenvalue, `lambda`, is found by power iteration on products
of H with vectors, gradients of gradients. Gradient descent with Adam's momentum oscillates with growing amplitude, on
alternate steps, as soon as lr * lambda > (2 + 2 beta1) / (1 - beta1): 6 for beta1 = 0.5. Lesson 8 derives it.
Source: Cohen et al., Adaptive gradient methods at the edge of stability, 2022, section 3.
"""

import argparse

import numpy as np

import minigan as mg
from minigan import data, models, trainers
from minigan.data import Loader
from minigan.engine import Tensor
from minigan.random import Stream

BATCH, LATENT, WIDTH = 64, 100, 32


class Curvature:
    """The largest eigenvalue of a loss's Hessian as an Adam optimiser scales it. Each search starts from the last."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.vector = [np.random.default_rng(0).normal(size=p.shape).astype(p.dtype) for p in optimizer.parameters]

    def __call__(self, loss, products):
        """The eigenvalue after this number of products of the Hessian with a vector."""
        parameters, correction = self.optimizer.parameters, 1 - self.optimizer.betas[1] ** self.optimizer.steps
        scales = [(np.sqrt(v / correction) + self.optimizer.eps) ** -0.5 for v in self.optimizer.state["squares"]]
        gradients = mg.grad(loss, parameters, create_graph=True)
        for _ in range(products):
            length = np.sqrt(sum(float(np.sum(v * v)) for v in self.vector))
            unit = [v / np.float32(length) for v in self.vector]
            along = sum((g * Tensor(v * s)).sum() for g, v, s in zip(gradients, unit, scales, strict=True))
            rows = mg.grad(along, parameters, retain_graph=True)
            self.vector = [row.data * s for row, s in zip(rows, scales, strict=True)]
        return sum(float(np.sum(u * v)) for u, v in zip(unit, self.vector, strict=True))


def main():
    """Train, and from --first on print a row per step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=100)
    parser.add_argument("--last", type=int, default=140)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--beta2", type=float, default=0.999)
    options = parser.parse_args()
    digits = data.mnist(size=32)
    mg.seed(options.seed)
    generator, discriminator = models.dcgan(1, 32, LATENT, WIDTH)
    trainer = trainers.GAN(generator, discriminator, betas=(0.5, options.beta2), ema=0.99, seed=options.seed)
    loader, held = Loader(digits.images, BATCH, seed=options.seed), next(Loader(digits.images, BATCH, seed=99))
    real = mg.tensor(held, dtype=np.float32)
    noise = mg.tensor(Stream(99, "held").normal((BATCH, LATENT)), dtype=np.float32)
    curvature = Curvature(trainer.d_optimizer)
    print("| step | D(x) | D(G(z)) | lr * lambda |\n|---|---|---|---|")
    for step in range(1, options.last + 1):
        metrics = trainer.step(next(loader))
        if step < options.first:
            continue
        loss = trainer.loss.discriminator_loss(discriminator(real), discriminator(generator(noise).detach()))
        largest = curvature(loss, 12 if step == options.first else 3)
        print(f"| {step} | {metrics['d_real']:.2f} | {metrics['d_fake']:.2f} | "
              f"{trainer.d_optimizer.lr * largest:.1f} |", flush=True)


if __name__ == "__main__":
    main()
