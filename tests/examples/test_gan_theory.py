"""The figure of the theory, and the example that draws it, run twice."""

import subprocess
import sys
from pathlib import Path

import pytest

from figures.theory import theory_page
from minigan.errors import OptionError

SCRIPT = Path(__file__).parents[2] / "examples" / "gan_theory.py"


def test_the_example_leaves_the_same_bytes_twice(tmp_path):
    for out in "ab":
        done = subprocess.run([sys.executable, str(SCRIPT), "--smoke", "--device", "cpu", "--no-blas-tuning", "--out",
                               str(tmp_path / out)], capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
    for name in ("gan_theory.png", "numbers.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_a_page_needs_lines_and_a_png(tmp_path):
    with pytest.raises(OptionError, match="theory_page"):
        theory_page({}, {}, [], tmp_path / "a.png")
    with pytest.raises(OptionError, match=r"a\.gif"):
        theory_page({}, {}, [{}], tmp_path / "a.gif")
