"""Turn circles into squares and squares into circles, with unpaired images (CycleGAN).

    python examples/cyclegan_shapes.py                        1,000 steps: a minute on two CPU cores
    python examples/cyclegan_shapes.py --lambda-cycle 0       nothing ties a translation to its original
    python examples/cyclegan_shapes.py --count 20             few shapes to learn from
    python examples/cyclegan_shapes.py --device cuda          on a GPU

The partner of a circle is the square around it. The score is the overlap (intersection over union) of the translation
of a held-out shape and its true partner; the shape itself, unchanged, scores 0.78. Output in runs/cyclegan_shapes/:
samples with six rows (held-out circles, as squares, and back; squares, as circles, and back), scores.json, curves,
metrics, weights, options.
"""

import numpy as np

from minigan import data, models, report, run, trainers
from minigan.run import option

STEPS = 1000
SHOWN, TESTED = 12, 200


def score(trainer, held_out, folder):
    """Print and save the overlap of translations of held-out shapes with their true partners."""
    from minigan.metrics import iou

    scores = {}
    for way, shapes in zip(("ab", "ba"), held_out, strict=True):
        partner = shapes.partner()
        drawn = np.clip(trainer.translate(data.scaled(shapes.images), way), -1, 1)
        scores[way] = {"iou": iou(drawn, partner.images), "untranslated": iou(shapes.images, partner.images)}
        print(f"{TESTED} held-out {shapes.kind}, as {partner.kind}: IoU {scores[way]['iou']:.3f} "
              f"({scores[way]['untranslated']:.3f} untranslated)")
    run.write_scores(folder, scores)


def main() -> None:
    """Options, shapes, networks, trainer; train; score."""
    options = run.options(
        __doc__, name="cyclegan_shapes", batch_size=4, schedule="half_linear", default_steps=STEPS,
        count=option(1000, "shapes of each kind"), size=option(32, "side of the images in pixels"),
        loss=option(("least_squares", "non_saturating", "hinge"), "adversarial loss"),
        norm=option(("instance", "batch"), "normalisation in all networks"),
        upsample=option(("upconv", "deconv"), "up-convolutions or transposed convolutions"),
        width=option(16, "channels of the first layers"), depth=option(3, "halvings of the image in the U-Net"),
        lr=option(4e-4, "learning rate"),
        lambda_cycle=option(10.0, "weight of the cycle losses: a translation there and back should restore the image"),
        lambda_identity=option(0.0, "weight of the identity losses: images of the target domain should not change"),
        pool=option(50, "older generated images that each discriminator sees again; 0 for none"),
        augment=option("", "augmentations through which both discriminators see images, such as translation,cutout"),
        ema=option(0.99, "decay of the averaged generators, which draw the samples; 0 for none"),
    )
    kinds = ("circles", "squares")
    domains = [data.shapes(kind, options.count, options.size, seed=options.seed) for kind in kinds]
    held_out = [data.shapes(kind, TESTED, options.size, "test", options.seed) for kind in kinds]
    generators = [models.UnetGenerator(1, 1, options.width, options.depth, options.norm, options.upsample)
                  for _ in kinds]
    judges = [models.PatchDiscriminator(1, options.width, models.layers_for(options.size), options.norm)
              for _ in kinds]
    trainer = trainers.CycleGAN(
        *generators, *judges, options.loss, options.lr, lambda_cycle=options.lambda_cycle,
        lambda_identity=options.lambda_identity, pool=options.pool, ema=options.ema, seed=options.seed,
        augment=options.augment)
    batches = data.Unpaired(*domains, batch_size=options.batch_size, seed=options.seed).to(options.device)
    shown = [data.scaled(shapes.images[:SHOWN]) for shapes in held_out]
    folder = run.fit(trainer, batches, options, *domains, reals=report.rows(*shown),
                     sheet=lambda: report.there_and_back(trainer, *shown),
                     caption=report.there_and_back_rows(*(domain.name for domain in domains)))
    score(trainer, held_out, folder)


if __name__ == "__main__":
    run.main(main)
