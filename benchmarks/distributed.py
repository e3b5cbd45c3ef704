"""Ranks against threads on one machine, what the ranks' messages cost, and the model of docs/distributed.md.

    python benchmarks/distributed.py [--ranks 2] [--rounds 5] [--seconds 4] [--cases dcgan-64,...] [--json FILE]
    python benchmarks/distributed.py --draw model.png --alpha 30 --beta 1.2     the picture for another network
    mpiexec -n 2 python benchmarks/distributed.py --probe     latency and bandwidth, also between machines

Each round starts one process with as many workers as ranks, then as many ranks with one worker each, and measures
trainer steps of the same joint batch. Both use the same cores; what ranks take longer is communication and waiting.
The table: milliseconds a step (median), ratio ranks / threads per round, share of the time in messages, and the bytes
and messages of a step. The waiting for a slower rank counts as message time.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import minigan as mg
from minigan import data, distributed, models, trainers

CASES = {"dcgan-64": ("dcgan", 64), "dcgan-256": ("dcgan", 256), "cyclegan-16": ("cyclegan", 16)}
WARM_UP = 3
LARGE, SMALL = 10 << 20, 256  # bytes of the messages that are probed


def made(kind, batch):
    """A trainer and batches: DCGAN-32 of width 64, CycleGAN-32 of width 32 with six blocks."""
    mg.seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (max(512, 2 * batch), 1, 32, 32), np.uint8)
    if kind == "dcgan":
        return trainers.GAN(*models.dcgan(1, 32, 100, 64), seed=0), data.Loader(pixels, batch)
    generators = [models.ResnetGenerator(1, 1, 32, 6) for _ in "ab"]
    judges = [models.PatchDiscriminator(1, 32, models.layers_for(32)) for _ in "ab"]
    return trainers.CycleGAN(*generators, *judges, seed=0), data.Unpaired(pixels, pixels[::-1], batch_size=batch)


class Messages:
    """Counts the messages of a world, their bytes and the seconds in them, in place of its methods."""

    def __init__(self, world):
        self.world, self.count, self.bytes, self.seconds = world, 0, 0, 0.0
        for name in ("mean", "gather"):
            setattr(world, name, self.timed(getattr(world, name)))

    def timed(self, method):
        def call(given, **options):
            start = time.perf_counter()
            result = method(given, **options)
            self.seconds += time.perf_counter() - start
            self.count += 1
            self.bytes += sum(a.nbytes for a in (given if isinstance(given, list | tuple) else [given]))
            return result

        return call


def serve(options):
    """Measure one case in this process or on these ranks; rank 0 prints a JSON line."""
    ranks = distributed.start() if distributed.is_launched() else distributed.world()
    mg.set_threads(options.threads)
    trainer, batches = made(*CASES[options.serve])
    times, last = [], 0.0
    messages = Messages(ranks)

    def on_step(progress):
        nonlocal last
        times.append(progress.seconds - last)
        last = progress.seconds

    trainer.fit(batches, WARM_UP, on_step)
    each = ranks.broadcast(times[-1])
    steps, messages.count, messages.bytes, messages.seconds = max(4, round(options.seconds / each)), 0, 0, 0.0
    times.clear()
    last = 0.0
    trainer.fit(batches, steps, on_step)
    if ranks.rank == 0:
        print(json.dumps({"ms": 1e3 * statistics.median(times), "share": messages.seconds / sum(times),
                          "messages": messages.count / steps, "bytes": messages.bytes / steps}))


def probe():
    """Seconds of a short mean (its latency), and bytes per second of a long one, each rank sending and receiving."""
    ranks = distributed.start()

    def fastest(size):
        array, times = np.ones(size // 4, np.float32), []
        for _ in range(50):
            ranks.barrier()
            start = time.perf_counter()
            ranks.mean([array], reuse=True)
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    alpha, long = fastest(SMALL), fastest(LARGE)
    if ranks.rank == 0:
        rate = 2 * LARGE * (ranks.size - 1) / ranks.size / max(long - alpha, 1e-9)
        print(json.dumps({"alpha_us": 1e6 * alpha, "beta_gb": 1e-9 * rate, "ranks": ranks.size}))


def step_time(ranks, compute, size, messages, alpha, beta):
    """The model: seconds of a step of `ranks` machines with `compute` seconds of work each.

    size: bytes of gradients, sent and received twice but for a rank's own part. messages: means and gathers of a step,
    short ones by doubling in log2 R rounds of `alpha` seconds. beta: bytes per second.
    """
    if ranks == 1:
        return compute
    return compute + messages * alpha * math.log2(ranks) + 2 * size * (ranks - 1) / ranks / beta


def draw(path, rows, alpha, beta):
    """Efficiency against ranks, on machines with one rank each and constant work per rank."""
    from matplotlib.figure import Figure

    figure = Figure((6, 4), layout="constrained")
    axes = figure.subplots()
    counts = [2**k for k in range(7)]
    for name, row in rows.items():
        compute = 1e-3 * row["ms"] * (1 - row["share"])
        times = [step_time(n, compute, row["bytes"], row["messages"], alpha, beta) for n in counts]
        axes.plot(counts, [compute / t for t in times], marker=".", label=name)
        axes.plot([row["ranks"]], [1 - row["share"]], "kx")
    axes.set(xscale="log", xticks=counts, xticklabels=counts, xlabel="ranks", ylim=(0, 1.05),
             ylabel="time of one rank's work / time of a step", title="model; crosses: measured on one machine")
    axes.legend()
    figure.savefig(path, dpi=100)


def launched(count, case, options):
    """The result of `serve` on this many ranks, or of one process with as many workers."""
    command = [sys.executable, __file__, "--serve", case, "--seconds", str(options.seconds)]
    if count == 1:
        command += ["--threads", str(options.ranks)]
    else:
        beside = Path(sys.executable).parent / "mpiexec"
        command = [str(beside) if beside.exists() else shutil.which("mpiexec"), "-n", str(count), *command]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def measure(case, options):
    """Rounds in turns; medians, and the ratios of all rounds."""
    ratios, ours, theirs = [], [], []
    for _ in range(options.rounds):
        theirs.append(launched(1, case, options))
        ours.append(launched(options.ranks, case, options))
        ratios.append(ours[-1]["ms"] / theirs[-1]["ms"])
    row = {key: statistics.median(result[key] for result in ours) for key in ours[0]}
    row |= {"threads_ms": statistics.median(result["ms"] for result in theirs), "ranks": options.ranks}
    return {**row, "ratios": sorted(ratios)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of steps per measurement")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--draw", type=Path, help="file for the picture of the model")
    parser.add_argument("--alpha", type=float, help="microseconds of a short message, in place of the measured ones")
    parser.add_argument("--beta", type=float, help="GB/s, in place of the measured ones")
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--probe", action="store_true", help="only latency and bandwidth; on ranks of mpiexec")
    options = parser.parse_args()
    if options.serve or options.probe:
        return serve(options) if options.serve else probe()
    rows = {}
    print("| work, joint batch | threads, ms | ranks, ms | ranks / threads: min | median | max | in messages | "
          "messages | MB |\n|---|---|---|---|---|---|---|---|---|")
    for case in options.cases.split(","):
        rows[case] = row = measure(case, options)
        low, middle, high = row["ratios"][0], statistics.median(row["ratios"]), row["ratios"][-1]
        print(f"| {case} | {row['threads_ms']:.0f} | {row['ms']:.0f} | {low:.2f} | **{middle:.2f}** | {high:.2f} | "
              f"{row['share']:.1%} | {row['messages']:.0f} | {row['bytes'] / 1e6:.1f} |", flush=True)
    command = [shutil.which("mpiexec") or str(Path(sys.executable).parent / "mpiexec"), "-n", str(options.ranks)]
    found = json.loads(subprocess.run([*command, sys.executable, __file__, "--probe"], capture_output=True, text=True,
                                      check=True).stdout)
    print(f"\na short message: {found['alpha_us']:.1f} us; long ones: {found['beta_gb']:.2f} GB/s per rank")
    alpha = 1e-6 * (options.alpha or found["alpha_us"])
    beta = 1e9 * (options.beta or found["beta_gb"])
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, **found}))
    if options.draw:
        draw(options.draw, rows, alpha, beta)
    return 0


if __name__ == "__main__":
    sys.exit(main())
