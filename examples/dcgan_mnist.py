"""Train a DCGAN on MNIST digits and watch it learn to write.

    python examples/dcgan_mnist.py                       the default run: a few minutes on two CPU cores
    python examples/dcgan_mnist.py --loss hinge_spectral another game: see --help for all of them
    python examples/dcgan_mnist.py --upsample deconv     transposed convolutions instead of up-convolutions
    python examples/dcgan_mnist.py --device cuda         on a GPU

Leaves runs/dcgan_mnist/: sample grids from fixed noise (one per epoch), loss curves, metrics, weights, the options.
"""

from minigan import data, models, run, trainers


def main() -> None:
    """Options, data, networks, trainer, go."""
    options = run.options(
        __doc__, name="dcgan_mnist", size=(32, 28), upsample=("upconv", "deconv"), loss=tuple(trainers.RECIPES),
        norm=("auto", "batch", "none", "spectral"), lr=float, beta1=float, latent=100, width=32, label_smoothing=0.0,
        n_discriminator=int, ema=0.99, score_every=int,
    )
    recipe = trainers.recipe(options.loss)
    norm = recipe.norm if options.norm == "auto" else options.norm
    digits = data.mnist(size=options.size, directory=options.data)
    generator, discriminator = models.dcgan(1, options.size, options.latent, options.width, options.upsample, norm)
    betas = None if options.beta1 is None else (options.beta1, 0.999)
    trainer = recipe.trainer(
        generator, discriminator, lr=options.lr, betas=betas, n_discriminator=options.n_discriminator,
        label_smoothing=options.label_smoothing, ema=options.ema, seed=options.seed,
    )
    run.train(trainer, digits, options)


if __name__ == "__main__":
    run.main(main)
