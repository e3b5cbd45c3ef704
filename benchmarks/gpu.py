"""All measurements on one GPU, written to run once, unattended, on a machine that is not known beforehand.

    python benchmarks/gpu.py --out results/          # all sections: gpu.md, gpu.json; under five minutes
    python benchmarks/gpu.py --out results/ --sections launches,convolutions

Sections  launches       the cost of a kernel launch, a graph launch and a node of a graph
          bandwidth      norm, resample, elementwise and optimiser kernels against a device-to-device copy
          convolutions   our convolutions against PyTorch's (cuDNN, TF32, channels_last, benchmark mode), with accuracy
          steps          DCGAN-32, DCGAN-64, a WGAN-GP critic step, CycleGAN-256: eager and captured, against PyTorch
                         eager and PyTorch under a CUDA graph
          compiled       DCGAN-32, captured, against torch.compile, which may search for minutes

Times are measured with CUDA events: medians of several turns, ours and theirs alternating, after a warm-up that
compiles. Single kernels and convolutions, ours and cuDNN's, run many times in a CUDA graph, so that no launch is timed.
A section that fails is reported with its error and does not stop the others; files are rewritten after every section.
PyTorch is optional: without it, its columns stay empty.
"""

import argparse
import contextlib
import datetime
import json
import statistics
import sys
import time
import traceback
from pathlib import Path

import cupy
import numpy as np

import minigan as mg
from minigan import kernels

try:
    import torch
except ImportError:
    torch = None

TURNS = 9  # of every system; the median is reported
TURN = 0.03  # seconds per turn
CALLS = 20  # of a kernel in one graph; arrays that fit are in the L2 cache, as in a training step


# ---- timing ----
def once(step, count):
    """Milliseconds per call of `count` calls in a row, by events on the stream the caller uses."""
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    for _ in range(count):
        step()
    end.record()
    end.synchronize()
    return cupy.cuda.get_elapsed_time(start, end) / count


def alternate(steps):
    """Median milliseconds by name of the systems {name: step}, measured in turns; and the errors of those that fail."""
    counts, times, failed = {}, {}, {}
    for name, step in steps.items():
        if step is None:
            continue
        try:
            for _ in range(3):
                step()
            cupy.cuda.runtime.deviceSynchronize()
            counts[name] = max(1, int(TURN * 1e3 / max(1e-3, once(step, 3))))
            times[name] = []
        except Exception as error:  # a peer that cannot do a case is reported; the others go on
            failed[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:100] if str(error) else ''}"
    for _ in range(TURNS):
        for name, count in counts.items():
            cupy.cuda.runtime.deviceSynchronize()
            times[name].append(once(steps[name], count))
    return {name: statistics.median(row) for name, row in times.items()}, failed


def ours_as_graph(step):
    """CALLS calls of `step` as one CUDA graph: the time of the kernels without Python's time to launch them."""
    graph, kept = kernels.backend("cuda").Graph(), []
    step()
    with graph.capture():
        for _ in range(CALLS):
            kept[:] = [step()]
    return lambda: graph.launch()


