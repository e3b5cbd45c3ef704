"""An ONNX file of a network: its graph in the file format, with a model card, checked before it is written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigan.engine import no_grad, tensor
from minigan.errors import GraphError, require
from minigan.nn import MinibatchStddev, Module
from minigan.run.export.graph import OPEN, Graph, Value, folded, graph_of
from minigan.run.export.trace import trace

OPSET, IR = 18, 8  # ONNX 1.13 (2022): ONNX Runtime 1.14 and later, its builds for browsers and phones included
TOLERANCE = 1e-4  # of the check, of the largest output: the engine's fast convolutions differ from exact ones, too
WHAT = "an export to ONNX"


def onnx_bytes(network: Module, shapes: Mapping[str, Sequence[int]], notes: Mapping[str, str], batch: int | None = None,
               fold: bool = False, check: bool = True) -> bytes:
    """The contents of the file.

    Args:
        network: exported in evaluation mode.
        shapes: of the inputs, by name, without the batch.
        notes: texts for the file's metadata.
        batch: the size of every batch; None: any.
        fold: whether scales and shifts per channel, as of batch norm, are multiplied into convolutions.
        check: run the file with ONNX Runtime on a batch, and compare the result with the engine's.

    Raises:
        GraphError: an operation has no form in ONNX, or depends on the batch; or the check failed.
        ModuleNotFoundError: onnx or, for the check, onnxruntime is missing.
    """
    onnx = require("onnx", WHAT)
    if check:
        require("onnxruntime", WHAT)
    unit = multiple(network)
    first, second = (batch, batch) if batch else (2 * unit, 3 * unit)
    graph = graph_of(*(trace(network, _examples(network, shapes, count, seed)) for seed, count in
                       enumerate((first, second))))
    model = _model(onnx, folded(graph) if fold else graph, list(shapes),
                   {**notes, "batch": str(batch) if batch else f"multiples of {unit}" if unit > 1 else "any"})
    onnx.checker.check_model(model, full_check=True)
    contents: bytes = model.SerializeToString()
    if check:
        _compare(network, contents, _examples(network, shapes, batch or 4 * unit, 2), list(shapes))
    return contents


def multiple(network: Module) -> int:
    """What the size of a batch must be a multiple of: the images of a group, of layers that compare images."""
    return math.lcm(1, *(m.group for m in network.modules() if isinstance(m, MinibatchStddev)))


def _examples(network: Module, shapes: Mapping[str, Sequence[int]], count: int, seed: int) -> list[np.ndarray]:
    """Random inputs (count, ...), of labels one-hot rows, in the network's dtype."""
    rng = np.random.default_rng(seed)
    dtype = next((p.dtype for p in network.parameters()), np.dtype(np.float32))
    return [np.eye(*shape, dtype=dtype)[rng.integers(0, shape[0], count)] if name == "labels" else
            rng.uniform(-1, 1, (count, *shape)).astype(dtype) for name, shape in shapes.items()]


def _model(onnx: Any, graph: Graph, names: Sequence[str], notes: Mapping[str, str]) -> Any:
    """The graph as ONNX's ModelProto; its inputs get these names, its outputs `output`, or `output0`, ..."""
    helper, new = onnx.helper, {value.name: name for value, name in zip(graph.inputs, names, strict=True)}
    several = len(graph.outputs) > 1
    new |= {value.name: f"output{i}" if several else "output" for i, value in enumerate(graph.outputs)}
    nodes = [helper.make_node(node.op, [new.get(name, name) for name in node.inputs],
                              [new.get(node.output, node.output)], name=new.get(node.output, node.output),
                              **node.attributes) for node in graph.nodes]

    def info(value: Value) -> Any:
        sizes = ["N" if n == OPEN else n for n in value.shape]
        return helper.make_tensor_value_info(new[value.name], onnx.TensorProto.FLOAT, sizes)

    made = helper.make_graph(
        nodes, "minigan", [info(v) for v in graph.inputs], [info(v) for v in graph.outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in graph.constants.items()])
    model = helper.make_model(made, producer_name="minigan", opset_imports=[helper.make_opsetid("", OPSET)],
                              ir_version=IR)
    helper.set_model_props(model, dict(sorted(notes.items())))
    return model


def _compare(network: Module, contents: bytes, inputs: Sequence[np.ndarray], names: Sequence[str]) -> None:
    """Run the file with ONNX Runtime; raise GraphError if its results are not the network's."""
    runtime = require("onnxruntime", WHAT)
    session = runtime.InferenceSession(contents, providers=["CPUExecutionProvider"])
    theirs = session.run(None, {n: x.astype(np.float32) for n, x in zip(names, inputs, strict=True)})
    training = [(module, module.training) for module in network.modules()]
    with no_grad():
        y = network.eval()(*(tensor(x, device="cpu") for x in inputs))
    for module, mode in training:
        module.training = mode
    for a, b in zip(y if isinstance(y, list | tuple) else [y], theirs, strict=True):
        if not np.abs(a.data - b).max(initial=0) <= TOLERANCE * max(1.0, np.abs(a.data).max(initial=0)):
            raise GraphError(f"export: ONNX Runtime's result differs from the network's by {np.abs(a.data - b).max()}; "
                             "an operation's form in ONNX is wrong, or a number in the network is not finite")
