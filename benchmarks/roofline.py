"""Where the time of our DCGAN-32 step goes, and the limits of the machine: a table and a figure.

    python benchmarks/roofline.py [--batch 64] [--out docs/images/roofline.png]

Left, the roofline (Williams, Waterman & Patterson, 2009): each convolution of the step at its arithmetic intensity
(multiplications and additions per byte of its arguments and result, each moved once) and its speed, both counted as in
the plain sum, so that an algorithm with fewer products can stand above the roof. The roofs are measured: multiply-adds
in registers (peak.py; the speed of SGEMM without a compiler) and copying memory. Right, the step split by operation,
and for comparison the plain products of its convolutions at the peak. Needs matplotlib.
"""

import argparse
import collections
import math
import os
import statistics
import sys
import time

import numpy as np
from peak import peak_rate

import minigan as mg
from minigan.engine.primitive import PRIMITIVES
from minigan.kernels.cpu.blocks import for_each_block

CONVOLUTIONS = ("conv2d", "conv_transpose2d", "conv2d_weight_grad")


def sgemm_rate(workers):
    """GFLOP/s of all workers together on products of 512 x 1024 and 1024 x 256 matrices."""
    pairs = [(np.ones((512, 1024), "f"), np.ones((1024, 256), "f"), np.empty((512, 256), "f")) for _ in range(workers)]
    best = min(_seconds(lambda: for_each_block(lambda p: [np.matmul(p[0], p[1], out=p[2]) for _ in range(20)], pairs))
               for _ in range(10))
    return workers * 20 * 2 * 512 * 1024 * 256 / best / 1e9


def copy_rate(workers):
    """GB/s read and written when all workers copy 64 MiB each."""
    pairs = [(np.ones(1 << 24, "f"), np.ones(1 << 24, "f")) for _ in range(workers)]
    best = min(_seconds(lambda: for_each_block(lambda p: np.copyto(*p), pairs)) for _ in range(5))
    return workers * 2 * (1 << 26) / best / 1e9


def _seconds(do):
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def watch(spent, layers):
    """Make every operation add its seconds to spent[name], and each convolution also to layers[name, shapes]."""
    def timed(function, name):
        def call(*args, **params):
            start = time.perf_counter()
            result = function(*args, **params)
            seconds = time.perf_counter() - start
            spent[name] += seconds
            if name in CONVOLUTIONS:
                layers[name, args[0].shape, args[1].shape, result.shape].append(seconds)
            return result

        return call

    for name, primitive in PRIMITIVES.items():
        primitive.function = timed(primitive.function, name)
        if primitive.fused is not None:
            primitive.fused = timed(primitive.fused, f"{name}, backward")
    mg.optim.Adam.update = timed(mg.optim.Adam.update, "Adam")
    mg.kernels.norm_stats = timed(mg.kernels.norm_stats, "batch statistics")


def flops(name, a, b, result):
    """The FLOPs of one convolution, from the shapes of its arguments and its result."""
    pixels, taps = {"conv2d": (result, b), "conv_transpose2d": (a, b), "conv2d_weight_grad": (b, result)}[name]
    return 2 * pixels[0] * math.prod(pixels[2:]) * math.prod(taps)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--out", default="docs/images/roofline.png")
    options = parser.parse_args()
    mg.run.tune_blas()
    mg.seed(0)
    trainer = mg.trainers.GAN(*mg.models.dcgan(size=32))
    real = np.tanh(mg.random.normal((options.batch, 32, 32, 1), seed=0)).transpose(0, 3, 1, 2)
    for _ in range(3):
        trainer.step(real)
    workers = mg.kernels.get_threads()
    spent, layers, steps = collections.Counter(), collections.defaultdict(list), []
    watch(spent, layers)
    for _ in range(options.steps):
        steps.append(1e3 * _seconds(lambda: trainer.step(real)))
    spent = {name: 1e3 * seconds / options.steps for name, seconds in spent.items()}
    spent["engine and the rest"] = statistics.mean(steps) - sum(spent.values())
    sgemm, memory = sgemm_rate(workers), copy_rate(workers)
    peak = peak_rate(workers) or sgemm
    work = sum(flops(*layer) * len(times) for layer, times in layers.items()) / options.steps / 1e9
    print(mg.device_info())
    print(f"\npeak {peak:.0f} GFLOP/s, SGEMM {sgemm:.0f}, copying {memory:.0f} GB/s; convolutions {work:.1f} GFLOP per "
          f"step: {1e3 * work / peak:.0f} ms at the peak; step {statistics.mean(steps):.0f} ms (mean), "
          f"{min(steps):.0f} (best)\n")
    print("| operation | ms per step | share |\n|---|---|---|")
    for name, ms in sorted(spent.items(), key=lambda item: -item[1]):
        if ms >= 0.2:
            print(f"| {name} | {ms:.1f} | {100 * ms / statistics.mean(steps):.0f} % |")
    draw(options.out, peak, memory, work, spent, layers)
    return 0


def draw(path, peak, memory, work, spent, layers):
    """Draw the figure and save it to `path`."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4), gridspec_kw={"width_ratios": (3, 2)})
    colours = dict(zip(CONVOLUTIONS, ("#1b6ca8", "#d1603d", "#5a8f29"), strict=True))
    intensity = np.geomspace(0.5, 1000, 100)
    left.loglog(intensity, np.minimum(peak, intensity * memory), color="black")
    left.text(12, peak * 1.3, f"peak {peak:.0f} GFLOP/s", va="bottom")  # points lie on the roof to the right of it
    left.text(1.15, memory * 0.8, f"memory {memory:.0f} GB/s")
    for (name, *shapes), times in layers.items():
        work_done = flops(name, *shapes)
        moved = 4 * sum(math.prod(shape) for shape in shapes)
        left.plot(work_done / moved, work_done / statistics.median(times) / 1e9, "o", color=colours[name], alpha=0.7)
    for name, colour in colours.items():
        left.plot([], [], "o", color=colour, label=name)
    left.legend(loc="lower right", frameon=False)
    left.set_ylim(top=peak * 3)
    left.set(xlabel="FLOP per byte", ylabel="GFLOP/s", title="Convolutions of one step")
    right.barh(["plain products\nat the peak"], [1e3 * work / peak], color="#444444")
    right.text(1e3 * work / peak, 0, f" {1e3 * work / peak:.0f}", va="center")
    start, others = 0.0, iter(("#8c6bb1", "#b3b3b3", "#c9a227", "#7fb3d5", "#999999"))
    large = [(name, ms) for name, ms in sorted(spent.items(), key=lambda item: -item[1]) if ms >= 2]
    for name, ms in [*large, ("all else", sum(spent.values()) - sum(ms for _, ms in large))]:
        right.barh(["our step"], [ms], left=start, color=colours.get(name) or next(others, "#dddddd"),
                   label=f"{name} {ms:.0f}")
        start += ms
    right.legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize="small")
    right.set(xlabel="ms", title=f"One step, {start:.0f} ms")
    right.set_xlim(0, start * 1.02)
    for side in (left, right):
        side.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    sys.exit(main())
