"""Two sections of benchmarks/gpu.py: kernels that only move memory, and what launches cost."""

import functools
import statistics
import time

import gpu_cases
import numpy as np
import works
from gpu_clock import CALLS, TURNS, captured, in_turns

import minigan as mg
from minigan import kernels as k


def noise(*shape):
    """Standard normal numbers on the device."""
    return works.noise().normal(shape, device=mg.device.default())


def kernels(gpu, results):
    """GB/s of memory-bound kernels, counting each array once, and the share of a copy's."""
    shapes = ((128, 128, 32, 32), (128, 512, 8, 8), (1, 64, 256, 256), (1, 256, 64, 64))
    for shape in [(1, 8, 4, 4)] if gpu_cases.REHEARSAL else shapes:
        for name in _image_kernels(shape):
            yield f"{name}, {'x'.join(map(str, shape))}", functools.partial(_row, gpu, results, name, shape)
    for count in (64,) if gpu_cases.REHEARSAL else (1 << 20, 1 << 25):
        yield f"adam, {count}", functools.partial(_row, gpu, results, "adam", count)


def _row(gpu, results, name, shape):
    step, moved = _adam(shape) if name == "adam" else _image_kernels(shape)[name]()
    times, failed = in_turns(gpu, {"ours": lambda: captured(step, CALLS)})
    if failed:
        raise RuntimeError(failed["ours"])
    ms = times["ours"][0] / CALLS
    copy, rate = results.find("ceilings", "copy"), moved / ms / 1e6
    share = f"{rate / copy['rate']:.2f}" if copy and copy.get("rate") else ""
    label = f"{name}, {shape if isinstance(shape, int) else 'x'.join(map(str, shape))}"
    return [(label, {"us": f"{ms * 1e3:.1f}", "GB/s": f"{rate:.0f}", "share of the copy": share}, {"ms": ms})]


def _adam(count):
    p, g, m, v = (noise(count) for _ in range(4))
    v = np.absolute(v)
    return lambda: k.adam([p], [g], [m], [v], 1, 1e-4, 0.5, 0.999, 1e-8, 0.0), 7 * p.nbytes


def _image_kernels(shape):
    """{name: function that gives a step and the bytes it moves} for images (N, C, H, W)."""
    N, C, H, W = shape
    over = "batch" if N > 1 else "instance"

    def images():
        return noise(N, H, W, C).transpose(0, 3, 1, 2)  # (N, C, H, W)

    def apply():
        x, (gamma, beta) = images(), (noise(C) for _ in range(2))
        mean, _, rstd = k.norm_stats(x, over, 1e-5)
        return x, mean, rstd, gamma, beta, 0.2

    def norm_grad():
        x, mean, rstd, gamma, beta, slope = apply()
        gy, y = images(), k.norm_apply(x, mean, rstd, gamma, beta, slope)
        return lambda: k.norm_grad(gy, x, mean, rstd, gamma, over, y, slope), 7 * x.nbytes

    def norm_apply():
        arguments = apply()
        return lambda: k.norm_apply(*arguments), 2 * arguments[0].nbytes

    def simple(function, traffic):
        def make():
            x = images()
            return lambda: function(x), int(traffic * x.nbytes)

        return make

    def gate():
        x, gy = images(), images()
        return lambda: k.gate(gy, x, 0.2), 3 * x.nbytes

    widths = ((0, 0), (0, 0), (1, 1), (1, 1))
    return {
        f"norm_stats {over}": simple(lambda x: k.norm_stats(x, over, 1e-5), 1),
        f"norm_apply + leaky_relu {over}": norm_apply,
        f"norm_grad + gate {over}": norm_grad,
        "leaky_relu": simple(lambda x: k.leaky_relu(x, 0.2), 2),
        "gate": gate,
        "upsample_nearest x2": simple(lambda x: k.upsample_nearest(x, (2, 2)), 5),
        "block_sum x2": simple(lambda x: k.block_sum(x, (2, 2)), 1.25),
        "reflect pad 1": simple(lambda x: k.pad(x, widths, "reflect", 0.0), 2),
        "sum over N, H, W": simple(lambda x: k.reduce_sum(x, (0, 2, 3), False), 1),
    }


# ---- launches ----
def launches(gpu, results):
    """Microseconds of the host for a launch, and of the device for an empty graph's nodes."""
    yield "one of our kernels, from Python", functools.partial(_from_python, gpu)
    for nodes in (1, 100, 1000):
        yield f"a graph of {nodes} smallest kernels, per kernel", functools.partial(_nodes, gpu, nodes)


def _from_python(gpu, count=2000):
    x = noise(1, 8, 8, 4).transpose(0, 3, 1, 2)
    k.leaky_relu(x, 0.2)
    gpu.synchronize()
    start = time.perf_counter()
    for _ in range(2 if gpu_cases.REHEARSAL else count):
        k.leaky_relu(x, 0.2)
    host = (time.perf_counter() - start) / count
    gpu.synchronize()
    return [("one of our kernels, from Python", {"us": f"{host * 1e6:.2f}"}, {})]


def _nodes(gpu, nodes):
    x = noise(1, 1, 1, 4).transpose(0, 3, 1, 2)
    graph = captured(lambda: k.leaky_relu(x, 0.2), nodes)
    ms = statistics.median(gpu.elapsed(graph, 2 if gpu_cases.REHEARSAL else 100) for _ in range(TURNS))
    return [(f"a graph of {nodes} smallest kernels, per kernel", {"us": f"{ms / nodes * 1e3:.2f}"}, {})]
