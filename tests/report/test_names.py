"""Names that users give, pixels of every type, and the environment: pictures show what they get, or say why not."""

import contextlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from minigan import report
from minigan.errors import DataError, OptionError
from minigan.report.canvas import drawing, plain

pytest.importorskip("matplotlib", reason="figures need matplotlib")
ROWS = [{"step": step, "d_loss": 1.0 + step} for step in range(3)]
NAMES = ["b$x_^$", "_a", "$\\frac$", "a\\$b$c$", "$$", "line\nbreak", "\udcff", "%s {0} <b>&", "猫", "", "__", "$x$"]


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", NAMES)
def test_no_name_is_a_formula_or_missing(name, tmp_path, monkeypatch):
    """matplotlib reads $...$ as a formula and leaves out legends' names that begin with an underscore."""
    import matplotlib.cbook

    drawn = []
    real = report.runs.drawing

    @contextlib.contextmanager
    def recorded(*args, **options):
        with real(*args, **options) as sheet:
            drawn.append(sheet)
            yield sheet

    monkeypatch.setattr(report.runs, "drawing", recorded)
    report.run_curves({name: ROWS, "other": ROWS}, tmp_path / "x.png")
    (legend,) = drawn[0].figure.legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert len(shown) == 2 and shown[1] == "other"
    assert not matplotlib.cbook.is_math_text(shown[0])
    assert shown[0].replace("\\$", "$") == name.encode("utf-8", "backslashreplace").decode()


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", NAMES)
def test_every_name_can_be_a_title(name):
    with drawing(2, 2) as sheet:
        sheet.figure.subplots().set_title(plain(name))
    assert sheet.png.startswith(b"\x89PNG")


@pytest.mark.filterwarnings("ignore:Glyph")
def test_more_runs_than_colours_are_all_drawn(tmp_path):
    looks = []
    for count in (6, 7, 30):
        report.run_curves({f"run {i}": [{"step": s, "d_loss": float(i + s)} for s in range(2)] for i in range(count)},
                          tmp_path / f"{count}.png")
        looks.append((tmp_path / f"{count}.png").stat().st_size)
    assert looks == sorted(looks)


def test_a_metric_of_another_name_is_no_formula(tmp_path):
    report.run_curves({"a": [{"step": 1, "$x_^$": 1.0, "_y": 2.0}]}, tmp_path / "x.png")
    assert (tmp_path / "x.png").exists()


def test_compare_takes_runs_of_any_name(tmp_path):
    names = ["b$x_^$", "_a", "猫", "other"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"options": {"lr": 1}, "steps": 3, "program": "x"}))
        (tmp_path / name / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    done = subprocess.run([sys.executable, "-m", "minigan", "compare", *names, "--out", "x.png"], cwd=tmp_path,
                          timeout=120, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "cp1252"})
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr


# ------------------------------------------------------------------------------------------------ the environment


@pytest.mark.parametrize("backend", [
    pytest.param("module://matplotlib_inline.backend_inline", marks=pytest.mark.long), "nonsense", "tkagg", ""])
def test_a_figure_depends_on_no_backend(backend, tmp_path):
    """The bytes are the same, and the variable is left to others that read it."""
    program = ("import os, sys\nfrom minigan import report\n"
               "report.loss_curves([{'step': 1, 'd_loss': 1.0}, {'step': 2, 'd_loss': 2.0}], sys.argv[1])\n"
               "print(os.environ['MPLBACKEND'], 'matplotlib.pyplot' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "x.png")], capture_output=True, text=True,
                          timeout=120, env={**os.environ, "MPLBACKEND": backend})
    assert done.stdout == f"{backend} False\n", done.stderr
    report.loss_curves([{"step": 1, "d_loss": 1.0}, {"step": 2, "d_loss": 2.0}], tmp_path / "y.png")
    assert (tmp_path / "x.png").read_bytes() == (tmp_path / "y.png").read_bytes()


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1:strict", "utf-8"])
def test_a_console_that_lacks_a_letter_ends_no_program(encoding, tmp_path):
    """Python's own rule for stderr, for all of a program's output: a letter that is missing becomes its number."""
    program = ("import sys\nfrom minigan import run\nfrom minigan.errors import DataError\n"
               "def main():\n    print('\\u732b.png \\udcff')\n    print('\\u732b', file=sys.stderr)\n"
               "    raise DataError('\\u732b.png: no image')\nrun.main(main)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=120,
                          env={**os.environ, "PYTHONIOENCODING": encoding})
    letter = "猫".encode() if encoding == "utf-8" else rb"\u732b"
    assert done.returncode == 2
    assert done.stdout.split() == [letter + b".png", rb"\udcff"]
    assert done.stderr.splitlines() == [letter, b"error: " + letter + b".png: no image"]


# ------------------------------------------------------------------------------------------------ pixels


def test_pixels_are_shown_as_they_are():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    assert np.array_equal(report.grid(pixels, pad=0), pixels[0, 0])
    both = report.rows(pixels, pixels / 127.5 - 1)
    assert np.array_equal(both[2:18, 2:18], pixels[0, 0]) and np.array_equal(both[20:36, 2:18], pixels[0, 0])
    assert report.grid(np.ones((1, 1, 2, 2), np.int64), pad=0).tolist() == [[255, 255], [255, 255]]
    for bad in (pixels.astype(np.int64), pixels.astype(np.uint16), -2 * np.ones((1, 1, 2, 2), np.int8)):
        with pytest.raises(DataError, match=r"from .* to .*; give numbers in \[-1, 1\]"):
            report.grid(bad)
    for bad in (pixels.astype(complex), pixels.astype("U3"), pixels.astype(object)):
        with pytest.raises(DataError, match="must be real numbers"):
            report.grid(bad)


@pytest.mark.parametrize("name", ["x.jpg", "x", "x.png.bak", "x.gif", ".png"])
def test_a_png_has_its_name(name, tmp_path):
    with pytest.raises(OptionError, match=r"the picture is a PNG, so name it \*\.png"):
        report.save_png(np.zeros((2, 2), np.uint8), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_films(tmp_path):
    frame = np.zeros((4, 4), np.uint8)
    for wrong, error, words in (
            (([frame], "x.png"), OptionError, r"name it \*\.gif"),
            (([frame, frame[1:]], "x.gif"), DataError, "one size"),
            (([frame.astype(float)], "x.gif"), DataError, "needs uint8"), (([frame], "x.gif", 0), OptionError, "=0"),
            (([frame], "x.gif", 9, 0), OptionError, "scale=0"), (([frame[:0]], "x.gif"), DataError, "needs uint8")):
        with pytest.raises(error, match=words):
            report.film(wrong[0], tmp_path / wrong[1], *wrong[2:])
    for picture in (frame[:0], frame / 2, np.full((2, 2), np.nan)):
        with pytest.raises(DataError, match="stacked: needs uint8"):
            report.stacked([("text", picture)])
    with pytest.raises(OptionError, match="scale=0"):
        report.stacked([("", frame)], scale=0)
    assert not list(tmp_path.iterdir())
