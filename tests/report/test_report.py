"""Pictures: every pixel of a grid is in its place, PNGs can be read back, curves of any run can be drawn."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan import random, report
from minigan.errors import DataError
from minigan.report.curves import read_rows, sliding_mean


def read_png(path):
    from PIL import Image

    with Image.open(path) as image:
        return np.array(image)


def test_rows_of_grey_and_colour():
    grey, colour = random.uniform((4, 1, 5, 6), seed=1), random.uniform((4, 3, 5, 6), seed=2)
    sheet = report.rows(grey, colour)
    assert np.array_equal(sheet[:8], report.grid(np.repeat(grey, 3, 1), 4)[:8])
    assert np.array_equal(sheet[7:], report.grid(colour, 4))
    assert report.rows(grey).ndim == 2
    for wrong in ([], [grey, grey[:3]], [grey, grey[:, :, 1:]], [grey[0]]):
        with pytest.raises(DataError, match="rows: batches"):
            report.rows(*wrong)


@settings(max_examples=40, deadline=None)
@given(
    N=st.integers(1, 12),
    C=st.sampled_from([1, 3]),
    H=st.integers(1, 5),
    W=st.integers(1, 5),
    pad=st.integers(0, 3),
    columns=st.none() | st.integers(1, 15),
)
def test_every_pixel_of_a_grid(N, C, H, W, pad, columns):
    images = random.uniform((N, C, H, W), seed=N) * 2.4 - 1.2  # some beyond [-1, 1]
    before = images.copy()
    result = report.grid(images, columns=columns, pad=pad)
    columns = min(columns or int(np.ceil(np.sqrt(N))), N)
    rows = -(-N // columns)
    shape = (rows * (H + pad) + pad, columns * (W + pad) + pad)
    expected = np.zeros((*shape, C), np.uint8)
    for n in range(N):
        top, left = pad + n // columns * (H + pad), pad + n % columns * (W + pad)
        for c, i, j in np.ndindex(C, H, W):
            expected[top + i, left + j, c] = round((min(1, max(-1, float(images[n, c, i, j]))) + 1) * 127.5)
    assert result.dtype == np.uint8
    assert result.shape == (shape if C == 1 else (*shape, 3))
    assert np.array_equal(result.reshape(expected.shape), expected)
    assert np.array_equal(images, before)


def test_black_grey_and_white():
    images = np.array([-1, 0, 1, -9, 9], np.float32).reshape(5, 1, 1, 1)
    assert report.grid(images, columns=5, pad=0).tolist() == [[0, 128, 255, 0, 255]]


def test_memory_layout_does_not_matter():
    images = random.uniform((6, 3, 4, 5), seed=0)
    channels_last = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert np.array_equal(report.grid(images), report.grid(channels_last))


@pytest.mark.parametrize("shape", [(4, 28, 28), (4, 2, 8, 8), (0, 1, 8, 8), (3, 1, 0, 8)])
def test_grid_shapes(shape):
    with pytest.raises(DataError, match=r"must be \(N, C, H, W\) with C = 1 or 3"):
        report.grid(np.zeros(shape))


def test_grid_arguments():
    images = np.zeros((5, 1, 2, 2))
    for options in ({"columns": 0}, {"pad": -1}):
        with pytest.raises(ValueError, match=r"columns=.* must be at least 1 and pad="):
            report.grid(images, **options)
    images[[1, 3], 0, 0, 0] = np.nan, np.inf
    with pytest.raises(DataError, match="2 of 5 images hold NaN or infinity"):
        report.grid(images)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_png_reads_back(tmp_path, shape):
    pixels = random.integers(0, 256, shape, seed=1).astype(np.uint8)
    report.save_png(pixels, tmp_path / "a.png")
    assert np.array_equal(read_png(tmp_path / "a.png"), pixels)
    report.save_png(pixels[::-1, ::-1], tmp_path / "big.png", scale=3)
    big = read_png(tmp_path / "big.png")
    assert big.shape[:2] == (15, 21)
    for i, j in np.ndindex(3, 3):
        assert np.array_equal(big[i::3, j::3], pixels[::-1, ::-1])
    report.save_png(pixels, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "big.png"]  # no temporary files


def test_png_errors(tmp_path):
    for bad in (np.zeros((3, 3)), np.zeros((3, 3, 4), np.uint8), np.zeros(3, np.uint8), np.zeros((0, 3), np.uint8)):
        with pytest.raises(DataError, match="needs uint8"):
            report.save_png(bad, tmp_path / "x.png")
    with pytest.raises(ValueError, match="scale=0"):
        report.save_png(np.zeros((2, 2), np.uint8), tmp_path / "x.png", scale=0)
    with pytest.raises(FileNotFoundError):
        report.save_png(np.zeros((2, 2), np.uint8), tmp_path / "missing" / "x.png")
    assert not list(tmp_path.iterdir())


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    path.write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        report.save_png(np.zeros((2, 2), np.uint8), path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


# ------------------------------------------------------------------------------------------------ curves


def run(n):
    noise = random.normal((4, n), seed=0).astype(float)
    return [
        {
            "step": 10 * i,
            "d_loss": 1 + 0.1 * noise[0, i],
            "g_loss": 2 + 0.2 * noise[1, i],
            "d_real": 0.8 + 0.02 * noise[2, i],
            "d_fake": 0.2 + 0.02 * noise[3, i],
        }
        for i in range(n)
    ]


def colours(path):
    """How many pixels are clearly blue and clearly orange in the upper and in the lower panel."""
    image = read_png(path)[..., :3].astype(int)
    counts = []
    for panel in np.split(image, [335]):  # between the upper panel's axis and the lower one's legend
        red, blue = panel[..., 0], panel[..., 2]
        counts += [int((blue - red > 100).sum()), int((red - blue > 100).sum())]
    return counts


def test_all_four_curves_are_drawn(tmp_path):
    path = tmp_path / "curves.png"
    report.loss_curves(run(300), path)
    assert read_png(path).shape[:2] == (720, 960)
    assert min(colours(path)) > 500
    assert [p.name for p in tmp_path.iterdir()] == ["curves.png"]


def test_missing_curves_are_not_drawn(tmp_path):
    """If a curve's values are missing, its colour appears nowhere, not even in the legend."""
    rows = [{key: value for key, value in row.items() if key not in ("g_loss", "d_real")} for row in run(300)]
    report.loss_curves(rows, tmp_path / "curves.png")
    blue_above, orange_above, blue_below, orange_below = colours(tmp_path / "curves.png")
    assert blue_above > 500 and orange_below > 500
    assert orange_above == blue_below == 0


