"""A captured critic step, with its double backward pass, equals the plain one."""

import numpy as np
import pytest

import minigan as mg
from minigan import models, trainers


@pytest.mark.long
@pytest.mark.parametrize("lipschitz, norm", [("gp", "none"), ("clip", "batch"), ("spectral", "spectral")])
def test_captured_steps_are_plain_steps(device, lipschitz, norm):
    mg.set_device(device.name)
    states = []
    for graph in (False, True):
        mg.seed(0)
        trainer = trainers.WGAN(*models.dcgan(size=8, latent=3, width=2, norm=norm), lipschitz, n_critic=2)
        images = np.random.default_rng(0).integers(0, 256, (26, 1, 8, 8), np.uint8)
        trainer.fit(mg.data.Loader(images, 3, seed=3).to(device.name), 6, graph=graph)
        states.append([v.tobytes() for net in trainer.networks.values() for v in net.state_dict().values()])
    assert states[0] == states[1]