def torch_as_graph(step):
    """The same for a PyTorch function."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(CALLS):
            kept = step()
    return lambda kept=kept: graph.replay()


def alternate_kernels(ours, theirs=None):
    """Median milliseconds of one call of each function {name: function}, all in graphs; failures by name."""
    systems, failed = {}, {}
    for name, step, as_graph in [(n, s, ours_as_graph) for n, s in ours.items()] + [
            (n, s, torch_as_graph) for n, s in (theirs or {}).items()]:
        try:
            systems[name] = as_graph(step)
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:100] if str(error) else ''}"
    times, more = alternate(systems)
    return {name: ms / CALLS for name, ms in times.items()}, failed | more


def on_default_stream():
    """PyTorch on the stream CuPy uses, so that the same events time both."""
    if torch is None:
        return contextlib.nullcontext()
    return torch.cuda.stream(torch.cuda.ExternalStream(cupy.cuda.get_current_stream().ptr))


def noise(shape, stream=0):
    """Standard normal float32 numbers: zeros would run faster than real data."""
    return mg.random.normal(shape, seed=0, stream=stream)


# ---- launches ----
def launches():
    """Host time of a launch, device time of an empty kernel in a stream and as a node of a graph."""
    kernel = cupy.RawKernel('extern "C" __global__ void nothing() {}', "nothing")
    empty = lambda: kernel((1,), (32,), ())
    empty()
    cupy.cuda.runtime.deviceSynchronize()
    start = time.perf_counter()
    for _ in range(2000):
        empty()
    host = (time.perf_counter() - start) / 2000
    cupy.cuda.runtime.deviceSynchronize()
    x = cupy.asarray(noise((64, 8, 8, 64)))
    kernels.leaky_relu(x, 0.2)
    start = time.perf_counter()
    for _ in range(2000):
        kernels.leaky_relu(x, 0.2)
    ours = (time.perf_counter() - start) / 2000
    cupy.cuda.runtime.deviceSynchronize()
    rows = [("host, one launch by CuPy", host * 1e6),
            ("host, one of our kernels, checks and output included", ours * 1e6),
            ("device, one launch", statistics.median(once(empty, 1000) for _ in range(TURNS)) * 1e3)]
    stream = cupy.cuda.Stream(non_blocking=True)
    for nodes in (1, 100, 1000):
        with stream:
            stream.begin_capture()
            for _ in range(nodes):
                empty()
            graph = stream.end_capture()
        per = statistics.median(once(graph.launch, 100) for _ in range(TURNS)) * 1e3
        rows.append((f"device, a graph of {nodes} empty nodes, per node", per / nodes))
    return ["what", "microseconds"], [(what, f"{us:.2f}") for what, us in rows]


# ---- bandwidth ----
def bandwidth():
    """GB/s of memory-bound kernels, with each array counted once, and their ratio to a copy's."""
    big = cupy.zeros(1 << 27, np.float32)
    room = cupy.empty_like(big)
    times, _ = alternate({"copy": lambda: cupy.copyto(room, big)})
    copy = 2 * big.nbytes / times["copy"] / 1e6
    big = room = None
    rows = [("copy of 512 MiB", f"{times['copy'] * 1e3:.0f}", f"{copy:.0f}", "1.00")]
    for name, step, size in _memory_bound():
        times, failed = alternate_kernels({"ours": step})
        if failed:
            rows.append((name, failed["ours"], "", ""))
            continue
        rate = size / times["ours"] / 1e6
        rows.append((name, f"{times['ours'] * 1e3:.1f}", f"{rate:.0f}", f"{rate / copy:.2f}"))
    return ["kernel", "microseconds", "GB/s", "share of the copy"], rows


def _memory_bound():
    """(name, step, bytes) for the kernels that only move memory."""
    def images(n, c, h, w):
        return cupy.asarray(noise((n, h, w, c))).transpose(0, 3, 1, 2)

    for shape in ((128, 128, 32, 32), (128, 512, 8, 8), (1, 64, 256, 256), (1, 256, 64, 64)):
        x, gy = images(*shape), images(*shape)
        over = "batch" if shape[0] > 1 else "instance"
        gamma, beta = (cupy.ones(shape[1], np.float32) for _ in range(2))
        mean, _, rstd = kernels.norm_stats(x, over, 1e-5)
        y = kernels.norm_apply(x, mean, rstd, gamma, beta, 0.2)
        size, what = x.nbytes, f"{over} {'x'.join(map(str, shape))}"
        yield f"norm_stats, {what}", lambda x=x, over=over: kernels.norm_stats(x, over, 1e-5), size
        yield (f"norm_apply + leaky_relu, {what}",
               lambda a=(x, mean, rstd, gamma, beta, 0.2): kernels.norm_apply(*a), 2 * size)
        yield (f"norm_grad + gate, {what}",
               lambda a=(gy, x, mean, rstd, gamma, over, y, 0.2): kernels.norm_grad(*a), 7 * size)
        yield f"leaky_relu, {what}", lambda x=x: kernels.leaky_relu(x, 0.2), 2 * size
        yield f"gate, {what}", lambda x=x, gy=gy: kernels.gate(gy, x, 0.2), 3 * size
        yield f"upsample_nearest x2, {what}", lambda x=x: kernels.upsample_nearest(x, (2, 2)), 5 * size
        yield f"block_sum x2, {what}", lambda x=x: kernels.block_sum(x, (2, 2)), size * 5 // 4
        widths = ((0, 0), (0, 0), (1, 1), (1, 1))
        yield f"reflect pad 1, {what}", lambda x=x, w=widths: kernels.pad(x, w, "reflect", 0.0), 2 * size
        yield f"sum over N, H, W, {what}", lambda x=x: kernels.reduce_sum(x, (0, 2, 3), False), size
    for count in (1 << 20, 1 << 25):
        p, g, m, v = (cupy.asarray(noise(count)) for _ in range(4))
        v = cupy.abs(v)
        yield (f"adam, {count >> 20} Mi parameters", lambda a=(p, g, m, v): kernels.adam(
            [a[0]], [a[1]], [a[2]], [a[3]], 1, 1e-4, 0.5, 0.999, 1e-8, 0.0), 7 * p.nbytes)


