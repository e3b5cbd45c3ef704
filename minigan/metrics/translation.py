"""Is a translated digit still the same digit, and does it look like those of its new domain? Classifiers answer.

    kept         share of digits whose translation a classifier of the target reads as their label
    there_back   share of digits, translated there and back, that a classifier of the source still reads as their label
    adapted      accuracy on the target's test digits of a classifier trained on translated source digits alone
    source_only  the same, trained on untranslated source digits: a translation must be better
    target_only  the same, trained on the target's own digits: the best to be expected

The classifiers are the small CNN of metrics/classifier.py. Published results of larger networks for `adapted`, from
MNIST to USPS / and back, in percent: source only 82.2 / 69.6, CyCADA 95.6 / 96.5, SBADA-GAN 97.6 / 95.0, target only
96.3 / 99.2.
Source: Hoffman et al., CyCADA, 2018, section 4.1.
"""

from __future__ import annotations

__all__ = ["DigitTranslation", "adaptation_accuracy", "label_kept"]

from collections.abc import Callable

import numpy as np

from minigan.data.images import ImageData
from minigan.errors import OptionError, ShapeError
from minigan.metrics.classifier import Reader, Settings, readers, train_classifier
from minigan.metrics.images import prepared
from minigan.metrics.pictures import l1, ssim

Translate = Callable[[np.ndarray], np.ndarray]  # images (N, C, H, W) in [-1, 1] to images of the other domain
QUICK = {
    "kept_ab": "share of a's test digits whose translation a classifier of b reads as their label",
    "kept_ba": "the same from b to a",
    "back_a": "share of a's test digits that a classifier of a still reads as their label after there and back",
    "cycle": "mean difference of a's digits there and back from what they were, of at most 2",
}
WAYS = {"ab": (0, 1), "ba": (1, 0)}  # source and target


def label_kept(probabilities: Reader, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose label is the most probable class for a classifier of their domain.

    Raises:
        ShapeError: there are not as many labels as images, or none. And as digits28.
    """
    if not len(labels) or len(labels) != len(images):
        raise ShapeError(f"label_kept: {len(images)} images and {len(labels)} labels; give as many labels as images, "
                         "at least one")
    return float((probabilities(images).argmax(1) == labels).mean())


def adaptation_accuracy(translated: np.ndarray, labels: np.ndarray, target: ImageData,
                        settings: Settings | None = None) -> float:
    """Accuracy on real target digits of a classifier trained on translated source digits and their labels.

    Args:
        translated: digits (N, 1, 28 or 32, same), uint8 or in [-1, 1].
        labels: of the source, (N,).
        target: test digits of the target.
        settings: of the classifier.

    Raises:
        ShapeError: there are not as many labels as digits; another size.
    """
    if len(labels) != len(translated):
        raise ShapeError(f"adaptation_accuracy: {len(translated)} digits and {len(labels)} labels; give one label per "
                         "digit")
    digits = ImageData(as_pixels(translated), labels, "translated", f"{len(labels):,} translated digits")
    probabilities = readers(train_classifier(digits, settings or Settings()))[1]
    return label_kept(probabilities, target.images, target.labels)


class DigitTranslation:
    """Scores many translators between the same two labelled sets of digits, whose classifiers it trains once.

    Args:
        a, b: training digits of the two domains, of one size, 28 or 32.
        test_a, test_b: their test digits.
        translated: how many source digits, at most, are translated for the training of a classifier.
        settings: of the classifiers.
    """

    def __init__(self, a: ImageData, b: ImageData, test_a: ImageData, test_b: ImageData, translated: int = 20_000,
                 settings: Settings | None = None) -> None:
        self.training, self.test = (a.take(translated), b.take(translated)), (test_a, test_b)
        self.settings = settings or Settings()
        self.read: tuple[Reader, Reader] = tuple(  # type: ignore[assignment]  # a pair
            readers(train_classifier(digits, self.settings))[1] for digits in (a, b))

    def baselines(self) -> dict[str, dict[str, float]]:
        """Without any translation: {"ab": {"source_only", "target_only"}, "ba": ...}."""
        return {way: {"source_only": label_kept(self.read[source], self.test[target].images, self.test[target].labels),
                      "target_only": label_kept(self.read[target], self.test[target].images, self.test[target].labels)}
                for way, (source, target) in WAYS.items()}

    def __call__(self, way: str, there: Translate, back: Translate) -> dict[str, float]:
        """Scores of one way, "ab" or "ba": "kept", "there_back", "adapted", and "l1" and "ssim" of there and back.

        `there` translates digits (N, 1, H, W) in [-1, 1] from source to target, `back` from target to source.

        Raises:
            OptionError: another way.
        """
        if way not in WAYS:
            raise OptionError(f"DigitTranslation: way={way!r} is not 'ab' or 'ba'")
        source, target = WAYS[way]
        digits, training = self.test[source], self.training[source]
        translated = as_pixels(there(prepared(digits.images)))
        returned = as_pixels(back(prepared(translated)))
        return {
            "kept": label_kept(self.read[target], translated, digits.labels),
            "there_back": label_kept(self.read[source], returned, digits.labels),
            "adapted": adaptation_accuracy(there(prepared(training.images)), training.labels, self.test[target],
                                           self.settings),
            "l1": l1(returned, digits.images),
            "ssim": ssim(returned, digits.images),
        }

    def quick(self, there: Translate, back: Translate, digits: int = 1000) -> dict[str, float]:
        """Scores that need no new classifier, see QUICK, of about this many digits from all parts of the test sets."""
        (a, labels_a), (b, labels_b) = ((prepared(test.images[::n]), test.labels[::n])
                                        for test in self.test for n in [max(1, len(test) // digits)])
        translated = there(a)
        returned = back(translated)
        return {"kept_ab": label_kept(self.read[1], translated, labels_a),
                "kept_ba": label_kept(self.read[0], back(b), labels_b),
                "back_a": label_kept(self.read[0], returned, labels_a), "cycle": l1(returned, a)}


def as_pixels(images: np.ndarray) -> np.ndarray:
    """Images, uint8 or in [-1, 1], as uint8, channels-last in memory: as a saved translation has them."""
    if images.dtype == np.uint8:
        return images
    pixels = np.rint((prepared(images) + 1) * 127.5).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pixels).transpose(0, 3, 1, 2)
