"""How well digits are translated: CycleGAN between MNIST and USPS at 32x32, and what classifiers make of the results.

    python benchmarks/translation.py train --out results/ --seeds 0,1,2 --steps 6379
    python benchmarks/translation.py score --out results/

`train` leaves weights and metrics a seed, whole or not at all, also every 1,000 steps on the way; a seed that is there
already is kept. `score` prints, a seed and a way,

    kept        share of the source's test digits whose translation a classifier of the target reads as their label
    there+back  the same of digits translated there and back, read by a classifier of the source
    adapted     accuracy on the target's test digits of a classifier trained on translated source digits alone

and, for comparison, classifiers trained on the source as it is (82.2 / 69.6 is published for them) and on the target
itself. Published for `adapted`, MNIST->USPS / USPS->MNIST: CyCADA 95.6 / 96.5, SBADA-GAN 97.6 / 95.0.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

import minigan as mg
from minigan import data, models, run, trainers
from minigan.checkpoint import load_weights, save_weights, write_atomically
from minigan.data import ImageData

EMA = 0.999
SNAPSHOT = 1000  # steps
TRANSLATED = 20_000  # digits a classifier is trained on, at most
WAYS = {"ab": "MNIST->USPS", "ba": "USPS->MNIST"}


def trainer_of(seed, options):
    """A CycleGAN with the weights that a seed gives."""
    mg.seed(seed)
    generators = [models.ResnetGenerator(1, 1, options.width, options.blocks) for _ in WAYS]
    judges = [models.PatchDiscriminator(1, options.width, models.layers_for(32)) for _ in WAYS]
    return trainers.CycleGAN(*generators, *judges, lambda_identity=options.lambda_identity, ema=EMA, seed=seed)


def digits(split, options):
    """MNIST and USPS, framed alike."""
    return data.mnist(size=32, split=split, directory=options.data), data.usps(32, split, options.data)


def train(options):
    """Every seed, one after the other."""
    if mg.set_device(options.device) == "cpu":
        run.tune_blas()
    options.out.mkdir(parents=True, exist_ok=True)
    domains = digits("train", options)
    print(mg.device_info(), *(d.source for d in domains), sep="\n", flush=True)
    for seed in options.seeds:
        if (options.out / f"metrics-{seed}.json").exists():
            continue
        trainer, rows, start = trainer_of(seed, options), [], time.perf_counter()
        trainer.set_schedule("half_linear", options.steps)

        def keep(name, trainer=trainer, seed=seed):
            for part in ("g_ab", "g_ba", "averaged_ab", "averaged_ba"):
                save_weights(options.out / f"{name}{part}-{seed}.safetensors", trainer.networks[part].state_dict())

        def on_step(progress, rows=rows, keep=keep, seed=seed):
            rows.append({"step": progress.step, **progress.metrics})
            if progress.step % SNAPSHOT == 0:
                keep("part_")
            if progress.step % 100 == 0:
                shown = " ".join(f"{name} {value:.3f}" for name, value in progress.metrics.items())
                print(f"seed {seed}, step {progress.step}, {progress.seconds:.0f} s: {shown}", flush=True)

        trainer.fit(data.Unpaired(*domains, batch_size=options.batch_size, seed=seed), options.steps, on_step,
                    promptly=lambda step: step % SNAPSHOT == 0)
        keep("")
        report = {"seconds": time.perf_counter() - start, "steps": options.steps, "device": mg.device_info(),
                  "data": [d.source for d in domains], "rows": rows}
        write_atomically(options.out / f"metrics-{seed}.json", json.dumps(report).encode())


def translated_by(generator, pixels):
    """uint8 images, translated, as uint8."""
    with mg.no_grad():
        made = [generator(mg.tensor(run.scaled(pixels[i : i + 64]))).numpy() for i in range(0, len(pixels), 64)]
    return np.clip(np.rint((np.concatenate(made) + 1) * 127.5), 0, 255).astype(np.uint8)


def accuracy(classifier, images, labels):
    """Share of images (N, 1, 32, 32) that a classifier's probabilities put at their label, in percent."""
    return 100 * float(np.mean(classifier(images).argmax(1) == labels))


def score(options):
    """Every seed found in the folder."""
    from minigan.metrics.classifier import readers, train_classifier

    def reader(images, labels):
        return readers(train_classifier(ImageData(images, labels, "", "")))[1]

    training, test = digits("train", options), digits("test", options)
    own = [reader(d.images, d.labels) for d in training]
    for i, way in enumerate(WAYS.values()):
        there = test[1 - i]
        print(f"{way}: source only {accuracy(own[i], there.images, there.labels):.1f}, trained on the target itself "
              f"{accuracy(own[1 - i], there.images, there.labels):.1f}", flush=True)
    found = options.out.glob(f"{options.prefix}g_ab-*.safetensors")
    for seed in sorted(int(path.stem.split("-")[1]) for path in found):
        for kind in ("g", "averaged"):
            generators = {way: models.generator_of(load_weights(
                options.out / f"{options.prefix}{kind}_{way}-{seed}.safetensors")) for way in WAYS}
            for i, (way, title) in enumerate(WAYS.items()):
                translated = translated_by(generators[way], test[i].images)
                back = translated_by(generators[way[::-1]], translated)
                source, there = training[i], test[1 - i]
                chosen = np.arange(len(source.labels))[: options.translated]
                learnt = reader(translated_by(generators[way], source.images[chosen]), source.labels[chosen])
                print(f"seed {seed}, {kind if kind == 'averaged' else 'last'}, {title}: "
                      f"kept {accuracy(own[1 - i], translated, test[i].labels):.1f}, "
                      f"there+back {accuracy(own[i], back, test[i].labels):.1f}, "
                      f"adapted {accuracy(learnt, there.images, there.labels):.1f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train", help="train and keep the generators")
    training.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0, 1, 2])
    training.add_argument("--steps", type=int, default=6379)
    training.add_argument("--width", type=int, default=32)
    training.add_argument("--blocks", type=int, default=3)
    training.add_argument("--batch-size", type=int, default=16)
    training.add_argument("--lambda-identity", type=float, help="default: half of lambda_cycle")
    training.add_argument("--device", default="auto")
    training.set_defaults(go=train)
    scoring = commands.add_parser("score", help="read the translations")
    scoring.add_argument("--prefix", default="", help="part_ for the latest weights of seeds that are not done yet")
    scoring.add_argument("--translated", type=int, default=TRANSLATED, help="source digits translated to train on")
    scoring.set_defaults(go=score)
    for command in (training, scoring):
        command.add_argument("--out", type=Path, required=True)
        command.add_argument("--data", type=Path, help="folder with mnist/ and usps/; default as in minigan.data")
    options = parser.parse_args()
    options.go(options)


if __name__ == "__main__":
    sys.exit(main())
