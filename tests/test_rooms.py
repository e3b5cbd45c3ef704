"""The rooms of the house: each hands on what its modules name, finds new modules, and imports only from below."""

import ast
import importlib
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import minigan as mg

ROOT = Path(__file__).parents[1]
STOREYS = [  # from the bottom; a module may import from its own storey and from those above it in this list
    ("minigan.kernels", "minigan.errors"),
    ("minigan.engine", "minigan.ops", "minigan.random", "minigan.gradcheck"),
    ("minigan.nn", "minigan.optim", "minigan.losses"),
    ("minigan.models",),
    ("minigan.data", "minigan.metrics", "minigan.report", "minigan.checkpoint"),
    ("minigan.trainers",),
    ("minigan.run",),
    ("minigan.teach",),
    ("minigan.commands",),
    ("minigan.__main__", "minigan.metrics.__main__"),
]


def modules():
    """{name: path} of every module of the library."""
    folders = {"minigan": ROOT / "minigan", "minigan.kernels": ROOT / "kernels"}
    names = {}
    for package, folder in folders.items():
        for path in folder.rglob("*.py"):
            parts = [part for part in path.relative_to(folder).with_suffix("").parts if part != "__init__"]
            names[".".join([package, *parts])] = path
    return names


MODULES = modules()


def imported(name):
    """The library's modules that a module imports, at its top, in functions, and for type checkers."""
    for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                yield module if module in MODULES else node.module


def storey(name):
    """The number of a module's storey, counted from the bottom; None for minigan/__init__.py."""
    return next((i for i, rooms in reversed([*enumerate(STOREYS)])
                 for room in rooms if f"{name}.".startswith(f"{room}.")), None)


def test_every_module_has_a_storey():
    assert [name for name in MODULES if storey(name) is None] == ["minigan"]


def test_imports_point_down():
    up = {f"{name} -> {other}" for name in MODULES for other in imported(name)
          if None not in (storey(name), storey(other)) and storey(other) > storey(name)}
    assert not up


def test_only_mg_explain_and_its_command_import_what_is_for_teaching():
    users = {name for name in MODULES if not name.startswith("minigan.teach")
             for other in imported(name) if other.startswith("minigan.teach")}
    assert users == {"minigan", "minigan.commands.explain"}


@pytest.mark.parametrize("room", ["data", "metrics", "models", "report", "trainers"])
def test_a_room_hands_on_what_its_modules_name(room):
    package = importlib.import_module(f"minigan.{room}")
    owners = {}
    for module in pkgutil.iter_modules(package.__path__):
        if module.name != "__main__":
            part = importlib.import_module(f"{package.__name__}.{module.name}")
            for name in getattr(part, "__all__", ()):
                assert getattr(package, name) is getattr(part, name)
                assert owners.setdefault(name, module.name) == module.name, name
    assert owners


@pytest.mark.parametrize("room", ["data", "trainers"])
def test_a_new_file_is_found(room, tmp_path):
    """A copy of the library with one file more, and nothing else changed."""
    shutil.copytree(ROOT / "minigan", tmp_path / "minigan", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "kernels", tmp_path / "minigan" / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "minigan" / room / "novelty.py").write_text('__all__ = ["novelty"]\nnovelty = 7\n')
    done = subprocess.run([sys.executable, "-c", f"import minigan; print(minigan.__file__, minigan.{room}.novelty)"],
                          cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{tmp_path / 'minigan' / '__init__.py'} 7\n", done.stderr


def test_rooms_that_few_programs_need_come_when_they_are_used():
    program = ("import sys, minigan as mg\n"
               "late = ['checkpoint', 'gradcheck', 'report', 'run', 'metrics', 'commands']\n"
               "print([name for name in late if f'minigan.{name}' in sys.modules])\n"
               "print([getattr(mg, name).__name__ for name in late[:4]], mg.load_generator.__name__)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    first, second = done.stdout.splitlines()
    assert first == "[]"
    assert second == "['minigan.checkpoint', 'minigan.gradcheck', 'minigan.report', 'minigan.run'] load_generator"
    with pytest.raises(AttributeError, match="module 'minigan' has no attribute 'nothing'"):
        _ = mg.nothing
