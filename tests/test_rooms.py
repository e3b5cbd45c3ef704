"""The packages of the project: each exports what its modules name in __all__, and discovers new modules."""

import importlib
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import minigan as mg

ROOT = Path(__file__).parents[1]


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
    """A copy of the library with one more file and no other change."""
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
