"""Turn smooth hills into landscapes of blocks and back, with unpaired images (CycleGAN); measure what it has learnt.

    python examples/cyclegan_voxels.py                        1,500 steps: some six minutes on two CPU cores
    python examples/cyclegan_voxels.py --photos FOLDER        your photographs in the place of the smooth hills
    python examples/cyclegan_voxels.py --device cuda --size 128 --width 64 --blocks 6 --steps 20000    on a GPU

The hills of `data.voxels` are known in both kinds, but no network sees a pair. Scores on unseen hills, beside those of
the hills as they are: the PSNR against the true blocks, which the right colours raise, and block_edges, how much small,
sharp detail there is, beside that of true blocks, which takes blocks. Output in runs/cyclegan_voxels/: samples with six
rows (unseen hills, as blocks, and back; blocks, as hills, and back), scores.json, curves, metrics, weights, options.
"""

from minigan import data, models, report, run, trainers
from minigan.run import option

SHOWN, TESTED = 12, 64


def score(trainer, hills, blocks, folder):
    """Print and save scores of unseen hills as blocks; without true partners, the share of edges only."""
    from minigan import metrics

    images = data.scaled(hills.images)
    drawn = trainer.translate(images, "ab")
    edges = {"blocks": data.block_edges(drawn), "as they are": data.block_edges(images),
             "true blocks": data.block_edges(blocks.images)}
    scores = {f"block_edges, {name}": value for name, value in edges.items()}
    if isinstance(hills, data.Voxels):
        truth = data.scaled(hills.partner().images)
        for name, result in (("blocks", drawn), ("as they are", images)):
            scores |= {f"psnr, {name}": metrics.psnr(result, truth), f"ssim, {name}": metrics.ssim(result, truth)}
        edges["true blocks"] = scores["block_edges, true blocks"] = data.block_edges(truth)
    gained = (edges["blocks"] - edges["as they are"]) / (edges["true blocks"] - edges["as they are"])
    print("\n".join(f"{name:<28} {value:.4g}" for name, value in scores.items()))
    print(f"of the edges that blocks have and the originals lack, {gained:.0%} are drawn")
    run.write_scores(folder, {**scores, "edges_drawn": gained})


def main() -> None:
    """Options, landscapes, networks, trainer; train; score."""
    options = run.options(
        __doc__, name="cyclegan_voxels", batch_size=2, schedule="half_linear", default_steps=1500,
        size=option(64, "side of the images in pixels"), count=option(400, "landscapes of each kind"),
        photos=option(None, "a folder of your own images to learn from in the place of the smooth hills", kind=str),
        loss=option(("least_squares", "non_saturating", "hinge"), "adversarial loss"),
        norm=option(("instance", "batch", "none"), "normalisation in the generators"),
        width=option(16, "channels of the first layers"), blocks=option(3, "residual blocks of a generator"),
        lr=option(4e-4, "learning rate"),
        lambda_cycle=option(5.0, "weight of the cycle losses: a translation there and back should restore the image"),
        lambda_identity=option(0.0, "weight of the identity losses: images of the target domain should not change"),
        pool=option(50, "older generated images that each discriminator sees again; 0 for none"),
        augment=option("", "augmentations through which both discriminators see images, such as translation,cutout"),
        ema=option(0.99, "decay of the averaged generators, which draw the samples; 0 for none"),
    )
    kinds = ("smooth", "blocks")
    domains = [data.voxels(kind, options.count, options.size, seed=options.seed) for kind in kinds]
    test = [data.voxels(kind, TESTED, options.size, "test", options.seed) for kind in kinds]
    if options.photos:
        photos = data.image_folder(options.photos, options.size, 3, recursive=True)
        domains[0] = test[0] = photos
    generators = [models.ResnetGenerator(3, 3, options.width, options.blocks, options.norm) for _ in kinds]
    judges = [models.PatchDiscriminator(3, options.width, models.layers_for(options.size), "none") for _ in kinds]
    trainer = trainers.CycleGAN(
        *generators, *judges, options.loss, options.lr, lambda_cycle=options.lambda_cycle,
        lambda_identity=options.lambda_identity, pool=options.pool, ema=options.ema, seed=options.seed,
        augment=options.augment)
    batches = data.Unpaired(*domains, batch_size=options.batch_size, seed=options.seed).to(options.device)
    shown = [data.scaled(part.images[: min(SHOWN, *map(len, test))]) for part in test]
    folder = run.fit(trainer, batches, options, *domains, reals=report.rows(*shown),
                     sheet=lambda: report.there_and_back(trainer, *shown),
                     caption=report.there_and_back_rows(*(domain.name for domain in domains)))
    score(trainer, test[0].take(TESTED), test[1], folder)


if __name__ == "__main__":
    run.main(main)

# ci: --smoke --size 32 --count 4 --width 4 --blocks 1
# ci: --smoke --size 32 --count 4 --width 4 --blocks 1 --photos pictures
