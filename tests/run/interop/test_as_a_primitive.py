"""What PyTorch made is to minigan's graph a primitive: it has all that the graph asks of one. Without PyTorch, too."""

import inspect

from minigan.engine.primitive import Primitive
from minigan.engine.tensor import Maker
from minigan.run.interop.torch import _Made


def test_it_has_what_the_graph_asks_for():
    made = _Made(None, ())
    assert [name for name in Maker.__annotations__ if not hasattr(made, name)] == []
    for method in ("needs", "vjps"):
        assert list(inspect.signature(getattr(_Made, method)).parameters) == list(
            inspect.signature(getattr(Primitive, method)).parameters)
