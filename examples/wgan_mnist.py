"""Train a Wasserstein GAN on MNIST digits and watch the distance fall.

    python examples/wgan_mnist.py                         gradient penalty (Gulrajani et al., 2017)
    python examples/wgan_mnist.py --lipschitz clip        clipped weights (Arjovsky et al., 2017): see them saturate
    python examples/wgan_mnist.py --lipschitz spectral    spectral norm (Miyato et al., 2018)
    python examples/wgan_mnist.py --device cuda           on a GPU

Leaves runs/wgan_mnist/: sample grids from fixed noise (one per epoch), curves with the critic's estimate of the
Wasserstein distance, metrics, weights, the options.
"""

from minigan import data, models, run, trainers


def main() -> None:
    """Options, data, networks, trainer, go."""
    options = run.options(
        __doc__, name="wgan_mnist", lipschitz=("gp", "clip", "spectral"), size=(32, 28), upsample=("upconv", "deconv"),
        n_critic=5, n_start=int, latent=100, width=32, ema=0.99, score_every=int,
    )
    digits = data.mnist(size=options.size, directory=options.data)
    norm = trainers.recipe(f"wasserstein_{options.lipschitz}").norm
    networks = models.dcgan(1, options.size, options.latent, options.width, options.upsample, norm)
    trainer = trainers.WGAN(
        *networks, options.lipschitz, n_critic=options.n_critic, n_start=options.n_start, ema=options.ema,
        seed=options.seed)
    run.train(trainer, digits, options)


if __name__ == "__main__":
    run.main(main)
