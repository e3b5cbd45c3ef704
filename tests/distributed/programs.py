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
from minigan.losses import gradient_penalty

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


def critic_of_minibatches():
    """With both statistics of the minibatch: the deviation of groups, and learnt similarities."""
    return nn.Sequential(nn.Conv2d(1, 4, 4, 2, 1), nn.LeakyReLU(0.2), nn.MinibatchStddev(4), nn.Conv2d(5, 4, 4),
                         nn.LeakyReLU(0.2), nn.Flatten(), nn.MinibatchDiscrimination(4, 2, 3), nn.Linear(6, 1))


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


def task_cyclegan(dtype, norm="batch"):
    reader = nn.Sequential(nn.Conv2d(1, 3, SIZE - 2), nn.Flatten()).astype(dtype)
    networks = *translators(dtype, norm), *judges(dtype, norm), reader
    return trainers.TaskCycleGAN(*networks, pool=5, crop=2, seed=1), labelled_domains()


def semi_supervised(dtype, norm="batch"):
    networks = *translators(dtype, norm), *judges(dtype, norm), (pictures(5, 3), pictures(5, 4))
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


def progressive(dtype, variation, minibatch=BATCH):
    """Grows to 8 x 8 within three steps, with statistics of the minibatch."""
    networks = models.progressive(1, SIZE, 4, 4, variation=variation)
    lengths = {"fade_images": BATCH, "stable_images": BATCH, "minibatch": dict.fromkeys((4, 8), minibatch)}
    return trainers.Progressive(*(n.astype(dtype) for n in networks), batch_size=BATCH, seed=1, **lengths), images()


CASES = {  # every trainer of GANs and of translation, with joint batch norm where it may have batch norm
    "gan": gan,
    "gan, augmented, r1, noise": partial(gan, norm="none", augment="colour,translation,cutout", r1=1.0, r1_every=2,
                                         instance_noise=0.1, n_discriminator=2),
    **{f"wgan {lipschitz}": partial(wgan, lipschitz=lipschitz) for lipschitz in ("clip", "gp", "spectral")},
    "cyclegan": cyclegan, "task cyclegan": task_cyclegan, "semi-supervised": semi_supervised, "pix2pix": pix2pix,
    "combogan": combogan, "progressive stddev": partial(progressive, variation="stddev", minibatch=2 * BATCH),
    "progressive discrimination": partial(progressive, variation="discrimination"),
}
INSTANCE = {  # nearly constant maps, which instance norm magnifies, with rounding errors
    "task cyclegan, instance": partial(task_cyclegan, norm="instance"),
    "semi-supervised, instance": partial(semi_supervised, norm="instance"),
}


def made(name, dtype):
    """A trainer and its batches; the same for a name."""
    mg.seed(3)
    return {**CASES, **INSTANCE}[name](np.dtype(dtype))


def weights(trainer):
    """All weights and buffers as one array, float64."""
    return np.concatenate([np.asarray(array, np.float64).ravel() for _, network in sorted(trainer.networks.items())
                           for _, array in sorted(network.state_dict().items())])


def trained(name, dtype, steps=STEPS, compare=False, rounding=0.0):
    """After some steps: the trainer, and its metrics per step. Its first weights are w (1 +- rounding)."""
    trainer, batches = made(name, dtype)
    rows, rng = [], np.random.default_rng(9)
    for network in trainer.networks.values() if rounding else ():
        for p in network.parameters():
            p.data = (p.data * (1 + rng.choice([-rounding, rounding], p.shape))).astype(dtype)

    def on_step(progress):
        rows.append(list(progress.metrics.values()))
        if compare:
            distributed.compare_weights(distributed.world(), trainer.networks, progress.step)

    trainer.fit(batches, steps, on_step)
    return trainer, rows


@contextlib.contextmanager
def world_of(ranks):
    """Context in which these ranks are the program's."""
    before = distributed.world()
    distributed.set_world(ranks)
    try:
        yield
    finally:
        distributed.set_world(before)


def distance(one, other):
    return float(np.abs(one - other).max() / np.abs(other).max())


def equality(dtype, steps, *names):
    """How far ranks are from one process with the joint batch: weights, of the largest; metrics."""
    results, ours = {}, {name: trained(name, dtype, int(steps), compare=True) for name in names or CASES}
    if distributed.world().rank == 0:
        for name, (trainer, rows) in ours.items():
            with world_of(distributed.ALONE):
                other, expected = trained(name, dtype, int(steps))
            flat, wanted = np.concatenate(list(map(np.array, rows))), np.concatenate(list(map(np.array, expected)))
            results[name] = [distance(weights(trainer), weights(other)), float(np.abs(flat - wanted).max())]
    distributed.world().wait_for_end()
    return results


