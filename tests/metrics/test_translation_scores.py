"""Scores of translations against closed forms, values of other packages, and translators with known scores."""

import numpy as np
import pytest

from minigan import data, metrics
from minigan.data.canny import edge_map
from minigan.data.mnist import ImageData
from minigan.errors import DataError, OptionError, ShapeError
from minigan.metrics.classifier import Settings
from minigan.metrics.translation import DigitTranslation, as_pixels


def pattern():
    """A grey picture (1, 1, 24, 20) without any symmetry."""
    y, x = np.indices((24, 20))
    return ((7 * x + 13 * y + x * y) % 256).astype(np.uint8)[None, None]


def distorted(picture):
    y, x = np.indices((24, 20))
    noise = (5 * x * x + 3 * y) % 61 - 30
    return np.clip(picture.astype(int) + noise, 0, 255).astype(np.uint8)


# ------------------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize("change, value", [(distorted, 0.9658236366152924), (lambda p: 255 - p, -0.8562083786343578),
                                           (lambda p: np.roll(p, 1, 2), 0.5068588397662452)])
def test_ssim_of_scikit_image(change, value):
    """structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)
    of scikit-image 0.26, which states that these settings are those of Wang et al."""
    a = pattern()
    assert metrics.ssim(a, change(a)) == pytest.approx(value, abs=2e-6)
    assert metrics.ssim(change(a), a) == pytest.approx(value, abs=2e-6)


def test_ssim_of_flat_pictures_is_its_luminance_term():
    a, b = np.full((2, 3, 16, 16), 100, np.uint8), np.full((2, 3, 16, 16), 150, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert metrics.ssim(a, b) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1), rel=1e-4)
    assert metrics.ssim(a, a) == 1
    with pytest.raises(ShapeError, match="at least 11 x 11"):
        metrics.ssim(a[:, :, :10], a[:, :, :10])


def test_psnr_and_l1():
    a = np.zeros((2, 1, 4, 4), np.uint8)
    b = a.copy()
    b[0] += 1  # one grey value in 255: 20 log10(255) = 48.1308 dB
    b[1] += 51  # a fifth of the range: 20 log10(5) dB
    assert metrics.psnr(a, b) == pytest.approx((48.1308036 + 20 * np.log10(5)) / 2, abs=1e-4)
    assert metrics.l1(a, b) == pytest.approx(2 * 26 / 255, abs=1e-6)
    assert metrics.psnr(a, a) == np.inf and metrics.l1(a, a) == 0


def test_iou():
    masks = np.zeros((3, 1, 10, 10), np.uint8)
    truth = masks.copy()
    masks[0, 0, :4, :4], truth[0, 0, 2:6, :4] = 255, 255  # 8 shared of 24
    masks[1, 0, :2, :2] = 255  # nothing shared
    assert metrics.iou(masks, truth) == pytest.approx((8 / 24 + 0 + 1) / 3)  # in the third, both are empty
    assert metrics.iou(masks, masks) == 1
    soft = np.where(masks, np.float32(0.2), np.float32(-0.9))
    assert metrics.iou(soft, truth) == metrics.iou(masks, truth)
    assert metrics.iou(soft, truth, 0.5) == pytest.approx(2 / 3)  # now the second is also empty


def test_edges_kept():
    """A disc's edges are kept, also if shifted by a pixel; shifted by six, only where the two circles cross."""
    y, x = np.indices((64, 64))
    disc = np.where(np.hypot(x - 30, y - 30) < 15, 220, 30).astype(np.uint8)[None, None]
    edges = edge_map(disc[0, 0])[None, None]
    assert metrics.edges_kept(disc, edges) == metrics.edges_kept(disc.repeat(3, 1), edges) == 1
    assert metrics.edges_kept(np.roll(disc, 1, 3), edges) == 1
    assert metrics.edges_kept(np.roll(disc, 1, 3), edges, tolerance=0) < 0.7
    assert 0.05 < metrics.edges_kept(np.roll(disc, 6, 3), edges) < 0.5
    blank = np.full_like(disc, 77)
    assert metrics.edges_kept(blank, edges) == 0 and metrics.edges_kept(blank, np.zeros_like(edges)) == 1
    right = np.where(x < 30, edges, 0)  # half of the edges: recall 1, precision 1/2
    assert metrics.edges_kept(disc, right) == pytest.approx(2 / 3, abs=0.03)
    with pytest.raises(ShapeError, match="edges_kept"):
        metrics.edges_kept(disc, edges[:, :, 1:])


