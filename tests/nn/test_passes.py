"""Several batches in one pass through a network: the same as one after the other, or one after the other."""

import copy

import numpy as np
import pytest

import minigan as mg
from minigan import losses, models, nn, ops, trainers
from minigan.engine.state import state
from minigan.errors import OptionError


def batches(shape, count=2, dtype=np.float64):
    return [mg.tensor((np.random.default_rng(i).normal(size=shape) * (i + 1)).astype(dtype)) for i in range(count)]


def outputs(network, xs, together):
    """What a network makes of each batch, the gradients of a sum that tells the batches apart, and its buffers."""
    network = copy.deepcopy(network)
    xs = [mg.tensor(x.numpy(), requires_grad=True) for x in xs]
    ys = nn.in_one_pass(network, *xs) if together else [network(x) for x in xs]
    parts = [[y] if isinstance(y, mg.Tensor) else y for y in ys]
    loss = sum((ops.mean(ops.square(part - 0.3 * i)) for i, y in enumerate(parts) for part in y),
               mg.tensor(np.zeros(())))
    gradients = mg.grad(loss, [*xs, *network.parameters()])
    arrays = [y.numpy() for part in parts for y in part] + [g.numpy() for g in gradients]
    return arrays + [buffer for _, buffer in network.named_buffers()]


NETWORKS = {
    "dcgan": (lambda: models.dcgan(1, 32, width=4)[1], (3, 1, 32, 32)),
    "critic": (lambda: models.dcgan(1, 28, width=4, norm="none")[1], (3, 1, 28, 28)),
    "generator": (lambda: models.dcgan(1, 28, width=4, latent=6)[0], (3, 6)),
    "mlp": (lambda: models.mlp((2,), hidden=8)[1], (4, 2)),
    "patchgan": (lambda: models.PatchDiscriminator(3, 4, layers=1, norm="batch"), (2, 3, 16, 16)),
    "scales": (lambda: models.MultiScaleDiscriminator(3, 4, layers=1), (2, 3, 24, 24)),
    "resnet": (lambda: models.ResnetGenerator(3, 3, 4, blocks=1), (1, 3, 16, 16)),
    "unet": (lambda: models.UnetGenerator(3, 3, 4, depth=3), (2, 3, 16, 16)),
    "norms": (lambda: nn.Sequential(nn.Linear(5, 6), nn.BatchNorm2d(6), nn.ReLU(), nn.LayerNorm(6)), (4, 5)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_one_pass_gives_what_several_give(name):
    make, shape = NETWORKS[name]
    mg.seed(0)
    network, calls = make().double(), []
    xs = batches(shape, 3 if name == "dcgan" else 2)
    apart, together = (outputs(network, xs, way) for way in (False, True))
    assert len(apart) == len(together)
    for one, other in zip(apart, together, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-11)
    forward = network.forward
    network.forward = lambda x: calls.append(len(x)) or forward(x)
    nn.in_one_pass(network, *xs)
    assert calls == [len(xs) * shape[0]]
    assert state.batches == 1


def test_statistics_of_all_batches_at_once_would_be_others():
    """What the test above would not see if both batches had the same statistics."""
    norm, xs = nn.BatchNorm2d(3).double(), batches((2, 3, 4, 4))
    apart = np.concatenate([norm(x).numpy() for x in xs])
    assert abs(norm(ops.concat(xs)).numpy() - apart).max() > 0.1


class Halved(nn.Module):
    """Without a word about batches: each sample minus the batch's mean."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, x):
        return self.inner(x) - ops.mean(x, 0, keepdims=True)


class Summed(nn.Linear):
    """A layer's subclass with a forward of its own, which mixes samples."""

    def forward(self, x):
        return super().forward(x) + ops.sum(x)


class Centred:
    """A mixin whose forward mixes samples, before a layer's own."""

    def forward(self, x):
        return super().forward(x - ops.mean(x, 0, keepdims=True))


class Mixed(Centred, nn.Sequential):
    pass


class Named(nn.Module):
    """A module with a part, not a promise, of that name."""

    def __init__(self):
        super().__init__()
        self.separable = nn.Linear(3, 3)

    def forward(self, x):
        return self.separable(x - ops.mean(x, 0, keepdims=True))


@pytest.mark.parametrize("network", [
    Mixed(nn.Linear(3, 3)), Named(), nn.Sequential(nn.Linear(3, 3), Halved()), Summed(3, 3),
    nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5)), nn.SpectralNorm(nn.Linear(3, 2)),
    nn.MinibatchDiscrimination(3, 2, 2), nn.Flatten(0), lambda x: x - ops.mean(x)],
    ids=["mixin", "name", "own", "subclass", "dropout", "spectral", "minibatch", "flatten", "function"])  # fmt: skip
