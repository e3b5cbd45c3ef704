"""What ranks run in the tests: `mpiexec -n 2 python programs.py NAME`; rank 0 prints one JSON line of results.

Networks are tiny and images 8 x 8, so that a program is mostly the start of its processes.
"""

import contextlib
import json
import sys
from functools import partial

import numpy as np

import minigan as mg
from minigan import data, distributed, models, nn, ops, trainers
from minigan.distributed.checks import digest
from minigan.losses import gradient_penalty
from minigan.optim import SGD

SIZE, BATCH, STEPS = 8, 8, 20


def pictures(count, seed, channels=1):
    return np.random.default_rng(seed).integers(0, 256, (count, channels, SIZE, SIZE), np.uint8)


class Generator(nn.Module):
    """Noise (N, 4) to images (N, 1, 8, 8), with batch norm."""

    latent = 4

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 64)
        self.rest = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.UpConv2d(4, 1, 3), nn.Tanh())

    def forward(self, z):
        return self.rest(ops.reshape(self.first(z), (-1, 4, 4, 4)))  # (N, 4, 4, 4)


def critic(norm="none"):
    wrap = nn.SpectralNorm if norm == "spectral" else lambda layer: layer
    return nn.Sequential(wrap(nn.Conv2d(1, 4, 4, 2, 1)), nn.LeakyReLU(0.2), wrap(nn.Conv2d(4, 8, 4, 2, 1)),
                         *[nn.BatchNorm2d(8)] * (norm == "batch"), nn.LeakyReLU(0.2), wrap(nn.Conv2d(8, 1, 2)))


def translators(norm):
    return [models.ResnetGenerator(1, 1, 2, 1, norm, "upconv") for _ in "ab"]


def judges(norm, count=2, channels=1):
    return [models.PatchDiscriminator(channels, 2, 1, norm) for _ in range(count)]


def domains():
    return data.Unpaired(pictures(24, 0), pictures(16, 1), batch_size=BATCH, seed=1)


def labelled_domains():
    return data.Unpaired((pictures(24, 0), np.arange(24) % 3), pictures(16, 1), batch_size=BATCH, seed=1)


def reader():
    return nn.Sequential(nn.Conv2d(1, 3, 6), nn.Flatten())


def images():
    return data.Loader(pictures(24, 0), BATCH, seed=1)


def gan(norm="batch", **options):
    return trainers.GAN(Generator(), critic(norm), ema=0.9, seed=1, **options), images()


def wgan(lipschitz, **options):
    judge = critic("spectral" if lipschitz == "spectral" else "none")
    return trainers.WGAN(Generator(), judge, lipschitz, n_critic=2, seed=1, **options), images()


def pix2pix():
    trainer = trainers.Pix2Pix(models.UnetGenerator(1, 1, 2, 2, dropout=0.5), *judges("batch", 1, 2))
    return trainer, data.paired(pictures(24, 0), pictures(24, 1), BATCH, seed=1)


def combogan():
    parts = [models.ResnetEncoder(1, 2, 1, "batch") for _ in range(3)], [
        models.ResnetDecoder(1, 2, 1, "batch", "upconv") for _ in range(3)]
    return (trainers.ComboGAN(*parts, judges("batch", 3), pool=5, seed=1),
            data.Unpaired(*(pictures(16, n) for n in range(3)), batch_size=BATCH, seed=1))


CASES = {  # every trainer of GANs and of translation, with joint batch norm where it may have batch norm
    "gan": gan,
    "gan, augmented, r1, noise": partial(gan, "none", augment="colour,translation,cutout", r1=1.0, r1_every=2,
                                         instance_noise=0.1, n_discriminator=2),
    "wgan clip": partial(wgan, "clip"),
    "wgan gp": partial(wgan, "gp"),
    "wgan spectral": partial(wgan, "spectral"),
    "cyclegan": lambda: (trainers.CycleGAN(*translators("batch"), *judges("batch"), pool=5, seed=1, ema=0.9), domains()),
    "task cyclegan": lambda: (trainers.TaskCycleGAN(*translators("instance"), *judges("instance"), reader(), pool=5,
                                                    crop=2, seed=1), labelled_domains()),
    "semi-supervised": lambda: (trainers.SemiSupervised(
        *translators("instance"), *judges("batch"), (pictures(5, 3), pictures(5, 4)), pool=5, seed=1), domains()),
    "pix2pix": pix2pix,
    "combogan": combogan,
}


def made(name):
    """A trainer and its batches; the same for a name."""
    mg.seed(3)
    return CASES[name]()


def weights(trainer):
    """All weights and buffers as one array, float64."""
    return np.concatenate([np.asarray(array, np.float64).ravel() for _, network in sorted(trainer.networks.items())
                           for _, array in sorted(network.state_dict().items())])


def trained(name, steps=STEPS, dtype=None, compare=False):
    """After some steps: the trainer, and its metrics per step."""
    trainer, batches = made(name)
    rows = []

    def on_step(progress):
        rows.append(list(progress.metrics.values()))
        if compare:
            distributed.compare_weights(distributed.world(), trainer.networks, progress.step)

    trainer.fit(batches, steps, on_step)
    return trainer, rows


@contextlib.contextmanager
def alone():
    """Context in which this process is the only one."""
    before = distributed.world()
    distributed.set_world(distributed.ALONE)
    try:
        yield
    finally:
        distributed.set_world(before)


def distance(one, other):
    return float(np.abs(one - other).max() / np.abs(other).max())


def equality(*names):
    """How far ranks are from one process with the joint batch, of the largest weight and of the largest metric."""
    results = {}
    for name in names or CASES:
        trainer, rows = trained(name, compare=True)
        with alone():
            other, expected = trained(name)
        widths = [len(row) for row in expected]
        assert [len(row) for row in rows] == widths
        flat, wanted = (np.concatenate(list(map(np.array, r))) for r in (rows, expected))
        results[name] = [distance(weights(trainer), weights(other)), float(np.abs(flat - wanted).max())]
    return results


if __name__ == "__main__":
    world = distributed.start()
    result = globals()[sys.argv[1]](*sys.argv[2:])
    if world.rank == 0:
        print(json.dumps(result))