# ---- convolutions ----
LAYERS = [  # name, N, C, H, O, kernel, stride, padding
    ("DCGAN-32 D1", 64, 1, 32, 64, 4, 2, 1), ("DCGAN-32 D2", 64, 64, 16, 128, 4, 2, 1),
    ("DCGAN-32 D3", 64, 128, 8, 256, 4, 2, 1), ("DCGAN-32 D4", 64, 256, 4, 1, 4, 1, 0),
    ("DCGAN-64 D1", 128, 3, 64, 64, 4, 2, 1), ("DCGAN-64 D2", 128, 64, 32, 128, 4, 2, 1),
    ("DCGAN-64 D3", 128, 128, 16, 256, 4, 2, 1), ("DCGAN-64 D4", 128, 256, 8, 512, 4, 2, 1),
    ("CycleGAN-256 first", 1, 3, 262, 64, 7, 1, 0), ("CycleGAN-256 down", 1, 64, 256, 128, 3, 2, 1),
    ("CycleGAN-256 residual", 1, 256, 66, 256, 3, 1, 0), ("CycleGAN-256 last", 1, 64, 262, 3, 7, 1, 0),
    ("PatchGAN 3", 1, 128, 64, 256, 4, 2, 1), ("PatchGAN 4", 1, 256, 32, 512, 4, 1, 1),
]


def convolutions():
    """Microseconds of the three products of every layer, ours in TF32 and FP32 and PyTorch's; our GFLOP/s in TF32."""
    if torch is not None:
        torch.backends.cudnn.benchmark = torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    rows = []
    for name, N, C, H, O, K, S, P in LAYERS:  # noqa: E741
        OH = (H + 2 * P - K) // S + 1
        x, g = (noise(shape, i) for i, shape in enumerate(((N, H, H, C), (N, OH, OH, O))))
        w = noise((K, K, C, O), 2) * (K * K * C) ** -0.5
        ours = [cupy.asarray(a) for a in (x, w, g)]
        x_, w_, g_ = ours[0].transpose(0, 3, 1, 2), ours[1].transpose(3, 2, 0, 1), ours[2].transpose(0, 3, 1, 2)
        geometry = ((S, S), (P, P), (1, 1))
        products = {
            "conv2d": lambda a=(x_, w_, None, *geometry): kernels.conv2d(*a),
            "conv_transpose2d": lambda a=(g_, w_, None, *geometry, (H, H)): kernels.conv_transpose2d(*a),
            "conv2d_weight_grad": lambda a=(x_, g_, (K, K), *geometry): kernels.conv2d_weight_grad(*a),
        }
        theirs = _torch_products(x, w, g, S, P, H) if torch is not None else {}
        gflop = 2e-9 * N * OH * OH * O * C * K * K
        for product, step in products.items():
            kernels.set_precision("fp32")
            exact, (fp32, failed) = step(), alternate_kernels({"fp32": step})
            kernels.set_precision("tf32")
            apart = float(cupy.linalg.norm(step() - exact) / cupy.linalg.norm(exact))
            times, more = alternate_kernels({"tf32": step}, {"torch": theirs[product]} if theirs else None)
            failed |= more
            tf32, peer = times.get("tf32"), times.get("torch")
            rows.append((product, name, _us(tf32), _us(fp32.get("fp32")), _us(peer),
                         f"{tf32 / peer:.2f}" if tf32 and peer else "", f"{gflop / tf32 * 1e3:.0f}" if tf32 else "",
                         f"{apart:.0e}", "; ".join(f"{k}: {v}" for k, v in failed.items())))
    return ["product", "layer", "ours tf32, us", "ours fp32, us", "cuDNN tf32, us", "ours / cuDNN", "GFLOP/s",
            "tf32 off by", "failed"], rows


def _us(ms):
    return "" if ms is None else f"{ms * 1e3:.1f}"


