"""A captured step of the style network, and Gatys et al.'s losses, on a device."""

import numpy as np
import pytest

import minigan as mg
from minigan import data, models, trainers


def trained(graph, kept):
    """Four steps; `kept`: the images stay on the device."""
    mg.seed(0)
    judge = models.VGG((2, 3), (1, 1), models.vgg.IMAGENET).astype(np.float64)
    judge = trainers.Perception.of(judge, ("relu2_1",))
    network = models.StyleNetwork(1, trainers.StyleTransfer.statistics_of(judge), 1, 1, 2).astype(np.float64)
    trainer, metrics = trainers.StyleTransfer(network, judge), []
    rng = np.random.default_rng(0)
    batches = data.Unpaired(*(rng.integers(0, 256, (5, c, 8, 8), np.uint8) for c in (1, 3)), batch_size=2)
    if kept:
        batches.to(mg.device.default())
    trainer.fit(batches, 4, lambda p: metrics.append(p.metrics), graph=graph)
    return metrics, {name: array.tobytes() for name, array in trainer.network.state_dict().items()}


@pytest.mark.parametrize("kept", [True, pytest.param(False, marks=pytest.mark.long)])
def test_captured_steps_are_plain_steps_and_those_of_the_cpu(device, kept):
    mg.set_device(device.name)
    plain, captured = (trained(graph, kept) for graph in (False, True))
    assert plain == captured
    mg.set_device("cpu")
    rows = [[value for metrics in run for value in metrics.values()] for run in (plain[0], trained(False, False)[0])]
    np.testing.assert_allclose(*rows, rtol=1e-6)


def test_a_picture_is_stylised_on_a_device(device):
    curves = []
    for where in (device.name, "cpu"):
        mg.set_device(where)
        mg.seed(0)
        x = 2 * mg.random.uniform((2, 1, 3, 8, 8), seed=0, dtype=np.float64) - 1
        judge = trainers.Perception.of(models.VGG((2, 3), (1, 1)).astype(np.float64), ("relu2_1",))
        curves.append(trainers.stylised(judge, *x, steps=3, method="adam").curve)
    np.testing.assert_allclose(*curves, rtol=1e-6)
