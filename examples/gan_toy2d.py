"""Watch a GAN drop modes that a Wasserstein GAN with a gradient penalty finds: same networks, points in the plane.

    python examples/gan_toy2d.py                           25 Gaussians; about two minutes on two CPU cores
    python examples/gan_toy2d.py --points gaussians8       8 Gaussians on a circle; or ring
    python examples/gan_toy2d.py --loss hinge              another game alone: see --help for all of them
    python examples/gan_toy2d.py --device cuda             on a GPU

Leaves runs/gan_toy2d/: points.png (a row a game), points.gif and its frames in samples/, metrics and curves a game.
A sample is good within 3 standard deviations of a mode (VEEGAN, 2017); a mode is covered when it gets at least a tenth
of the good samples due to it. Both games have the same Adam (1e-3, 0, 0.9), steps and averaged generator. The penalty's
weight is 0.1, as in Gulrajani's code for points; two critic steps, and no momentum, learn faster here than the
paper's 5 and 0.5.
"""

import time
from pathlib import Path

import minigan as mg
from figures.toy import Snapshot, film_steps, points_figure, points_film
from minigan import data, models, report, run, trainers
from minigan.random import Stream
from minigan.run import option

TITLES = {"non_saturating": "GAN, non-saturating", "wasserstein_gp": "WGAN-GP"}
LOSSES = [name for name in trainers.RECIPES if trainers.recipe(name).norm != "spectral"]  # the MLPs have no such norm
STEPS = 5000
SAMPLES = 2500  # points a snapshot


def train(loss, toy, options, steps, folder) -> list[Snapshot]:
    """Play one game; what its generator draws, from the same noise, at each of the `steps`."""
    mg.seed(options.seed)  # every game starts from the same weights
    networks = models.mlp((2,), options.latent, options.hidden, options.layers, tanh=False)
    settings = {"lambda_gp": options.lambda_gp} if loss == "wasserstein_gp" else {}
    trainer = trainers.recipe(loss).trainer(
        *networks, lr=options.lr, betas=(options.beta1, 0.9), n_discriminator=options.n_discriminator, ema=options.ema,
        seed=options.seed, **settings)
    trainer.set_schedule(options.schedule, steps[-1])
    points = (batch / toy.scale for batch in toy.batches(options.batch_size, options.seed))
    z = Stream(options.seed, "samples").normal((SAMPLES, options.latent))
    folder.mkdir()
    log, film = run.Log(folder, steps[-1], options.batch_size * trainer.batches_per_step), []
    for step in steps:
        trainer.fit(points, step - trainer.steps, lambda p: log(p._replace(seconds=time.perf_counter() - log.start)))
        drawn = trainer.sample(z) * toy.scale
        film.append(Snapshot(step, drawn, toy.coverage(drawn)))
    log.close()
    report.loss_curves(folder / "metrics.jsonl", folder / "curves.png")
    return film


def main() -> None:
    """Options, points, games, pictures."""
    options = run.options(
        __doc__, name="gan_toy2d", resumable=False,
        points=option(tuple(data.TOYS), "the distribution to learn"),
        loss=option(("both", *LOSSES), "the game; both: non_saturating beside wasserstein_gp"),
        lr=option(1e-3, "learning rate"), beta1=option(0.0, "Adam's decay of the mean gradient"),
        n_discriminator=option(2, "discriminator steps per generator step"),
        lambda_gp=option(0.1, "weight of the gradient penalty"), latent=option(2, "length of the noise vector"),
        hidden=option(128, "units of a hidden layer"), layers=option(3, "hidden layers of each network"),
        ema=option(0.99, "decay of the averaged generator, which draws the samples; 0 for none"),
    )
    toy = data.toy2d(options.points)
    steps = film_steps(run.SMOKE_STEPS if options.smoke else options.steps or STEPS)
    folder = run.new_folder(Path(options.out))
    losses = ("non_saturating", "wasserstein_gp") if options.loss == "both" else (options.loss,)
    games = {TITLES.get(loss, loss): train(loss, toy, options, steps, folder / loss) for loss in losses}
    points_figure(toy, games, folder / "points.png")
    points_film(toy, games, folder / "points.gif", frames=folder / "samples")
    for title, film in games.items():
        print(f"{title}: {film[-1].coverage.covered} of {film[-1].coverage.modes} modes, "
              f"{film[-1].coverage.good:.0%} of the samples good")


if __name__ == "__main__":
    run.main(main)
