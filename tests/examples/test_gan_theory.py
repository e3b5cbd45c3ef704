"""The figure of the theory, and the example that draws it, run twice."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from figures.theory import theory_page
from minigan.errors import OptionError

SCRIPT = Path(__file__).parents[2] / "examples" / "gan_theory.py"


@pytest.mark.long
def test_the_example_leaves_the_same_bytes_twice(tmp_path, monkeypatch):
    """In a process of its own, and in this one."""
    command = [str(SCRIPT), "--smoke", "--device", "cpu", "--no-blas-tuning", "--out"]
    done = subprocess.run([sys.executable, *command, str(tmp_path / "a")], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    monkeypatch.setattr(sys, "argv", [*command, str(tmp_path / "b")])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    for name in ("gan_theory.png", "numbers.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_a_page_needs_lines_and_a_png(tmp_path):
    with pytest.raises(OptionError, match="theory_page"):
        theory_page({}, {}, [], tmp_path / "a.png")
    with pytest.raises(OptionError, match=r"a\.gif"):
        theory_page({}, {}, [{}], tmp_path / "a.gif")
