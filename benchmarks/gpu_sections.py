"""The sections of benchmarks/gpu.py: each yields (name, function that measures), the most important row first.

A function gives [(row's name, {column: text}, what else to keep)], in most sections one row.
"""

import functools
import json
import statistics
import tempfile
import time
from pathlib import Path

import gpu_cases
import gpu_kernels
import numpy as np
import works
from gpu_cases import BF16, LOSSES_ONLY, PRODUCTS, STEPS
from gpu_clock import CALLS, captured, in_turns, torch

import minigan as mg

COUNTS = {}  # of gpu_record.py: {step: {"launches", "gemms", "gflop"}}
OURS = "ours, graph"


def ceilings(gpu, results):
    """The GPU's copy bandwidth and matrix rates, as a copy and PyTorch's products reach them."""
    size = 1 << (10 if gpu_cases.REHEARSAL else 27)

    def copy():
        source = works.noise().normal(size, device=mg.device.default())
        target = source.copy()
        times, failed = in_turns(gpu, {"copy": lambda: lambda: np.copyto(target, source)})
        rate = 2 * source.nbytes / times["copy"][0] / 1e6
        return [("copy", {"GB/s": f"{rate:.0f}"}, {"rate": rate, "failed": failed})]

    def product(dtype):
        import gpu_peers

        gpu_peers.best_settings()
        n = 64 if gpu_cases.REHEARSAL else 8192
        a, b = (torch.randn(n, n, device=gpu.torch_device).to(dtype) for _ in range(2))
        times, failed = in_turns(gpu, {"product": lambda: lambda: a @ b})
        if failed:
            raise RuntimeError(failed.get("product") or failed["turns"])
        rate = 2 * n**3 / times["product"][0] / 1e9
        return [(name, {"TFLOP/s": f"{rate:.0f}"}, {"rate": rate})]

    yield "copy", copy
    for name, dtype in (("TF32", "float32"), ("bf16", "bfloat16")):
        yield name, functools.partial(product, getattr(torch, dtype, None))


def floor(results, flop, moved=0):
    """The larger of the two times in milliseconds that no kernel undercuts; None without ceilings."""
    rows = [results.find("ceilings", name) for name in ("TF32", "copy")]
    if not all(row and row.get("rate") for row in rows):
        return None
    return max(flop / rows[0]["rate"] / 1e9, moved / rows[1]["rate"] / 1e6)


# ---- steps ----
def ours(gpu, results):
    """Our captured steps alone: written before a peer, which may take long, is built."""
    for name in STEPS:
        yield name, functools.partial(_ours, gpu, name)


def _ours(gpu, name):
    times, failed = in_turns(gpu, {OURS: lambda: captured(gpu_cases.build(name))})
    cells = {system: f"{row[0]:.3f}" for system, row in times.items()}
    return [(name, cells | _failures(failed), {"ms": times, "failed": failed})]


def steps(gpu, results):
    """Milliseconds of training steps."""
    for name, case in STEPS.items():
        ways = _ways(case)
        yield name, functools.partial(_step, gpu, results, name, ways)
        if name == "DCGAN-64 b128":
            yield f"{name}, fit", functools.partial(_fit, gpu, name)


def _ways(case):
    """PyTorch's ways to run a step, {name: Way}."""
    if torch is None:
        return {}
    import gpu_peers

    return gpu_peers.STEP_WAYS | (gpu_peers.NORM_WAYS if case.work == "cyclegan" else {})


def _step(gpu, results, name, ways, plain=True, halves=False):
    """One row: ours captured (with and without the trainer's metrics) and plain, and PyTorch's ways."""
    case = STEPS[name]
    systems = {OURS: lambda: captured(gpu_cases.build(name))}
    if case.work == "dcgan" and plain:
        systems[OURS + LOSSES_ONLY] = lambda: captured(gpu_cases.build(name + LOSSES_ONLY))
    if halves:
        systems[OURS + BF16] = lambda: captured(gpu_cases.build(name + BF16))
    for way, settings in ways.items():
        systems[way] = functools.partial(_peer, gpu, case, settings)
    if plain:
        systems["ours, one branch"] = lambda: captured(gpu_cases.build(name), branches=False)
        systems["ours, plain"] = lambda: gpu_cases.build(name)
    times, failed = in_turns(gpu, systems)
    cells = {system: f"{times[system][0]:.3f}" for system in systems if system in times}
    counts = COUNTS.get(name, {})
    least = floor(results, counts.get("gflop", 0) * 1e9)
    cells |= _compared(times, OURS) | {"floor": f"{least:.3f}" if least else ""}
    return [(name, cells | _failures(failed), {"ms": times, "failed": failed, "counts": counts})]


def _peer(gpu, case, way):
    import gpu_peers

    return gpu_peers.step(gpu, case, way)


def _compared(times, ours):
    """Ours over the fastest peer's time."""
    peers = [row[0] for system, row in times.items() if not system.startswith("ours")]
    return {"ours / fastest peer": f"{times[ours][0] / min(peers):.2f}" if peers and ours in times else ""}


def _failures(failed):
    return {"failed": "; ".join(f"{system}: {why}" for system, why in failed.items())} if failed else {}


