"""Train a DCGAN on MNIST digits and watch it learn to write.

    python examples/dcgan_mnist.py                       the default run: a few minutes on two CPU cores
    python examples/dcgan_mnist.py --upsample deconv     transposed convolutions instead of up-convolutions
    python examples/dcgan_mnist.py --device cuda         on a GPU

Leaves runs/dcgan_mnist/: sample grids from fixed noise (one per epoch), loss curves, metrics, weights, the options.
"""

from minigan import data, models, run, trainers


def main() -> None:
    """Options, data, networks, trainer, go."""
    options = run.options(
        __doc__, name="dcgan_mnist", size=(32, 28), upsample=("upconv", "deconv"), loss=("non_saturating", "minimax"),
        lr=2e-4, beta1=0.5, latent=100, width=32, label_smoothing=0.0, n_discriminator=1,
        ema=0.99,
    )
    digits = data.mnist(size=options.size, directory=options.data)
    generator, discriminator = models.dcgan(1, options.size, options.latent, options.width, options.upsample)
    trainer = trainers.GAN(
        generator, discriminator, options.loss, options.lr, (options.beta1, 0.999), options.n_discriminator,
        options.label_smoothing, options.ema, options.seed,
    )
    run.train(trainer, digits, options)


if __name__ == "__main__":
    run.main(main)
