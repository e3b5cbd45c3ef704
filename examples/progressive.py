"""Grow a GAN from pictures of 4 x 4 pixels to 64 x 64 and more (Karras et al., 2018).

    python examples/progressive.py                          OpenMoji, 64 pixels: some ten minutes on two CPU cores
    python examples/progressive.py --pictures digits --size 32
    python examples/progressive.py --row f                  a row of the paper's table: here without pixel norm
    python examples/progressive.py --loss least_squares     another loss, without a gradient penalty
    python examples/progressive.py --size 128 --width 512 --flat 32 --device cuda    the paper's networks

Output in runs/progressive/: sample grids, growing.gif with all of them, curves in which the fades are shaded, metrics,
weights, options. --images says how many images a whole growth shows, in phases of equal length; --steps, --epochs and
--budget cut it short or train on at the last side.
"""

from figures.growing import growing_film
from minigan import data, report, run, trainers
from minigan.losses import GAN_LOSSES
from minigan.run import option

PICTURES = {"openmoji": lambda options: data.openmoji(options.size, limit=64 if options.smoke else None),
            "digits": lambda options: data.mnist(options.size, directory=options.data),
            "shapes": lambda options: data.shapes(size=options.size, seed=options.seed)}


def main() -> None:
    """Options, pictures, networks, trainer; train; film."""
    options = run.options(
        __doc__, name="progressive", batch_size=16,
        pictures=option(tuple(PICTURES), "what to learn; openmoji comes with the extra pictures, digits have "
                        "32 pixels"),
        size=option(64, "side of the images at the end, a power of two up to 256"),
        images=option(50_000, "real images shown while growing"),
        row=option(("g", *(row for row in trainers.GROWTH_ROWS if row != "g")), "a row of the paper's table of "
                   "ablations: networks and settings; g: everything, as published"),
        loss=option(("wasserstein", *(loss for loss in GAN_LOSSES if loss != "wasserstein")), "loss of both networks"),
        lr=option(0.01, "learning rate of rows f and g, ten times the paper's, whose runs have a hundred times as many "
                  "steps; rows a to e take their own"), n_critic=option(int, "discriminator steps per generator step"),
        augment=option("", "augmentations of all that the discriminator sees, such as translation,cutout"),
        latent=option(int, "length of the noise vector"),
        width=option(64, "feature maps of the smallest sides"),
        flat=option(8, "the largest side with `width` feature maps; they halve as the side doubles further"),
        ema=option(0.99, "decay of the averaged generator, which draws the samples; 0 for none; the paper's 0.999 "
                   "is for runs of a hundred times as many steps"),
    )
    pictures, row = PICTURES[options.pictures](options), trainers.growth_row(options.row)
    networks = row.networks_of(pictures.images.shape[1], options.size, latent=options.latent, width=options.width,
                               flat=options.flat)
    lr = options.lr if row.networks.get("equalized", True) else None  # Adam moves weights of N(0, 1) by lr per step
    phases = 2 * len(networks[0].sides) - 1  # a fade and a phase after it for each side, except the first
    each = options.batch_size if options.smoke else max(1, options.images // phases)
    trainer = row.trainer(*networks, loss=options.loss, lr=lr, n_critic=options.n_critic, ema=options.ema,
                          augment=options.augment, fade_images=each, stable_images=each,
                          batch_size=options.batch_size, seed=options.seed)
    if not (options.steps or options.epochs or options.budget):
        options.steps = trainer.planned
    print(f"phases and their steps: {trainer.growth}")
    folder = run.train(trainer, pictures, options)
    run.write(folder, "growing.gif", lambda path: growing_film(folder, path))
    report.report_page(folder)


if __name__ == "__main__":
    run.main(main)

# ci: --smoke --pictures digits --size 32
# ci: --smoke --row b --loss wasserstein --pictures shapes --size 8 --n-critic 1
# ci: --smoke --row e* --pictures shapes --loss least_squares --width 8 --check-finite
