"""Score the generator of a finished run of examples/dcgan_mnist.py: print a table, write RUN/scores.json."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from minigan.commands._shared import generator_of, run_parser
from minigan.data.paths import printable, user_path
from minigan.metrics.images import digits28
from minigan.metrics.scorer import FEWEST, MEANINGS, Scorer
from minigan.metrics.svm import svm_evaluation
from minigan.run.manifest import write_scores
from minigan.run.saved import load_discriminator


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw images, score them, and keep the scores in the run's folder."""
    options = _parser().parse_args(arguments)
    generator = generator_of(options)
    directory = options.data or generator.options.get("data")
    digits28(generator.draw(1))  # pictures of other things are an error before a classifier is trained
    images = generator.draw(options.images, options.seed)
    scorer = Scorer(directory)
    result = {"weights": generator.weights, "images": options.images, "seed": options.seed, "reals": scorer.source,
              "scores": scorer(images)}
    print(printable(f"{options.images:,} images from {options.run / generator.weights} against {scorer.source}"))
    print(table(result["scores"]))
    if options.svm is not None:
        discriminator = load_discriminator(options.run, generator.options)
        accuracy = svm_evaluation(discriminator, generator.options["size"], options.svm, directory=directory)
        print(f"accuracy of a linear SVM from {options.svm} labels: features of the discriminator "
              f"{accuracy['discriminator']:.1%}, of one with random weights {accuracy['random']:.1%}, pixels "
              f"{accuracy['pixels']:.1%}")
        result["svm"] = accuracy
    print(printable(f"written to {write_scores(options.run, result)}"))


def table(scores: dict[str, float]) -> str:
    """One line per measure: its name, its value, what it means."""
    return "\n".join(f"{name:<17} {scores[name]:>9.4g}  {meaning}" for name, meaning in MEANINGS.items())


def _parser() -> argparse.ArgumentParser:
    parser = run_parser("metrics", __doc__, default_device="auto")
    parser.add_argument("--images", type=_enough, default=10_000, help="number of images drawn (default: %(default)s)")
    parser.add_argument("--data", type=user_path, help="folder with MNIST (default: the run's, then as for training)")
    parser.add_argument("--svm", type=int, metavar="LABELS", help="also measure as the DCGAN paper does: the accuracy "
                        "of a linear SVM on features of the run's discriminator, from this many labelled digits, such "
                        "as 1000")
    return parser


def _enough(text: str) -> int:
    """An argparse type: a number of images that can be scored."""
    if int(text) < FEWEST:
        raise argparse.ArgumentTypeError(f"{text} images are too few; give at least {FEWEST}, better 10000")
    return int(text)
