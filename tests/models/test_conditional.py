"""Conditional pairs against NumPy and PyTorch, by finite differences, and the labels that nobody chooses."""

import numpy as np
import pytest

import minigan as mg
from minigan import losses, models, nn
from minigan.errors import OptionError, ShapeError
from minigan.gradcheck import gradcheck
from minigan.models.conditional import EMBEDDING

LABELS = np.array([0, 0, 0, 1, 2, 2, 0, 0])  # five of eight, one, two


def pair(norm="none", dtype=np.float64):
    mg.seed(3)
    return [network.astype(dtype) for network in models.dcgan(1, 8, 4, 2, norm=norm, labels=LABELS)]


def test_the_generator_is_its_network_on_noise_and_the_labels_vector(rng):
    generator, _ = pair()
    z, labels = rng.normal(size=(3, 4)), np.array([2, 0, 2])
    vectors = generator.state_dict()["embedding.weight"][labels]
    assert vectors.shape == (3, EMBEDDING)
    expected = generator.network(mg.tensor(np.concatenate([z, vectors], 1))).data
    np.testing.assert_allclose(generator(z, labels).data, expected, rtol=1e-12)
    np.testing.assert_allclose(generator(z, mg.tensor(np.eye(3)[labels])).data, expected, rtol=1e-12)


@pytest.mark.parametrize("norm", ["none", "batch", "spectral"])
def test_logits_are_pytorchs_projection(norm, rng):
    """Miyato & Koyama's psi(phi(x)) + V y . phi(x), phi summed over pixels, on our features."""
    torch = pytest.importorskip("torch", reason="PyTorch is the outside truth here")
    _, discriminator = pair(norm)
    x, labels = rng.normal(size=(4, 1, 8, 8)), np.array([1, 2, 0, 1])
    discriminator.eval()
    features = torch.from_numpy(np.array(discriminator.network.layers[:-1](mg.tensor(x)).data))
    layers, state = discriminator.network.layers, discriminator.state_dict()
    last, weight = layers[-1], torch.tensor(state.get("projection.weight", state.get("projection.layer.weight")))
    filters = torch.tensor((last.layer if norm == "spectral" else last).weight.numpy())
    if norm == "spectral":
        filters, weight = (w / (u @ w.flatten(1) @ torch.nn.functional.normalize(w.flatten(1).T @ u, dim=0))
                           for w, u in ((filters, torch.tensor(last.u)), (weight, torch.tensor(
                               discriminator.projection.u))))
    bias = torch.tensor((last.layer if norm == "spectral" else last).bias.numpy())
    psi = torch.nn.functional.conv2d(features, filters, bias)
    embedding = torch.nn.functional.embedding(torch.from_numpy(labels), weight)
    expected = psi + (features.sum((2, 3)) * embedding).sum(1)[:, None, None, None]
    ours = discriminator(mg.tensor(x), labels)
    np.testing.assert_allclose(ours.data, expected.numpy(), rtol=1e-9)
    assert ours.shape == (4, 1, 1, 1)


def test_a_fully_connected_pair_can_be_conditional(rng):
    generator, discriminator = models.mlp((2,), 2 + 5, 6, tanh=False)
    generator = models.ConditionalGenerator(generator, 4, embedding=5)
    discriminator = models.ProjectionDiscriminator(discriminator, 4)
    samples = generator(rng.normal(size=(3, 2)).astype(np.float32), [0, 3, 1])
    assert samples.shape == (3, 2) and discriminator(samples, [0, 3, 1]).shape == (3, 1)


@pytest.mark.long
@pytest.mark.parametrize("learner", ["generator", "discriminator"])
def test_finite_differences_through_a_whole_loss(learner, rng):
    generator, discriminator = pair()
    for network in (generator, discriminator):
        for p in network.parameters():
            p.data = rng.normal(size=p.shape) * 0.5 + (p.ndim == 1)
    z, x, labels = rng.normal(size=(2, 4)), rng.normal(size=(2, 1, 8, 8)), np.array([2, 0])
    network = {"generator": generator, "discriminator": discriminator}[learner]
    owners = [(m, name) for m in network.modules() for name, p in vars(m).items() if isinstance(p, nn.Parameter)
              if not (learner == "generator" and p.ndim == 4)]  # those of the layers themselves are checked elsewhere

    def loss(*tensors):
        for (module, name), tensor in zip(owners, tensors, strict=True):
            vars(module)[name] = tensor  # past the refusal of a Tensor over a Parameter
        fake = discriminator(generator(z, labels), labels)
        if learner == "generator":
            return losses.non_saturating.generator_loss(fake)
        penalty = losses.r1(lambda u: discriminator(u, labels), x)
        return losses.hinge.discriminator_loss(discriminator(mg.tensor(x), labels), fake) + penalty

    assert gradcheck(loss, [getattr(module, name).numpy() for module, name in owners]) < 1e-6


def test_labels_that_nobody_chooses_have_the_datas_shares():
    generator, _ = pair()
    for count in (16, 80, 800):
        np.testing.assert_allclose(np.bincount(generator.labels(count), minlength=3) / count, [5 / 8, 1 / 8, 2 / 8],
                                   atol=1.5 / count + 0.01)
    assert (generator.labels(40)[:7] == generator.labels(7)).all()
    z = np.zeros((9, 4))
    np.testing.assert_array_equal(generator(z).data, generator(z, generator.labels(9)).data)


def test_what_does_not_fit_is_refused():
    generator, discriminator = pair()
    with pytest.raises(ShapeError, match="3 samples need labels"):
        generator(np.zeros((3, 4)), [0, 1])
    with pytest.raises(ShapeError, match="run from 0 to 3, but there are 3 classes"):
        discriminator(mg.tensor(np.zeros((2, 1, 8, 8))), [0, 3])
    with pytest.raises(ShapeError, match="must be integers"):
        models.one_hot([0.5], 3)
    with pytest.raises(OptionError, match="classes=1 must be at least 2"):
        models.dcgan(1, 8, 4, 2, labels=np.zeros(3, int))
    with pytest.raises(OptionError, match="noise longer than the 32"):
        models.ConditionalGenerator(models.mlp((2,), 32)[0], 3)
    with pytest.raises(OptionError, match="`layers` a Sequential"):
        models.ProjectionDiscriminator(nn.Linear(2, 1), 3)
