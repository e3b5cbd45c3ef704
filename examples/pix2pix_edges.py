"""Paint photographs from their edges, with pairs of images, a U-Net and a discriminator of patches (pix2pix).

    python examples/pix2pix_edges.py                              600 steps: some minutes on two CPU cores
    python examples/pix2pix_edges.py --data FOLDER                edges and photographs from the images in a folder,
                                                                  or its pairs: files of one name in trainA/ and trainB/
                                                                  (testA/, testB/), or A and B side by side in each
                                                                  picture of train/ (test/), pix2pix's own layout
    python examples/pix2pix_edges.py --data facades --direction BtoA    from the right halves to the left ones
    python examples/pix2pix_edges.py --scales 2 --lambda-features 10    as in pix2pixHD
    python examples/pix2pix_edges.py --device cuda --size 256 --steps 20000    on a GPU

Output in runs/pix2pix_edges/: samples with three rows (edges, painted, the photograph) of test images, else of val,
else of training images; curves, metrics, weights, scores.json. `python examples/translate.py runs/pix2pix_edges FILE`
paints your own edges.
"""

import numpy as np

from minigan import data, models, report, run, trainers
from minigan.errors import require
from minigan.run import option

STEPS = 600
SHOWN, TESTED = 8, 100


def pairs(options):
    """Source images and their targets, each in one order: to train on and to test on."""
    if options.data is not None:
        data.check_layout(options.data)
    if options.data is not None and data.holds_domains(options.data, paired=True):
        kind = options.channels if options.channels == "auto" else int(options.channels)
        train = data.domain_folders(options.data, "train", options.size, (kind, kind), True, options.strict)
        test = data.unseen_domains(options.data, train, options.size, True, options.strict)
        test = test if test[1] is not train[1] else tuple(domain.spread(TESTED) for domain in test)
        print(f"shown and scored: {test[0].source}")
    else:
        train, test = (data.edges(count, options.size, split, options.data)
                       for split, count in (("train", options.images), ("test", TESTED)))
    return [pair[::-1] if options.direction == "BtoA" else pair for pair in (train, test)]


def main() -> None:
    """Options, pairs, networks, trainer; train; score."""
    options = run.options(
        __doc__, name="pix2pix_edges", batch_size=8, schedule="half_linear", default_steps=STEPS,
        size=option(64, "side of the images in pixels"), images=option(1000, "training pairs"),
        loss=option(("non_saturating", "least_squares", "hinge"), "adversarial loss"),
        norm=option(("batch", "instance"), "normalisation in all networks"),
        upsample=option(("upconv", "deconv"), "up-convolutions or transposed convolutions"),
        width=option(32, "channels of the first layers"), depth=option(int, "halvings of the image in the U-Net"),
        dropout=option(0.0, "probability of dropout in the inner layers of the U-Net; 0.5 in the paper"),
        lr=option(2e-4, "learning rate"),
        lambda_l1=option(100.0, "weight of the mean absolute difference from the target"),
        scales=option(1, "number of discriminators, each for images half the size of the one before"),
        lambda_features=option(0.0, "weight of feature matching in the discriminator's layers; 10 in pix2pixHD"),
        direction=option(("AtoB", "BtoA"), "from A (edges) to B (photographs), or back"),
        channels=option(("auto", "1", "3"), "of your own pairs: 1 for grey, 3 for colour; auto: 3 for a side with any "
                        "image in colour, else 1"),
        strict=option(False, "end at the first file of your own pairs that cannot be read"),
    )
    require("scipy.ndimage", "the score")  # fails before the training, not after it
    (edges, photographs), test = pairs(options)
    a, b = edges.images.shape[1], photographs.images.shape[1]
    generator = models.UnetGenerator(a, b, options.width, options.depth or models.depth_for(options.size), options.norm,
                                     options.upsample, options.dropout)
    layers = models.layers_for(options.size)
    judge = (models.PatchDiscriminator(a + b, options.width, layers, options.norm) if options.scales == 1 else
             models.MultiScaleDiscriminator(a + b, options.width, layers, options.scales, options.norm))
    trainer = trainers.Pix2Pix(generator, judge, options.loss, options.lr, lambda_l1=options.lambda_l1,
                               lambda_features=options.lambda_features)
    batches = data.paired(edges, photographs, options.batch_size, options.seed)
    lines, real = (data.scaled(domain.images[:SHOWN]) for domain in test)

    def sheet():
        painted = trainer.translate(lines)
        return lambda: report.rows(lines, painted, real)

    folder = run.fit(trainer, batches, options, edges, photographs, reals=report.rows(lines, real), sheet=sheet,
                     caption="Rows: edges, their translation, the photograph.")
    from minigan import metrics

    painted, mean = trainer.translate(data.scaled(test[0].images)), photographs.images.mean((0, 2, 3), keepdims=True)
    plain = np.broadcast_to(data.scaled(mean), test[1].images.shape)
    scores = {"l1": metrics.l1(painted, test[1].images), "psnr": metrics.psnr(painted, test[1].images),
              "ssim": metrics.ssim(painted, test[1].images)}
    if edges.name == "edges" and options.direction == "AtoB":  # not for your own pairs
        scores["edges_kept"] = metrics.edges_kept(painted, test[0].images)
        scores["edges_of_photograph"] = metrics.edges_kept(test[1].images, test[0].images)
        scores["edges_of_another"] = metrics.edges_kept(np.roll(test[1].images, TESTED // 3, 0), test[0].images)
    scores["psnr_of_mean_colour"] = metrics.psnr(plain, test[1].images)
    print(f"{len(test[0])} images: " + ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))
    run.write_scores(folder, scores)


if __name__ == "__main__":
    run.main(main)

# ci: --smoke --size 32 --width 8 --scales 2 --lambda-features 10
