"""Captured steps of optimisers whose parameters have taken different numbers of steps."""

import numpy as np
import pytest

import minigan as mg
from minigan import optim
from minigan.errors import GraphError


@pytest.fixture
def on(device):
    mg.set_device(device.name)
    return device


@pytest.mark.parametrize("rule", [optim.Adam, optim.AdamW])
def test_captured_steps_count_each_parameter(on, rule):
    def trained(graph):
        a, b, c = (mg.tensor(np.arange(1.0, 4.0), requires_grad=True) for _ in range(3))
        optimizer = rule([{"params": [a, b]}, {"params": [c], "lr": 0.5}], lr=0.1, schedule=optim.linear_decay(2, 20))
        for _ in range(5):
            optimizer.minimize((a * a).sum())  # b and c are five steps behind

        def step():
            optimizer.minimize((a * a).sum() + (b * b).sum() + (c * c).sum())
            return {"a": a.detach()}

        run = mg.capture(step) if graph else step
        for _ in range(8):
            run()
        assert optimizer.clocks.read() == [13, 8, 8]
        assert optimizer.steps == 13
        return optimizer, run, a.numpy().tobytes() + b.numpy().tobytes() + c.numpy().tobytes()

    assert trained(True)[2] == trained(False)[2]


def test_a_graph_does_not_go_on_with_a_count_that_no_longer_holds(on):
    a, b = (mg.tensor(np.ones(3), requires_grad=True) for _ in range(2))
    optimizer = optim.Adam([a, b])

    def both():
        optimizer.minimize((a * a).sum() + (b * b).sum())
        return {"a": a.detach()}

    captured = mg.capture(both)
    for _ in range(4):
        captured()
    optimizer.minimize((a * a).sum())
    with pytest.raises(GraphError, match="capture it again"):
        captured()
