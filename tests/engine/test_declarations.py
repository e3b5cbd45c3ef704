"""Declarations: a function with a signature, a docstring and types; also a method if it is bound."""

import ast
import inspect
import pydoc
import re
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan import OPERATIONS, PRIMITIVES, Tensor, gradcheck, ops
from minigan.engine import Array, Primitive, S, primitive
from minigan.ops import reduce

MODULES = [module for name, module in sorted(sys.modules.items()) if re.fullmatch(r"minigan\.ops\.[a-z]\w*", name)]
PUBLIC = sorted(name for module in MODULES for name in module.__all__)
ROOT = Path(mg.__file__).parent.parent


# ---- signatures ----
@pytest.mark.parametrize("name", PUBLIC)
def test_a_signature_has_names_types_and_words_for_each(name):
    op = getattr(ops, name)
    signature, text = inspect.signature(op), inspect.getdoc(op)
    assert signature.parameters, "an operation of nothing"
    for p in signature.parameters.values():
        assert p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY), f"{p} says nothing of what it takes"
        assert p.annotation is not p.empty
        assert re.search(rf"\b{p.name}\b", text), f"the docstring does not name {p.name}"
    assert signature.return_annotation in ("Tensor", "list[Tensor]")


def test_conv2d_shows_its_real_arguments():
    signature = inspect.signature(ops.conv2d)
    assert [f"{p.name}={p.default}" if p.default is not p.empty else p.name for p in signature.parameters.values()] == [
        "x", "w", "b=None", "stride=1", "padding=0", "dilation=1", "reflect=False"]
    assert [p.annotation for p in signature.parameters.values()] == ["Operand", "Operand", "Operand | None",
                                                                     "Pair", "Pair", "Pair", "bool"]
    page = pydoc.plain(pydoc.render_doc(ops.conv2d))
    assert page.splitlines()[2].startswith("conv2d(x: 'Operand', w: 'Operand', b: 'Operand | None' = None, stride: ")
    assert "Cross-correlate images x (N, C, H, W)" in page


def test_positions_mean_what_the_signature_says():
    """Parameters after the tensors may be passed by position, in the order of the signature."""
    x, w, b = np.ones((1, 2, 7, 7)), np.ones((3, 2, 2, 2)), np.array([1.0, 2.0, 3.0])
    by_position = ops.conv2d(x, w, b, (2, 1), (0, 1), (1, 2))
    by_name = ops.conv2d(b=b, dilation=(1, 2), padding=(0, 1), stride=(2, 1), w=w, x=x)
    assert by_position.shape == (1, 3, 3, 7)  # (7 - 2) // 2 + 1 and 7 + 2 - 2
    np.testing.assert_array_equal(by_position.data, by_name.data)


def test_what_the_signature_takes_by_name_only_has_no_position():
    """PyTorch's seventh argument of conv2d is the number of groups: 1 there must not become a mirrored border here."""
    with pytest.raises(TypeError, match="conv2d: takes x, w, b, stride, padding, dilation; got 7"):
        ops.conv2d(np.ones((1, 2, 7, 7)), np.ones((3, 2, 2, 2)), None, 1, 1, 1, 1)


def test_every_public_operation_is_a_name_of_ops():
    declared = {op.name for op in OPERATIONS.values() if op.function.__module__.startswith("minigan.ops")}
    assert declared <= set(PUBLIC)
    assert len(PUBLIC) == len(set(PUBLIC))
    assert all(callable(getattr(ops, name)) for name in PUBLIC)


