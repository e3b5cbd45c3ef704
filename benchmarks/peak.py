"""The speed that no product of float32 numbers can exceed on this machine: vector multiply-adds in registers only.

    python benchmarks/peak.py [threads]

Each of enough independent sums waits for itself only, and no memory is touched; lesson 15 explains. Needs a C compiler.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCE = r"""
#if defined(__AVX512F__)
enum { W = 16, SUMS = 24 };
#elif defined(__AVX2__)
enum { W = 8, SUMS = 12 };  /* there are 16 registers */
#else
enum { W = 4, SUMS = 24 };
#endif
typedef float vec __attribute__((vector_size(4 * W)));
const int operations = 2 * W * SUMS;  /* per round: multiplications and additions */
void rounds(long n, float *result)
{
    vec sums[SUMS], factor = (vec){} + 0.5f, term = (vec){} + result[0];
    for (int k = 0; k < SUMS; k++) sums[k] = (vec){} + (float)k;
    for (long i = 0; i < n; i++) {
#pragma GCC unroll 24
        for (int k = 0; k < SUMS; k++) sums[k] = sums[k] * factor + term;
    }
    for (int k = 0; k < SUMS; k++) result[k % W] += sums[k][0];
}
"""
ROUNDS = 2_000_000


def compiled():
    """The library of SOURCE for this processor; None without a compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "peak.c"), Path(folder, "peak.so")
        source.write_text(SOURCE)
        native = "-mcpu=native" if os.uname().machine in ("arm64", "aarch64") else "-march=native"
        flags = ["-O3", native, "-ffp-contract=fast", "-fPIC", "-shared"]
        subprocess.run([compiler, *flags, source, "-o", library], check=True)
        return ctypes.CDLL(str(library))


def peak_rate(threads, turns=10):
    """GFLOP/s of all threads together, the best of some turns; None without a compiler."""
    library = compiled()
    if library is None:
        return None
    numbers = [(ctypes.c_float * 16)() for _ in range(threads)]
    work = ROUNDS * ctypes.c_int.in_dll(library, "operations").value * threads

    def turn(pool):
        start = time.perf_counter()
        list(pool.map(lambda result: library.rounds(ctypes.c_long(ROUNDS), result), numbers))
        return time.perf_counter() - start

    with ThreadPoolExecutor(threads) as pool:
        return work / min(turn(pool) for _ in range(turns)) / 1e9


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else os.cpu_count()
    print(f"{count} threads: {peak_rate(count) or float('nan'):.1f} GFLOP/s")
