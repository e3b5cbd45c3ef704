"""Compress pictures with a generative codec: a small grid of whole numbers, and a decoder that draws from it.

    python examples/codec.py                                OpenMoji, 64 pixels: some minutes on two CPU cores
    python examples/codec.py --lambda-gan 0                 the same networks, with the squared error alone
    python examples/codec.py --code 4                       half the rate
    python examples/codec.py --data photographs             your own images
    python examples/codec.py --device cuda --width 60 --blocks 9 --steps 20000    on a GPU
    python -m minigan codec compress runs/codec picture.png picture.mgc
    python -m minigan codec decompress runs/codec picture.mgc again.png

Needs `pip install -e ".[codec]"`. Scores on pictures that were not trained on, beside JPEG and WebP of about as many
bytes: sizes, PSNR, SSIM, and the Frechet distance in features of an autoencoder that is trained on the training
pictures. Output in runs/codec/: samples with two rows (pictures, and as they come back), comparison.png (the
originals, ours, WebP, JPEG), curves, metrics, weights, scores.json, and prior.safetensors, the statistics of codes.
"""

from dataclasses import replace

import numpy as np

from minigan import data, models, report, run, trainers
from minigan.errors import DataError, require
from minigan.run import codec, option

SHOWN, LEAST = 12, 80


def pictures(options):
    """Pictures to train on and to test on; of a folder, every tenth picture is for the test."""
    if options.data is None:
        few = (80, 24) if options.smoke else (None, None)
        return [data.openmoji(options.size, split=split, limit=limit)
                for split, limit in zip(("train", "test"), few, strict=True)]
    whole = data.image_folder(options.data, options.size, "auto", options.strict, recursive=True)
    held = np.arange(len(whole)) % 10 == 9
    if len(whole) < LEAST:
        raise DataError(f"{options.data}: {len(whole)} images; at least {LEAST} are needed: every tenth is for "
                        "the test, and the others also for the features of the Frechet distance")
    return [replace(whole, images=whole.images[rows]) for rows in (~held, held)]


def score(saved, train, test, folder):
    """Compress the test pictures; print and save sizes in bytes and scores, beside JPEG and WebP of as many bytes."""
    from minigan import metrics

    files = [saved.compress(image.transpose(1, 2, 0)) for image in test]
    ours = np.stack([saved.decompress(file) for file in files]).transpose(0, 3, 1, 2)
    bytes_each = np.array([len(file) for file in files])
    results = {"ours": metrics.Compressed(ours, bytes_each, bytes_each - codec.HEADER, 0, 1)}
    for kind in ("WEBP", "JPEG"):
        results[kind] = metrics.compressed_to(kind, test, results["ours"].payload.mean())
    features, scores, area = metrics.picture_features(train), {}, test[0, 0].size
    true = features(test)
    for name, (images, whole, payload, quality, shrink) in results.items():
        scores[name] = {"bytes": float(whole.mean()), "payload": float(payload.mean()),
                        "bits_per_pixel": float(8 * payload.mean() / area), "psnr": metrics.psnr(images, test),
                        "ssim": metrics.ssim(images, test), "frechet": metrics.frechet(features(images), true),
                        **({} if name == "ours" else {"quality": quality, "shrink": shrink})}
        print(f"{name:<5} " + "  ".join(f"{measure} {value:.3f}" for measure, value in scores[name].items()))
    run.write_scores(folder, scores)
    shown = np.linspace(0, len(test) - 1, min(SHOWN, len(test))).astype(int)
    sheet = report.rows(*(data.scaled(images[shown]) for images in (test, *(row.images for row in results.values()))))
    run.write(folder, "comparison.png", lambda path: report.save_png(sheet, path, 2))


def main() -> None:
    """Options, pictures, networks, trainer; train; score."""
    options = run.options(
        __doc__, name="codec", batch_size=8, schedule="half_linear", default_steps=1200,
        size=option((64, 32, 128, 256), "side of the pictures in pixels"),
        code=option(8, "numbers at each place of the grid: the rate is proportional to it"),
        levels=option(5, "values of each number"), halvings=option(3, "halvings from the picture to the grid"),
        width=option(16, "channels of the first layers"), blocks=option(2, "residual blocks of the decoder"),
        loss=option(("least_squares", "non_saturating", "hinge"), "adversarial loss"), lr=option(1e-3, "learning rate"),
        lambda_mse=option(10.0, "weight of the mean squared error"),
        lambda_gan=option(1.0, "weight of the adversarial loss; 0 for none"),
        strict=option(False, "end at the first of your own images that cannot be read"),
    )
    require("scipy.ndimage", "the score")  # fails before the training, not after it
    require("constriction", "the entropy coder")
    train, test = pictures(options)
    channels = train.images.shape[1]
    networks = models.codec(channels, options.width, options.code, options.levels, options.halvings, options.blocks)
    judge = models.PatchDiscriminator(channels, options.width, models.layers_for(options.size), "none")
    trainer = trainers.Codec(*networks, judge, options.loss, options.lr, lambda_mse=options.lambda_mse,
                             lambda_gan=options.lambda_gan)
    batches = data.Loader(train.images, options.batch_size, options.seed).to(options.device)
    shown = data.scaled(test.spread(SHOWN).images)

    def sheet():
        drawn = trainer.translate(shown)
        return lambda: report.rows(shown, drawn)

    folder = run.fit(trainer, batches, options, train,
                     reals=report.rows(shown), sheet=sheet, caption="Rows: pictures; as they come back.")
    score(codec.save_prior(folder, *networks, train.images), train.images, test.images, folder)


if __name__ == "__main__":
    run.main(main)

# ci: --smoke --width 4 --code 2
