"""A conditional GAN learns what its labels say, resumes exactly, and refuses batches without labels."""

import numpy as np
import pytest

import minigan as mg
from minigan import data, models, trainers
from minigan.errors import OptionError

LABELS = np.arange(12) % 3


def gan(kind=trainers.GAN, **options):
    mg.seed(2)
    networks = models.dcgan(1, 8, 3, 2, norm="none", labels=LABELS)
    return kind(*networks, ema=0.9, **options)


def loader():
    pixels = np.random.default_rng(0).integers(0, 256, (12, 1, 8, 8), np.uint8)
    return data.Loader((pixels, LABELS), 4, seed=1)


@pytest.mark.long
def test_each_label_draws_its_own_points():
    """Label 0 is the point (-1, 0), label 1 the point (1, 0), with a little noise."""
    mg.seed(0)
    generator, discriminator = models.mlp((2,), 2 + 4, 32, tanh=False)
    trainer = trainers.GAN(models.ConditionalGenerator(generator, 2, embedding=4),
                           models.ProjectionDiscriminator(discriminator, 2), lr=2e-3, ema=0.9, augment="", r1=0.1)
    noise = np.random.default_rng(0)
    for _ in range(250):
        labels = noise.integers(0, 2, 32)
        points = np.stack([2.0 * labels - 1, 0 * labels], 1) + 0.05 * noise.normal(size=(32, 2))
        trainer.step(data.Labelled(points.astype(np.float32), labels))
    for label, x in ((0, -1), (1, 1)):
        drawn = trainer.sample(noise.normal(size=(200, 2)), np.full(200, label))
        np.testing.assert_allclose(np.median(drawn, 0), [x, 0], atol=0.35)


@pytest.mark.parametrize("kind, options", [(trainers.GAN, {"augment": "translation", "n_discriminator": 2}),
                                           (trainers.WGAN, {"n_critic": 2})])
def test_a_resumed_run_is_the_run(kind, options):
    straight, first, second = (gan(kind, **options) for _ in range(3))
    rows, again, batches = [], [], loader()
    straight.fit(loader(), 5, lambda p: rows.append(p.metrics))
    first.fit(batches, 2, lambda p: again.append(p.metrics))
    second.load_state_dict(first.state_dict())
    second.fit(batches, 3, lambda p: again.append(p.metrics))
    assert again == rows
    for name, network in straight.networks.items():
        theirs = second.networks[name].state_dict()
        assert all(array.tobytes() == theirs[key].tobytes() for key, array in network.state_dict().items())


def test_samples_are_of_the_labels_asked_for():
    trainer, z = gan(), np.zeros((3, 3), np.float32)
    drawn = trainer.sample(z, [0, 1, 1])
    assert not np.array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[1], drawn[2])
    np.testing.assert_array_equal(trainer.sample(z), trainer.sample(z, trainer.generator.labels(3)))


def test_labels_are_needed_by_both_networks_and_every_batch():
    trainer, images = gan(), np.zeros((4, 1, 8, 8), np.float32)
    with pytest.raises(OptionError, match="a batch has no labels"):
        trainer.step(images)
    with pytest.raises(OptionError, match="a batch has no labels"):
        trainer.fit(data.Loader(images, 2), 1)
    conditional, plain = models.dcgan(1, 8, 3, 2, labels=LABELS), models.dcgan(1, 8, 3, 2)
    for networks in ((conditional[0], plain[1]), (plain[0], conditional[1])):
        with pytest.raises(OptionError, match="make both for the same number"):
            trainers.GAN(*networks)
