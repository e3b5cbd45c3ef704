"""Ink drawings, grey pictures and colour ones of emojis, each into each, with unpaired pictures (ComboGAN); scored.

    python examples/combogan_pictures.py               64 pixels, two random domains per step
    python examples/combogan_pictures.py --steps 6000  longer, better
    python examples/combogan_pictures.py --device cuda --size 128 --width 64 --blocks 6 --steps 40000    on a GPU

Three encoders and three decoders, not six generators. The domains share no picture: a third of the training pictures
is seen in ink only, a third in grey only, a third in colour only. Test pictures are known in all three kinds: all six
translations are scored, beside the picture as it is. The emojis come with `pip install -e ".[pictures]"`. Output in
runs/combogan_pictures/: samples with three rows per domain (the pictures and their two translations), curves, metrics,
weights, scores.json. `python examples/translate.py runs/combogan_pictures --way 0-2 FILE...` colours your drawings.
"""

from minigan import data, models, report, run, trainers
from minigan.errors import require
from minigan.run import option

KINDS = {"ink": "line", "grey": "grey", "colour": "colour"}
SHOWN = 10


def score(trainer, domains, test, folder):
    """Print and save the scores of all six translations, and of the pictures as they are."""
    from minigan import metrics

    scores = {}
    for j, target in enumerate(KINDS):
        truth, features = test[j].images, metrics.picture_features(domains[j].images)
        for i, source in enumerate(KINDS):
            if i != j:
                images = data.scaled(test[i].images)
                plain = images.repeat(3, 1) if j == 2 else images.mean(1, keepdims=True)
                for name, made in (("translated", trainer.translate(images, i, j)), ("as it is", plain)):
                    scores[f"{source}->{target}, {name}"] = row = metrics.picture_scores(made, truth, features)
                    print(f"{source}->{target}, {name}: "
                          + "  ".join(f"{measure} {value:.3f}" for measure, value in row.items()))
    run.write_scores(folder, scores)


def main() -> None:
    """Options, pictures, networks, trainer; train; score."""
    options = run.options(
        __doc__, name="combogan_pictures", batch_size=4, schedule="half_linear", default_steps=1500,
        size=option(64, "side of the images in pixels"),
        loss=option(("least_squares", "non_saturating", "hinge"), "adversarial loss"),
        norm=option(("batch", "instance", "none"), "normalisation in the generators"),
        width=option(16, "channels of the first layers"), blocks=option(2, "residual blocks of a generator"),
        layers=option(2, "strided layers of the discriminators: 1 sees patches of 16 pixels, 2 of 34, 3 of 70"),
        lr=option(4e-4, "learning rate"),
        lambda_cycle=option(10.0, "weight of the cycle losses: a translation there and back should restore the image"),
        lambda_identity=option(1.0, "weight of the autoencoder losses: encoding and decoding should restore the image"),
        pool=option(50, "older generated images that each discriminator sees again; 0 for none"),
    )
    require("scipy.ndimage", "the score")  # fails before the training, not after it
    limits = {"train": 64, "test": 40} if options.smoke else dict.fromkeys(("train", "test"))
    domains, test = (data.openmoji_domains([*KINDS.values()], options.size, split, limits[split]) for split in limits)
    channels, half = [domain.images.shape[1] for domain in domains], options.blocks // 2
    encoders = [models.ResnetEncoder(c, options.width, half, options.norm) for c in channels]
    decoders = [models.ResnetDecoder(c, options.width, options.blocks - half, options.norm) for c in channels]
    judges = [models.PatchDiscriminator(c, options.width, options.layers, "none") for c in channels]
    trainer = trainers.ComboGAN(encoders, decoders, judges, options.loss, options.lr, lambda_cycle=options.lambda_cycle,
                                lambda_identity=options.lambda_identity, pool=options.pool, seed=options.seed)
    batches = data.Unpaired(*domains, batch_size=options.batch_size, seed=options.seed)
    shown = [data.scaled(domain.spread(SHOWN).images) for domain in test]

    def sheet():
        images = [x if i == j else trainer.translate(x, i, j) for i, x in enumerate(shown)
                  for j in sorted(range(len(KINDS)), key=lambda j, i=i: j != i)]
        return lambda: report.rows(*images)

    folder = run.fit(trainer, batches, options, *domains, reals=report.rows(*shown), sheet=sheet,
                     caption="Of ink, grey and colour in turn: pictures, and their translations to the other kinds.")
    score(trainer, domains, test, folder)


if __name__ == "__main__":
    run.main(main)

# ci: --smoke --size 32 --width 4
