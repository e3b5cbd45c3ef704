"""The kernels a step launches and their floating-point operations, found without a GPU; and their parallel compilation.

    python benchmarks/gpu_record.py                       # a table: launches, products, GFLOP of every step; no GPU
    python benchmarks/gpu_record.py --compile 12          # compile what they need, in 12 processes, and run each once

A step runs on the emulated device with a compiler that compiles nothing: launches are recorded and not run, and results
are meaningless. CuPy caches compiled kernels on disk, where programs that start later find them.
"""

import argparse
import contextlib
import json
import multiprocessing
import time
import traceback
from pathlib import Path
from typing import NamedTuple

import gpu_cases
import numpy as np

import minigan as mg
from minigan import kernels
from minigan.kernels.cuda import emulated, emulated_arrays, gpu, loader
from minigan.kernels.cuda.source import source

GEMMS = "gemm", "hopper_gemm"  # kernels of matrix products


class Launch(NamedTuple):
    """One launch: file and name of the kernel, macros (sorted pairs), grid, and the numbers among its arguments.

    CuPy's own kernels have no file; NumPy's operations stand for them, and a view is none.
    """

    file: str
    kernel: str
    defines: tuple
    grid: tuple
    numbers: dict


def record(case):
    """The launches of one call of a case of gpu_cases, [Launch]."""
    launches = []

    class Module:
        def __init__(self, file, defines):
            self.file, self.defines = file, tuple(sorted(defines.items()))

        def function(self, name, parameters):
            def launch(grid, block, values, shared):
                numbers = {p.name: int(v) for p, v in zip(parameters, values, strict=True)
                           if isinstance(v, np.integer)}
                launches.append(Launch(self.file, name, self.defines, grid, numbers))

            return launch

    def own(function, args, kwargs=None):
        result = run(function, args, kwargs)
        arrays = [a for a in (*args, *(kwargs or {}).values()) if isinstance(a, emulated_arrays.ndarray)]
        if isinstance(result, emulated_arrays.ndarray) and not any(
                np.may_share_memory(result.host, a.host) for a in arrays):
            launches.append(Launch("", f"CuPy {getattr(function, '__name__', '')}", (), (), {}))
        return result

    def own_in_place(function, args, kwargs=None):
        in_place(function, args, kwargs)
        launches.append(Launch("", "CuPy in place", (), (), {}))

    run, in_place = emulated_arrays._run, emulated_arrays._in_place
    emulated_arrays._run, emulated_arrays._in_place = own, own_in_place
    before = emulated.compile, emulated.room
    emulated.compile = lambda text, file, defines: Module(file, defines)
    emulated.room = emulated_arrays.room = lambda shape, dtype, order="C": np.empty(shape, dtype, order)  # no guards
    loader._module.cache_clear(), loader._kernel.cache_clear()
    try:
        mg.set_device("emulated")
        with np.errstate(all="ignore"):
            step = gpu_cases.build(case)
            step()  # makes constants and tickets, as the steps before a capture do
            launches.clear()
            with getattr(kernels, "constant_weights", contextlib.nullcontext)():  # as in a capture
                step()
    finally:
        emulated.compile, emulated.room = before
        emulated_arrays.room = emulated.room
        emulated_arrays._run, emulated_arrays._in_place = run, in_place
        loader._module.cache_clear(), loader._kernel.cache_clear()
        mg.set_device("cpu")
    return launches


def flop(launch):
    """Floating-point operations of a matrix product, borders counted as if they were inside; of other launches 0."""
    if launch.kernel not in GEMMS:
        return 0
    n, macros = launch.numbers, dict(launch.defines)
    hopper = launch.kernel == "hopper_gemm"
    matrices = 1 if hopper else launch.grid[2] // (n["splits"] * n["phases"])
    transposed = macros["MODE"] == 1 if hopper else macros["A_ALONG_K"] and macros["B_ALONG_K"]
    pixels = n["N"] * n["H"] * n["W"] if transposed else n["N"] * n["OH"] * n["OW"]
    return 2 * pixels * n["KH"] * n["KW"] * n["C"] * n["O"] * matrices


