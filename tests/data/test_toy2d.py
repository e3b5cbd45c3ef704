"""Points in the plane: moments and coverage whose values are known beforehand, and pictures of them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minigan import data, report
from minigan.errors import DataError, OptionError, ShapeError
from minigan.random import Stream

SCRIPT = Path(__file__).parents[2] / "examples" / "gan_toy2d.py"

NAMES = {"gaussians25": 25, "gaussians8": 8, "ring": 36}


@pytest.mark.parametrize("name, modes", NAMES.items())
def test_the_distribution_covers_itself(name, modes):
    toy = data.toy2d(name)
    covered, there, good = toy.coverage(toy.sample(20_000, Stream(0, "test")))
    assert (covered, there) == (modes, modes)
    # in the plane, P(|noise| <= 3 std) = 1 - exp(-9/2); across the ring only one direction counts: erf(3 / 2^0.5)
    assert good == pytest.approx(0.9973 if name == "ring" else 1 - np.exp(-4.5), abs=0.003)


@pytest.mark.parametrize("name, second_moment", [
    ("gaussians25", 16 + 2 * 0.05**2),  # mean of (-4, -2, 0, 2, 4)^2 is 8, twice
    ("gaussians8", 4 + 2 * 0.02**2),
    ("ring", 4 + 2 * 0.05**2),
])
def test_moments(name, second_moment):
    points = data.toy2d(name).sample(200_000, Stream(1, "test")).astype(np.float64)
    assert points.shape == (200_000, 2)
    np.testing.assert_allclose(points.mean(0), 0, atol=5 * second_moment**0.5 / 200_000**0.5)
    assert (points**2).sum(1).mean() == pytest.approx(second_moment, rel=0.01)


def test_a_collapsed_generator_covers_one_mode():
    toy = data.toy2d("gaussians25")
    assert toy.coverage(np.repeat(toy.modes[7:8], 100, axis=0)) == (1, 25, 1.0)


def test_between_the_modes_is_no_good():
    toy = data.toy2d("gaussians25")
    assert toy.coverage(toy.modes + 1.0) == (0, 25, 0.0)


def test_a_mode_needs_a_tenth_of_its_due():
    toy = data.toy2d("gaussians8")  # 800 points: 100 are due to a mode, 10 are enough
    for few, covered in ((9, 1), (10, 2)):
        points = np.concatenate([np.repeat(toy.modes[:1], 800 - few, axis=0), np.repeat(toy.modes[1:2], few, axis=0)])
        assert toy.coverage(points).covered == covered


def test_same_seed_same_bytes():
    toy = data.toy2d("ring")
    a, b, other = toy.batches(8, seed=3), toy.batches(8, seed=3), toy.batches(8, seed=4)
    first = next(a)
    assert first.dtype == np.float32
    assert first.tobytes() == next(b).tobytes() != next(other).tobytes()
    assert next(a).tobytes() == next(b).tobytes() != first.tobytes()


def test_wrong_arguments():
    with pytest.raises(OptionError, match="gaussians25, gaussians8, ring"):
        data.toy2d("spiral")
    toy = data.toy2d("gaussians8")
    for shape in ((0, 2), (3,), (3, 3)):
        with pytest.raises(ShapeError, match="must be"):
            toy.coverage(np.zeros(shape))
    with pytest.raises(DataError, match="1 of 2 points"):
        toy.coverage(np.array([[np.nan, 0.0], [0.0, 0.0]]))


@pytest.mark.parametrize("name", NAMES)
def test_scaled_points_have_unit_variance(name):
    toy = data.toy2d(name)
    points = toy.sample(100_000, Stream(2, "test")).astype(np.float64) / toy.scale
    assert (points**2).mean() == pytest.approx(1, rel=0.01)


def snapshots(*clouds):
    toy = data.toy2d("gaussians25")
    clouds = [np.asarray(points, np.float32) for points in clouds]
    return [report.Snapshot(10 * i, points, toy.coverage(points)) for i, points in enumerate(clouds)]


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
    """Axes are equal: (3, 0) lies as far to the right of (0, 0) as (0, 3) lies above it, and (-1, -2) in proportion."""
    toy, where, places = data.toy2d("gaussians25"), np.array([[0, 0], [3, 0], [0, 3], [-1, -2]]), []
    for i, place in enumerate(where):
        path = tmp_path / f"{i}.{picture}"
        draw = report.points_figure if picture == "png" else report.points_film
        draw(toy, {"one": snapshots(np.repeat(place[None], 50, axis=0))}, path)
        places.append(is_orange(read_frames(path)[0][0]))
    words = np.logical_and.reduce(places)  # what is orange in all four is the title
    row, column = zip(*((np.nonzero(place & ~words)[0].mean(), np.nonzero(place & ~words)[1].mean())
                        for place in places), strict=True)
    unit = (column[1] - column[0]) / 3
    assert unit > 10  # pixels
    np.testing.assert_allclose(column - column[0], unit * where[:, 0], atol=1)
    np.testing.assert_allclose(row - row[0], -unit * where[:, 1], atol=1)


def test_a_film_shows_every_step_once_and_stays_small(tmp_path):
    toy = data.toy2d("gaussians25")
    steps = len(report.film_steps(5000))
    games = {name: snapshots(*(10 * Stream(i, name).uniform((2500, 2)) - 5 for i in range(steps)))  # the worst case
             for name in ("GAN", "WGAN-GP")}
    (tmp_path / "frames").mkdir()
    for name in ("a.gif", "b.gif"):
        report.points_film(toy, games, tmp_path / name, frames=tmp_path / "frames")
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    assert (tmp_path / "a.gif").stat().st_size <= 300_000
    frames, times = read_frames(tmp_path / "a.gif")
    assert len(frames) == steps
    assert times[-1] > times[0] == times[20]
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == [f"step_{10 * i:06d}.png" for i in range(steps)]
    still, _ = read_frames(tmp_path / "frames" / names[7])
    assert np.abs(still[0] - frames[7]).mean() < 2  # of 255: the film has fewer colours, but the same picture


@pytest.mark.parametrize(("last", "frames"), [(3000, 40), (3, 40), (1, 5), (10, 11)])
def test_a_film_begins_before_the_first_step_and_ends_after_the_last(last, frames):
    steps = report.film_steps(last, frames)
    assert steps[0] == 0 and steps[-1] == last
    assert len(steps) <= frames
    assert (np.diff(steps) > 0).all()


def test_a_figure_has_a_row_a_game_and_few_columns(tmp_path):
    toy, sizes = data.toy2d("gaussians25"), {}
    for rows, columns in ((1, 1), (1, 2), (2, 2), (2, 30)):
        games = {f"game {i}": snapshots(*[toy.modes] * columns) for i in range(rows)}
        report.points_figure(toy, games, tmp_path / "a.png")
        sizes[rows, columns] = np.array(read_frames(tmp_path / "a.png")[0][0].shape[:2])
    assert (sizes[2, 2] - sizes[1, 2])[0] == pytest.approx((sizes[1, 2] - sizes[1, 1])[1], rel=0.2)  # panels are square
    assert sizes[2, 30][1] - sizes[1, 1][1] == pytest.approx(4 * (sizes[1, 2] - sizes[1, 1])[1], abs=4)


def test_pictures_that_cannot_be_drawn(tmp_path):
    toy, one, two = data.toy2d("gaussians25"), snapshots(np.zeros((1, 2))), snapshots(*np.zeros((2, 1, 2)))
    for games in ({}, {"a": []}, {"a": one, "b": two}):
        with pytest.raises(OptionError, match="same steps"):
            report.points_figure(toy, games, tmp_path / "a.png")
        with pytest.raises(OptionError, match="same steps"):
            report.points_film(toy, games, tmp_path / "a.gif")
    with pytest.raises(OptionError, match=r"name it \*\.gif, not 'a\.png'"):
        report.points_film(toy, {"a": one}, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_the_example_leaves_the_same_bytes_twice(tmp_path):
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        done = subprocess.run([sys.executable, str(SCRIPT), "--smoke", "--device", "cpu", "--no-blas-tuning", "--seed",
                               str(seed), "--out", str(tmp_path / out)], capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        assert "WGAN-GP: " in done.stdout and " of 25 modes" in done.stdout
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
