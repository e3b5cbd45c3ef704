"""Translate digits between three data sets with three encoders and three decoders, not six generators (ComboGAN).

    python examples/combogan_digits.py                 1,500 steps with two random domains each: minutes on two cores
    python examples/combogan_digits.py --steps 9000    longer, better
    python examples/combogan_digits.py --device cuda   on a GPU

The domains: MNIST, USPS, and the digits in scikit-learn, written on a pressure tablet. Output in runs/combogan_digits/:
samples with three rows per domain (the digits and their two translations), curves, metrics, weights, and scores.json,
the share of translated test digits that a classifier of the target domain reads as their label.
`python examples/translate.py runs/combogan_digits --way 0-2 FILE...` translates your own pictures from MNIST to tablet.
"""

import numpy as np

from minigan import data, models, report, run, trainers
from minigan.run import option

STEPS = 1500
NAMES = ("MNIST", "USPS", "tablet")
PER_ROW = 10


def digits(split, options):
    """The three domains, 32 x 32 pixels."""
    return (data.mnist(32, split, options.data, holdout=True), data.usps(32, split, options.data),
            data.digits(32, split))


def score(trainer, domains, test, options, folder):
    """Print and save how often translated digits keep their label."""
    from minigan.metrics import label_kept, train_classifier
    from minigan.metrics.classifier import Settings, readers

    print("scoring: three classifiers of digits are trained, for a minute or more; --no-score skips this", flush=True)
    settings = Settings(images_seen=400 if options.smoke else 30_000)
    read = [readers(train_classifier(domain, settings))[1] for domain in domains]
    scores = {}
    for i, source in enumerate(test):
        every = max(1, len(source) // (50 if options.smoke else 2000))  # the set may be sorted by label
        few, labels = source.images[::every], source.labels[::every]
        for j, target in enumerate(NAMES):
            images = few if i == j else trainer.translate(data.scaled(few), i, j)
            scores[f"{NAMES[i]}->{target}"] = label_kept(read[j], images, labels)
    print("label kept (X->X: real digits): " + ", ".join(f"{way} {value:.3f}" for way, value in scores.items()))
    run.write_scores(folder, scores)


def main() -> None:
    """Options, digits, networks, trainer; train; score."""
    options = run.options(
        __doc__, name="combogan_digits", batch_size=16, schedule="half_linear", default_steps=STEPS,
        loss=option(("least_squares", "non_saturating", "hinge"), "adversarial loss"),
        norm=option(("instance", "batch"), "normalisation in all networks"),
        upsample=option(("upconv", "deconv"), "up-convolutions or transposed convolutions"),
        width=option(32, "channels of the first layers"), blocks=option(2, "residual blocks of a generator"),
        lr=option(2e-4, "learning rate"),
        lambda_cycle=option(10.0, "weight of the cycle losses: a translation there and back should restore the image"),
        lambda_identity=option(0.0, "weight of the autoencoder losses: encoding and decoding should restore the image"),
        pool=option(50, "older generated images that each discriminator sees again; 0 for none"),
        no_score=option(False, "skip the scores at the end, which take some minutes"),
    )
    domains, test = digits("train", options), digits("test", options)
    half = options.blocks // 2
    encoders = [models.ResnetEncoder(1, options.width, half, options.norm) for _ in domains]
    decoders = [models.ResnetDecoder(1, options.width, options.blocks - half, options.norm, options.upsample)
                for _ in domains]
    judges = [models.PatchDiscriminator(1, options.width, models.layers_for(32), options.norm) for _ in domains]
    trainer = trainers.ComboGAN(encoders, decoders, judges, options.loss, options.lr, lambda_cycle=options.lambda_cycle,
                                lambda_identity=options.lambda_identity, pool=options.pool, seed=options.seed)
    batches = data.Unpaired(*domains, batch_size=options.batch_size, seed=options.seed)
    shown = [data.scaled(domain.images[np.argsort(domain.labels, kind="stable")][:: len(domain) // PER_ROW][:PER_ROW])
             for domain in test]

    def sheet():
        images = [x if i == j else trainer.translate(x, i, j) for i, x in enumerate(shown)
                  for j in sorted(range(len(NAMES)), key=lambda j, i=i: j != i)]
        return lambda: report.rows(*images)

    folder = run.fit(trainer, batches, options, *domains, reals=report.rows(*shown), sheet=sheet,
                     caption="Of each domain in turn: images, and their translations to the other domains.")
    if not options.no_score:
        score(trainer, domains, test, options, folder)


if __name__ == "__main__":
    run.main(main)

# ci: --smoke --width 8
