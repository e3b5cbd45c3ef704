"""The interface of kernels: the same modules and signatures for CPU and CUDA, each name once, and no way around it."""

import ast
import inspect
import types
from pathlib import Path

import numpy as np
import pytest
from poison import rooms

import minigan
from minigan import kernels
from minigan.errors import DeviceError
from minigan.kernels import cpu, cuda, wings
from minigan.kernels.cuda import emulated, gpu
from minigan.kernels.cuda.backend import Backend

NAMES = sorted(wings.kernels_of(cpu))
HERE, PACKAGE = Path(__file__).parent, Path(minigan.__file__).parent


def named(wing):
    """{module: the kernels in its __all__}"""
    return {name: sorted(room.__all__) for name, room in rooms(wing).items() if hasattr(room, "__all__")}


def test_the_wings_have_the_same_rooms_with_the_same_kernels():
    assert named(cpu) == named(cuda)
    assert set(named(cpu)) >= {"conv", "counters", "data", "elementwise", "filters", "matmul", "norm", "optim", "pad",
                               "pool", "random", "reduce", "resample"}
    assert "memory" in rooms(cpu).keys() & rooms(cuda).keys()


@pytest.mark.parametrize("wing", [cpu, cuda], ids=["cpu", "cuda"])
def test_a_wing_has_what_its_rooms_name_and_nothing_else(wing):
    assert sorted(wings.kernels_of(wing)) == sorted(name for names in named(wing).values() for name in names)
    assert {name for name in vars(wing) if not name.startswith("_")} - set(rooms(wing)) - set(NAMES) == set()


@pytest.mark.parametrize("name", NAMES)
def test_twins_take_the_same_arguments_and_say_their_types(name):
    here, there = (inspect.signature(getattr(wing, name)) for wing in (cpu, cuda))
    described = lambda s: [(p.name, p.kind, p.default) for p in s.parameters.values()]
    assert described(here) == described(there)
    for signature in (here, there):
        annotations = [signature.return_annotation, *(p.annotation for p in signature.parameters.values())]
        assert inspect.Signature.empty not in annotations


@pytest.mark.parametrize("name", NAMES)
def test_the_door_shows_the_signature_and_docstring_of_the_formula(name):
    assert inspect.signature(getattr(kernels, name)) == inspect.signature(getattr(cpu, name))
    assert getattr(kernels, name).__doc__ == getattr(cpu, name).__doc__


@pytest.mark.parametrize("room", sorted(named(cpu)))
def test_every_room_has_its_tests(room):
    assert list(HERE.glob(f"test_{room}*.py"))
    assert (HERE.parent / "cuda" / f"test_cuda_{room}.py").exists()


def test_the_rest_of_the_library_stays_outside():
    past = []
    for path in [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "examples").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [
                alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            past += [(path, module) for module in modules if module.startswith("minigan.kernels.")]
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "kernels":
                past += [(path, node.attr)] * (node.attr in ("cpu", "cuda", "wings"))
    assert not past


def test_a_wing_for_numpys_arrays_can_be_put_before_the_cpu_wing(monkeypatch):
    native = types.ModuleType("native")
    native.sigmoid = lambda x: "native"
    monkeypatch.setattr(wings, "HOST", (native, cpu))
    x = np.ones(3)
    assert wings.dispatched("sigmoid")(x) == "native"
    np.testing.assert_array_equal(wings.dispatched("softplus")(x), cpu.softplus(x))


def test_a_list_of_arrays_finds_its_wing_and_an_empty_one_needs_none():
    averages = [np.zeros(2)]
    kernels.ema(averages, [np.ones(2)], 0.5)
    assert averages[0].tolist() == [0.5, 0.5]
    assert kernels.ema([], [], 0.5) is None


def test_numbers_of_numpy_belong_to_the_cpu():
    assert kernels.sigmoid(np.float64(0)) == 0.5


def test_anything_else_is_refused():
    for other in ("text", 3, None, [None]):
        with pytest.raises(DeviceError, match=r"kernels: builtins\.\w+ is not an array of NumPy or CuPy"):
            kernels.sigmoid(other)


def test_the_backends_have_what_the_door_promises():
    promised = {name for name in vars(Backend) if not name.startswith("_")} | {"name"}
    for backend in (emulated, gpu):
        assert not [name for name in promised if not hasattr(backend, name)]
    assert [kernels.backend(device).name for device in ("emulated", "cuda", "cuda:1")] == ["emulated", "cuda", "cuda"]
