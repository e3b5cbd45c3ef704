"""Train every GAN of the family on MNIST with one budget, and compare the quality of their digits.

    python examples/compare_losses.py                         about ten minutes on two CPU cores
    python examples/compare_losses.py --images 120000 --seeds 3   mean and spread; an hour and a half
    python examples/compare_losses.py --losses minimax,hinge  only these losses
    python examples/compare_losses.py --jobs 2                two at a time; on several machines: docs/distributed.md
    python examples/compare_losses.py --device cuda           on a GPU

Every loss sees the same number of real images, starts from the same weights for a seed, and uses the optimiser,
normalisation and critic steps of its paper. A critic uses five batches per step, so its generator makes a fifth of the
steps. Output in runs/compare_losses/: comparison.png, table.md, scores.json, and metrics and curves of every loss.
"""

import functools
import time

import minigan as mg
from figures.comparison import Game, comparison_figure, comparison_table
from minigan import data, models, report, run, trainers
from minigan.errors import OptionError
from minigan.metrics import MEANINGS, Scorer
from minigan.metrics.watch import samples
from minigan.random import Stream
from minigan.run import option

LOOKS = 6  # scores during training
SHOWN = ("frechet", "kid", "modes", "precision", "recall", "checkerboard")
scorer_of = functools.cache(Scorer)  # once per process
DRAWN = 10_000  # images of the final score, or as many as a short run has seen


def play(loss, seed, options, folder) -> Game:
    """Train with one loss; returns the scores during and after training, samples, and the training time in seconds."""
    digits, scorer = data.mnist(options.size, directory=options.data, holdout=True), scorer_of(options.data)
    mg.seed(seed)  # every loss starts from the same weights
    recipe = trainers.recipe(loss)
    networks = models.dcgan(1, options.size, options.latent, options.width, norm=recipe.norm)
    trainer = recipe.trainer(*networks, ema=options.ema, seed=seed, augment=options.augment)
    loader = data.Loader(digits.images, options.batch_size, seed=seed).to(options.device)
    per_step = options.batch_size * trainer.batches_per_step
    steps = run.SMOKE_STEPS if options.smoke else max(LOOKS, options.steps or options.images // per_step)
    trainer.set_schedule(options.schedule, steps)
    z = Stream(seed, "scores").normal((min(DRAWN, max(100, steps * per_step)), options.latent))
    few = z[: len(z) // 5]
    run.new_part(folder, {**options.recorded(), "loss": loss, "seed": seed}, steps, trainer.settings(), [digits])
    log, seen, frechet, seconds = run.Log(folder, steps, per_step), [], [], 0.0
    for look in range(1, LOOKS + 1):
        start = time.perf_counter()
        trainer.fit(loader, steps * look // LOOKS - trainer.steps,
                    lambda p: log(p._replace(seconds=time.perf_counter() - log.start)))
        seconds += time.perf_counter() - start
        seen.append(trainer.steps * per_step)
        frechet.append(scorer.quick(samples(trainer, few))["frechet"])
    log.close()
    run.write(folder, "curves.png", lambda path: report.loss_curves(log.path, path))
    drawn = samples(trainer, z)
    return Game(loss, seen, frechet, scorer(drawn), drawn[:16], seconds)


def main() -> None:
    """Options, digits; train with every loss; table and figure."""
    options = run.options(
        __doc__, name="compare_losses", resumable=False,
        losses=option("all", "names of losses, separated by commas; all: every loss"),
        images=option(48_000, "real images that each loss sees, unless --steps is given"),
        seeds=option(1, "runs with each loss, with seeds from --seed on"),
        size=option((32, 28), "side of the images in pixels"), latent=option(100, "length of the noise vector"),
        width=option(32, "channels of the largest feature map; they double as its side halves"),
        ema=option(0.99, "decay of the averaged generator, which draws the samples; 0 for none"),
        jobs=option(1, "trainings at a time, each in a process of its own"),
        augment=option("", "augmentations through which every discriminator sees images, such as translation,cutout"),
    )
    losses = list(trainers.RECIPES) if options.losses == "all" else [*dict.fromkeys(options.losses.split(","))]
    for loss in losses:
        trainers.recipe(loss)  # an unknown name raises an error
    if min(options.images, options.seeds) < 1:
        raise OptionError(f"--images {options.images} and --seeds {options.seeds} must be at least 1")
    digits = data.mnist(options.size, directory=options.data, holdout=True)
    print(digits.source, "scoring needs a classifier of digits: it is read from the cache, or trained now", sep="\n")
    scorer_of(options.data)
    folder, games, scores = run.begin(options, digits), [], {}
    tasks = [(loss, seed, options, folder / f"{loss}-{seed}")
             for seed in range(options.seed, options.seed + options.seeds) for loss in losses]
    played = run.spread(play, tasks, options.jobs, options.device, options.precision)
    for (loss, seed, _, part), game in zip(tasks, played, strict=True):
        games.append(game)
        print(f"{loss}, seed {seed}: Frechet distance {game.scores['frechet']:.3g}", flush=True)
        run.write(folder, "comparison.png", lambda path: comparison_figure(games, path))
        table = comparison_table(games, {name: MEANINGS[name] for name in SHOWN})
        run.write(folder, "table.md", (table + "\n").encode())
        scores[part.name] = {"seconds": game.seconds, "seen": game.seen, "frechet": game.frechet, "scores": game.scores}
        run.write_scores(folder, scores)
    print(table)
    print(folder / "comparison.png")


if __name__ == "__main__":
    run.main(main)

# ci: --smoke --losses minimax,wasserstein_gp --width 4
