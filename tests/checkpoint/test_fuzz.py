"""Damaged files: 40 of each kind here, 22,500 by `python benchmarks/fuzz.py`."""

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_damaged_files_are_refused_in_words_or_load_rightly():
    done = subprocess.run([sys.executable, str(FUZZ), "--each", "40"], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    refused = {line[:16].strip(): int(line[16:].split()[0]) for line in done.stdout.splitlines()}
    assert {"checkpoint", "weights", "foreign weights", "idx", "idx.gz"} <= {*refused}
    assert all(count > 10 for count in refused.values())
