"""A captured CycleGAN step equals the plain step, although its pools use random numbers of the host."""

import numpy as np
import pytest

import minigan as mg
from minigan import data, models, nn, trainers


@pytest.fixture
def on(device):
    mg.set_device(device.name)
    return device


def flat(state, prefix=""):
    for key, value in state.items():
        yield from flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, np.asarray(value))]


def train(graph, kept, augment=""):
    """Six steps; `kept`: the images stay on the device and the batches are drawn inside the graph."""
    mg.seed(0)
    generators = [models.ResnetGenerator(1, 1, 1, 0, upsample=upsample) for upsample in ("upconv", "deconv")]
    judges = [models.PatchDiscriminator(1, 1, 1) for _ in "ab"]
    trainer, progress = trainers.CycleGAN(*generators, *judges, pool=3, ema=0.9, lambda_identity=0, seed=1,
                                          augment=augment), []
    trainer.set_schedule("half_linear", 6)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (n, 1, 8, 8), np.uint8) for n in (9, 6)]
    batches = data.Unpaired(*images, batch_size=2, seed=3)
    if kept:
        batches.to(mg.device.default())
    trainer.fit(batches, 6, progress.append, graph=graph)
    return [p.metrics for p in progress], dict(flat({**trainer.state_dict(), "place": batches.state_dict()}))


@pytest.mark.parametrize("kept", [True, False])
def test_captured_steps_are_plain_steps(on, kept):
    """The pools are full after the second step; epochs of both domains end during the run."""
    metrics, state = train(False, kept)
    metrics2, state2 = train(True, kept)
    assert metrics == metrics2
    assert [key for key in state if state[key].tobytes() != state2[key].tobytes()] == []


@pytest.mark.long
def test_captured_steps_with_augmentations_are_plain_steps(on):
    (metrics, state), (metrics2, state2) = (train(graph, True, "colour,translation,cutout") for graph in (False, True))
    assert metrics == metrics2
    assert [key for key in state if state[key].tobytes() != state2[key].tobytes()] == []
    assert state["augment.step"] == 6 * 4  # for each discriminator one draw in its step, one in the generators'


def test_captured_pix2pix_steps_are_plain_steps(on):
    states = []
    for graph in (False, True):
        mg.seed(0)
        trainer = trainers.Pix2Pix(models.UnetGenerator(1, 1, 1, 2), models.PatchDiscriminator(2, 1, 1))
        pairs = np.random.default_rng(0).integers(0, 256, (2, 8, 1, 8, 8), np.uint8)
        trainer.fit(data.paired(*pairs, batch_size=2), 4, graph=graph)
        states.append(dict(flat(trainer.state_dict())))
    assert [key for key in states[0] if states[0][key].tobytes() != states[1][key].tobytes()] == []


def test_captured_codec_steps_are_plain_steps(on):
    states = []
    for graph in (False, True):
        mg.seed(0)
        trainer = trainers.Codec(*models.codec(1, 1, 2, 5, 1, 0), models.PatchDiscriminator(1, 1, 1, "none"))
        pictures = np.random.default_rng(0).integers(0, 256, (8, 1, 8, 8), np.uint8)
        trainer.fit(data.Loader(pictures, 2).to(mg.device.default()), 4, graph=graph)
        states.append(dict(flat(trainer.state_dict())))
    assert [key for key in states[0] if states[0][key].tobytes() != states[1][key].tobytes()] == []


def test_a_combogan_trains_on_a_device(on):
    """The networks of a step are drawn on the host, so its steps are plain ones; the losses are those of the CPU."""
    rows = []
    for where in (mg.device.default(), "cpu"):
        mg.set_device(where)
        mg.seed(0)
        parts = [[make() for _ in range(3)] for make in (
            lambda: models.ResnetEncoder(1, 1, 0), lambda: models.ResnetDecoder(1, 1, 0),
            lambda: models.PatchDiscriminator(1, 1, 1))]
        trainer, losses = trainers.ComboGAN(*parts, pool=1), []
        images = np.random.default_rng(0).integers(0, 256, (3, 4, 1, 8, 8), np.uint8)
        trainer.fit(data.Unpaired(*images, batch_size=2), 2, lambda p, losses=losses: losses.append(p.metrics))
        rows.append([value for metrics in losses for value in metrics.values()])
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-3)


def test_a_task_cyclegan_trains_on_a_device(on):
    """Labels and windows come from the host, so its steps are plain ones; the losses are those of the CPU."""
    rows, labels = [], np.arange(4) % 2
    for where in (mg.device.default(), "cpu"):
        mg.set_device(where)
        mg.seed(0)
        networks = [models.ResnetGenerator(1, 1, 1, 0) for _ in "ab"]
        networks += [models.PatchDiscriminator(1, 1, 1) for _ in "ab"]
        reader = nn.Sequential(nn.Conv2d(1, 2, 6), nn.Flatten())  # 6 x 6 windows to two logits
        trainer, losses = trainers.TaskCycleGAN(*networks, reader, crop=2, pool=1, lambda_identity=0.0), []
        a, b = np.random.default_rng(0).integers(0, 256, (2, 4, 1, 8, 8), np.uint8)
        batches = data.Unpaired((a, labels), b, batch_size=2)
        trainer.fit(batches, 2, lambda p, losses=losses: losses.append(p.metrics))
        rows.append([value for metrics in losses for value in metrics.values()])
    assert len(rows[0]) == 14
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-3)
