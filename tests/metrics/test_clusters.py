"""k-means against scikit-learn and planted groups; clusters of images that an autoencoder has seen."""

import numpy as np
import pytest

import minigan as mg
from minigan import data
from minigan.errors import DataError, OptionError
from minigan.metrics.clusters import Settings, clustered, kmeans, picture_features
from minigan.random import Stream

QUICK = Settings(images_seen=960, batch_size=32, width=4)


def groups(rng, sizes=(40, 25, 15), d=5):
    centres = 6 * rng.normal(size=(len(sizes), d))
    return np.concatenate([centre + rng.normal(size=(n, d)) for centre, n in zip(centres, sizes, strict=True)])


def test_planted_groups_are_found_the_largest_first(rng):
    points, order = groups(rng), rng.permutation(80)
    labels = kmeans(points[order], 3, Stream(0, "k"))
    expected = np.repeat([0, 1, 2], [40, 25, 15])[order]
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.long
def test_it_is_as_good_as_scikit_learns(rng):
    """The sum of squared distances, on points without clear groups: the best of five starts, each."""
    cluster = pytest.importorskip("sklearn.cluster", reason="scikit-learn is the outside truth here")
    points = rng.normal(size=(300, 4))

    def inertia(labels):
        return sum(np.square(points[labels == k] - points[labels == k].mean(0)).sum() for k in np.unique(labels))

    ours = min(inertia(kmeans(points, 7, Stream(seed, "k"))) for seed in range(5))
    assert ours <= 1.03 * cluster.KMeans(7, n_init=5, random_state=0).fit(points).inertia_
    again = kmeans(points, 7, Stream(1, "k"))
    centres = np.stack([points[again == k].mean(0) for k in range(7)])
    nearest = np.square(points[:, None] - centres).sum(2).argmin(1)
    np.testing.assert_array_equal(nearest, again)  # converged: each point is nearest to its own centre


def test_no_cluster_is_empty_even_of_equal_points():
    labels = kmeans(np.repeat([[0.0], [1.0]], [9, 1], axis=0), 3, Stream(0, "k"))
    assert {*labels} == {0, 1, 2}


def patterns(n=96):
    """Three kinds of images, with noise: a bright left half, a bright upper half, bright corners."""
    rng = np.random.default_rng(0)
    masks = np.zeros((3, 1, 8, 8))
    masks[0, :, :, :4] = masks[1, :, :4] = masks[2, :, ::7, ::7] = 1
    kinds = np.arange(n) % 3
    pixels = 60 + 150 * masks[kinds] + rng.integers(0, 40, (n, 1, 8, 8))
    return data.ImageData(pixels.astype(np.uint8), data.images.NO_LABELS, "patterns", "96 images of three kinds"), kinds


def test_images_that_look_alike_share_a_cluster_at_any_number_of_threads():
    images, kinds = patterns()
    before, found = mg.get_threads(), []
    try:
        for threads in (1, 2):
            mg.set_threads(threads)
            mg.seed(threads)  # has no influence, and is left alone
            state = mg.random.default.state_dict()
            found.append(clustered(images, 3, 5, QUICK))
            assert mg.random.default.state_dict() == state
    finally:
        mg.set_threads(before)
    np.testing.assert_array_equal(found[0].labels, found[1].labels)
    assert all(len({*found[0].labels[kinds == kind]}) == 1 for kind in range(3))
    assert len({*found[0].labels}) == 3 and "3 clusters of 32 to 32 images" in found[0].source
    assert found[0].images is images.images


def test_features_of_equal_images_are_equal_and_tell_kinds_apart():
    """The Frechet distance of two halves of a set is far below that of two kinds of patterns."""
    images, kinds = patterns()
    features = picture_features(images.images, 5, QUICK)
    codes = features(images.images)
    assert codes.shape == (96, 32)
    np.testing.assert_allclose(features(data.scaled(images.images[:7])), codes[:7], rtol=1e-4, atol=1e-5)
    centre = lambda rows: codes[rows].mean(0)
    same = np.square(centre(kinds == 0) - codes[kinds == 0]).sum(1).mean()
    assert np.square(centre(kinds == 0) - centre(kinds == 1)).sum() > 2 * same


def test_what_cannot_be_clustered_is_refused():
    images, _ = patterns()
    with pytest.raises(DataError, match="picture_features: 10 images"):
        picture_features(images.images[:10], settings=QUICK)
    with pytest.raises(OptionError, match="clusters=1 must be at least 2"):
        clustered(images, 1, settings=QUICK)
    with pytest.raises(DataError, match="40 clusters of 39 images"):
        clustered(images.take(39), 40, settings=QUICK)
    with pytest.raises(OptionError, match="4 clusters of 3 points"):
        kmeans(np.zeros((3, 2)), 4, Stream(0, "k"))