def _torch_products(x, w, g, S, P, H):
    x, w, g = (torch.from_numpy(np.ascontiguousarray(a)).cuda().permute(*order).to(memory_format=torch.channels_last)
               for a, order in ((x, (0, 3, 1, 2)), (w, (3, 2, 0, 1)), (g, (0, 3, 1, 2))))
    back = torch.ops.aten.convolution_backward
    fixed = (None, (S, S), (P, P), (1, 1), False, (0, 0), 1)
    return {
        "conv2d": lambda: torch.nn.functional.conv2d(x, w, None, S, P),
        "conv_transpose2d": lambda: back(g, x, w, *fixed, (True, False, False)),
        "conv2d_weight_grad": lambda: back(g, x, w, *fixed, (False, True, False)),
    }


# ---- steps ----
STEPS = {  # name: (work, sizes)
    "DCGAN-32, batch 64": ("dcgan", {"batch": 64, "size": 32, "channels": 1, "width": 64}),
    "DCGAN-64, batch 128": ("dcgan", {"batch": 128, "size": 64, "channels": 3, "width": 64}),
    "WGAN-GP critic, batch 64": ("wgan_gp", {"batch": 64, "size": 32, "channels": 1, "width": 64}),
    "CycleGAN-256, batch 1": ("cyclegan", {"batch": 1, "size": 256, "channels": 3, "width": 64}),
}


def steps(names=tuple(STEPS), peers=("eager", "graph")):
    """Milliseconds per training step: ours kernel by kernel and as a graph, and PyTorch's for each of `peers`."""
    import works

    rows = []
    for name in names:
        work, sizes = STEPS[name]
        options = argparse.Namespace(**sizes, upsample="upconv", threads=1, start=None)
        update = works.work(work, options).update
        captured, failed = mg.capture(update), {}
        systems = {"ours": update, "ours, graph": captured}
        if torch is not None:
            import torch_twin

            for peer in peers:
                try:
                    systems[f"torch {peer}"] = torch_twin.gpu_step(work, options, peer)
                except Exception as error:
                    failed[f"torch {peer}"] = type(error).__name__
        times, more = alternate(systems)
        failed |= more
        if captured.refused:
            failed["ours, graph"] = captured.refused
        graph = times.get("ours, graph")
        rows.append((name, *(f"{times[s]:.3f}" if s in times else "" for s in ("ours", "ours, graph")),
                     *(f"{times[f'torch {p}']:.3f}" if f"torch {p}" in times else "" for p in peers),
                     *(f"{graph / times[f'torch {p}']:.2f}" if graph and f"torch {p}" in times else "" for p in peers),
                     "; ".join(f"{k}: {v}" for k, v in failed.items())))
        print(rows[-1], flush=True)  # a later case may hang
        cupy.get_default_memory_pool().free_all_blocks()
        if torch is not None:
            torch.cuda.empty_cache()
    return ["step", "ours, ms", "ours, graph", *(f"PyTorch {p}" for p in peers), *(f"graph / {p}" for p in peers),
            "failed"], rows


def compiled():
    """The same compared with torch.compile."""
    return steps(("DCGAN-32, batch 64",), ("compile",))


SECTIONS = {"launches": launches, "bandwidth": bandwidth, "convolutions": convolutions, "steps": steps,
            "compiled": compiled}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu.md and gpu.json")
    parser.add_argument("--sections", default=",".join(SECTIONS), help="comma-separated; by default %(default)s")
    options = parser.parse_args()
    names = options.sections.split(",")
    if unknown := set(names) - set(SECTIONS):
        parser.error(f"--sections: {', '.join(sorted(unknown))} unknown")
    mg.set_device("cuda")
    options.out.mkdir(parents=True, exist_ok=True)
    machine = {"device": mg.device_info(), "date": datetime.date.today().isoformat(),
               "torch": torch.__version__ if torch else None}
    lines, results, bad = ["# On one GPU", "", f"{machine['device']}, PyTorch {machine['torch']}, {machine['date']}. "
                           "`python benchmarks/gpu.py`"], {}, 0
    for name in names:
        start = time.perf_counter()
        try:
            with on_default_stream():
                head, rows = SECTIONS[name]()
        except Exception:
            bad += 1
            head, rows = ["error"], [(line,) for line in traceback.format_exc().splitlines()]
        results[name] = {"head": head, "rows": rows, "seconds": time.perf_counter() - start}
        lines += ["", f"## {name}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|",
                  *(f"| {' | '.join(map(str, row))} |" for row in rows)]
        print("\n".join(lines[-len(rows) - 4:]), flush=True)
        (options.out / "gpu.md").write_text("\n".join(lines) + "\n")
        (options.out / "gpu.json").write_text(json.dumps({"machine": machine, "results": results}, indent=1))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
