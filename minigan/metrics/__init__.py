"""How good is a generator? Measures without downloads: a digit classifier trained here stands in for Inception.

`python -m minigan.metrics RUN` scores a finished run. Needed by few programs, so `import minigan` does not bring it:
`from minigan import metrics`. SciPy and scikit-learn are imported by the measures that use them.
"""

from minigan.metrics.classifier import digit_classifier, train_classifier
from minigan.metrics.coverage import (
    class_histogram,
    classifier_score,
    density_coverage,
    modes_covered,
    nearest,
    precision_recall,
    stacked_modes,
)
from minigan.metrics.distances import frechet, kid, sliced_wasserstein
from minigan.metrics.images import checkerboard
from minigan.metrics.pictures import (
    colourfulness,
    edges_kept,
    iou,
    l1,
    luma_error,
    luma_weights,
    mean_coloured,
    psnr,
    ssim,
)
from minigan.metrics.scorer import MEANINGS, Scorer, score
from minigan.metrics.svm import discriminator_features, svm_accuracy, svm_evaluation
from minigan.metrics.translation import DigitTranslation, adaptation_accuracy, label_kept

__all__ = ["MEANINGS", "DigitTranslation", "Scorer", "adaptation_accuracy", "checkerboard", "class_histogram",
           "classifier_score", "colourfulness", "density_coverage", "digit_classifier",
           "discriminator_features", "edges_kept", "frechet", "iou", "kid", "l1", "label_kept", "luma_error",
           "luma_weights", "mean_coloured", "modes_covered", "nearest", "precision_recall", "psnr", "score",
           "sliced_wasserstein", "ssim", "stacked_modes", "svm_accuracy", "svm_evaluation",
           "train_classifier"]
