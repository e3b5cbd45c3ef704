"""Points in the plane: a GAN drops modes that a WGAN with a gradient penalty covers, with the same networks.

    python examples/gan_toy2d.py                           25 Gaussians; about two minutes on two CPU cores
    python examples/gan_toy2d.py --points gaussians8       8 Gaussians on a circle; or ring
    python examples/gan_toy2d.py --loss hinge              another loss, alone: --help lists them all
    python examples/gan_toy2d.py --device cuda             on a GPU

Output in runs/gan_toy2d/: points.png (one row per loss), points.gif, its frames in samples/, metrics and curves;
points.html, a page to watch it step by step: points, D in colours, the gradient at G's points as arrows.
A sample is good within 3 standard deviations of a mode (VEEGAN, 2017); a mode is covered if it has at least a tenth of
its share of the good samples. All losses use the same Adam (1e-3, 0, 0.9), steps and averaged generator. The weight of
the penalty is 0.1, as in Gulrajani's code for points; two critic steps without momentum learn faster here than the
paper's five with 0.5.
"""

import time

import minigan as mg
from figures.toy import Snapshot, film_steps, points_figure, points_film
from figures.toy_page import field, points_page
from minigan import data, models, report, run, trainers
from minigan.random import Stream
from minigan.run import option

TITLES = {"non_saturating": "GAN, non-saturating", "wasserstein_gp": "WGAN-GP"}
LOSSES = [name for name in trainers.RECIPES if trainers.recipe(name).norm != "spectral"]  # MLPs have no such norm
STEPS = 5000
SAMPLES = 2500  # points per snapshot


def train(loss, toy, options, steps, folder) -> list[Snapshot]:
    """Train with one loss; the generator's points, from the same noise, after each of the `steps`."""
    mg.seed(options.seed)  # every loss starts from the same weights
    networks = models.mlp((2,), options.latent, options.hidden, options.layers, tanh=False)
    settings = {"lambda_gp": options.lambda_gp} if loss == "wasserstein_gp" else {}
    trainer = trainers.recipe(loss).trainer(
        *networks, lr=options.lr, betas=(options.beta1, 0.9), n_discriminator=options.n_discriminator, ema=options.ema,
        seed=options.seed, **settings)
    trainer.set_schedule(options.schedule, steps[-1])
    points = (batch / toy.scale for batch in toy.batches(options.batch_size, options.seed))
    z = Stream(options.seed, "samples").normal((SAMPLES, options.latent))
    run.new_part(folder, {**options.recorded(), "loss": loss}, steps[-1], trainer.settings())
    log, film = run.Log(folder, steps[-1], options.batch_size * trainer.batches_per_step), []
    for step in steps:
        trainer.fit(points, step - trainer.steps, lambda p: log(p._replace(seconds=time.perf_counter() - log.start)))
        drawn = trainer.sample(z) * toy.scale
        film.append(Snapshot(step, drawn, toy.coverage(drawn), field(trainer, toy, drawn)))
    log.close()
    run.write(folder, "curves.png", lambda path: report.loss_curves(log.path, path))
    return film


def main() -> None:
    """Options, points; train with every loss; figures."""
    options = run.options(
        __doc__, name="gan_toy2d", resumable=False,
        points=option(tuple(data.TOYS), "the distribution to learn"),
        loss=option(("both", *LOSSES), "loss; both: non_saturating and wasserstein_gp"),
        lr=option(1e-3, "learning rate"), beta1=option(0.0, "Adam's decay of the mean gradient"),
        n_discriminator=option(2, "discriminator steps per generator step"),
        lambda_gp=option(0.1, "weight of the gradient penalty"), latent=option(2, "length of the noise vector"),
        hidden=option(128, "units per hidden layer"), layers=option(3, "hidden layers of each network"),
        ema=option(0.99, "decay of the averaged generator, which draws the samples; 0 for none"),
    )
    toy = data.toy2d(options.points)
    steps = film_steps(run.SMOKE_STEPS if options.smoke else options.steps or STEPS)
    folder = run.begin(options)
    losses = ("non_saturating", "wasserstein_gp") if options.loss == "both" else (options.loss,)
    games = {TITLES.get(loss, loss): train(loss, toy, options, steps, folder / loss) for loss in losses}
    run.write(folder, "points.png", lambda path: points_figure(toy, games, path))
    run.write(folder, "points.gif", lambda path: points_film(
        toy, games, path, lambda name, contents: run.write(folder, f"samples/{name}", contents)))
    rows = [report.read_rows(folder / loss / "metrics.jsonl") for loss in losses]
    run.write(folder, "points.html", points_page(toy, games, dict(zip(games, rows, strict=True))))
    for title, film in games.items():
        print(f"{title}: {film[-1].coverage.covered} of {film[-1].coverage.modes} modes, "
              f"{film[-1].coverage.good:.0%} of the samples good")


if __name__ == "__main__":
    run.main(main)
