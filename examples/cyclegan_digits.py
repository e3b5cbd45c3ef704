"""Translate digits between MNIST and USPS (digits from envelopes) with unpaired images (CycleGAN).

    python examples/cyclegan_digits.py                        1,000 steps: some minutes on two CPU cores
    python examples/cyclegan_digits.py --labels usps          use USPS's labels, so that translations keep their digit
    python examples/cyclegan_digits.py --labels usps --box 28 --width 16 --lr 0.0004 --lambda-identity 0 --steps 4000
                                                              the settings of docs/translation.md
    python examples/cyclegan_digits.py --lambda-cycle 0       without cycle losses, labels get lost
    python examples/cyclegan_digits.py --size 128 --colour    enlarged to 128 x 128 x 3, for a GPU
    python examples/cyclegan_digits.py --device cuda          on a GPU

Output in runs/cyclegan_digits/: samples with six rows (MNIST, as USPS, and back; USPS, as MNIST, and back), curves,
metrics, weights, scores.json. With --labels usps, USPS is the first domain and MNIST the second.
`python examples/translate.py runs/cyclegan_digits FILE...` translates your own pictures.
"""

from minigan import data, models, report, run, trainers
from minigan.errors import OptionError, require
from minigan.run import option

STEPS = 1000
FEW = 5000  # enlarged images of each domain, by default: 240 MB at 128 x 128 x 3


def digits(split, options):
    """MNIST and USPS in one size; the domain whose labels are used is first."""
    domains = data.mnist(32, split, options.data, holdout=True), data.usps(32, split, options.data, box=options.box)
    if options.images or options.size > 32:
        domains = tuple(domain.spread(options.images or FEW) for domain in domains)
    if options.size > 32 or options.colour:
        domains = tuple(data.enlarged(domain, options.size, 3 if options.colour else 1) for domain in domains)
    return domains[::-1] if options.labels == "usps" else domains


def reader_of(domain, options):
    """A classifier of the domain whose labels are used; it is trained further with the generators."""
    from minigan import metrics
    from minigan.metrics.classifier import Settings

    if options.size > 32 or options.colour:
        raise OptionError("--labels: the classifier reads grey digits of 32 x 32 pixels; omit --size and --colour")
    print(f"a classifier of {domain.name} is trained first, for about a minute", flush=True)
    return metrics.train_classifier(domain, Settings(images_seen=400 if options.smoke else 30_000)).train()


def score(trainer, domains, test, options, folder):
    """Print and save how classifiers read the translations."""
    from minigan import metrics
    from minigan.metrics.classifier import Settings

    print("scoring: six classifiers of digits are trained, for some minutes; --no-score skips this", flush=True)
    few, seen = (100, 400) if options.smoke else (10_000, 30_000)
    judge = metrics.DigitTranslation(*domains, *(t.spread(few) for t in test), translated=few,
                                     settings=Settings(images_seen=seen))
    scores, names = judge.baselines(), [domain.name for domain in domains]
    for way in ("ab", "ba") if options.labels == "none" else ("ab",):  # not ba, whose score the labels would bias
        title = "->".join(names if way == "ab" else names[::-1])
        scores[way] |= judge(way, lambda x, way=way: trainer.translate(x, way),
                             lambda x, way=way: trainer.translate(x, way[::-1]))
        print(f"{title}: " + ", ".join(f"{name} {value:.3f}" for name, value in scores[way].items()))
    run.write_scores(folder, scores)


def main() -> None:
    """Options, digits, networks, trainer; train; score."""
    options = run.options(
        __doc__, name="cyclegan_digits", batch_size=16, schedule="half_linear", default_steps=STEPS,
        size=option(32, "side of the images in pixels"),
        colour=option(False, "three equal channels, as in networks for photographs"),
        images=option(int, "at most this many images of each domain"),
        box=option(int, "side of USPS's digits within 32 pixels; by default 20, as in MNIST"),
        labels=option(("none", "mnist", "usps"), "data set whose labels train a classifier, which must read a "
                          "translation as the original's digit"),
        loss=option(("least_squares", "non_saturating", "hinge"), "adversarial loss"),
        norm=option(("instance", "batch"), "normalisation in all networks"),
        upsample=option(("upconv", "deconv"), "up-convolutions or transposed convolutions"),
        width=option(32, "channels of the first layers"), blocks=option(int, "residual blocks of a generator"),
        lr=option(2e-4, "learning rate"),
        lambda_cycle=option(10.0, "weight of the cycle losses: a translation there and back should restore the image"),
        lambda_identity=option(float, "weight of the identity losses: images of the target domain should not change"),
        lambda_task=option(1.0, "weight of the classifier's loss with --labels"),
        pool=option(50, "older generated images that each discriminator sees again; 0 for none"),
        ema=option(0.99, "decay of the averaged generators, which draw the samples; 0 for none"),
        no_score=option(False, "skip the scores at the end, which take some minutes"),
    )
    domains, test = digits("train", options), digits("test", options)
    channels = domains[0].images.shape[1]
    scored = channels == 1 and options.size == 32 and not options.no_score
    if scored:
        require("scipy.ndimage", "the score")  # before the training, not after it
    suited = 3 if options.size == 32 else models.blocks_for(options.size)
    blocks = suited if options.blocks is None else options.blocks
    generators = [models.ResnetGenerator(channels, channels, options.width, blocks, options.norm, options.upsample)
                  for _ in "ab"]
    judges = [models.PatchDiscriminator(channels, options.width, models.layers_for(options.size), options.norm)
              for _ in "ab"]
    settings = {"loss": options.loss, "lr": options.lr, "lambda_cycle": options.lambda_cycle, "pool": options.pool,
                "lambda_identity": options.lambda_identity, "ema": options.ema, "seed": options.seed}
    if options.labels == "none":
        trainer = trainers.CycleGAN(*generators, *judges, **settings)
        batches = data.Unpaired(*domains, batch_size=options.batch_size, seed=options.seed).to(options.device)
    else:
        trainer = trainers.TaskCycleGAN(*generators, *judges, reader_of(domains[0], options),
                                        lambda_task=options.lambda_task, crop=4, **settings)
        labelled = domains[0].images, domains[0].labels
        batches = data.Unpaired(labelled, domains[1], batch_size=options.batch_size, seed=options.seed)
    shown = [data.one_per_label(domain) for domain in test]
    folder = run.fit(trainer, batches, options, *domains, reals=report.rows(*shown),
                     sheet=lambda: report.there_and_back(trainer, *shown),
                     caption=report.there_and_back_rows(*(domain.name for domain in domains)))
    if scored:
        score(trainer, domains, test, options, folder)


if __name__ == "__main__":
    run.main(main)

# ci: --smoke --width 8
# ci: --smoke --width 8 --labels usps --no-score
# ci: --smoke --size 64 --colour --images 64 --width 4 --blocks 1 --batch-size 2 --no-score
