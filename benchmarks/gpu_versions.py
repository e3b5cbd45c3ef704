"""Several versions of the kernels on one GPU, in turns: their times, and their errors.

    python benchmarks/gpu_versions.py --out DIR --budget 60 plain=. changed=../other-tree

A version is a working tree in which `minigan.kernels` can be imported (a link minigan/kernels -> ../kernels will do).
Each runs in a process of its own; for every case they take turns, so that a change of the GPU's clock affects all of
them. Rows are appended to DIR/gpu.jsonl, and DIR/gpu.md is rewritten.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

import gpu_cases
from turns import Worker

ROUNDS, TURN = 7, 0.03  # turns of every version, and seconds of one
LAYERS = ("DCGAN-64 D2", "DCGAN-64 D3", "CycleGAN-256 residual", "DCGAN-64 D4", "CycleGAN-128 residual")
CASES = ["DCGAN-64 b128", "DCGAN-32 b64", "WGAN-GP b64", "CycleGAN-128 b1", "CycleGAN-256 b1",
         *(name for layer in LAYERS for name in gpu_cases.PRODUCTS if name.endswith(f", {layer}"))]


# ---- in a version's process ----
def serve():
    """Answer the parent: a case's name -> {"error"} or {"skip"}; an empty line -> {"ms"} per call, of a turn."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get among the replies
    from gpu_clock import CALLS, captured, clock, line_about

    gpu, step, calls, count = clock(), None, 1, 1
    for line in sys.stdin:
        case = line.strip()
        try:
            if case:
                calls = CALLS if case in gpu_cases.PRODUCTS else 1
                step = None  # its memory, before the next case takes its own
                gpu.free()
                function = gpu_cases.build(case)
                step = captured(function, calls)
                count = 1 if gpu_cases.REHEARSAL else max(1, int(TURN * 1e3 / max(1e-3, gpu.elapsed(step, 2))))
                reply = {"error": error(case, function) if case in gpu_cases.PRODUCTS else None}
            else:
                gpu.synchronize()
                reply = {"ms": gpu.elapsed(step, count) / calls}
        except Exception as failure:
            reply = {"skip": line_about(failure)}
        print(json.dumps(reply), file=replies, flush=True)


def error(case, function):
    """norm(output - exact) / norm(exact); exact by our own float64 kernels, which use no tensor cores."""
    product, layer = gpu_cases.PRODUCTS[case]
    doubles = [array.astype("float64") for array in gpu_cases.operands(layer)]
    exact = gpu_cases.our_product(product, layer, doubles)()
    off = function().astype("float64") - exact
    return ((off * off).sum() / (exact * exact).sum()).item() ** 0.5


# ---- in front ----
def start(tree):
    """A process that serves the version of a tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    return Worker([sys.executable, str(tree / "benchmarks" / Path(__file__).name), "--serve"], env=environment)


def measure(workers, case):
    """{version: {"ms": [median, min, max], "error"}} and {version: why it has no time}."""
    replies = {version: worker.ask(case) for version, worker in workers.items()}
    failed = {version: reply["skip"] for version, reply in replies.items() if "skip" in reply}
    times = {version: [] for version in workers if version not in failed}
    for _ in range(2 if gpu_cases.REHEARSAL else ROUNDS):
        for version in list(times):
            reply = workers[version].ask()
            if "skip" in reply:
                failed[version] = reply["skip"]
                del times[version]
            else:
                times[version].append(reply["ms"])
    return {version: {"ms": [statistics.median(row), min(row), max(row)], "error": replies[version]["error"]}
            for version, row in times.items()}, failed


def cells_of(found, failed, first):
    """A row's cells: microseconds, ratios to the first version, errors."""
    cells = {f"{version}, us": f"{row['ms'][0] * 1e3:.1f}" for version, row in found.items()}
    if first in found:
        cells |= {f"{version} / {first}": f"{row['ms'][0] / found[first]['ms'][0]:.2f}"
                  for version, row in found.items() if version != first}
    cells |= {f"error, {version}": f"{row['error']:.1e}" for version, row in found.items() if row["error"] is not None}
    return cells | ({"failed": "; ".join(f"{version}: {why}" for version, why in failed.items())} if failed else {})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", metavar="NAME=TREE", help="the first is what the others are compared to")
    parser.add_argument("--out", type=Path, help="folder for gpu.jsonl and gpu.md")
    parser.add_argument("--budget", type=float, default=600, help="seconds after which no case is begun (%(default)s)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve()
    if not options.versions or options.out is None:
        parser.error("give --out and at least one NAME=TREE")
    from gpu import Results

    deadline = time.time() + options.budget
    trees = dict(version.split("=", 1) for version in options.versions)
    workers = {name: start(Path(tree).resolve()) for name, tree in trees.items()}
    results, longest = Results(options.out), 0
    for case in CASES:
        begin = time.time()
        if deadline - begin < longest:
            print(f"versions: {case} and what follows: no time left", flush=True)
            break
        found, failed = measure(workers, case)
        results.add("versions", case, cells_of(found, failed, next(iter(trees))), versions=found, failed=failed)
        longest = max(longest, time.time() - begin)
    for worker in workers.values():
        worker.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