def test_same_rows_same_bytes(tmp_path):
    """From a list or a file, whatever the user's settings and the time."""
    import matplotlib

    rows = run(60)
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report.loss_curves(rows, tmp_path / "a.png")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "savefig.dpi": 30}):
        settings_before = dict(matplotlib.rcParams)
        report.loss_curves(str(tmp_path / "metrics.jsonl"), tmp_path / "b.png")
        assert dict(matplotlib.rcParams) == settings_before
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{}],
        [{"step": 3, "d_loss": 1.0}],
        [{"d_loss": None, "g_loss": float("nan")}, {"g_loss": float("inf"), "note": "text"}],
        [{"step": 1, "d_loss": 1.0, "g_loss": "?"}, {"step": None, "d_loss": 2.0}, {"epoch": 1}],
        [{"d_loss": np.float32(0.0), "g_loss": 0, "d_real": 1, "d_fake": 0}] * 200,
    ],
)
def test_curves_of_odd_runs(tmp_path, rows):
    report.loss_curves(rows, tmp_path / "curves.png")
    assert read_png(tmp_path / "curves.png").shape[:2] == (720, 960)


def test_rows_of_a_run_that_was_stopped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n\n{"step": 2, "d_loss": NaN}\n{"step": 3, "d_lo')
    rows = read_rows(path)
    assert [row["step"] for row in rows] == [1, 2]
    path.write_text('{"step": 1}\n{"step"\n{"step": 3}\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl, line 2: not JSON"):
        read_rows(path)
    path.write_text("[1]\n")
    with pytest.raises(DataError, match="line 1: list instead of"):
        read_rows(path)
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_rows(path)
    with pytest.raises(DataError, match="No such file"):
        read_rows(tmp_path / "none.jsonl")


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 30), half=st.integers(0, 20))
def test_sliding_mean(n, half):
    values = random.normal(n, seed=n, dtype=np.float64)
    expected = [values[max(0, i - half) : i + half + 1].mean() for i in range(n)]
    np.testing.assert_allclose(sliding_mean(values, 2 * half + 1), expected, atol=1e-12)


def test_curves_are_png(tmp_path):
    with pytest.raises(ValueError, match=r"name it \*\.png, not 'curves\.pdf'"):
        report.loss_curves([], tmp_path / "curves.pdf")


@pytest.mark.parametrize("package", ["PIL", "matplotlib"])
def test_missing_packages(tmp_path, without, package):
    without(package)
    with pytest.raises(ImportError, match=r'needs .*: run `pip install "minigan\[examples\]"`'):
        if package == "PIL":
            report.save_png(np.zeros((2, 2), np.uint8), tmp_path / "x.png")
        else:
            report.loss_curves([], tmp_path / "x.png")
