"""The engine: arrays that remember how they were made, and the walk back through what they remember.

Read `tensor` (what a graph is), `primitive` (what an operation is), `autodiff` (the walk), in this order.
"""

from minigan.engine import device, html, protocols, ufuncs
from minigan.engine.anomaly import detect_anomaly
from minigan.engine.autodiff import grad, no_grad
from minigan.engine.capture import Capture, capture, capturing, counter, scalar
from minigan.engine.primitive import (
    OPERATIONS,
    PRIMITIVES,
    Operation,
    Primitive,
    Remarks,
    S,
    Sample,
    operation,
    primitive,
)
from minigan.engine.storage import full
from minigan.engine.tensor import Array, Axes, Node, Operand, Tensor, asarray, bind, tensor

__all__ = ["OPERATIONS", "PRIMITIVES", "Array", "Axes", "Capture", "Node", "Operand", "Operation", "Primitive",
           "Remarks", "S", "Sample", "Tensor", "asarray", "bind", "capture", "capturing", "counter", "detect_anomaly",
           "device", "full", "grad", "html", "no_grad", "operation", "primitive", "protocols", "scalar", "tensor",
           "ufuncs"]