# ---- methods ----
def declared_methods():
    """Names and parameters of the methods that class Tensor declares for type checkers, read from its source."""
    module = ast.parse(inspect.getsource(inspect.getmodule(Tensor)))
    body = next(node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == "Tensor")
    blocks = [node for node in body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {f.name: f for block in blocks for f in block.body}


def test_tensor_declares_what_is_bound_to_it():
    methods = declared_methods()
    here = inspect.getmodule(Tensor).__name__
    bound = {name for name, method in vars(Tensor).items()
             if getattr(getattr(method, "fget", method), "__module__", here) != here}
    assert bound == set(methods)
    assert {"__add__", "__rmatmul__", "__getitem__", "sum", "reshape", "T", "backward"} <= bound


@pytest.mark.parametrize("name", [n for n in declared_methods() if n not in ("T", "__rpow__")])
def test_a_method_has_the_parameters_that_are_declared(name):
    arguments = declared_methods()[name].args
    names = [a.arg for a in arguments.args][1:] + ([f"*{arguments.vararg.arg}"] if arguments.vararg else [])
    names += [arguments.kwarg.arg] if arguments.kwarg else []
    signature = inspect.signature(getattr(Tensor, name))
    own = [f"*{p.name}" if p.kind is p.VAR_POSITIONAL else p.name for p in signature.parameters.values()][1:]
    if name.startswith("__"):  # `other` for b: operators are never called by name
        assert len(own) == len(names)
        return
    assert own == names
    defaults = [ast.literal_eval(d) for d in arguments.defaults]
    assert [p.default for p in signature.parameters.values() if p.default is not p.empty] == defaults


def test_a_method_is_the_operation():
    assert Tensor.sum is ops.sum
    assert Tensor.mean is ops.mean
    assert inspect.getdoc(Tensor.sum) == inspect.getdoc(ops.sum)
    assert "sum(x: 'Operand', axis: 'Axes' = None" in pydoc.plain(pydoc.render_doc(Tensor.sum))
    x = mg.tensor(np.arange(6.0).reshape(2, 3))
    assert x.sum(0).data.tolist() == x.sum(axis=0).data.tolist() == [3.0, 5.0, 7.0]
    assert typing.get_type_hints(Tensor.sum, vars(reduce))["keepdims"] is bool


# ---- declarations ----
DOC = "Forward   y = c x\n    VJP       gx = c gy\n    Why       linear."


@pytest.fixture
def tables():
    """Undo the declarations of a test."""
    yield
    for table in (OPERATIONS, PRIMITIVES):
        table.pop("scaled", None)


def declared(function):
    function.__doc__ = DOC
    op = primitive(samples=lambda rng: [S(rng.normal(size=3), factor=2.0)], linear_in=("x",))(function)
    op.defvjp(x=lambda gy, y, x, *, factor=3.0: gy * factor)
    return op


def test_what_is_annotated_array_is_differentiated_and_the_rest_are_parameters(tables):
    def scaled(x: Array, factor: float = 3.0) -> Array:
        return x * factor

    op = declared(scaled)
    assert (op.argnames, op.parameters) == (["x"], ["factor"])
    assert gradcheck.check_operation(op).failure == ""
    assert op(np.ones(2)).data.tolist() == [3.0, 3.0]
    assert op(np.ones(2), 5.0).data.tolist() == [5.0, 5.0]


def test_without_annotations_a_star_parts_arguments_from_parameters(tables):
    def scaled(x, *, factor=3.0):
        return x * factor

    op = declared(scaled)
    assert (op.argnames, op.parameters) == (["x"], ["factor"])
    assert gradcheck.check_operation(op).failure == ""


@pytest.mark.parametrize("arguments", [("factor: float", "x: Array"), ("x: float",), ()])
def test_arguments_to_differentiate_by_come_first_and_exist(arguments, tables):
    names = {"Array": Array}
    exec(f"def scaled({', '.join(arguments)}): return x", names)
    with pytest.raises(TypeError, match="scaled: of its arguments .* are annotated Array, or not at all.*come first"):
        declared(names["scaled"])
    assert "scaled" not in OPERATIONS


def test_a_primitive_may_stay_out_of_the_tables():
    before = dict(OPERATIONS), dict(PRIMITIVES)
    cube = Primitive(lambda x: x**3, samples=lambda rng: [])
    cube.defvjp(x=lambda gy, y, x: gy * 3.0 * x * x)
    assert mg.grad(cube(x := mg.tensor([2.0], requires_grad=True)), x, [1.0])[0].item() == 12.0
    f = gradcheck.formula(np.exp, lambda gy, y, x: gy * y)
    assert gradcheck.gradcheck(f, [np.array([0.5])]) < 1e-9
    assert f.name == "formula"
    assert before == (OPERATIONS, PRIMITIVES)


STEP = """
import sys
import numpy as np
import minigan as mg

assert False, "-OO leaves assertions out"
print(mg.ops.conv2d.__doc__, sys.flags.optimize)
mg.seed(0)
trainer = mg.trainers.GAN(*mg.models.dcgan(size=28, width=4))
print(sorted(trainer.step(np.zeros((2, 1, 28, 28), np.float32))))
try:
    mg.explain(mg.ops.mean(mg.tensor([1.0], requires_grad=True)))
except mg.errors.OptionError as error:
    print(error)
"""


def test_without_docstrings_everything_but_explain_runs():
    """python -OO removes docstrings; samples are still required."""
    ran = subprocess.run([sys.executable, "-OO", "-c", STEP], capture_output=True, text=True, cwd=ROOT, check=False)
    assert ran.stderr == ""
    doc, losses, refusal = ran.stdout.splitlines()
    assert doc == "None 2"
    assert "d_loss" in losses
    assert "run without -OO" in refusal
