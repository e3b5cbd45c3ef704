"""Comparison of losses: the numbers in the table, the bytes of the figure, the example as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from figures.comparison import Game, comparison_figure, comparison_table
from minigan.errors import OptionError

SCRIPT = Path(__file__).parents[2] / "examples" / "compare_losses.py"


@pytest.fixture
def games(rng):
    """Two seeds with one loss, one seed with another."""
    return [Game(name, [10, 20], [8.0 * f, 4.0 * f], {"frechet": 4.0 * f, "modes": 9 + f},
                        rng.uniform(-1, 1, (4, 1, 8, 8)), 5.0) for name, f in (("b", 1), ("a", 0.5), ("b", 2))]


def test_a_table_has_mean_and_spread(games):
    lines = comparison_table(games, {"frechet": "0 is best", "modes": "10 is best"}).splitlines()
    assert lines[2] == "| b | 6 ± 2.8 | 10.5 ± 0.71 | 5 |"  # 4 and 8: 4 / 2^(1/2)
    assert lines[3] == "| a | 2 | 9.5 | 5 |"
    assert "frechet: 0 is best" in lines[-1]


def test_equal_games_give_equal_pictures(games, tmp_path):
    comparison_figure(games, tmp_path / "a.png")
    comparison_figure(games, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with pytest.raises(OptionError, match="at least one game"):
        comparison_figure([], tmp_path / "c.png")


def compare(*arguments, **environment):
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, timeout=280,
                          env={**os.environ, **environment})


def test_an_unknown_loss_lists_the_valid_ones(tmp_path):
    done = compare("--losses", "minimax,wgan", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "'wgan'" in done.stderr
    assert "wasserstein_gp" in done.stderr
    assert not (tmp_path / "run").exists()