def test_networks_that_mix_samples_or_change_with_each_pass_get_one_batch_at_a_time(network):
    xs = batches((4, 3), dtype=np.float32)
    mg.seed(1)
    first = copy.deepcopy(network)
    expected = [first(x).numpy() for x in xs]
    mg.seed(1)
    for y, told in zip(nn.in_one_pass(network, *xs), expected, strict=True):
        np.testing.assert_array_equal(y.numpy(), told)


def test_in_evaluation_nothing_is_drawn_or_moved_so_one_pass_is_enough():
    network, calls = nn.Sequential(nn.SpectralNorm(nn.Linear(3, 2)), nn.Dropout(0.5)).eval(), []
    forward = network.forward
    network.forward = lambda x: calls.append(len(x)) or forward(x)
    nn.in_one_pass(network, *batches((4, 3), dtype=np.float32))
    assert calls == [8]


def test_batches_that_differ_pass_one_after_the_other():
    norm, x = nn.BatchNorm2d(2), mg.tensor(np.arange(12.0, dtype=np.float32).reshape(3, 2, 2, 1))
    parts = nn.in_one_pass(norm, x, x[:2])
    assert [len(part) for part in parts] == [3, 2]
    assert [len(part) for part in nn.in_one_pass(nn.Identity(), x[:0], x[:0])] == [0, 0]


def test_batch_norm_refuses_batches_of_different_sizes():
    with pytest.raises(OptionError, match="5 samples cannot be 2 batches of one size"):
        ops.batch_norm(mg.tensor(np.ones((5, 2, 1, 1))), batches=2)


def test_a_gan_step_is_that_of_two_passes(monkeypatch):
    def trained(apart):
        if apart:
            monkeypatch.setattr("minigan.nn.passes._separable", lambda network: False)
        mg.seed(3)
        trainer = trainers.GAN(*(network.double() for network in models.dcgan(1, 28, 8, 4)), seed=4)
        rows = [trainer.step(np.random.default_rng(i).normal(size=(4, 1, 28, 28))) for i in range(3)]
        return [list(row.values()) for row in rows], [p.numpy() for p in trainer.discriminator.parameters()]

    (one, weights), (other, others) = trained(False), trained(True)
    np.testing.assert_allclose(one, other, rtol=1e-6)
    for w, o in zip(weights, others, strict=True):
        np.testing.assert_allclose(w, o, rtol=1e-6, atol=1e-9)


def test_a_cyclegan_step_is_that_of_separate_passes(monkeypatch):
    def trained(apart):
        if apart:
            monkeypatch.setattr("minigan.nn.passes._separable", lambda network: False)
        mg.seed(3)
        networks = [network.double() for network in (*(models.ResnetGenerator(1, 1, 4, blocks=1) for _ in "ab"),
                                                    *(models.PatchDiscriminator(1, 4, 1) for _ in "ab"))]
        trainer = trainers.CycleGAN(*networks, seed=4)
        rng = np.random.default_rng(0)
        return [list(trainer.step(tuple(rng.normal(size=(2, 1, 16, 16)) for _ in "ab")).values()) for _ in range(3)]

    np.testing.assert_allclose(trained(False), trained(True), rtol=1e-6)


def test_a_discriminator_with_other_features_is_not_separable():
    class Other(models.PatchDiscriminator):
        def features(self, x):
            return super().features(x - ops.mean(x, 0, keepdims=True))

    assert models.PatchDiscriminator.separable is True and Other.separable is False


def test_a_network_that_refers_to_itself():
    network = nn.Sequential(nn.Linear(3, 3))
    network[0].owner = network
    assert len(nn.in_one_pass(network, *batches((2, 3), dtype=np.float32))) == 2


@pytest.mark.parametrize("n", range(2, 65))
def test_a_critics_last_bias_gets_no_gradient(n):
    """Real and generated samples pull it with n times 1/n; Adam would make a whole step of a rest of 1e-8."""
    critic = nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(), nn.Linear(4, 1))
    logits = nn.in_one_pass(critic, *batches((n, 3), dtype=np.float32))
    losses.wasserstein.discriminator_loss(*logits.and_whole()).backward()
    assert critic[2].bias.grad.item() == 0
