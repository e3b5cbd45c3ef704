"""Captured steps with augmentation, annealed noise and penalties are plain ones, and so are a CPU's, up to rounding."""

import warnings

import numpy as np
import pytest

import minigan as mg
from minigan import models, trainers


def trained(device, graph, kind, options):
    mg.set_device(device)
    mg.seed(0)
    trainer = kind(*models.dcgan(size=8, latent=3, width=2, norm="none"), **options)
    trainer.set_schedule("constant", 9)
    images = np.random.default_rng(0).integers(0, 256, (26, 1, 8, 8), np.uint8)
    rows = []
    trainer.fit(mg.data.Loader(images, 3, seed=3).to(device), 9, lambda p: rows.append(p.metrics), graph=graph)
    return rows, [array for net in trainer.networks.values() for array in net.state_dict().values()]


@pytest.mark.long
@pytest.mark.parametrize("kind, options", [
    (trainers.GAN, {"augment": "colour,translation,cutout", "r1": 1.0, "r1_every": 3, "roth": 2.0,
                    "instance_noise": 0.3}),
    (trainers.WGAN, {"augment": "translation,cutout", "r1": 1.0, "r1_every": 4, "n_critic": 2}),
], ids=["gan", "wgan"])
def test_captured_steps_are_plain_steps(device, kind, options):
    plain, captured = (trained(device.name, graph, kind, options) for graph in (False, True))
    assert captured[0] == plain[0]
    assert [a.tobytes() for a in captured[1]] == [a.tobytes() for a in plain[1]]
    assert len({"r1" in row for row in plain[0]}) == 2  # rows of one reading have different metrics
    host = trained("cpu", False, kind, options)
    for ours, theirs in zip(plain[1], host[1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.long
def test_captured_conditional_steps_are_plain_steps(device):
    mg.set_device(device.name)
    states = []
    for graph in (False, True):
        mg.seed(0)
        labels = np.arange(26) % 3
        trainer = trainers.GAN(*models.dcgan(1, 8, 3, 2, labels=labels), augment="translation")
        images = np.random.default_rng(0).integers(0, 256, (26, 1, 8, 8), np.uint8)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a step that cannot be captured warns
            trainer.fit(mg.data.Loader((images, labels), 3, seed=3), 7, graph=graph)
        states.append([v.tobytes() for net in trainer.networks.values() for v in net.state_dict().values()])
    assert states[0] == states[1]