def test_shapes_and_their_partners():
    """A disc covers pi / 4 of its square, which is the score without translation."""
    circles = data.shapes("circles", 50, 128)
    assert metrics.iou(circles.images, circles.partner().images) == pytest.approx(np.pi / 4, abs=0.01)


def test_colourfulness():
    """Grey scores 0; for one colour everywhere only the means count; rg = 255, yb = 127.5 for red."""
    grey = np.repeat(pattern(), 3, 1)
    assert metrics.colourfulness(grey) == pytest.approx(0, abs=1e-4)
    red = np.zeros((1, 3, 8, 8), np.uint8)
    red[:, 0] = 255
    assert metrics.colourfulness(red) == pytest.approx(0.3 * np.hypot(255, 127.5), rel=1e-5)
    half = red.copy()
    half[..., 4:] = 0  # rg is 255 or 0, yb 127.5 or 0, each in half of the pixels
    expected = np.hypot(127.5, 63.75) + 0.3 * np.hypot(127.5, 63.75)
    assert metrics.colourfulness(half) == pytest.approx(expected, rel=1e-5)
    assert metrics.colourfulness(np.concatenate([red, half])) == pytest.approx(
        (metrics.colourfulness(red) + metrics.colourfulness(half)) / 2)
    with pytest.raises(ShapeError, match="three channels"):
        metrics.colourfulness(grey[:, :1])