def counted(case):
    """{"case", "launches", "gemms", "gflop", "kernels"} of a case; kernels are (file, macros)."""
    launches = record(case)
    kernels = sorted({(each.file, each.defines) for each in launches if each.file})
    return {"case": case, "launches": len(launches), "gemms": sum(each.kernel in GEMMS for each in launches),
            "gflop": sum(map(flop, launches)) / 1e9, "kernels": kernels}


# ---- compiling ----
def compile_one(kernel):
    """Compile (file, macros) into CuPy's cache; the seconds it took."""
    file, defines = kernel
    start = time.perf_counter()
    (emulated if gpu_cases.REHEARSAL else gpu).compile(source(file), file, dict(defines))
    return time.perf_counter() - start


def run_once(case):
    """One plain call on the GPU, so that CuPy's own kernels are compiled as well."""
    from gpu_clock import clock

    device = clock()
    gpu_cases.build(case)()
    device.synchronize()


def attempt(job):
    """function(argument) of a job (function, argument), or the last line of what it raised."""
    function, argument = job
    try:
        return function(argument), None
    except Exception:
        return None, f"{function.__name__} {argument}: {traceback.format_exc().strip().splitlines()[-1]}"


def compile_ahead(cases, processes, counts_file=None):
    """Compile all kernels of the cases in parallel, then call each step once; failures are printed."""
    start = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        def all_of(function, arguments):
            done = pool.imap_unordered(attempt, [(function, argument) for argument in arguments])
            results = []
            for result, error in done:
                if error:
                    print(error, flush=True)
                else:
                    results.append(result)
            print(f"{function.__name__}: {len(results)} in {time.perf_counter() - start:.1f} s", flush=True)
            return results

        counted_cases = all_of(counted, cases)
        kernels = {kernel for counts in counted_cases for kernel in counts.pop("kernels")}
        if counts_file:
            counts_file.write_text(json.dumps({counts["case"]: counts for counts in counted_cases}))
        order = sorted(kernels, key=lambda kernel: kernel[0] not in ("hopper.cu", "conv.cu"))  # the slowest first
        all_of(compile_one, order)
        all_of(run_once, [case for case in cases if case.removesuffix(gpu_cases.BF16) in gpu_cases.STEPS])


def all_cases():
    """What gpu.py times."""
    steps = gpu_cases.STEPS
    return [*steps, *(name + gpu_cases.LOSSES_ONLY for name in steps if steps[name].work == "dcgan"),
            *gpu_cases.PRODUCTS]


def version_cases():
    """What gpu_versions.py times, and what its errors are measured against."""
    from gpu_versions import CASES

    return [*CASES, *(name + gpu_cases.FLOAT64 for name in CASES if name in gpu_cases.PRODUCTS)]


def bf16_cases():
    """What the section bf16 of gpu.py times of ours."""
    return [*gpu_cases.STEPS, *(name + gpu_cases.BF16 for name in gpu_cases.STEPS)]


CASE_LISTS = {"all": all_cases, "versions": version_cases, "bf16": bf16_cases}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compile", type=int, default=0, metavar="N", help="compile in N processes for the GPU")
    parser.add_argument("--cases", choices=CASE_LISTS, default="all",
                        help="of gpu.py, of its section bf16, or of gpu_versions.py")
    parser.add_argument("--counts", type=Path, help="write launches, products, GFLOP there, for gpu.py --counts")
    options = parser.parse_args()
    if options.compile:
        return compile_ahead(CASE_LISTS[options.cases](), options.compile, options.counts)
    print("| step | launches | products | GFLOP |\n|---|---|---|---|")
    for case in bf16_cases():
        counts = counted(case)
        print(f"| {case} | {counts['launches']} | {counts['gemms']} | {counts['gflop']:.1f} |", flush=True)
    return None


if __name__ == "__main__":
    main()
