"""Colour grey pictures with unpaired emojis (CycleGAN), and score them by the true partners, which no network has seen.

    python examples/cyclegan_pictures.py                             grey <-> colour, 3,000 steps: minutes on one core
    python examples/cyclegan_pictures.py --domains ink-colour        ink drawings <-> colour
    python examples/cyclegan_pictures.py --domains animals-vehicles  what cannot succeed: shapes that are far apart
    python examples/cyclegan_pictures.py --generator plain           two U-Nets, which must learn light, too, and fail
    python examples/cyclegan_pictures.py --device cuda --size 128 --width 64 --steps 20000    on a GPU

The emojis come with `pip install -e ".[pictures]"`. The two domains share no picture: one half of the training
pictures is seen in grey (or ink) only, the other in colour only. Test pictures are known in both, and scored beside
what needs no learning: the picture as it is, one mean colour, for grey ones their tint, and the mean colour of each
grey level. PSNR, SSIM, colourfulness, the Frechet distance to the true pictures in features of an autoencoder trained
on the training pictures of both, and the difference of pictures there and back. Output in runs/cyclegan_pictures/:
samples with six rows (grey, coloured, and back; colour, in grey, and back), curves, metrics, weights, scores.json.
"""

import numpy as np

from minigan import data, models, report, run, trainers
from minigan.errors import require
from minigan.run import option

SHOWN = 12


def pictures(options, split):
    """Both domains: of other pictures to train on, of the same ones to test on; or two groups, which have one part."""
    limit = {"train": 64, "test": 40}[split] if options.smoke else None
    if options.domains == "animals-vehicles":
        return [data.openmoji(options.size, groups=name, limit=limit) for name in options.domains.split("-")]
    return data.openmoji_domains((options.domains.split("-")[0].replace("ink", "line"), "colour"), options.size, split,
                                 limit)


def rgb(domain):
    """Its pixels, uint8 (N, 3, H, W)."""
    return np.repeat(domain.images, 3 // domain.images.shape[1], 1)


def without_learning(domains, test, i):
    """What each way of translating test pictures of domain i without a network makes of them."""
    known, sources = rgb(domains[1 - i]), data.scaled(rgb(test[i]))
    mean = data.scaled(known.mean((0, 2, 3), keepdims=True))
    made = {"as it is": sources, "mean colour": np.broadcast_to(mean, sources.shape)}
    if i == 0 and (grey := test[0].images).shape[1] == 1:
        from minigan import metrics
        made |= {"tinted": metrics.mean_coloured(grey, known), "by grey level": metrics.level_coloured(grey, known)}
    return made if i == 0 else made | {"without colour": sources.mean(1, keepdims=True).repeat(3, 1)}


def score(trainer, domains, test, folder):
    """Print and save the scores of both ways; of two groups, without true partners, Frechet distances and shapes."""
    from minigan import metrics

    features = metrics.picture_features(np.concatenate([*map(rgb, domains)]))
    scores, paired = {}, len(test[0]) == len(test[1]) and np.array_equal(test[0].codes, test[1].codes)
    for i, way in enumerate(("ab", "ba")):
        sources, truth = data.scaled(rgb(test[i])), rgb(test[1 - i])
        there = trainer.translate(sources, way)
        print(f"{test[i].source} -> {domains[1 - i].source}")
        for name, images in {"translated": there, **without_learning(domains, test, i)}.items():
            scores[f"{way}, {name}"] = row = (
                metrics.picture_scores(images, truth, features) if paired else
                {"frechet": metrics.frechet(features(images), features(rgb(domains[1 - i]))),
                 "shape kept": metrics.iou(*(-x.min(1, keepdims=True) for x in (images, sources)), -0.8)})  # not white
            print(f"    {name:<14} " + "  ".join(f"{measure} {value:.3f}" for measure, value in row.items()))
        scores[f"{way}, there and back"] = {"l1": metrics.l1(trainer.translate(there, "ab" if i else "ba"), sources)}
        print(f"    there and back l1 {scores[f'{way}, there and back']['l1']:.3f}")
    run.write_scores(folder, scores)


def main() -> None:
    """Options, pictures, networks, trainer; train; score."""
    options = run.options(
        __doc__, name="cyclegan_pictures", batch_size=4, schedule="half_linear", default_steps=3000,
        size=option(64, "side of the images in pixels"),
        domains=option(("grey-colour", "ink-colour", "animals-vehicles"), "what is translated into what, and back"),
        generator=option(("chroma", "plain"), "between grey and colour: one that only adds colours, whose light is "
                         "that of the grey picture, and luma on the way back; or plain U-Nets, as for others"),
        loss=option(("least_squares", "non_saturating", "hinge"), "adversarial loss"),
        norm=option(("batch", "instance", "none"), "normalisation in the generators"),
        width=option(16, "channels of the first layers"), depth=option(4, "halvings of the image in the U-Nets"),
        layers=option(2, "strided layers of the discriminators: 1 sees patches of 16 pixels, 2 of 34, 3 of 70"),
        lr=option(1e-3, "learning rate"),
        lambda_cycle=option(10.0, "weight of the cycle losses: a translation there and back should restore the image"),
        lambda_identity=option(0.0, "weight of the identity losses: images of the target domain should not change"),
        pool=option(50, "older generated images that each discriminator sees again; 0 for none"),
        augment=option("", "augmentations through which both discriminators see images, such as translation,cutout"),
        ema=option(0.99, "decay of the averaged generators, which draw the samples; 0 for none"),
    )
    require("scipy.ndimage", "the score")  # fails before the training, not after it
    domains, test = (pictures(options, split) for split in ("train", "test"))
    there, back = (models.UnetGenerator(3, 3, options.width, options.depth, options.norm) for _ in domains)
    if options.domains == "grey-colour" and options.generator == "chroma":
        there, back = models.Chroma(there), models.Luma()
    elif options.domains != "animals-vehicles":
        back = models.Grey(back)
    judges = [models.PatchDiscriminator(3, options.width, options.layers, "none") for _ in domains]
    trainer = trainers.CycleGAN(
        there, back, *judges, options.loss, options.lr, lambda_cycle=options.lambda_cycle,
        lambda_identity=options.lambda_identity, pool=options.pool, ema=options.ema, seed=options.seed,
        augment=options.augment)
    batches = data.Unpaired(*map(rgb, domains), batch_size=options.batch_size, seed=options.seed).to(options.device)
    shown = [data.scaled(rgb(part.spread(min(SHOWN, *map(len, test))))) for part in test]
    folder = run.fit(trainer, batches, options, *domains, reals=report.rows(*shown),
                     sheet=lambda: report.there_and_back(trainer, *shown),
                     caption=report.there_and_back_rows(*options.domains.split("-")))
    score(trainer, domains, test, folder)


if __name__ == "__main__":
    run.main(main)

# ci: --smoke --size 32 --width 4 --depth 3
# ci: --smoke --size 32 --width 4 --depth 3 --domains animals-vehicles
