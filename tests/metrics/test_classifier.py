"""The classifier of digits, its cache, and DCGAN's measure with a linear SVM."""

import dataclasses
from importlib.util import find_spec

import numpy as np
import pytest

import minigan as mg
from minigan import models, nn
from minigan import random as randoms
from minigan.checkpoint import load_weights
from minigan.data.images import ImageData
from minigan.errors import OptionError, ShapeError
from minigan.metrics.classifier import Settings, _cached, train_classifier, weights_file
from minigan.metrics.svm import _fresh, discriminator_features, grid_max, svm_accuracy, svm_evaluation

# not importorskip: the import takes 3 s
pytestmark = pytest.mark.skipif(find_spec("sklearn") is None, reason="the SVM is scikit-learn's")
FEW = Settings(images_seen=200, batch_size=20)


@pytest.fixture
def small(digits):
    """A hundred digits."""
    train = digits[0]
    return ImageData(train.images[::40], train.labels[::40], "mnist", "a hundred digits")


def test_it_reads_digits_it_has_not_seen(read, digits):
    features, probabilities = read
    images, labels = digits[1].images, digits[1].labels
    p = probabilities(images)
    assert (p.argmax(1) == labels).mean() > 0.9
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)
    assert features(images).shape == (1000, 64)


def test_a_frame_and_the_type_of_pixels_do_not_matter(read, digits):
    features, _ = read
    images = digits[1].images[:5]
    framed = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    expected = features(images)
    np.testing.assert_array_equal(features(framed), expected)
    np.testing.assert_allclose(features(images.astype(np.float32) / 127.5 - 1), expected, atol=1e-5)
    with pytest.raises(ShapeError, match="28, 28"):
        features(np.zeros((2, 1, 30, 30), np.float32))


def test_training_it_leaves_random_numbers_and_device_where_they_were(small):
    mg.seed(5)
    before = randoms.default.state_dict()
    first = train_classifier(small, FEW)
    assert randoms.default.state_dict() == before
    mg.seed(6)
    second = train_classifier(small, FEW)
    for (name, a), (_, b) in zip(first.named_parameters(), second.named_parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=name)


def test_the_cache_holds_what_was_asked_for_and_mends_itself(small, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGAN_CACHE", str(tmp_path))
    trained = []
    monkeypatch.setattr("minigan.metrics.classifier.train_classifier",
                        lambda *a: trained.append(a) or train_classifier(*a))
    network = _cached(small, FEW)
    path = weights_file(small, FEW)
    again = _cached(small, FEW)
    assert len(trained) == 1
    assert load_weights(path).keys() == network.state_dict().keys()
    np.testing.assert_array_equal(again.last.weight.numpy(), network.last.weight.numpy())
    other = dataclasses.replace(small, labels=(small.labels + 1) % 10)
    assert len({weights_file(small, FEW), weights_file(other, FEW),
                weights_file(small, dataclasses.replace(FEW, seed=1))}) == 3
    path.write_bytes(path.read_bytes()[:-1])
    _cached(small, FEW)
    assert len(trained) == 2
    load_weights(path)


def test_the_largest_value_of_each_cell_by_loops(rng):
    for side in (4, 6, 7, 16):
        maps = rng.normal(size=(2, 3, side, side))
        result = grid_max(maps)
        for i in range(4):
            for j in range(4):
                rows = [r for r in range(side) if r < (i + 1) * side / 4 and r + 1 > i * side / 4]
                columns = [c for c in range(side) if c < (j + 1) * side / 4 and c + 1 > j * side / 4]
                cell = maps[:, :, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                np.testing.assert_array_equal(result[:, :, i, j], cell.max((2, 3)))
    with pytest.raises(ShapeError, match="smaller"):
        grid_max(np.zeros((1, 1, 3, 8)))


def test_features_of_all_layers_and_nothing_moved(rng):
    _, discriminator = models.dcgan(1, 32, width=4)
    images = rng.uniform(-1, 1, (6, 1, 32, 32)).astype(np.float32)
    state = discriminator.state_dict()
    features = discriminator_features(discriminator, images)
    assert features.shape == (6, 16 * (4 + 8 + 16))
    first = discriminator.layers[1](discriminator.layers[0](mg.tensor(images)))
    np.testing.assert_allclose(features[:, : 16 * 4], grid_max(first.numpy()).reshape(6, -1), rtol=1e-5)
    assert discriminator.training
    for name, array in discriminator.state_dict().items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)
    with pytest.raises(OptionError, match="layers"):
        discriminator_features(nn.Linear(3, 1), images)


@pytest.mark.long
def test_an_svm_separates_what_can_be_separated(rng):
    labels, test_labels = rng.integers(0, 3, 200), rng.integers(0, 3, 300)
    centres = 3 * np.eye(3)
    x, test = (centres[y] + 0.3 * rng.normal(size=(len(y), 3)) for y in (labels, test_labels))
    assert svm_accuracy(x, labels, test, test_labels) > 0.99
    assert svm_accuracy(1e3 * x, labels, 1e3 * test, test_labels) > 0.99
    noise = rng.normal(size=(200, 3))
    assert 0.2 < svm_accuracy(noise, labels, test, test_labels) < 0.47  # a third, by chance


@pytest.mark.parametrize("norm", [
    nn.BatchNorm2d, lambda size: nn.InstanceNorm2d(size, affine=True, track_running_stats=True)])
def test_random_weights_come_with_new_statistics(norm):
    net = nn.Sequential(nn.Conv2d(1, 64, 3), norm(64))
    net(mg.tensor(np.full((2, 1, 4, 4), 9, np.float32)))
    fresh = _fresh(net, 0)[1]
    assert not fresh.running_mean.any() and (fresh.running_var == 1).all()
    assert net[1].running_mean.any()
    assert abs(fresh.weight.data.mean() - 1) < 0.02 and 0.01 < fresh.weight.data.std() < 0.03  # gamma from N(1, 0.02)


def test_dcgans_evaluation_on_digits(mnist_folder):
    _, discriminator = models.dcgan(1, 32, width=4)
    result = svm_evaluation(discriminator, 32, labels=100, test=100, directory=mnist_folder)
    assert result.keys() == {"discriminator", "random", "pixels"}
    assert all(value > 0.5 for value in result.values())  # random features are also good features
    with pytest.raises(OptionError, match="50 .. 2000"):
        svm_evaluation(discriminator, 32, labels=10, directory=mnist_folder)
