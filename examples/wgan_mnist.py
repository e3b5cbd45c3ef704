"""Train a Wasserstein GAN on MNIST digits and watch the estimated distance fall.

    python examples/wgan_mnist.py                         gradient penalty (Gulrajani et al., 2017)
    python examples/wgan_mnist.py --lipschitz clip        clipped weights (Arjovsky et al., 2017), many at the bound
    python examples/wgan_mnist.py --lipschitz spectral    spectral norm (Miyato et al., 2018)
    python examples/wgan_mnist.py --device cuda           on a GPU

Output in runs/wgan_mnist/: sample grids from fixed noise (one per epoch), curves with the critic's estimate of the
Wasserstein distance, metrics, weights, options.
"""

from minigan import data, models, run, trainers
from minigan.run import option


def main() -> None:
    """Options, data, networks, trainer; train."""
    options = run.options(
        __doc__, name="wgan_mnist", scored=True,
        lipschitz=option(("gp", "clip", "spectral"), "bound of the critic's slope: a gradient penalty, clipped "
                             "weights, or spectral norm"),
        size=option((32, 28), "side of the images in pixels"),
        upsample=option(("upconv", "deconv"), "up-convolutions or transposed convolutions"),
        n_critic=option(5, "critic steps per generator step"),
        n_start=option(int, "critic steps in each of the first 25 generator steps and in every 500th; 100 in the "
                           "paper's code"),
        latent=option(100, "length of the noise vector"),
        width=option(32, "channels of the largest feature map; they double as its side halves"),
        ema=option(0.99, "decay of the averaged generator, which draws the samples; 0 for none"),
        augment=option("", "augmentations through which the critic sees all images, such as translation,cutout"),
    )
    digits = data.mnist(size=options.size, directory=options.data)
    norm = trainers.recipe(f"wasserstein_{options.lipschitz}").norm
    networks = models.dcgan(1, options.size, options.latent, options.width, options.upsample, norm)
    trainer = trainers.WGAN(
        *networks, options.lipschitz, n_critic=options.n_critic, n_start=options.n_start, ema=options.ema,
        seed=options.seed, augment=options.augment)
    run.train(trainer, digits, options)


if __name__ == "__main__":
    run.main(main)

# ci: --smoke --lipschitz gp
# ci: --smoke --lipschitz clip
# ci: --smoke --lipschitz spectral --augment translation,cutout
