"""How well digits are translated: CycleGAN between MNIST and USPS at 32x32, scored by classifiers.

    python benchmarks/translation.py train --out results/mnist --labels mnist
    python benchmarks/translation.py score --out results/mnist
    python benchmarks/translation.py train --out results/plain --labels none --seeds 0

`train` writes the weights and metrics of each seed atomically, at the end and every 1,000 steps; finished seeds are
kept. With --labels, the labels of that domain, never the other's, train a classifier and the generator that starts
there (trainers.TaskCycleGAN). --box is the side of USPS's digits in pixels: 28, with which classifiers trained on the
source score about as published ones do, or 20, as in MNIST.
`score` prints for each seed and direction (with labels: the direction that starts from them)

    kept        share of the source's test digits whose translation a classifier of the target reads as their label
    there+back  the same for digits translated there and back, read by a classifier of the source
    adapted     accuracy on the target's test digits of a classifier trained only on translated source digits
    along       the same for the classifier trained along with TaskCycleGAN, on originals and translations

and, for comparison, the accuracy on the target of classifiers trained on untranslated source digits (published: 82.2 /
69.6) and on the target itself. It writes scores.json and pictures: two digits of each class, translated, and back.
Published for `adapted`, MNIST->USPS / USPS->MNIST: CyCADA 95.6 / 96.5, SBADA-GAN 97.6 / 95.0.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

import minigan as mg
from minigan import data, models, report, run, trainers
from minigan.checkpoint import load_weights, save_weights, write_atomically
from minigan.data import ImageData
from minigan.metrics.classifier import DigitCNN, readers, train_classifier
from minigan.metrics.translation import as_pixels, label_kept

EMA = 0.999
SNAPSHOT = 1000  # steps
CROP = 4  # of 32 pixels: the classifier reads 28
TRANSLATED = 20_000  # maximum number of digits that a classifier is trained on
WAYS = {"ab": "MNIST->USPS", "ba": "USPS->MNIST"}
TOLD = {"none": "ab ba", "mnist": "ab", "usps": "ba"}  # known labels: the directions that start from them
NETWORKS = ("g_ab", "g_ba", "averaged_ab", "averaged_ba")


def digits(split, options):
    """MNIST and USPS."""
    return data.mnist(32, split, options.data), data.usps(32, split, options.data, box=options.box)


def trainer_of(seed, options, domains):
    """A CycleGAN with the initial weights of a seed, its batches, and the names of its networks, where a is MNIST."""
    classifier = train_classifier(domains[options.labels == "usps"]).train() if options.labels != "none" else None
    mg.seed(seed)
    generators = [models.ResnetGenerator(1, 1, options.width, options.blocks) for _ in WAYS]
    judges = [models.PatchDiscriminator(1, options.width, models.layers_for(32)) for _ in WAYS]
    settings = {"lr": options.lr, "lambda_identity": options.lambda_identity, "ema": EMA, "seed": seed}
    if classifier is None:
        trainer, sets = trainers.CycleGAN(*generators, *judges, **settings), domains
    else:
        trainer = trainers.TaskCycleGAN(*generators, *judges, classifier, options.lambda_task, CROP, **settings)
        source, target = domains if options.labels == "mnist" else domains[::-1]
        sets = (source.images, source.labels), target
    names = {name: name[:-2] + name[-2:][::-1] if options.labels == "usps" else name for name in NETWORKS}
    names |= {} if classifier is None else {"classifier": "classifier"}
    return trainer, data.Unpaired(*sets, batch_size=options.batch_size, seed=seed), names


def train(options):
    """Train every seed, one after the other."""
    if mg.set_device(options.device) == "cpu":
        run.tune_blas()
    options.out.mkdir(parents=True, exist_ok=True)
    domains = digits("train", options)
    told = {name: getattr(options, name) for name in ("labels", "box", "steps", "width", "blocks", "batch_size", "lr",
                                                      "lambda_task", "lambda_identity")}
    write_atomically(options.out / "settings.json", json.dumps(told).encode())
    print(mg.device_info(), *(d.source for d in domains), told, sep="\n", flush=True)
    for seed in options.seeds:
        if (options.out / f"metrics-{seed}.json").exists():
            continue
        (trainer, batches, names), rows = trainer_of(seed, options, domains), []
        trainer.set_schedule("half_linear", options.steps)

        def keep(prefix, trainer=trainer, seed=seed, names=names):
            for part, name in names.items():
                save_weights(options.out / f"{prefix}{name}-{seed}.safetensors", trainer.networks[part].state_dict())

        def on_step(progress, rows=rows, keep=keep, seed=seed):
            rows.append({"step": progress.step, **progress.metrics})
            if progress.step % SNAPSHOT == 0:
                keep("part_")
            if progress.step % 100 == 0:
                shown = " ".join(f"{name} {value:.3f}" for name, value in progress.metrics.items())
                print(f"seed {seed}, step {progress.step}, {progress.seconds:.0f} s: {shown}", flush=True)

        start = time.perf_counter()
        trainer.fit(batches, options.steps, on_step, promptly=lambda step: step % SNAPSHOT == 0)
        keep("")
        story = {"seconds": time.perf_counter() - start, **told, "device": mg.device_info(),
                 "data": [d.source for d in domains], "rows": rows}
        write_atomically(options.out / f"metrics-{seed}.json", json.dumps(story).encode())


def translated_by(generator, pixels):
    """Translate uint8 images; the result is uint8."""
    with mg.no_grad():
        made = [generator(mg.tensor(data.scaled(pixels[i : i + 64]))).numpy() for i in range(0, len(pixels), 64)]
    return as_pixels(np.concatenate(made))


def accuracy(classifier, images, labels):
    """`label_kept`, in percent."""
    return 100 * label_kept(classifier, images, labels)


def score(options):
    """Score every seed found in the folder."""
    told = json.loads((options.out / "settings.json").read_bytes())
    options.box = told["box"]
    training, test = digits("train", options), digits("test", options)

    def reader(images, labels):
        return readers(train_classifier(ImageData(images, labels, "", "")))[1]

    def load(name, seed):
        return load_weights(options.out / f"{options.prefix}{name}-{seed}.safetensors")

    print(f"labels {told['labels']}, USPS in a box of {told['box']}, {told['steps']} steps, width {told['width']}")
    own, rows = [reader(d.images, d.labels) for d in training], {}
    for way in TOLD[told["labels"]].split():
        i = "ab".index(way[0])
        there = test[1 - i]
        rows[way] = []
        source_only, target_only = (accuracy(read, there.images, there.labels) for read in (own[i], own[1 - i]))
        print(f"{WAYS[way]}: source only {source_only:.1f}, trained on the target itself {target_only:.1f}", flush=True)
        for seed in sorted(int(path.stem.split("-")[1]) for path in options.out.glob(f"{options.prefix}g_ab-*")):
            forth, home = (models.generator_of(load(f"{options.kind}_{name}", seed)) for name in (way, way[::-1]))
            translated, source = translated_by(forth, test[i].images), training[i].take(options.translated)
            back = translated_by(home, translated)
            row = {"kept": accuracy(own[1 - i], translated, test[i].labels),
                   "there+back": accuracy(own[i], back, test[i].labels)}
            shown = [np.flatnonzero(test[i].labels == digit)[turn] for digit in range(10) for turn in (0, 1)]
            picture = report.rows(*(data.scaled(images[shown]) for images in (test[i].images, translated, back)))
            report.save_png(picture, options.out / f"{options.prefix}{way}-{seed}.png")
            learnt = reader(translated_by(forth, source.images), source.labels)
            row["adapted"] = accuracy(learnt, there.images, there.labels)
            if told["labels"] != "none":
                along = DigitCNN()
                along.load_state_dict(load("classifier", seed))
                row["along"] = accuracy(readers(along.eval())[1], there.images, there.labels)
            rows[way].append(row)
            print(f"seed {seed}, {WAYS[way]}: " + ", ".join(f"{k} {v:.1f}" for k, v in row.items()), flush=True)
    write_atomically(options.out / f"{options.prefix}scores.json", json.dumps(rows).encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train", help="train and save the generators")
    training.add_argument("--labels", choices=list(TOLD), default="none", help="domain whose labels are known")
    training.add_argument("--box", type=int, default=28, help="side of USPS's digits in 32 pixels")
    training.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0, 1, 2])
    training.add_argument("--steps", type=int, default=4000)
    training.add_argument("--width", type=int, default=16)
    training.add_argument("--blocks", type=int, default=3)
    training.add_argument("--batch-size", type=int, default=16)
    training.add_argument("--lr", type=float, default=4e-4)
    training.add_argument("--lambda-task", type=float, default=1.0)
    training.add_argument("--lambda-identity", type=float, default=0.0)
    training.add_argument("--device", default="auto")
    training.set_defaults(go=train)
    scoring = commands.add_parser("score", help="score the translations")
    scoring.add_argument("--prefix", default="", help="part_ scores the latest weights of unfinished seeds")
    scoring.add_argument("--kind", choices=("averaged", "g"), default="averaged", help="the weights: averaged, or last")
    scoring.add_argument("--translated", type=int, default=TRANSLATED, help="number of translated digits to train on")
    scoring.set_defaults(go=score)
    for command in (training, scoring):
        command.add_argument("--out", type=Path, required=True)
        command.add_argument("--data", type=Path, help="folder with mnist/ and usps/; default as in minigan.data")
    options = parser.parse_args()
    options.go(options)


if __name__ == "__main__":
    sys.exit(main())
