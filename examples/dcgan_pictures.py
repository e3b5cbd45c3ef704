"""Train a DCGAN on small pictures in colour: emojis, or the images of a folder of yours.

    python examples/dcgan_pictures.py                              OpenMoji, 64 pixels: ten minutes on two CPU cores
    python examples/dcgan_pictures.py --groups smileys-emotion,animals-nature    only these
    python examples/dcgan_pictures.py --kind line                  ink drawings
    python examples/dcgan_pictures.py --conditional clusters --clusters 20     a row of the grid for similar pictures
    python examples/dcgan_pictures.py --data photographs --fit pad            your own images, of any size and kind
    python examples/dcgan_pictures.py --device cuda --size 128 --budget 1h    on a GPU

The emojis come with `pip install -e ".[pictures]"`. Of your own images the shorter side is scaled to --size and the
middle square used; with --fit pad, the longer side, and the rest is white. Files that cannot be read are listed and
skipped. Output in runs/dcgan_pictures/: sample grids from fixed noise, loss curves, metrics, weights, options.
"""

from minigan import data, models, run, trainers
from minigan.run import option


def pictures(options):
    """The images to train on; with --smoke, as many emojis as a batch has."""
    if options.data is None:
        return data.openmoji(options.size, options.kind, options.variants, groups=options.groups,
                             limit=options.batch_size if options.smoke else None)
    channels = 1 if options.kind == "grey" else "auto"
    return data.image_folder(options.data, options.size, channels, options.strict, options.fit, recursive=True)


def names(text):
    """An argparse type: names with commas between them."""
    return text.split(",")


def main() -> None:
    """Options, data, networks, trainer; train."""
    options = run.options(
        __doc__, name="dcgan_pictures", batch_size=32, default_steps=2500,
        size=option(64, "side of the images in pixels"),
        kind=option(("colour", "line", "grey"), "emojis in colour, as ink or grey; grey also makes your images grey"),
        groups=option(None, f"groups of emojis, with commas between them; all are {', '.join(data.OPENMOJI_GROUPS)}",
                      kind=names),
        variants=option(False, "also the variants of emojis in other skin tones"),
        fit=option(("crop", "pad"), "your own images: the middle square, or the whole image on a white square"),
        strict=option(False, "end at the first of your own images that cannot be read"),
        upsample=option(("upconv", "deconv"), "up-convolutions or transposed convolutions"),
        loss=option((*trainers.TUNED, *trainers.RECIPES), "losses of the two networks, with their published settings; "
                    "tuned: hinge_spectral at a higher learning rate, which draws the best pictures in ten minutes"),
        norm=option(("auto", "batch", "none", "spectral"), "the discriminator's normalisation; auto: the loss's own"),
        lr=option(float, "learning rate"), beta1=option(float, "Adam's decay of the mean gradient"),
        latent=option(100, "length of the noise vector"),
        width=option(32, "channels of the largest feature map; they double as its side halves"),
        label_smoothing=option(0.0, "the discriminator's target for real images is 1 minus this"),
        n_discriminator=option(int, "discriminator steps per generator step"),
        ema=option(0.99, "decay of the averaged generator, which draws the samples; 0 for none"),
        augment=option("", "augmentations through which the discriminator sees all images, such as translation,cutout"),
        r1=option(0.0, "weight of the penalty on the discriminator's gradient at real images; without batch norm"),
        **run.condition_options(),
    )
    recipe = trainers.recipe(options.loss)
    norm = recipe.norm_with(options.norm, options.r1)
    images, labels = run.conditioned(pictures(options), options)
    generator, discriminator = models.dcgan(images.images.shape[1], options.size, options.latent, options.width,
                                            options.upsample, norm, labels)
    betas = None if options.beta1 is None else (options.beta1, 0.999)
    trainer = recipe.trainer(
        generator, discriminator, lr=options.lr, betas=betas, n_discriminator=options.n_discriminator,
        label_smoothing=options.label_smoothing, ema=options.ema, seed=options.seed, augment=options.augment,
        r1=options.r1,
    )
    run.train(trainer, images, options)


if __name__ == "__main__":
    run.main(main)

# ci: --smoke --batch-size 5 --width 4
# ci: --smoke --batch-size 2 --width 4 --size 32 --data pictures --fit pad
# ci: --smoke --batch-size 64 --width 4 --size 32 --conditional clusters --clusters 3 --augment colour --r1 1
