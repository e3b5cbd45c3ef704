"""The Python file for PyTorch: its network, with the weights beside it, computes what minigan's does."""

import importlib.util

import numpy as np
import pytest
from export_networks import NETWORKS, inputs, network

import minigan as mg
from minigan import nn
from minigan.errors import OptionError


def loaded(path, name="exported"):
    """The module that is in a file."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", [name if name in ("dcgan", "resnet") else pytest.param(name, marks=pytest.mark.long)
                                  for name in NETWORKS])
def test_pytorch_computes_what_the_engine_does(name, rng, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is the outside truth here")
    net, shapes = network(name, rng)
    if name == "a person's own":
        with pytest.raises(OptionError, match=r"the network, a Halves, has no form in torch\.nn: add one to"):
            mg.export(net, tmp_path / "net.py", shape=shapes["x"])
        net, shapes = net.first, {"x": (2, 14, 14)}
    shape = shapes.get("x")
    if "projection" not in name:
        path = mg.export(net, tmp_path / "net.py", shape=shape)
    else:
        from minigan.run.export import Source, export_source

        path = export_source(Source(net, shapes, "", None), tmp_path / "net.py", "pytorch")
    twin = loaded(path).load()
    for count in (4, 3):
        arrays = inputs(shapes, count, rng)
        with torch.no_grad():
            theirs = twin(*(torch.tensor(x.argmax(1) if key == "labels" else x)
                            for key, x in zip(shapes, arrays, strict=True)))
        with mg.no_grad():
            ours = net.eval()(*map(mg.tensor, arrays))
        for a, b in zip(ours if isinstance(ours, list) else [ours], theirs if isinstance(theirs, list) else [theirs],
                        strict=True):
            np.testing.assert_allclose(b.numpy(), a.data, atol=1e-5 * max(1, np.abs(a.data).max()))
    if name == "resnet":
        assert isinstance(net, nn.Module) and "class ResnetBlock(nn.Module):" in path.read_text()
        assert set(twin.state_dict()) == set(net.state_dict())  # weights keep their names
