"""Colour ink drawings, with pairs of pictures (pix2pix), and set the result beside what needs no adversary.

    python examples/pix2pix_pictures.py                            OpenMoji, 64 pixels: ten minutes on two CPU cores
    python examples/pix2pix_pictures.py --lambda-gan 0             the same U-Net, with the L1 loss alone
    python examples/pix2pix_pictures.py --direction BtoA           from colour to ink
    python examples/pix2pix_pictures.py --scales 2 --lambda-features 10    as in pix2pixHD
    python examples/pix2pix_pictures.py --lambda-perceptual 10     also its perceptual loss, see docs/style.md
    python examples/pix2pix_pictures.py --device cuda --size 128 --width 64 --dropout 0.5 --steps 20000    on a GPU

The emojis come with `pip install -e ".[pictures]"`. Scores on pictures that were not trained on, beside those of two
translators that learn nothing, one mean colour and the partner of the most similar training drawing: PSNR, SSIM,
edges_kept, colourfulness, and the Frechet distance to the true pictures in features of an autoencoder that is trained
on the training pictures. Output in runs/pix2pix_pictures/: samples with three rows (drawings, coloured, the truth),
curves, metrics, weights, scores.json.
"""

import numpy as np

from minigan import data, models, report, run, trainers
from minigan.errors import require
from minigan.run import option

SHOWN = 12


def score(trainer, train, test, folder):
    """Print and save the scores of translated test pictures and of the baselines."""
    from minigan import metrics

    (known, partners), (sources, truth) = (tuple(part.images for part in pair) for pair in (train, test))
    mean = np.rint(partners.mean((0, 2, 3), keepdims=True)).astype(np.uint8)
    results = {"translated": trainer.translate(data.scaled(sources)),
               "mean colour": data.scaled(np.broadcast_to(mean, truth.shape)),
               "nearest": data.scaled(metrics.nearest_partners(sources, known, partners)), "truth": data.scaled(truth)}
    features, scores = metrics.picture_features(partners), {}
    for name, images in results.items():
        row = {"frechet": metrics.frechet(features(images), features(truth))}
        if name != "truth":
            row |= {"psnr": metrics.psnr(images, truth), "psnr_pooled": metrics.psnr(images, truth, pooled=True),
                    "ssim": metrics.ssim(images, truth)}
        if truth.shape[1] == 3:
            row["edges_kept"] = metrics.edges_kept(images, 255 - sources)
            row["colourfulness"] = metrics.colourfulness(images)
        scores[name] = row
        print(f"{name:<12} " + "  ".join(f"{measure} {value:.3f}" for measure, value in row.items()))
    run.write_scores(folder, scores)


def perception(options):
    """The network of the perceptual loss; None without one."""
    from minigan import metrics

    quick = metrics.textures.QUICK if options.smoke else metrics.textures.Settings()
    return metrics.style_features(quick) if options.lambda_perceptual else None


def main() -> None:
    """Options, pairs, networks, trainer; train; score."""
    options = run.options(
        __doc__, name="pix2pix_pictures", batch_size=8, schedule="half_linear", default_steps=2500,
        size=option(64, "side of the images in pixels"),
        loss=option(("non_saturating", "least_squares", "hinge"), "adversarial loss"),
        norm=option(("batch", "instance"), "normalisation in all networks"),
        upsample=option(("upconv", "deconv"), "up-convolutions or transposed convolutions"),
        width=option(32, "channels of the first layers"), depth=option(int, "halvings of the image in the U-Net"),
        dropout=option(0.0, "probability of dropout in the inner layers of the U-Net; 0.5 in the paper"),
        lr=option(2e-4, "learning rate"), scales=option(1, "number of discriminators, each for half the size"),
        lambda_l1=option(100.0, "weight of the mean absolute difference from the target"),
        lambda_gan=option(1.0, "weight of the adversarial loss; 0 for none"),
        lambda_features=option(0.0, "weight of feature matching in the discriminator's layers; 10 in pix2pixHD"),
        lambda_perceptual=option(0.0, "weight of the differences of maps of metrics.style_features; 10 in pix2pixHD"),
        direction=option(("AtoB", "BtoA"), "from A (ink) to B (colour), or back"),
    )
    require("scipy.ndimage", "the score")  # fails before the training, not after it
    train, test = (data.openmoji_pairs(options.size, split=split, limit=limit if options.smoke else None)
                   for split, limit in (("train", 64), ("test", 40)))
    if options.direction == "BtoA":
        train, test = train[::-1], test[::-1]
    a, b = (part.images.shape[1] for part in train)
    generator = models.UnetGenerator(a, b, options.width, options.depth or models.depth_for(options.size), options.norm,
                                     options.upsample, options.dropout)
    layers = models.layers_for(options.size)
    judge = (models.PatchDiscriminator(a + b, options.width, layers, options.norm) if options.scales == 1 else
             models.MultiScaleDiscriminator(a + b, options.width, layers, options.scales, options.norm))
    trainer = trainers.Pix2Pix(generator, judge, options.loss, options.lr, lambda_l1=options.lambda_l1,
                               lambda_features=options.lambda_features, lambda_gan=options.lambda_gan,
                               lambda_perceptual=options.lambda_perceptual, features=perception(options))
    lines, real = (data.scaled(domain.spread(SHOWN).images) for domain in test)

    def sheet():
        painted = trainer.translate(lines)
        return lambda: report.rows(lines, painted, real)

    folder = run.fit(trainer, data.paired(*train, options.batch_size, options.seed), options, *train,
                     reals=report.rows(lines, real), sheet=sheet, caption="Rows: drawings, translated, the truth.")
    score(trainer, train, test, folder)


if __name__ == "__main__":
    run.main(main)

# ci: --smoke --size 32 --width 4
# ci: --smoke --size 32 --width 4 --direction BtoA --lambda-gan 0 --lambda-perceptual 1
