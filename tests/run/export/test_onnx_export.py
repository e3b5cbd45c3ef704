"""Networks as ONNX files: ONNX Runtime computes what the engine does, and what has no form is refused by name."""

import numpy as np
import pytest
from export_networks import NETWORKS, inputs, network

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
@pytest.mark.parametrize("fold", [False, pytest.param(True, marks=pytest.mark.long)])
def test_onnx_runtime_computes_what_the_engine_does(runtime, rng, name, fold):
    net, shapes = network(name, rng)
    contents = onnx_bytes(net, shapes, {}, fold=fold, check=False)
    for count in (multiple(net), 3 * multiple(net)):
        arrays = inputs(shapes, count, rng)
        for a, b in zip(ours(net, arrays), results(runtime, contents, shapes, arrays), strict=True):
            assert a.shape == b.shape and np.abs(a).max() > 1e-3
            np.testing.assert_allclose(b, a, atol=1e-5 * max(1, np.abs(a).max()))


def nodes(contents):
    import onnx

    return [node.op_type for node in onnx.load_from_string(contents).graph.node]


def test_an_up_convolution_is_one_node_and_batch_norm_can_be_folded(rng):
    """DCGAN-32: four layers of filters, three batch norms of a scale and a shift each."""
    net, shapes = network("dcgan", rng)
    filters = 5 * 16 * 16 + (16 * 8 + 8 * 4 + 4 * 3) * 16  # 4x4, also those of the up-convolutions, 3x3 before blurring
    contents = onnx_bytes(net, shapes, {}, check=False)
    plain = nodes(contents)
    assert len(contents) < 4.1 * filters + 6000  # no filters twice
    assert plain.count("ConvTranspose") == 4 and plain.count("Mul") == plain.count("Add") == 3
    folded = nodes(onnx_bytes(net, shapes, {}, fold=True, check=False))
    assert folded == ["Reshape", *["ConvTranspose", "Relu"] * 3, "ConvTranspose", "Tanh"]


def test_the_network_is_left_as_it_was(rng):
    """Training mode, frozen parameters and running statistics, also if the export fails."""
    net, shapes = network("dcgan", rng)
    net.train()
    net.layers[0].eval().weight.requires_grad = False
    before = net.state_dict()
    onnx_bytes(net, shapes, {})
    with pytest.raises(ValueError):
        onnx_bytes(net, {"z": (6,)}, {})
    assert net.training and not net.layers[0].training and net.layers[1].training
    assert [p.requires_grad for p in net.parameters()] == [False, *[True] * (len(net.parameters()) - 1)]
    assert all(np.array_equal(before[name], array) for name, array in net.state_dict().items())


class Own(nn.Module):
    """A network of one function."""

    def __init__(self, function):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.function = function

    def forward(self, x):
        return self.function(self.inner(x))


def test_an_operation_without_a_form_is_named_with_its_layer():
    from minigan.engine import OPERATIONS, PRIMITIVES

    @primitive(samples=lambda rng: [S(np.ones(3))])
    def half(x):
        """Forward y = x / 2, VJP gx = gy / 2, Why linear."""
        return x / 2

    try:
        with pytest.raises(GraphError, match=r"^half: cannot be exported to ONNX: the operation has no form there: "
                                             r"declare one, half\.defonnx\(form\), below its vjp"):
            onnx_bytes(Own(half), {"x": (4,)}, {})
        with pytest.raises(GraphError, match=r"^half in 0: cannot be exported"):
            onnx_bytes(nn.Sequential(Own(half)), {"x": (4,)}, {})
        half.defonnx(lambda o, x: o("Mul", x, 0.5))
        onnx_bytes(Own(half), {"x": (4,)}, {})  # with its check
        half.defonnx(lambda o, x: o("Mul", x, 0.51))
        with pytest.raises(GraphError, match="ONNX Runtime's result differs from the network's by"):
            onnx_bytes(Own(half), {"x": (4,)}, {})
    finally:
        del PRIMITIVES["half"], OPERATIONS["half"]


@pytest.mark.parametrize("function, words", [
    (lambda x: x * np.sign(x.data), r"^Mul: .* depends on the input's numbers or on the batch"),
    (lambda x: ops.mean(x, 0), r"^Mul: .* depends on the input's numbers or on the batch"),
    (lambda x: ops.reshape(x, (len(x) * 2, 2)) if len(x) > 2 else x, "applies other operations to another batch"),
    (lambda x: ops.broadcast_to(ops.sum(x, 0), x.shape), "repeats a number as many times as there are samples"),
    (lambda x: ops.batch_norm(x), "^normalize: .* by the statistics of its batch"),
    (lambda x: x[np.array([0, 0])], "^getitem: .* by an array of indices"),
    (lambda x: x.numpy(), "export: Own returns a ndarray that no operation of minigan made"),
], ids=["sign", "mean", "branch", "repeat", "batch", "index", "array"])
def test_what_depends_on_the_batch_or_on_numbers_is_refused(function, words):
    with pytest.raises(GraphError, match=words):
        onnx_bytes(Own(function), {"x": (4,)}, {}, check=False)


def test_a_mean_over_a_batch_of_one_size(runtime, rng):
    net, x = Own(lambda x: ops.mean(x, 0)), rng.normal(size=(5, 4)).astype(np.float32)
    contents = onnx_bytes(net, {"x": (4,)}, {}, batch=5)
    np.testing.assert_allclose(results(runtime, contents, ["x"], [x])[0], ours(net, [x])[0], atol=1e-6)


@pytest.mark.parametrize("function", [
    lambda x: x[:, ::-1], lambda x: x[:, :3:2], lambda x: x[..., 1:3, None], lambda x: x[:, -1],
    lambda x: ops.flip(x, 1),
    lambda x: ops.transpose(x), lambda x: ops.max(x, 1, True) - ops.min(x, 1, True), lambda x: ops.logsumexp(x, 1),
    lambda x: ops.where(np.arange(4) > 1, x, -x), lambda x: ops.clip(x, 0.1), lambda x: x % 0.3 + x // 0.3,
    lambda x: ops.maximum(ops.sqrt(ops.exp(x)), ops.minimum(x, 0.2)) - ops.sign(x) * abs(x),
    lambda x: ops.pow(x + 1.0, x) / ops.log(x + 2.0), lambda x: ops.pad(x, ((0, 0), (1, 2)), value=0.5),
    lambda x: ops.concat([x, x * 2], 1), lambda x: ops.pixel_shuffle(x.reshape(-1, 4, 1, 1), 2),
    lambda x: ops.avg_pool2d(x.reshape(-1, 1, 2, 2), 2, 1, 1), lambda x: ops.upsample2d(x.reshape(-1, 1, 2, 2), (2, 3)),
    lambda x: ops.upconv2d(x.reshape(-1, 1, 2, 2), ops.reshape(ops.sum(x * 0.0, 0), (1, 1, 2, 2)) + 1.0),
])
def test_operations_one_by_one(runtime, rng, function):
    net, x = Own(function), rng.normal(size=(3, 4)).astype(np.float32)
    contents = onnx_bytes(net, {"x": (4,)}, {}, batch=3)
    np.testing.assert_allclose(results(runtime, contents, ["x"], [x])[0], ours(net, [x])[0], atol=1e-5)
