"""Progressive growing captured: a graph per phase, alpha as its input, the same bytes as kernel by kernel."""

import numpy as np
import pytest

import minigan as mg
from minigan import trainers
from minigan.data import Loader
from minigan.engine import Capture
from minigan.trainers import captured

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 1, 8, 8), np.uint8)


def made(seed=5):
    mg.seed(0)
    row = trainers.growth_row("g")
    return row.trainer(*row.networks_of(1, 8, width=2), batch_size=2, fade_images=10, stable_images=6, seed=seed)


def train(steps, graph, trainer=None, loader=None):
    trainer, loader = trainer or made(), loader or Loader(IMAGES, 2, seed=3).to(mg.device.default())
    progress = []
    trainer.fit(loader, steps, progress.append, graph=graph)
    return trainer, loader, [(p.step, p.metrics) for p in progress]


def same_bytes(one, other):
    for name, network in one.networks.items():
        theirs = other.networks[name].state_dict()
        assert [key for key, array in network.state_dict().items() if array.tobytes() != theirs[key].tobytes()] == []


@pytest.mark.long
def test_captured_phases_are_plain_phases(device, monkeypatch):
    """4x4: 3 steps, a fade of 5, 8x8: 4 steps. The graph of each phase is launched; alpha moves on in the fade's."""
    mg.set_device(device.name)
    graphs = []
    monkeypatch.setattr(captured, "Capture", lambda step: graphs.append(Capture(step)) or graphs[-1])
    plain, _, expected = train(12, graph=False)
    trainer, _, progress = train(12, graph=True)
    assert [graph.graph is not None for graph in graphs] == [True] * 3
    assert progress == expected
    assert [round(row["alpha"], 3) for _, row in progress][3:8] == [0, 0.2, 0.4, 0.6, 0.8]
    same_bytes(plain, trainer)


@pytest.mark.long
def test_a_fade_is_resumed_between_captured_steps(device):
    mg.set_device(device.name)
    plain, *_ = train(10, graph=False)
    first, loader, _ = train(7, graph=True)
    second, rest = made(), Loader(IMAGES, 2, seed=3).to(mg.device.default())
    second.load_state_dict(first.state_dict())
    rest.load_state_dict(loader.state_dict())
    train(3, True, second, rest)
    same_bytes(plain, second)
