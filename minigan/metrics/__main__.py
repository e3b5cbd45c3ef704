"""`python -m minigan.metrics RUN`: draw images from a finished run's generator, score them, keep the scores in it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigan import device, models, run, trainers
from minigan.autodiff import no_grad
from minigan.checkpoint import load_weights, write_atomically
from minigan.errors import CheckpointError, DataError
from minigan.metrics.scorer import FEWEST, MEANINGS, Scorer
from minigan.metrics.svm import svm_evaluation
from minigan.nn import Module
from minigan.random import Generator
from minigan.tensor import Tensor, tensor

WEIGHTS = {  # which file is read, the first that is there: a run with --ema samples from averaged weights
    "last": ("averaged.safetensors", "generator.safetensors"),
    "best": ("best.safetensors",),
}
NORMS = {"gp": "none", "clip": "batch", "spectral": "spectral"}  # of wgan_mnist.py's critics
NEEDED = ("size", "latent", "width", "upsample")  # options that say what the generator is
BATCH = 250


def load_run(folder: Path, which: str = "last") -> tuple[Module, dict[str, Any], str]:
    """The generator of a finished run of examples/dcgan_mnist.py or wgan_mnist.py, its options, its weights' file.

    With which="best", the weights that scored best under --score-every.

    Raises:
        DataError: the folder, config.json or the weights are missing, or config.json is damaged or of another program.
        CheckpointError: the weights are damaged or belong to another network.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; give one that an example has left, such as "
                        "runs/dcgan_mnist")
    config = folder / "config.json"
    if not config.is_file():
        raise DataError(f"{folder}: config.json is missing, so this is no run, or one that never began")
    try:
        options = dict(json.loads(config.read_text())["options"])
    except (ValueError, LookupError, TypeError) as error:
        raise DataError(f"{config}: damaged ({type(error).__name__}: {error}); restore it or train again") from None
    if missing := [name for name in NEEDED if name not in options]:
        raise DataError(f"{config}: the option{'s' * (len(missing) > 1)} {', '.join(missing)} "
                        f"{'are' if len(missing) > 1 else 'is'} missing; only runs that draw digits can be scored")
    weights = next((folder / name for name in WEIGHTS[which] if (folder / name).is_file()), None)
    if weights is None:
        why = ("nothing was scored while it trained; train with --score-every" if which == "best" else
               "the run ended before its first epoch did; train again")
        raise DataError(f"{folder}: the weights are missing, {' or '.join(WEIGHTS[which])}: {why}")
    state = load_weights(weights)
    try:
        generator, _ = models.dcgan(1, *(options[name] for name in ("size", "latent", "width", "upsample")))
    except (TypeError, ValueError) as error:
        raise DataError(f"{config}: its options make no generator ({error}); restore it or train again") from None
    try:
        generator.load_state_dict(state)
    except CheckpointError as error:
        raise CheckpointError(f"{weights}: {error}; they do not fit the options in config.json") from None
    return generator.eval(), options, weights.name


def draw(generator: Module, count: int, seed: int, latent: int) -> np.ndarray:
    """`count` images (count, C, H, W) in [-1, 1] on the host; the same for the same seed, whatever the batch."""
    z = Generator(seed, "scores").normal((count, latent))
    where = generator.parameters()[0].device
    with no_grad():
        batches: list[Tensor] = [generator(tensor(z[i : i + BATCH], device=where)) for i in range(0, count, BATCH)]
    return np.concatenate([device.asnumpy(batch.data) for batch in batches])


def load_discriminator(folder: Path, options: dict[str, Any]) -> Module:
    """The discriminator of a run.

    Raises:
        CheckpointError: its weights are missing, damaged, or belong to another network.
    """
    loss = options.get("loss")
    norm = NORMS[options["lipschitz"]] if "lipschitz" in options else options.get("norm", "auto")
    norm = trainers.recipe(loss).norm if loss and norm == "auto" else norm
    _, discriminator = models.dcgan(1, options["size"], options["latent"], options["width"], norm=norm)
    discriminator.load_state_dict(load_weights(folder / "discriminator.safetensors"))
    return discriminator


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