def sensitivity(*names):
    """Largest differences in float32 of the metrics of each step from one process with the joint batch.

    Of two ranks, and of one process whose first weights were rounded otherwise: multiplied by 1 +- 2^-23.
    """
    results, ours = {}, {name: trained(name, "float32", STEPS)[1] for name in names}
    if distributed.world().rank == 0:
        for name in names:
            with world_of(distributed.ALONE):
                one, other = trained(name, "float32", STEPS)[1], trained(name, "float32", STEPS, rounding=2.0**-23)[1]
            results[name] = [np.abs(np.subtract(rows, one)).max(1).tolist() for rows in (ours[name], other)]
    distributed.world().wait_for_end()
    return results


def local_norm():
    """With joint_norm = False: the ranks' weights are equal, and not those of the joint batch."""
    distributed.world().joint_norm = False
    trainer, _ = trained("gan", "float64", 3, compare=True)
    with world_of(distributed.ALONE):
        other, _ = trained("gan", "float64", 3)
    return distance(weights(trainer), weights(other))


def differences(kind):
    """The joint WGAN-GP loss of a critic with statistics of the batch: its gradient, averaged, against differences.

    Returns the largest error over all parameters, each in a random direction, relative to the largest slope.
    """
    ranks, h = distributed.world(), 1e-5
    mg.seed(5)
    net = (critic("batch") if kind == "batch norm" else critic_of_minibatches()).astype(np.float64)
    rng = np.random.default_rng(0)
    real, fake = (mg.tensor(ranks.rows(rng.normal(size=(6, 1, SIZE, SIZE)))) for _ in range(2))
    directions = [rng.normal(size=p.shape) for p in net.parameters()]

    def loss():
        with distributed.together():
            penalty = gradient_penalty(net, real, fake, mg.random.Stream(0, "penalty"))
            return net(fake).mean() - net(real).mean() + 10.0 * penalty

    def joint_loss():
        return float(ranks.mean([loss().data])[0])

    def slopes():
        value = loss()
        with distributed.together():
            gradients = [g.data for g in mg.grad(value, net.parameters())]
        return [float(np.sum(g * v)) for g, v in zip(ranks.mean(gradients), directions, strict=True)]

    ours, expected = slopes(), []
    for p, v in zip(net.parameters(), directions, strict=True):
        start, values = p.data.copy(), []
        for step in (h, -h):
            p.writable()[...] = start + step * v
            values.append(joint_loss())
        p.writable()[...] = start
        expected.append((values[0] - values[1]) / (2 * h))
    scale = max(map(abs, expected))
    return max(abs(one - other) for one, other in zip(ours, expected, strict=True)) / scale


def sums():
    """What MPI's worlds promise of sums and gathers, for arrays short and long, in C order and channels-last."""
    ranks = distributed.world()
    rng = np.random.default_rng(ranks.rank)
    every = [np.random.default_rng(rank) for rank in range(ranks.size)]
    results = {}
    for count in (3, 7001, 100_003):
        mine = [rng.normal(size=(count,)).astype(np.float32),
                rng.normal(size=(2, 3, 5, 4)).astype(np.float32).transpose(0, 3, 1, 2)]
        theirs = [[g.normal(size=(count,)).astype(np.float32),
                   g.normal(size=(2, 3, 5, 4)).astype(np.float32).transpose(0, 3, 1, 2)] for g in every]
        expected = []
        for place in range(2):
            total = theirs[0][place].copy()
            for row in theirs[1:]:
                total = total + row[place]
            expected.append(total * np.float32(1 / ranks.size))
        for reuse in (False, True):
            found = ranks.mean(mine, reuse)
            results[f"{count} {reuse}"] = all(
                a.shape == b.shape and a.strides == c.strides and a.tobytes() == b.tobytes()
                for a, b, c in zip(found, expected, mine, strict=True))
    first = ranks.mean([np.ones(50_000, np.float32) * (1 + ranks.rank)])[0]
    ranks.mean([np.zeros(50_000, np.float32)])
    results["a result is kept"] = bool((first == (1 + ranks.size) / 2).all())
    gathered = ranks.gather(np.full((2, 3), ranks.rank))
    results["gather"] = bool((gathered == np.arange(ranks.size).repeat(2)[:, None]).all()) and len(
        gathered) == 2 * ranks.size
    results["float64 beside float32"] = [str(a.dtype) for a in ranks.mean([np.zeros(2), np.zeros(2, np.float32)])]
    results["first"] = ranks.on_first(lambda: [ranks.rank])
    try:
        ranks.on_first(lambda: mg.data.Loader(np.zeros(3), 4))
    except mg.errors.OptionError as error:
        results["its error"] = str(error)
    return results


if __name__ == "__main__":
    started = distributed.start()
    result = globals()[sys.argv[1]](*sys.argv[2:])
    if started.rank == 0:
        print(json.dumps(result))
