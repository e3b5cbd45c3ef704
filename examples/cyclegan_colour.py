"""Colour grey photographs, and grey coloured ones, from patches without a single pair (CycleGAN), and score it.

    python examples/cyclegan_colour.py                          3,000 steps: four minutes on two CPU cores
    python examples/cyclegan_colour.py --data FOLDER            patches of your own folder of photographs
    python examples/cyclegan_colour.py --lambda-cycle 2 --steps 1800    stronger colours, less exact greyings
    python examples/cyclegan_colour.py --device cuda --size 64 --width 32 --steps 20000    on a GPU

Both domains have three channels, equal ones in grey patches and in greyings, so that a generator says what to change:
light and detail are there from the start. The discriminators have no norm, which would hide how bright a patch is.
Scores on patches of unseen places: PSNR of colourings, beside that of grey in one mean colour and of grey as it is; the
distance of greyings from luma, the weighted mean of red, green and blue, beside that of colours as they are.
Leaves runs/cyclegan_colour/: samples of six rows (unseen grey patches, coloured, and back; colour patches, greyed, and
back), scores.json, curves, metrics, weights, the options.
"""

import json

import numpy as np

from minigan import data, models, report, run, trainers
from minigan.checkpoint import write_atomically
from minigan.run import option

STEPS = 3000
SHOWN, TESTED = 12, 128


def by_channel(measure, colours, greyed):
    """A measure of grey, the mean over three channels, which should be equal."""
    return float(np.mean([measure(colours, greyed[:, c : c + 1]) for c in range(3)]))


def score(trainer, colours, test, folder):
    """Print, and keep, how near colourings and greyings come to the truth, which test patches have."""
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
    write_atomically(folder / "scores.json", (json.dumps(scores, indent=1) + "\n").encode())


def main() -> None:
    """Options, patches, networks, trainer, go, score."""
    options = run.options(
        __doc__, name="cyclegan_colour", batch_size=4, schedule="half_linear", default_steps=STEPS,
        size=option(32, "side of the patches in pixels"), images=option(500, "patches of each domain"),
        loss=option(("least_squares", "non_saturating", "hinge"), "game between generators and discriminators"),
        norm=option(("batch", "instance", "none"), "normalisation in the generators"),
        upsample=option(("upconv", "deconv"), "up-convolutions, or transposed convolutions"),
        width=option(16, "channels of the first layers"), depth=option(3, "halvings of the image in the U-Net"),
        lr=option(8e-4, "learning rate"),
        lambda_cycle=option(0.5, "weight of the cycle losses: there and back, an image should be what it was"),
        lambda_identity=option(0.3, "weight of the identity losses: images of the target domain should stay"),
        pool=option(50, "generated images that each discriminator is shown again; 0 for none"),
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
        lambda_identity=options.lambda_identity, pool=options.pool, ema=options.ema, seed=options.seed)
    pixels = [domain.images.repeat(3 // domain.images.shape[1], 1) for domain in domains]
    batches = data.Unpaired(*pixels, batch_size=options.batch_size, seed=options.seed).to(options.device)
    shown = [data.scaled(part.images[:SHOWN].repeat(3 // part.images.shape[1], 1)) for part in test]
    folder = run.fit(trainer, batches, options, *domains, reals=report.rows(*shown),
                     sheet=lambda: report.there_and_back(trainer, *shown))
    score(trainer, domains[1], test, folder)


if __name__ == "__main__":
    run.main(main)
