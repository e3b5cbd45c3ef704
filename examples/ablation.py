"""What does each part of CycleGAN contribute? One setting is changed at a time, on digits; the results fit one page.

    python examples/ablation.py                              twelve studies: a quarter of an hour on two CPU cores
    python examples/ablation.py --studies lambda_cycle_0,no_pool     these, and the algorithm as published
    python examples/ablation.py --steps 3000 --width 32 --blocks 3 --device cuda     on a GPU

The studies change the weight of the cycle losses (0, 10, 30), the learning rate (0.0002, 0.001, 0.01) and its decay,
the norm, the image pool, the adversarial loss, and the identity loss. All studies with one seed start from the same
weights and see the same batches. Output in runs/ablation/: ablation.png, table.md, scores.json.
"""

import time

import numpy as np

import minigan as mg
from figures.ablation import Study, ablation_figure, ablation_table
from minigan import data, models, report, run, trainers
from minigan.errors import NonFiniteError, OptionError
from minigan.metrics.classifier import Settings
from minigan.metrics.translation import QUICK, DigitTranslation
from minigan.run import option

STEPS = 400
STUDIES = {  # name: (title, changed settings)
    "published": ("as published", {}),
    "lambda_cycle_0": ("lambda_cycle 0", {"lambda_cycle": 0.0}),
    "lambda_cycle_30": ("lambda_cycle 30", {"lambda_cycle": 30.0}),
    "lr_0.001": ("learning rate 0.001", {"lr": 1e-3}),
    "lr_0.01": ("learning rate 0.01", {"lr": 1e-2}),
    "batch_norm": ("batch norm", {"norm": "batch"}),
    "no_pool": ("no image pool", {"pool": 0}),
    "log_loss": ("log loss", {"loss": "non_saturating"}),
    "log_loss_no_pool": ("log loss, no pool", {"loss": "non_saturating", "pool": 0}),
    "no_decay": ("no decay", {"schedule": "constant"}),
    "decay_from_start": ("decay from the start", {"schedule": "linear"}),
    "no_identity": ("no identity loss", {"lambda_identity": 0.0}),
}
ROWS = ("MNIST (a)", "as USPS (b)", "USPS", "as MNIST")


def train(name, domains, shown, options):
    """Train one study; returns it without scores, and the trainer."""
    title, changes = STUDIES[name]
    settings = {"norm": "instance", "schedule": "half_linear", **changes}
    norm, schedule = settings.pop("norm"), settings.pop("schedule")
    mg.seed(options.seed)  # every study starts from the same weights
    networks = [models.ResnetGenerator(1, 1, options.width, options.blocks, norm) for _ in "ab"]
    networks += [models.PatchDiscriminator(1, options.width, models.layers_for(32), norm) for _ in "ab"]
    trainer, rows, diverged = trainers.CycleGAN(*networks, seed=options.seed, **settings), [], ""
    steps = run.SMOKE_STEPS if options.smoke else options.steps or STEPS
    trainer.set_schedule(schedule, steps)
    batches = data.Unpaired(*domains, batch_size=options.batch_size, seed=options.seed).to(options.device)

    def on_step(progress):
        rows.append(progress.metrics)
        run.check_finite(progress, False)
    start = time.perf_counter()
    try:
        trainer.fit(batches, steps, on_step, graph=options.graph)
    except NonFiniteError:
        diverged = f"step {len(rows)}"
    seconds, (a, b) = time.perf_counter() - start, shown
    images = [a, trainer.translate(a), b, trainer.translate(b, "ba")]
    picture = report.rows(*(np.nan_to_num(row) for row in images))
    return Study(title, rows, picture, {}, seconds, diverged), trainer


def main() -> None:
    """Options, digits, studies; table and figure."""
    options = run.options(
        __doc__, name="ablation", resumable=False, batch_size=16,
        studies=option("all", "names of studies, separated by commas; all: every study"),
        jobs=option(1, "studies at a time, each in a process of its own"),
        width=option(16, "channels of the first layers"), blocks=option(2, "residual blocks of a generator"),
    )
    names = list(STUDIES) if options.studies == "all" else ["published", *options.studies.split(",")]
    if unknown := [name for name in names if name not in STUDIES]:
        raise OptionError(f"--studies: unknown: {', '.join(unknown)}; choose from {', '.join(STUDIES)}")
    domains, test = ((data.mnist(32, split, options.data, holdout=True), data.usps(32, split, options.data))
                     for split in ("train", "test"))
    print(mg.device_info(), *(domain.source for domain in domains), "two classifiers are trained first", sep="\n")
    judge = DigitTranslation(*domains, *test, settings=Settings(images_seen=400 if options.smoke else 30_000))
    folder, studies = run.begin(options, *domains), []
    shown = [data.one_per_label(domain) for domain in test]
    tasks = ((name, domains, shown, options) for name in dict.fromkeys(names))
    for study, trainer in run.spread(train, tasks, options.jobs, options.device, options.precision):
        scores = {} if study.diverged else judge.quick(trainer.translate, lambda x, t=trainer: t.translate(x, "ba"))
        studies.append(study._replace(scores=scores))
        print(f"{studies[-1].name}: {studies[-1].diverged or dict(studies[-1].scores)}", flush=True)
        run.write(folder, "ablation.png", lambda path: ablation_figure(studies, path, ROWS))
        run.write(folder, "table.md", (ablation_table(studies, QUICK) + "\n").encode())
        run.write_scores(folder, {s.name: {"scores": s.scores, "seconds": s.seconds, "diverged": s.diverged}
                                  for s in studies})


if __name__ == "__main__":
    run.main(main)

# ci: --smoke --width 8 --blocks 1 --studies lambda_cycle_0,batch_norm
