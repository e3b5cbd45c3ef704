"""What bf16 does to pictures: three algorithms, three seeds, in float32 and with bf16 emulated on the CPU.

    python benchmarks/bf16.py train --out results/        DCGAN, WGAN-GP and CycleGAN: an hour or two on one core
    python benchmarks/bf16.py train --out results/ --systems dcgan --seeds 0
    python benchmarks/bf16.py score --out results/        write results/bf16.md from all runs there

Runs are those of the examples, in results/SYSTEM-PRECISION-SEED. Images are drawn in the run's own precision and scored
in float32: 10,000 digits against MNIST's test digits, or translations of all digits by classifiers of MNIST and of
USPS, which are trained first.
"""

import argparse
import functools
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np

import minigan as mg
from minigan import data, metrics, models
from minigan.checkpoint import load_weights
from minigan.engine import device
from minigan.metrics.classifier import Settings

EXAMPLES = Path(__file__).parents[1] / "examples"
SYSTEMS = {
    "dcgan": ["dcgan_mnist.py"],
    "wgan": ["wgan_mnist.py", "--steps", "750"],
    "cycle": ["cyclegan_digits.py", "--width", "16", "--blocks", "2", "--steps", "400", "--no-score"],
}
PRECISIONS = ("fast", "bf16-emulated")
GAN_SCORES = ("frechet", "kid", "precision", "recall", "coverage")
DRAWN, BATCH = 10_000, 100
FOLDER = re.compile(rf"({'|'.join(SYSTEMS)})-({'|'.join(PRECISIONS)})-(\d+)")


def train(options):
    """Run the examples; a run that is there already is kept."""
    for system in options.systems:
        for seed in options.seeds:
            for precision in PRECISIONS:
                folder, (program, *settings) = options.out / f"{system}-{precision}-{seed}", SYSTEMS[system]
                if not folder.exists():
                    subprocess.run([sys.executable, EXAMPLES / program, *settings, "--seed", str(seed), "--precision",
                                    precision, "--device", "cpu", "--no-blas-tuning", "--out", folder], check=True)


def drawn(folder, precision):
    """10,000 digits by the generator of a run."""
    device.set_precision(precision)
    images = mg.load_generator(folder).draw(DRAWN)
    device.set_precision("fast")
    return images


@functools.cache
def scorer():
    """Reads the digits and the classifier once."""
    return metrics.Scorer()


def gan_scores(folder, precision):
    """Measures of docs/measures.md, and the first of them for images drawn in the other precision."""
    scores, (other,) = scorer()(drawn(folder, precision)), {*PRECISIONS} - {precision}
    return {name: scores[name] for name in GAN_SCORES} | {
        "frechet, drawn in the other precision": scorer().quick(drawn(folder, other))["frechet"]}


@functools.cache
def both():
    """(training, test) digits of both domains of CycleGAN."""
    return [(data.mnist(32, split, holdout=True), data.usps(32, split)) for split in ("train", "test")]


@functools.cache
def judge():
    """Classifiers of the training digits of both domains, trained once, for a minute each."""
    training, test = both()
    return metrics.DigitTranslation(*training, *test, settings=Settings(images_seen=30_000))


def translation_scores(folder, precision):
    """Labels kept by translation, of all digits, which the classifiers of the other domain have not seen."""

    def translate(images, way):
        network = models.generator_of(load_weights(folder / f"averaged_{way}.safetensors"))
        device.set_precision(precision)
        with mg.no_grad():
            parts = [network(mg.tensor(images[i : i + BATCH])).numpy() for i in range(0, len(images), BATCH)]
        device.set_precision("fast")
        return np.concatenate(parts)

    digits = [(data.scaled(np.concatenate([d.images for d in domain])), np.concatenate([d.labels for d in domain]))
              for domain in zip(*both(), strict=True)]  # training and test digits of each domain
    scores = {}
    for way, source in (("ab", 0), ("ba", 1)):
        images, labels = digits[source]
        translated = translate(images, way)
        scores[f"kept_{way}"] = metrics.label_kept(judge().read[1 - source], translated, labels)
        scores[f"cycle_{way[0]}"] = float(np.abs(translate(translated, way[::-1]) - images).mean())
    return scores


def has_ended(folder):
    """Whether a run has taken all of its steps."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return bool(lines) and json.loads(lines[-1])["step"] == json.loads((folder / "config.json").read_text())["steps"]


def score(options):
    """Measure every run; print and write the table."""
    found = {}
    for folder in sorted(options.out.iterdir()):
        if not (match := FOLDER.fullmatch(folder.name)) or not has_ended(folder):
            continue
        system, precision, seed = match.groups()
        kept = options.out / f"{folder.name}.json"
        if not kept.exists():
            measure = translation_scores if system == "cycle" else gan_scores
            kept.write_text(json.dumps(measure(folder, precision)))
            print(folder.name, kept.read_text(), flush=True)
        for name, value in json.loads(kept.read_text()).items():
            found.setdefault((system, name), {}).setdefault(precision, {})[int(seed)] = value
    rows = [row(*key, values) for key, values in found.items() if values.keys() == {*PRECISIONS}]
    table = "\n".join(["| run | measure | float32 | bf16 emulated | difference / deviation of float32 |",
                       "|---|---|---|---|---|", *rows])
    (options.out / "bf16.md").write_text(table + "\n")
    print(table)


def row(system, name, values):
    """A line of the table: mean and standard deviation over the seeds that both have."""
    seeds = sorted(set.intersection(*map(set, values.values())))
    exact, rounded = ([values[precision][seed] for seed in seeds] for precision in PRECISIONS)
    means = [statistics.mean(part) for part in (exact, rounded)]
    spreads = [statistics.stdev(part) if len(seeds) > 1 else float("nan") for part in (exact, rounded)]
    cells = [f"{mean:.3g} ± {spread:.2g} ({', '.join(f'{v:.3g}' for v in part)})"
             for mean, spread, part in zip(means, spreads, (exact, rounded), strict=True)]
    return f"| {system} | {name} | {cells[0]} | {cells[1]} | {(means[1] - means[0]) / (spreads[0] or 1):+.2f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("train", "score"))
    parser.add_argument("--out", type=Path, required=True, help="the folder of all runs")
    parser.add_argument("--systems", type=lambda text: text.split(","), default=list(SYSTEMS))
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0, 1, 2])
    options = parser.parse_args()
    if unknown := {*options.systems} - {*SYSTEMS}:
        parser.error(f"--systems: {', '.join(sorted(unknown))} unknown; there are {', '.join(SYSTEMS)}")
    (train if options.command == "train" else score)(options)


if __name__ == "__main__":
    sys.exit(main())