def test_luma():
    """Pillow's conversion to grey follows BT.601; the mean of the channels does not."""
    colours = data.patches("colour", 20, split="test").images
    from PIL import Image

    pixels = [np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L")) for image in colours]
    grey = np.stack(pixels)[:, None]
    assert metrics.luma_error(colours, grey) < 0.5 / 255
    assert np.abs(metrics.luma_weights(colours, grey) - (0.299, 0.587, 0.114)).max() < 2e-3
    assert metrics.luma_error(colours, 255 - grey) > 0.1
    mean = np.rint(colours.mean(1, keepdims=True)).astype(np.uint8)
    assert metrics.luma_error(colours, mean) > 0.01
    assert np.abs(metrics.luma_weights(colours, mean) - 1 / 3).max() < 2e-3
    shifted = grey.astype(np.float32) / 127.5 - 1 - 0.02  # floats, off by a constant of 1 % of the range
    assert metrics.luma_error(colours[:, :, 1:], np.clip(shifted, -1, 1)[:, :, 1:]) == pytest.approx(0.01, abs=2e-3)
    with pytest.raises(ShapeError, match="grey"):
        metrics.luma_error(colours, colours)
    with pytest.raises(ShapeError, match="like the colours"):
        metrics.luma_error(colours, grey[:, :, 1:])


def test_mean_coloured():
    """Pictures of one hue are coloured exactly, unless a channel clips; the luma of the result is the grey."""
    tint = np.array([30, -10, 60]) - 0.299 * 30 + 0.587 * 10 - 0.114 * 60  # without luma
    grey = np.full((1, 1, 4, 4), 100, np.uint8) + np.arange(4, dtype=np.uint8)
    colours = np.rint(grey + tint[:, None, None]).astype(np.uint8)
    made = metrics.mean_coloured(grey, colours)
    assert made.dtype == np.float32 and np.abs((made + 1) * 127.5 - colours).max() < 1
    assert metrics.luma_error(made, grey) < 0.5 / 255
    with pytest.raises(ShapeError, match="one channel"):
        metrics.mean_coloured(colours, colours)


def test_nearest_partners(rng):
    """Copies of known images, a little changed, find the partner of their original: a loop over all pairs."""
    known, partners = rng.integers(0, 256, (7, 1, 4, 4), np.uint8), np.arange(7)[:, None]
    order = np.array([3, 0, 6, 3])
    images = np.clip(known[order].astype(int) + rng.integers(-9, 10, (4, 1, 4, 4)), 0, 255).astype(np.uint8)
    loop = [min(range(7), key=lambda m: np.square(known[m] - row.astype(float)).sum()) for row in images]
    assert metrics.nearest_partners(images, known, partners).ravel().tolist() == loop == order.tolist()
    with pytest.raises(ShapeError, match="do not fit together"):
        metrics.nearest_partners(images, known, partners[1:])


def test_each_grey_level_takes_the_mean_colour_of_its_luma():
    """Red has luma 76 and blue 29; two more colours of luma 76 give the mean of three; others the nearest level."""
    colours = np.array([[255, 0, 0], [0, 0, 255], [76, 76, 76], [0, 130, 0]], np.uint8).T[None, :, None]
    grey = np.array([76, 29, 40, 255], np.uint8).reshape(1, 1, 1, 4)
    made = (metrics.level_coloured(grey, colours) + 1) * 127.5
    red, blue = [331 / 3, 206 / 3, 76 / 3], [0, 0, 255]
    np.testing.assert_allclose(made[0, :, 0].T, [red, blue, blue, red], atol=1e-4)
    with pytest.raises(ShapeError, match="must have one channel"):
        metrics.level_coloured(colours, colours)


def test_a_pooled_ratio_is_that_of_the_mean_error_and_finite():
    truth = np.zeros((2, 3, 16, 16), np.float32)
    images = truth + np.array([0, 0.2], np.float32)[:, None, None, None]  # mean squared error 0.02
    assert metrics.psnr(images, truth) == np.inf
    assert metrics.psnr(images, truth, pooled=True) == pytest.approx(10 * np.log10(4 / 0.02), rel=1e-6)
    scores = metrics.picture_scores(images, truth, lambda x: x.reshape(2, -1)[:, :2])
    assert list(scores) == ["psnr", "ssim", "colourfulness", "frechet"] and scores["colourfulness"] < 1e-9
    assert scores["frechet"] == pytest.approx(2 * 0.1**2 + 2 * 0.02)  # means 0.1 apart; variances 0.02
    assert list(metrics.picture_scores(images[:, :1], truth[:, :1])) == ["psnr", "ssim"]


@pytest.mark.parametrize("measure", [metrics.l1, metrics.psnr, metrics.ssim, metrics.iou])
def test_what_cannot_be_compared(measure):
    a = np.zeros((2, 1, 16, 16), np.float32)
    with pytest.raises(ShapeError, match="equal shapes"):
        measure(a, a[:1])
    with pytest.raises(DataError, match="1 of 2 images hold NaN"):
        measure(np.where(np.arange(2)[:, None, None, None], np.float32("nan"), a), a)


# ------------------------------------------------------------------------------------------------ digits


def test_label_kept(read, digits):
    images, labels = digits[1].images, digits[1].labels
    _, probabilities = read
    kept = metrics.label_kept(probabilities, images, labels)
    assert kept == (probabilities(images).argmax(1) == labels).mean() > 0.9
    assert metrics.label_kept(probabilities, images, (labels + 1) % 10) < 0.1
    with pytest.raises(ShapeError, match="1000 images and 999 labels"):
        metrics.label_kept(probabilities, images, labels[1:])


def inverted(images):
    return -images


@pytest.mark.long
def test_the_protocol_of_adaptation(digits):
    """Digits and their negatives: inverting is a perfect translation, the identity is none."""
    shuffled = [np.random.default_rng(0).permutation(len(part)) for part in digits]  # they are sorted by class
    train, test = (ImageData(part.images[rows], part.labels[rows], "mnist", "digits")
                   for part, rows in zip(digits, shuffled, strict=True))
    test = test.take(500)
    negative = [ImageData(255 - part.images, part.labels, "negatives", "digits") for part in (train, test)]
    scorer = DigitTranslation(train, negative[0], test, negative[1], translated=1500,
                              settings=Settings(images_seen=1200, batch_size=20))
    baselines = scorer.baselines()
    for way in ("ab", "ba"):
        assert baselines[way]["source_only"] < 0.5 < 0.75 < baselines[way]["target_only"]
    perfect = scorer("ab", inverted, inverted)
    assert perfect["kept"] == baselines["ab"]["target_only"]  # its results are the target's test digits
    assert perfect["there_back"] == baselines["ba"]["target_only"]
    assert perfect["adapted"] > 0.75 and perfect["ssim"] == 1 and perfect["l1"] == 0
    black = scorer("ba", lambda images: np.full_like(images, -1), inverted)
    assert max(black["kept"], black["there_back"], black["adapted"]) < 0.3 and black["l1"] > 0.2
    with pytest.raises(OptionError, match="way='up'"):
        scorer("up", inverted, inverted)


def test_pixels():
    values = np.array([-1, 0, 0.5, 1], np.float32).reshape(1, 1, 2, 2)
    assert as_pixels(values).ravel().tolist() == [0, 128, 191, 255]  # 127.5 is rounded to even
    assert as_pixels(values).transpose(0, 2, 3, 1).flags.c_contiguous
    kept = pattern()
    assert as_pixels(kept) is kept
    with pytest.raises(ShapeError, match="3 digits and 2 labels"):
        metrics.adaptation_accuracy(np.zeros((3, 1, 28, 28), np.uint8), np.zeros(2, np.uint8), None)
