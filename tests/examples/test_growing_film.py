"""The film of a run that grows: its frames are the samples in the order of steps; curves and page mark the fades."""

import json

import numpy as np
import pytest

from figures.growing import LAST, growing_film
from minigan import report
from minigan.errors import DataError

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def folder(tmp_path):
    """Steps 1 to 9, two epochs of 4: step 5 to 7 are a fade."""
    (tmp_path / "samples").mkdir()
    rows = [{"step": step, "epoch": step // 4, "d_loss": 1.0, "alpha": (step - 5) / 3 if 5 <= step < 8 else 1.0}
            for step in range(1, 10)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "config.json").write_text(json.dumps({"options": {"seed": 0}, "steps": 9}))
    for number, name in enumerate(("step_000000", "epoch_0001", "step_000006", "epoch_0002", "step_000009")):
        report.save_png(np.full((4, 6), 50 * number, np.uint8), tmp_path / "samples" / f"{name}.png")
    return tmp_path


def test_frames_are_the_samples_in_the_order_of_steps(folder, tmp_path):
    growing_film(folder, tmp_path / "growing.gif")
    with Image.open(tmp_path / "growing.gif") as film:
        seen, times = [], []
        for number in range(film.n_frames):
            film.seek(number)
            seen.append(int(np.array(film.convert("L"))[0, 0]))
            times.append(film.info["duration"])
    assert seen[:4] == [0, 50, 100, 150] and set(seen[4:]) == {200}
    assert sum(times[4:]) == (1 + LAST) * 120  # equal frames may be stored as one


def test_a_run_without_samples_is_refused(folder, tmp_path):
    for file in (folder / "samples").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="at least one frame"):
        growing_film(folder, tmp_path / "growing.gif")


def test_fades_are_marked_in_page_and_curves(folder, tmp_path):
    growing_film(folder, folder / "growing.gif")
    text = report.report_page(folder).read_text()
    assert '"shaded":[[5,7]]' in text and "The samples from fixed noise, step by step" in text
    rows = report.read_rows(folder / "metrics.jsonl")
    report.loss_curves(rows, tmp_path / "marked.png")
    report.loss_curves([{**row, "alpha": 1.0} for row in rows], tmp_path / "plain.png")
    marked, plain = (np.array(Image.open(tmp_path / f"{name}.png").convert("L")) for name in ("marked", "plain"))
    darker = (marked < plain).any(0)  # columns
    assert 0.15 < darker.mean() < 0.35  # two of eight steps
