"""How good the digits are: six GANs on MNIST, three seeds each, and two of them in PyTorch for comparison.

    python benchmarks/quality.py train --out results/            every system and seed; with a GPU, add --device cuda
    python benchmarks/quality.py train --out results/ --systems dcgan,torch_dcgan --seeds 0
    mpiexec -n 5 python -m mpi4py.futures benchmarks/quality.py train --out results/    on several machines; or --jobs 4
    python benchmarks/quality.py score --out results/            write results/quality.md from all samples there

All see the same number of images in batches of 64 at 32x32, have the same networks (DCGAN, width 32), start from the
same weights for a seed and draw samples from a generator averaged with the same decay. A WGAN uses five batches per
step, so its generator takes a fifth of the steps. The PyTorch trainers are torch_twin's, with the same averaging.
`train` writes 10,000 images per run, cropped to 28x28, as SYSTEM-SEED.npz; `score` measures them.
"""

import argparse
import copy
import functools
import json
import sys
import time
from pathlib import Path

import numpy as np

import minigan as mg
from minigan import data, models, run, trainers
from minigan.data import Loader
from minigan.engine import device
from minigan.metrics import MEANINGS, Scorer
from minigan.random import Stream

sys.path.append(str(Path(__file__).parents[1] / "examples"))
from figures.comparison import Game, comparison_table

SYSTEMS = {  # name: recipe
    "dcgan": "non_saturating", "minimax": "minimax", "lsgan": "least_squares", "wgan": "wasserstein_clip",
    "wgan_gp": "wasserstein_gp", "sngan": "hinge_spectral", "torch_dcgan": "non_saturating",
    "torch_wgan_gp": "wasserstein_gp",
}
SHOWN = ("frechet", "kid", "modes", "precision", "recall", "density", "coverage", "swd", "checkerboard", "nearest")
BATCH, WIDTH, EMA, DRAWN = 64, 32, 0.99, 10_000


def networks(recipe, seed):
    """Generator and discriminator with the initial weights of a seed."""
    mg.seed(seed)
    return models.dcgan(1, 32, 100, WIDTH, norm=recipe.norm)


