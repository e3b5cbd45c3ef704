"""Colour grey photographs, and turn colour ones grey, with unpaired patches (CycleGAN); then score the results.

    python examples/cyclegan_colour.py                          3,000 steps: four minutes on two CPU cores
    python examples/cyclegan_colour.py --data FOLDER            patches of the photographs in a folder of yours
    python examples/cyclegan_colour.py --lambda-cycle 2 --steps 1800    stronger colours, less accurate greys
    python examples/cyclegan_colour.py --device cuda --size 64 --width 32 --steps 20000    on a GPU

Both domains have three channels (equal ones in grey patches), so that a generator only adds a change to its input:
light and detail are there from the start. The discriminators have no norm, which would hide the brightness of a patch.
Scores, on patches of unseen places: the PSNR of coloured patches, compared with grey in one mean colour and with plain
grey; the distance of the grey results from luma, the weighted mean of red, green and blue, compared with the colour
patches themselves. Output in runs/cyclegan_colour/: samples with six rows (unseen grey patches, coloured, and back;
colour patches, in grey, and back), scores.json, curves, metrics, weights, options.
"""

import numpy as np

from minigan import data, models, report, run, trainers
from minigan.run import option

STEPS = 3000
SHOWN, TESTED = 12, 128


def by_channel(measure, colours, greyed):
    """The mean of a measure over the three channels of grey images, which should be equal."""
    return float(np.mean([measure(colours, greyed[:, c : c + 1]) for c in range(3)]))


def score(trainer, colours, test, folder):
    """Print and save scores of coloured and grey test patches against the true ones."""
    from minigan import metrics

    grey, truth = test[0].images, test[1].images
    coloured = trainer.translate(data.scaled(grey.repeat(3, 1)), "ab")
    greyed = trainer.translate(data.scaled(truth), "ba")
    scores = {
        "psnr": metrics.psnr(coloured, truth),
        "psnr_mean_colour": metrics.psnr(metrics.mean_coloured(grey, colours.images), truth),
        "psnr_grey": metrics.psnr(grey.repeat(3, 1), truth),
        "colourfulness": metrics.colourfulness(coloured),
        "colourfulness_truth": metrics.colourfulness(truth),
        "luma_error": by_channel(metrics.luma_error, truth, greyed),
        "luma_error_colour": by_channel(metrics.luma_error, truth, data.scaled(truth)),
        "luma_weights": metrics.luma_weights(truth, greyed.mean(1, keepdims=True)).round(3).tolist(),
    }
    print("\n".join(f"{name:<20} {value if isinstance(value, list) else round(value, 4)}"
                    for name, value in scores.items()))
    run.write_scores(folder, scores)


def main() -> None:
    """Options, patches, networks, trainer; train; score."""
    options = run.options(
        __doc__, name="cyclegan_colour", batch_size=4, schedule="half_linear", default_steps=STEPS,
        size=option(32, "side of the patches in pixels"), images=option(500, "patches of each domain"),
        loss=option(("least_squares", "non_saturating", "hinge"), "adversarial loss"),
        norm=option(("batch", "instance", "none"), "normalisation in the generators"),
        upsample=option(("upconv", "deconv"), "up-convolutions or transposed convolutions"),
        width=option(16, "channels of the first layers"), depth=option(3, "halvings of the image in the U-Net"),
        lr=option(8e-4, "learning rate"),
        lambda_cycle=option(0.5, "weight of the cycle losses: a translation there and back should restore the image"),
        lambda_identity=option(0.3, "weight of the identity losses: images of the target domain should not change"),
        pool=option(50, "older generated images that each discriminator sees again; 0 for none"),
        augment=option("", "augmentations through which both discriminators see images, such as translation,cutout"),
        ema=option(0.99, "decay of the averaged generators, which draw the samples; 0 for none"),
    )
    kinds = ("grey", "colour")
    domains = [data.patches(kind, options.images, options.size, directory=options.data) for kind in kinds]
    test = [data.patches(kind, TESTED, options.size, "test", options.data) for kind in kinds]
    colour, grey = (models.Residual(models.UnetGenerator(3, 3, options.width, options.depth, options.norm,
                                                         options.upsample)) for _ in kinds)
    judges = [models.PatchDiscriminator(3, options.width, models.layers_for(options.size), "none") for _ in kinds]
    trainer = trainers.CycleGAN(
        colour, models.Grey(grey), *judges, options.loss, options.lr, lambda_cycle=options.lambda_cycle,
        lambda_identity=options.lambda_identity, pool=options.pool, ema=options.ema, seed=options.seed,
        augment=options.augment)
    pixels = [domain.images.repeat(3 // domain.images.shape[1], 1) for domain in domains]
    batches = data.Unpaired(*pixels, batch_size=options.batch_size, seed=options.seed).to(options.device)
    shown = [data.scaled(part.images[:SHOWN].repeat(3 // part.images.shape[1], 1)) for part in test]
    folder = run.fit(trainer, batches, options, *domains, reals=report.rows(*shown),
                     sheet=lambda: report.there_and_back(trainer, *shown),
                     caption=report.there_and_back_rows(*(domain.name for domain in domains)))
    score(trainer, domains[1], test, folder)


if __name__ == "__main__":
    run.main(main)
