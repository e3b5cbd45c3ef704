"""Train a DCGAN on MNIST digits and watch it learn to draw them.

    python examples/dcgan_mnist.py                       the default run: two minutes on two CPU cores
    python examples/dcgan_mnist.py --loss non_saturating DCGAN as published; --help lists all losses
    python examples/dcgan_mnist.py --upsample deconv     transposed convolutions instead of up-convolutions
    python examples/dcgan_mnist.py --augment translation,cutout --r1 1    for little data: see docs/little_data.md
    python examples/dcgan_mnist.py --conditional labels  draws the digit that a label says; a row of the grid for each
    python examples/dcgan_mnist.py --device cuda         on a GPU

Output in runs/dcgan_mnist/: sample grids from fixed noise (one per epoch), loss curves, metrics, weights, options.
"""

from minigan import data, models, run, trainers
from minigan.run import option


def main() -> None:
    """Options, data, networks, trainer; train."""
    options = run.options(
        __doc__, name="dcgan_mnist", scored=True, default_steps=1200,
        size=option((32, 28), "side of the images in pixels"),
        upsample=option(("upconv", "deconv"), "up-convolutions or transposed convolutions"),
        loss=option((*trainers.TUNED, *trainers.RECIPES), "losses of the two networks, with their published settings; "
                    "tuned: hinge_spectral at a higher learning rate, which draws the best digits in two minutes"),
        norm=option(("auto", "batch", "none", "spectral"), "the discriminator's normalisation; auto: the loss's own"),
        lr=option(float, "learning rate"), beta1=option(float, "Adam's decay of the mean gradient"),
        latent=option(100, "length of the noise vector"),
        width=option(32, "channels of the largest feature map; they double as its side halves"),
        label_smoothing=option(0.0, "the discriminator's target for real images is 1 minus this"),
        n_discriminator=option(int, "discriminator steps per generator step"),
        ema=option(0.99, "decay of the averaged generator, which draws the samples; 0 for none"),
        augment=option("", "augmentations through which the discriminator sees all images, such as translation,cutout"),
        r1=option(0.0, "weight of the penalty on the discriminator's gradient at real images; without batch norm"),
        r1_every=option(16, "discriminator steps from one such penalty to the next"), **run.condition_options(),
    )
    recipe = trainers.recipe(options.loss)
    norm = recipe.norm_with(options.norm, options.r1)
    digits, labels = run.conditioned(data.mnist(size=options.size, directory=options.data), options)
    generator, discriminator = models.dcgan(
        1, options.size, options.latent, options.width, options.upsample, norm, labels)
    betas = None if options.beta1 is None else (options.beta1, 0.999)
    trainer = recipe.trainer(
        generator, discriminator, lr=options.lr, betas=betas, n_discriminator=options.n_discriminator,
        label_smoothing=options.label_smoothing, ema=options.ema, seed=options.seed, augment=options.augment,
        r1=options.r1, r1_every=options.r1_every,
    )
    run.train(trainer, digits, options)


if __name__ == "__main__":
    run.main(main)

# ci: --smoke --upsample deconv --size 32
# ci: --smoke --loss non_saturating --check-finite
# ci: --smoke --loss minimax --check-finite
# ci: --smoke --loss least_squares --check-finite
# ci: --smoke --loss hinge --check-finite
# ci: --smoke --loss hinge_spectral --check-finite
# ci: --smoke --loss wasserstein_clip --check-finite
# ci: --smoke --loss wasserstein_gp --check-finite
# ci: --smoke --loss wasserstein_spectral --check-finite
# ci: --smoke --augment colour,translation,cutout --r1 1 --r1-every 2 --check-finite
# ci: --smoke --conditional labels --width 4
# ci: --smoke --conditional clusters --clusters 3 --width 4
# ci: --smoke --device emulated --batch-size 2 --width 4
