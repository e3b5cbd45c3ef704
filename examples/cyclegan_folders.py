"""CycleGAN between two folders of your own images, in the layout of CycleGAN's data sets.

    python examples/cyclegan_folders.py --data horse2zebra            with trainA/ and trainB/ (and testA/, testB/)
    python examples/cyclegan_folders.py --data maps --channels 1      all in grey
    python examples/cyclegan_folders.py --data maps --generator unet  a U-Net with skip connections, not a ResNet
    python examples/cyclegan_folders.py --data maps --judge multiscale       a discriminator at two scales
    python examples/cyclegan_folders.py --data horse2zebra --size 256 --width 64 --epochs 200 --device cuda

The shorter side of an image is scaled to --size, and the middle square is used. One domain may be grey and the other in
colour; grey images among colour ones are repeated in three channels, and named. The samples show the images in testA
and testB, else valA and valB, else training images. Files that cannot be read are listed and skipped; with --strict,
the first ends the program. Output in
runs/cyclegan_folders/: samples with six rows (A, as B, and back; B, as A, and back), curves, metrics, weights for
examples/translate.py.
"""

from minigan import data, models, report, run, trainers
from minigan.errors import OptionError
from minigan.run import option

SHOWN = 8


def shown_from(options, domains):
    """Up to SHOWN images of each domain, in [-1, 1], from the test folders if there are any."""
    test = data.unseen_domains(options.data, domains, options.size, strict=options.strict)
    print(f"shown: {test[0].source}")
    count = min(SHOWN, *map(len, test))
    return [data.scaled(domain.images[:count]) for domain in test]


def main() -> None:
    """Options, folders, networks, trainer; train."""
    options = run.options(
        __doc__, name="cyclegan_folders", batch_size=1, schedule="half_linear",
        size=option(128, "side of the images in pixels"),
        generator=option(("resnet", "unet"), "without (ResNet) or with skip connections (U-Net)"),
        judge=option(("patch", "multiscale"), "discriminator of patches, or one at two scales"),
        loss=option(("least_squares", "non_saturating", "hinge"), "adversarial loss"),
        norm=option(("instance", "batch"), "normalisation in all networks"),
        upsample=option(("upconv", "deconv"), "up-convolutions or transposed convolutions"),
        width=option(32, "channels of the first layers"), blocks=option(int, "residual blocks of a ResNet"),
        depth=option(int, "halvings of the image in a U-Net"), lr=option(2e-4, "learning rate"),
        lambda_cycle=option(10.0, "weight of the cycle losses: a translation there and back should restore the image"),
        lambda_identity=option(float, "weight of the identity losses: images of the target domain should not change"),
        pool=option(50, "older generated images that each discriminator sees again; 0 for none"),
        augment=option("", "augmentations through which both discriminators see images, such as translation,cutout"),
        ema=option(0.0, "decay of the averaged generators, which draw the samples; 0 for none"),
        channels=option(("auto", "1", "3"), "of the images: 1 for grey, 3 for colour; auto: 3 for a domain with any "
                        "image in colour, else 1"),
        strict=option(False, "end at the first file that cannot be read"),
    )
    if options.data is None:
        raise OptionError("--data is missing; give the folder that holds trainA and trainB")
    kind = options.channels if options.channels == "auto" else int(options.channels)
    domains = data.domain_folders(options.data, "train", options.size, (kind, kind), strict=options.strict)
    a, b = (domain.images.shape[1] for domain in domains)

    def generator(inputs, outputs):
        if options.generator == "unet":
            depth = options.depth or models.depth_for(options.size)
            return models.UnetGenerator(inputs, outputs, options.width, depth, options.norm, options.upsample)
        blocks = models.blocks_for(options.size) if options.blocks is None else options.blocks
        return models.ResnetGenerator(inputs, outputs, options.width, blocks, options.norm, options.upsample)

    def judge(channels):
        layers = models.layers_for(options.size)
        if options.judge == "multiscale":
            return models.MultiScaleDiscriminator(channels, options.width, layers, 2, options.norm)
        return models.PatchDiscriminator(channels, options.width, layers, options.norm)

    trainer = trainers.CycleGAN(
        generator(a, b), generator(b, a), judge(a), judge(b), options.loss, options.lr,
        lambda_cycle=options.lambda_cycle, lambda_identity=options.lambda_identity, pool=options.pool, ema=options.ema,
        seed=options.seed, augment=options.augment)
    batches = data.Unpaired(*domains, batch_size=options.batch_size, seed=options.seed).to(options.device)
    shown = shown_from(options, domains)
    run.fit(trainer, batches, options, *domains, reals=report.rows(*shown),
            sheet=lambda: report.there_and_back(trainer, *shown),
            caption=report.there_and_back_rows(*(domain.name for domain in domains)))


if __name__ == "__main__":
    run.main(main)

# ci: --smoke --size 32 --width 8 --data pictures
# ci: --smoke --size 32 --width 8 --data pictures --generator unet --judge multiscale --augment colour,cutout