def _fit(gpu, name):
    """A whole training loop: batches drawn on the device, metrics read; per step, from two runs of different length."""
    options, counts = STEPS[name].options, (4, 8) if gpu_cases.REHEARSAL else (50, 250)
    shape = (options.batch * (sum(counts) + 16), options.channels, options.size, options.size)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    mg.seed(0)
    networks = mg.models.dcgan(options.channels, options.size, 100, options.width, options.upsample)
    trainer = mg.trainers.GAN(*networks)
    loader = mg.data.Loader(images, options.batch, seed=0).to(mg.device.default())
    trainer.fit(loader, 4)  # compiles what draws batches
    seconds = []
    for count in counts:
        start = time.perf_counter()
        trainer.fit(loader, count)
        gpu.synchronize()
        seconds.append(time.perf_counter() - start)
    ms = (seconds[1] - seconds[0]) / (counts[1] - counts[0]) * 1e3
    return [(f"{name}, fit", {"ours, fit": f"{ms:.3f}"}, {"ms": ms})]


def bf16(gpu, results):
    """Steps in bfloat16, ours and PyTorch's, beside ours in TF32."""
    return _other_ways(gpu, results, "BF16_WAYS", STEPS, halves=True)


def eager(gpu, results):
    """PyTorch's steps without a graph."""
    return _other_ways(gpu, results, "EAGER_WAYS", STEPS)


def compiled(gpu, results):
    """PyTorch's steps by torch.compile."""
    return _other_ways(gpu, results, "COMPILED_WAYS", ("DCGAN-64 b128", "DCGAN-32 b64", "CycleGAN-256 b1"))


def _other_ways(gpu, results, ways, names, halves=False):
    import gpu_peers

    for name in names:
        yield name, functools.partial(
            _step, gpu, results, name, getattr(gpu_peers, ways), plain=False, halves=halves)


# ---- convolutions ----
def convolutions(gpu, results):
    """Microseconds of the three products of every layer."""
    for name, (product, layer) in PRODUCTS.items():
        yield name, functools.partial(_convolution, gpu, results, name, product, layer)


def _convolution(gpu, results, name, product, layer):
    arrays = gpu_cases.operands(layer)
    ours = gpu_cases.our_product(product, layer, arrays)
    systems, errors = {OURS: lambda: captured(ours, CALLS)}, {}
    if torch is not None:
        import gpu_peers

        theirs = [gpu.to_torch(a) for a in arrays]
        for layout in gpu_peers.FORMATS:
            systems[f"cuDNN, {layout}"] = lambda layout=layout: gpu.torch_graph(
                gpu_peers.product(product, layer, theirs, layout), CALLS)
    times, failed = in_turns(gpu, systems)
    if torch is not None:
        try:
            exact = gpu_peers.reference(product, layer, theirs)
            errors["ours"] = gpu_peers.error(gpu.to_torch(ours()), exact)
            errors["cuDNN"] = gpu_peers.error(gpu_peers.product(product, layer, theirs, "channels_last")(), exact)
        except Exception as error:
            failed["errors"] = f"{type(error).__name__}: {error}"[:160]
    ms = {system: [value / CALLS for value in row] for system, row in times.items()}
    cells = {f"{system}, us": f"{ms[system][0] * 1e3:.1f}" for system in systems if system in ms}
    least = floor(results, layer.flop, layer.bytes)
    cells |= _compared(ms, OURS) | {"floor, us": f"{least * 1e3:.1f}" if least else ""}
    cells["TFLOP/s"] = f"{layer.flop / ms[OURS][0] / 1e9:.1f}" if OURS in ms else ""
    cells |= {f"error, {who}": f"{value:.1e}" for who, value in errors.items()}
    return [(name, cells | _failures(failed), {"ms": ms, "errors": errors, "flop": layer.flop, "bytes": layer.bytes})]


# ---- where a step's time goes ----
def split(gpu, results):
    """A step's kernels by name, grid and block: how often, how long; as PyTorch's profiler sees them."""
    for name in ("CycleGAN-128 b1", "DCGAN-32 b64", "DCGAN-64 b128", "WGAN-GP b64", "CycleGAN-256 b1"):
        yield name, functools.partial(_split, gpu, name)


def _split(gpu, name, repeats=3):
    step = captured(gpu_cases.build(name))
    with torch.profiler.profile() as profiler:
        for _ in range(repeats):
            step()
        gpu.synchronize()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        return by_kernel(name, json.loads(path.read_text())["traceEvents"], repeats)


def by_kernel(name, events, repeats):
    """Rows of a trace of `repeats` steps: the whole step first, then its kernels, the longest first."""
    groups = {}
    kernels = [event for event in events if event.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")]
    for event in kernels:
        args = event.get("args", {})
        key = event["name"].partition("(")[0][:60], str(args.get("grid", "")), str(args.get("block", ""))
        groups.setdefault(key, []).append(event["dur"])
    total = sum(event["dur"] for event in kernels) / repeats
    span = (max(e["ts"] + e["dur"] for e in kernels) - min(e["ts"] for e in kernels)) / repeats if kernels else 0
    rows = [(name, {"launches": f"{len(kernels) / repeats:.0f}", "us in a step": f"{total:.0f}",
                    "us from first to last": f"{span:.0f}"}, {})]
    for (kernel, grid, block), times in sorted(groups.items(), key=lambda item: -sum(item[1]))[:40]:
        rows.append((f"{name}: {kernel} {grid} {block}",
                     {"launches": f"{len(times) / repeats:.0f}", "us in a step": f"{sum(times) / repeats:.1f}",
                      "us each": f"{statistics.median(times):.1f}"}, {}))
    return rows


SECTIONS = {"ceilings": ceilings, "ours": ours, "steps": steps, "convolutions": convolutions,
            "kernels": gpu_kernels.kernels, "launches": gpu_kernels.launches, "split": split, "bf16": bf16,
            "compiled": compiled, "eager": eager}