def ours(recipe, seed, digits, images):
    """Train; returns a function from noise to images, and the training time in seconds."""
    trainer = recipe.trainer(*networks(recipe, seed), ema=EMA, seed=seed)
    loader = Loader(digits.images, BATCH, seed=seed).to(device.default())
    start = time.perf_counter()
    trainer.fit(loader, images // (BATCH * trainer.batches_per_step))
    return trainer.sample, time.perf_counter() - start


def theirs(recipe, seed, digits, images):
    """The same in PyTorch, as its users write it: eager, fused Adam, TF32 and cuDNN's own choice of algorithms."""
    import torch
    import torch_twin

    torch.manual_seed(seed)
    where = "cpu" if device.default() == "cpu" else "cuda"
    torch.backends.cudnn.benchmark = torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    nets = torch_twin.dcgan(width=WIDTH)
    if recipe.norm == "none":
        nets = nets[0], torch_twin.Net(torch_twin.networks.critic(torch_twin.NN, 32, WIDTH))
    for net, start in zip(nets, networks(recipe, seed), strict=True):
        weights = {name: torch.from_numpy(array) for name, array in start.state_dict().items()}
        missing = net.load_state_dict(weights, strict=False)
        assert not missing.unexpected_keys, missing
        assert all(name.endswith("num_batches_tracked") for name in missing.missing_keys), missing
        net.to(where, memory_format=torch.channels_last)
    generator, judge = nets
    averaged = copy.deepcopy(generator).eval()
    if recipe.norm == "none":
        trainer = torch_twin.WGANGP(generator, judge, fused=True)
        trainer.optimizer.param_groups[0]["betas"] = (0.5, 0.9)
        g_optimizer = torch.optim.Adam(generator.parameters(), 1e-4, (0.5, 0.9), fused=True)
    else:
        trainer = torch_twin.GAN(generator, judge, fused=True)
    pixels = torch.from_numpy(np.ascontiguousarray(digits.images)).to(where)
    order, position = torch.randperm(len(pixels), device=where), 0

    def batch():
        nonlocal order, position
        if position + BATCH > len(pixels):
            order, position = torch.randperm(len(pixels), device=where), 0
        chosen = pixels[order[position : position + BATCH]]
        position += BATCH
        return (chosen.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)

    def noise(n=BATCH):
        return torch.randn(n, 100, device=where)

    def step():
        if recipe.norm != "none":
            trainer.step(batch(), noise())
            return
        for _ in range(5):
            trainer.step(batch(), noise(), torch.rand(BATCH, 1, 1, 1, device=where))
        g_optimizer.zero_grad(set_to_none=True)
        judge.requires_grad_(False)
        (-judge(generator(noise())).mean()).backward()
        judge.requires_grad_(True)
        g_optimizer.step()

    @torch.no_grad()
    def average(decay):
        torch._foreach_lerp_(list(averaged.parameters()), list(generator.parameters()), 1 - decay)
        for mine, its in zip(averaged.buffers(), generator.buffers(), strict=True):
            mine.copy_(its)

    start = time.perf_counter()
    for number in range(1, images // (BATCH * (5 if recipe.norm == "none" else 1)) + 1):
        step()
        average(min(EMA, (1 + number) / (10 + number)))
    if where == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start

    @torch.no_grad()
    def sample(z):
        return averaged(torch.from_numpy(z).to(where)).float().cpu().numpy()

    return sample, seconds


def train(options):
    """Train every system with every seed and write one file of samples each; existing files are kept."""
    where = mg.set_device(options.device)
    options.out.mkdir(parents=True, exist_ok=True)
    tasks = [(name, seed, options.images, options.out / f"{name}-{seed}.npz")
             for seed in options.seeds for name in options.systems]
    for line in run.spread(train_one, [task for task in tasks if not task[-1].exists()], options.jobs, where):
        print(line, flush=True)


def train_one(name, seed, images, path):
    """Train one system with one seed and write its samples; returns a line about it."""
    digits = data.mnist(size=32)
    sample, seconds = (theirs if name.startswith("torch_") else ours)(
        trainers.recipe(SYSTEMS[name]), seed, digits, images)
    z = Stream(seed, "quality").normal((DRAWN, 100))
    drawn = np.concatenate([sample(z[i : i + 500]) for i in range(0, DRAWN, 500)])[:, 0, 2:30, 2:30]
    pixels = np.clip(np.rint((drawn + 1) * 127.5), 0, 255).astype(np.uint8)  # (DRAWN, 28, 28)
    np.savez_compressed(path, images=pixels, seconds=seconds, seen=images, data=digits.source.split(" from ")[0],
                        device=mg.device_info())
    return f"{name}, seed {seed}: {images:,} images in {seconds:.0f} s"


def scores_of(path, scorer):
    """The scores of a file of samples: measured now, or read from the JSON file next to it."""
    kept = path.with_suffix(".json")
    if not kept.exists():
        with np.load(path) as run:
            scores = scorer()(run["images"][:, None])
        kept.write_text(json.dumps(scores))
        print(f"{path.name}: Frechet distance {scores['frechet']:.3g}", flush=True)
    return json.loads(kept.read_text())


def score(options):
    """Measure every file of samples; print a table of means and standard deviations over seeds, and write it."""
    scorer, games = functools.cache(Scorer), []
    for name in SYSTEMS:
        for path in sorted(options.out.glob(f"{name}-[0-9]*.npz")):
            scores = scores_of(path, scorer)
            with np.load(path) as run:
                seconds, seen, digits = float(run["seconds"]), int(run["seen"]), str(run["data"])
            games.append(Game(name, [seen], [scores["frechet"]], scores, np.zeros((1, 1, 28, 28)), seconds))
    if not games:
        sys.exit(f"{options.out} holds no samples; run `train` first")
    real = scorer()(data.mnist(split="train").images[:DRAWN])
    games.append(Game("real training digits", [0], [real["frechet"]], real, games[0].samples, 0.0))
    table = comparison_table(games, {name: MEANINGS[name] for name in SHOWN})
    head = (f"DCGAN of width {WIDTH} on {digits}, {seen:,} real images seen, {DRAWN:,} images scored against MNIST's "
            "test digits.\n\n")
    (options.out / "quality.md").write_text(head + table + "\n")
    print(head + table)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train", help="train and draw samples")
    training.add_argument("--out", type=Path, required=True)
    training.add_argument("--systems", type=lambda text: text.split(","), default=list(SYSTEMS))
    training.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0, 1, 2])
    training.add_argument("--images", type=int, default=120_000, help="real images seen per run")
    training.add_argument("--device", default="auto")
    training.add_argument("--jobs", type=int, default=1, help="trainings at a time, each in a process of its own")
    training.set_defaults(go=train)
    scoring = commands.add_parser("score", help="measure the samples that train wrote")
    scoring.add_argument("--out", type=Path, required=True, help="the folder that train wrote to")
    scoring.set_defaults(go=score, systems=[])
    options = parser.parse_args()
    if unknown := set(options.systems) - set(SYSTEMS):
        parser.error(f"--systems: {', '.join(sorted(unknown))} unknown; there are {', '.join(SYSTEMS)}")
    options.go(options)


if __name__ == "__main__":
    sys.exit(main())
