"""Paint photographs from their edges, with pairs of images, a U-Net and a discriminator of patches (pix2pix).

    python examples/pix2pix_edges.py                              600 steps: some minutes on two CPU cores
    python examples/pix2pix_edges.py --data FOLDER                edges and photographs from the images in a folder,
                                                                  or pairs from its trainA/, trainB/, testA/, testB/
    python examples/pix2pix_edges.py --scales 2 --lambda-features 10    as in pix2pixHD
    python examples/pix2pix_edges.py --device cuda --size 256 --steps 20000    on a GPU

Output in runs/pix2pix_edges/: samples with three rows (edges, painted, the photograph) of test images, curves, metrics,
weights, scores.json. `python examples/translate.py runs/pix2pix_edges FILE...` paints your own edges.
"""

import json

import numpy as np

from minigan import data, models, report, run, trainers
from minigan.checkpoint import write_atomically
from minigan.errors import require
from minigan.run import option

STEPS = 600
SHOWN, TESTED = 8, 100


def pairs(split, count, options):
    """Source images and their targets, in the same order."""
    if options.data is not None and (options.data / "trainA").is_dir():
        return data.domain_folders(options.data, split, options.size, paired=True)
    return data.edges(count, options.size, split, options.data)


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
    )
    require("scipy.ndimage", "the score")  # fails before the training, not after it
    edges, photographs = pairs("train", options.images, options)
    test = pairs("test", TESTED, options)
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
    if edges.name == "edges":  # not for your own pairs
        scores["edges_kept"] = metrics.edges_kept(painted, test[0].images)
        scores["edges_of_photograph"] = metrics.edges_kept(test[1].images, test[0].images)
        scores["edges_of_another"] = metrics.edges_kept(np.roll(test[1].images, TESTED // 3, 0), test[0].images)
    scores["psnr_of_mean_colour"] = metrics.psnr(plain, test[1].images)
    print(f"{len(test[0])} test images: " + ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))
    write_atomically(folder / "scores.json", (json.dumps(scores, indent=1) + "\n").encode())


if __name__ == "__main__":
    run.main(main)

# ci: --smoke --size 32 --width 8 --scales 2 --lambda-features 10
