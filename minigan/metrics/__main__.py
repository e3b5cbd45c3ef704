"""`python -m minigan.metrics RUN`: draw images from a finished run's generator, score them, keep the scores in it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from minigan import run
from minigan.checkpoint import write_atomically
from minigan.engine import device
from minigan.metrics.scorer import FEWEST, MEANINGS, Scorer
from minigan.metrics.svm import svm_evaluation
from minigan.run.saved import WEIGHTS, draw, load_discriminator, load_run


def table(scores: dict[str, float]) -> str:
    """A line a measure: its name, its value, what it means."""
    return "\n".join(f"{name:<17} {scores[name]:>9.4g}  {meaning}" for name, meaning in MEANINGS.items())


def _enough(text: str) -> int:
    if int(text) < FEWEST:
        raise argparse.ArgumentTypeError(f"{text} images are too few; {FEWEST} at least, better 10000")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m minigan.metrics", description=(
        "Score the generator of a finished run of examples/dcgan_mnist.py; prints a table, writes RUN/scores.json."))
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of the run, such as runs/dcgan_mnist")
    parser.add_argument("--images", type=_enough, default=10_000, help="how many to draw (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise they are drawn from (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="folder with MNIST (default: the run's, then as for training)")
    parser.add_argument("--device", default="auto", help="where images are drawn; measures run on the CPU "
                        "(default: %(default)s)")
    parser.add_argument("--weights", choices=tuple(WEIGHTS), default="last", help="those the run ended with, or the "
                        "best of --score-every (default: %(default)s)")
    parser.add_argument("--svm", type=int, metavar="LABELS", help="also DCGAN's own measure: accuracy of a linear SVM "
                        "on features of the run's discriminator, from so many labelled digits, such as 1000")
    options = parser.parse_args(arguments)
    if not 0 <= options.seed < 1 << 64:
        parser.error(f"--seed {options.seed} must lie in [0, 2^64)")
    device.set_device(options.device)
    generator, trained, weights = load_run(options.run, options.weights)
    images = draw(generator, options.images, options.seed, trained["latent"])
    scorer = Scorer(options.data or trained.get("data"))
    scores = scorer(images)
    found = {"weights": weights, "images": options.images, "seed": options.seed, "reals": scorer.source,
             "scores": scores}
    print(f"{options.images:,} images from {options.run / weights} against {scorer.source}\n{table(scores)}")
    if options.svm is not None:
        found["svm"] = svm = svm_evaluation(load_discriminator(options.run, trained), trained["size"], options.svm,
                                            directory=options.data or trained.get("data"))
        print(f"accuracy of a linear SVM from {options.svm} labels: features of the discriminator "
              f"{svm['discriminator']:.1%}, of one with random weights {svm['random']:.1%}, pixels {svm['pixels']:.1%}")
    write_atomically(options.run / "scores.json", (json.dumps(found, indent=2) + "\n").encode())
    print(f"written to {options.run / 'scores.json'}")


if __name__ == "__main__":
    run.main(main)
