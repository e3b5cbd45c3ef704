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

SIZE, BATCH, STEPS = 8, 8, 20


def pictures(count, seed, channels=1):
    return np.random.default_rng(seed).integers(0, 256, (count, channels, SIZE, SIZE), np.uint8)


class Generator(nn.Module):
    """Noise (N, 4) to images (N, 1, 8, 8), with batch norm."""

    latent = 4

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 64, bias=False)  # what batch norm would take off again
        self.rest = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.UpConv2d(4, 1, 3), nn.Tanh())

    def forward(self, z):
        return self.rest(ops.reshape(self.first(z), (-1, 4, 4, 4)))  # (N, 4, 4, 4)


def critic(norm="none"):
    wrap = nn.SpectralNorm if norm == "spectral" else lambda layer: layer
    middle = wrap(nn.Conv2d(4, 8, 4, 2, 1, bias=norm != "batch")), *[nn.BatchNorm2d(8)] * (norm == "batch")
    return nn.Sequential(wrap(nn.Conv2d(1, 4, 4, 2, 1)), nn.LeakyReLU(0.2), *middle, nn.LeakyReLU(0.2),
                         wrap(nn.Conv2d(8, 1, 2)))


def translators(dtype, norm="batch"):
    return [models.ResnetGenerator(1, 1, 2, 1, norm, "upconv").astype(dtype) for _ in "ab"]


def judges(dtype, norm="batch", count=2, channels=1):
    return [models.PatchDiscriminator(channels, 2, 1, norm).astype(dtype) for _ in range(count)]


def domains():
    return data.Unpaired(pictures(24, 0), pictures(16, 1), batch_size=BATCH, seed=1)


def labelled_domains():
    return data.Unpaired((pictures(24, 0), np.arange(24) % 3), pictures(16, 1), batch_size=BATCH, seed=1)


def images():
    return data.Loader(pictures(24, 0), BATCH, seed=1)


def gan(dtype, norm="batch", **options):
    return trainers.GAN(Generator().astype(dtype), critic(norm).astype(dtype), ema=0.9, seed=1, **options), images()


def wgan(dtype, lipschitz):
    judge = critic("spectral" if lipschitz == "spectral" else "none").astype(dtype)
    return trainers.WGAN(Generator().astype(dtype), judge, lipschitz, n_critic=2, seed=1), images()


def cyclegan(dtype):
    return trainers.CycleGAN(*translators(dtype), *judges(dtype), pool=5, seed=1, ema=0.9), domains()


def task_cyclegan(dtype):
    reader = nn.Sequential(nn.Conv2d(1, 3, 6), nn.Flatten()).astype(dtype)
    networks = *translators(dtype), *judges(dtype), reader
    return trainers.TaskCycleGAN(*networks, pool=5, crop=2, seed=1), labelled_domains()


def semi_supervised(dtype):
    networks = *translators(dtype), *judges(dtype), (pictures(5, 3), pictures(5, 4))
    return trainers.SemiSupervised(*networks, pool=5, seed=1), domains()


def pix2pix(dtype):
    generator = models.UnetGenerator(1, 1, 2, 2, dropout=0.5).astype(dtype)
    return (trainers.Pix2Pix(generator, *judges(dtype, count=1, channels=2)),
            data.paired(pictures(24, 0), pictures(24, 1), BATCH, seed=1))


def combogan(dtype):
    encoders = [models.ResnetEncoder(1, 2, 1, "batch").astype(dtype) for _ in range(3)]
    decoders = [models.ResnetDecoder(1, 2, 1, "batch", "upconv").astype(dtype) for _ in range(3)]
    return (trainers.ComboGAN(encoders, decoders, judges(dtype, count=3), pool=5, seed=1),
            data.Unpaired(*(pictures(16, n) for n in range(3)), batch_size=BATCH, seed=1))


CASES = {  # every trainer of GANs and of translation, with joint batch norm where it may have batch norm
    "gan": gan,
    "gan, augmented, r1, noise": partial(gan, norm="none", augment="colour,translation,cutout", r1=1.0, r1_every=2,
                                         instance_noise=0.1, n_discriminator=2),
    **{f"wgan {lipschitz}": partial(wgan, lipschitz=lipschitz) for lipschitz in ("clip", "gp", "spectral")},
    "cyclegan": cyclegan, "task cyclegan": task_cyclegan, "semi-supervised": semi_supervised, "pix2pix": pix2pix,
    "combogan": combogan,
}


def made(name, dtype):
    """A trainer and its batches; the same for a name."""
    mg.seed(3)
    return CASES[name](np.dtype(dtype))


def weights(trainer):
    """All weights and buffers as one array, float64."""
    return np.concatenate([np.asarray(array, np.float64).ravel() for _, network in sorted(trainer.networks.items())
                           for _, array in sorted(network.state_dict().items())])


def trained(name, dtype, steps=STEPS, compare=False):
    """After some steps: the trainer, and its metrics per step."""
    trainer, batches = made(name, dtype)
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


def equality(dtype, steps, *names):
    """How far ranks are from one process with the joint batch: weights, of the largest; metrics."""
    results = {}
    for name in names or CASES:
        trainer, rows = trained(name, dtype, int(steps), compare=True)
        with alone():
            other, expected = trained(name, dtype, int(steps))
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
