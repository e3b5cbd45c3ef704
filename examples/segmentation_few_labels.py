"""Segment scenes with five labelled images, a thousand unlabelled ones and a thousand masks of other scenes.

    python examples/segmentation_few_labels.py                   600 steps: a minute or two on two CPU cores
    python examples/segmentation_few_labels.py --labels 20       with more labels, unlabelled images help less
    python examples/segmentation_few_labels.py --lambda-cycle 10 too strong: masks encode the scene
    python examples/segmentation_few_labels.py --device cuda     on a GPU

A CycleGAN between images and masks: one generator segments, the other paints a scene for a mask. From unlabelled images
and masks they learn the look of scenes and outlines; the five pairs, in an L1 loss, teach which side of an outline is
an object. For comparison, the same segmenter is trained as long on the five pairs alone. Score: intersection over union
with the exact masks of 200 unseen scenes.
Output in runs/segmentation_few_labels/: samples with four rows (unseen scenes, exact masks, the CycleGAN's masks, and
scenes painted for these), labels_only.png (masks of the other segmenter), scores.json, curves, metrics, weights.
"""

import numpy as np

import minigan as mg
from minigan import data, losses, models, optim, report, run, trainers
from minigan.run import option

STEPS = 600
CAPTION = "Rows: images not trained on, their exact masks, the masks predicted, images painted from these masks."
SHOWN, TESTED = 12, 200


def segmenter(options):
    """A generator from images to masks; all have the same initial weights."""
    mg.seed(options.seed)
    return models.ResnetGenerator(3, 1, options.width, options.blocks)


def labels_only(pairs, steps, options, test):
    """Masks of test images by a segmenter trained on the labelled pairs alone, with L1, for as many steps."""
    network = segmenter(options)
    optimizer = optim.Adam(network.parameters(), options.lr, (0.5, 0.999),
                           schedule=optim.schedule(options.schedule, steps))
    batches = data.paired(*pairs, batch_size=min(options.batch_size, len(pairs[0])), seed=options.seed)
    for _ in range(steps):
        images, masks = (mg.tensor(batch, device=options.device) for batch in next(batches))
        optimizer.minimize(losses.l1(network(images), masks))
    with mg.no_grad():
        return network.eval()(mg.tensor(test, device=options.device)).numpy()


def main() -> None:
    """Options, scenes, networks, trainer; train; train on labels alone; score."""
    options = run.options(
        __doc__, name="segmentation_few_labels", batch_size=4, schedule="half_linear", default_steps=STEPS,
        labels=option(5, "labelled images"), images=option(1000, "unlabelled images, and masks of other scenes"),
        size=option(32, "side of the images in pixels"), width=option(16, "channels of the first layers"),
        blocks=option(3, "residual blocks of a generator"), lr=option(4e-4, "learning rate"),
        lambda_cycle=option(1.0, "weight of the cycle losses: a translation there and back should restore the image"),
        lambda_supervised=option(20.0, "weight of the mean absolute difference from the labelled masks"),
        pool=option(50, "older generated images that each discriminator sees again; 0 for none"),
        ema=option(0.99, "decay of the averaged generators, which draw the samples; 0 for none"),
    )
    images, masks = data.scenes(options.images, options.size, seed=options.seed)
    _, others = data.scenes(options.images, options.size, seed=options.seed + 1)
    test, truth = data.scenes(TESTED, options.size, "test", options.seed)
    pairs = images.images[: options.labels], masks.images[: options.labels]
    layers = models.layers_for(options.size)
    generators = segmenter(options), models.ResnetGenerator(1, 3, options.width, options.blocks)
    judges = [models.PatchDiscriminator(channels, options.width, layers) for channels in (3, 1)]
    trainer = trainers.SemiSupervised(
        *generators, *judges, pairs, options.lambda_supervised, lr=options.lr, lambda_cycle=options.lambda_cycle,
        lambda_identity=0.0, pool=options.pool, ema=options.ema, seed=options.seed)
    batches = data.Unpaired(images, others, batch_size=options.batch_size, seed=options.seed)
    unseen, exact = data.scaled(test.images), data.scaled(truth.images)
    reals = report.rows(unseen[:SHOWN], exact[:SHOWN])

    def sheet():
        drawn = trainer.translate(unseen[:SHOWN])
        painted = trainer.translate(drawn, "ba")
        return lambda: report.rows(unseen[:SHOWN], exact[:SHOWN], drawn, painted)

    folder = run.fit(trainer, batches, options, images, others, reals=reals, sheet=sheet, caption=CAPTION)
    from minigan.metrics import iou

    alone = np.asarray(labels_only(pairs, trainer.steps, options, unseen))
    masks = report.rows(unseen[:SHOWN], exact[:SHOWN], alone[:SHOWN])
    run.write(folder, "labels_only.png", lambda path: report.save_png(masks, path, scale=2))
    scores = {"iou": iou(trainer.translate(unseen), exact), "iou_labels_only": iou(alone, exact)}
    print(f"IoU on {TESTED} unseen scenes, {options.labels} labels: {scores['iou']:.3f}; trained on the labels alone: "
          f"{scores['iou_labels_only']:.3f}")
    run.write_scores(folder, scores)


if __name__ == "__main__":
    run.main(main)
