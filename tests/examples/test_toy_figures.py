"""Figures of points in the plane: positions of points, films with every step; the example, run twice."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from figures.toy import Snapshot, film_steps, points_figure, points_film
from minigan import data
from minigan.errors import OptionError
from minigan.random import Stream

SCRIPT = Path(__file__).parents[2] / "examples" / "gan_toy2d.py"


def snapshots(*clouds):
    toy = data.toy2d("gaussians25")
    clouds = [np.asarray(points, np.float32) for points in clouds]
    return [Snapshot(10 * i, points, toy.coverage(points)) for i, points in enumerate(clouds)]


def read_frames(path):
    from PIL import Image

    with Image.open(path) as image:
        frames, times = [], []
        for i in range(image.n_frames):
            image.seek(i)
            frames.append(np.array(image.convert("RGB")).astype(int))
            times.append(image.info.get("duration"))
    return frames, times


def is_orange(pixels):
    return np.abs(pixels - np.array([0xD5, 0x5E, 0x00])).sum(-1) < 60


@pytest.mark.parametrize("picture", ["png", "gif"])
def test_points_are_drawn_where_they_are(tmp_path, picture):
    """The axes have equal scales: (3, 0) is as far to the right of (0, 0) as (0, 3) is above it."""
    toy, where, places = data.toy2d("gaussians25"), np.array([[0, 0], [3, 0], [0, 3], [-1, -2]]), []
    for i, place in enumerate(where):
        path = tmp_path / f"{i}.{picture}"
        draw = points_figure if picture == "png" else points_film
        draw(toy, {"one": snapshots(np.repeat(place[None], 50, axis=0))}, path)
        places.append(is_orange(read_frames(path)[0][0]))
    words = np.logical_and.reduce(places)  # orange in all four: the title
    row, column = zip(*((np.nonzero(place & ~words)[0].mean(), np.nonzero(place & ~words)[1].mean())
                        for place in places), strict=True)
    unit = (column[1] - column[0]) / 3
    assert unit > 10  # pixels
    np.testing.assert_allclose(column - column[0], unit * where[:, 0], atol=1)
    np.testing.assert_allclose(row - row[0], -unit * where[:, 1], atol=1)


@pytest.mark.long
def test_a_film_shows_every_step_once_and_stays_small(tmp_path):
    toy = data.toy2d("gaussians25")
    steps = len(film_steps(5000))
    games = {name: snapshots(*(10 * Stream(i, name).uniform((2500, 2)) - 5 for i in range(steps)))  # the worst case
             for name in ("GAN", "WGAN-GP")}
    (tmp_path / "frames").mkdir()
    points_film(toy, games, tmp_path / "a.gif", lambda name, png: (tmp_path / "frames" / name).write_bytes(png))
    assert (tmp_path / "a.gif").stat().st_size <= 300_000
    frames, times = read_frames(tmp_path / "a.gif")
    assert len(frames) == steps
    assert times[-1] > times[0] == times[20]
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == [f"step_{10 * i:06d}.png" for i in range(steps)]
    still, _ = read_frames(tmp_path / "frames" / names[7])
    assert np.abs(still[0] - frames[7]).mean() < 2  # of 255: the film has fewer colours, but the same picture


def test_the_same_points_make_the_same_film(tmp_path):
    games = {"GAN": snapshots(*(10 * Stream(i, "GAN").uniform((200, 2)) - 5 for i in range(4)))}
    for name in ("a.gif", "b.gif"):
        points_film(data.toy2d("gaussians25"), games, tmp_path / name)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


@pytest.mark.parametrize(("last", "frames"), [(3000, 40), (3, 40), (1, 5), (10, 11)])
def test_a_film_begins_before_the_first_step_and_ends_after_the_last(last, frames):
    steps = film_steps(last, frames)
    assert steps[0] == 0 and steps[-1] == last
    assert len(steps) <= frames
    assert (np.diff(steps) > 0).all()


def test_a_figure_has_a_row_a_game_and_few_columns(tmp_path):
    toy, sizes = data.toy2d("gaussians25"), {}
    for rows, columns in ((1, 1), (1, 2), (2, 2), (2, 30)):
        games = {f"game {i}": snapshots(*[toy.modes] * columns) for i in range(rows)}
        points_figure(toy, games, tmp_path / "a.png")
        sizes[rows, columns] = np.array(read_frames(tmp_path / "a.png")[0][0].shape[:2])
    assert (sizes[2, 2] - sizes[1, 2])[0] == pytest.approx((sizes[1, 2] - sizes[1, 1])[1], rel=0.2)  # panels are square
    assert sizes[2, 30][1] - sizes[1, 1][1] == pytest.approx(4 * (sizes[1, 2] - sizes[1, 1])[1], abs=4)


def test_pictures_that_cannot_be_drawn(tmp_path):
    toy, one, two = data.toy2d("gaussians25"), snapshots(np.zeros((1, 2))), snapshots(*np.zeros((2, 1, 2)))
    for games in ({}, {"a": []}, {"a": one, "b": two}):
        with pytest.raises(OptionError, match="same steps"):
            points_figure(toy, games, tmp_path / "a.png")
        with pytest.raises(OptionError, match="same steps"):
            points_film(toy, games, tmp_path / "a.gif")
    with pytest.raises(OptionError, match=r"name it \*\.gif, not 'a\.png'"):
        points_film(toy, {"a": one}, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_the_example_leaves_the_same_bytes_twice(tmp_path, monkeypatch):
    """In a process of its own, and in this one, where another seed then gives others."""
    command = [str(SCRIPT), "--smoke", "--device", "cpu", "--no-blas-tuning", "--out"]
    done = subprocess.run([sys.executable, *command, str(tmp_path / "a")], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "WGAN-GP: " in done.stdout and " of 25 modes" in done.stdout
    for out, seed in (("b", "0"), ("c", "1")):
        monkeypatch.setattr(sys, "argv", [*command, str(tmp_path / out), "--seed", seed])
        runpy.run_path(str(SCRIPT), run_name="__main__")
    files = sorted(str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert {"points.png", "points.gif", "samples/step_000003.png", "wasserstein_gp/metrics.jsonl",
            "non_saturating/curves.png"} <= set(files)
    for name in files:
        same = (tmp_path / "a" / name).read_bytes()
        assert same == (tmp_path / "b" / name).read_bytes(), name
    assert (tmp_path / "a" / "points.png").read_bytes() != (tmp_path / "c" / "points.png").read_bytes()
    rows = [json.loads(row) for row in (tmp_path / "a" / "wasserstein_gp" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert {"wasserstein", "penalty"} <= set(rows[0])
