"""Networks as ONNX files: ONNX Runtime computes what the engine does, and what has no form is refused by name."""

import numpy as np
import pytest
from networks import NETWORKS, inputs, network

import minigan as mg
from minigan import nn, ops
from minigan.engine import S, primitive
from minigan.errors import GraphError
from minigan.run.export.onnx_file import multiple, onnx_bytes


@pytest.fixture(scope="module", autouse=True)
def runtime():
    pytest.importorskip("onnx", reason="the onnx package (extra `export`) is missing")
    return pytest.importorskip("onnxruntime", reason="the onnxruntime package (extra `export`) is missing")


def results(runtime, contents, shapes, arrays):
    session = runtime.InferenceSession(contents, providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip(shapes, arrays, strict=True)))


def ours(net, arrays):
    with mg.no_grad():
        y = net.eval()(*map(mg.tensor, arrays))
    return [t.data for t in (y if isinstance(y, list) else [y])]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("fold", [False, True])
def test_onnx_runtime_computes_what_the_engine_does(runtime, rng, name, fold):
    net, shapes = network(name, rng)
    contents = onnx_bytes(net, shapes, {}, fold=fold, check=False)
    for count in (multiple(net), 3 * multiple(net)):
        arrays = inputs(shapes, count, rng)
        for a, b in zip(ours(net, arrays), results(runtime, contents, shapes, arrays), strict=True):
            assert a.shape == b.shape and np.abs(a).max() > 1e-3
            np.testing.assert_allclose(b, a, atol=1e-5 * max(1, np.abs(a).max()))
