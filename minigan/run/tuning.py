"""BLAS kernels that suit the CPU: a program may start itself anew with better ones."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from minigan.engine import device

CPUINFO = Path("/proc/cpuinfo")  # Linux only


def tune_blas() -> None:
    """Start this program anew with OPENBLAS_CORETYPE set, if that makes its matrix products faster.

    OpenBLAS reads the variable when NumPy is imported, which has happened by now: so the process is replaced, with the
    same arguments. A variable that is set already is left alone, so this happens once.
    """
    is_program = Path(sys.argv[0]).is_file() and sys.orig_argv[-len(sys.argv):] == sys.argv  # else: a notebook, a shell
    if not is_program or "OPENBLAS_CORETYPE" in os.environ or not CPUINFO.exists():
        return
    kernels = device.better_blas_kernels(CPUINFO.read_text())
    if kernels is not None:
        print(f"OpenBLAS: {kernels} kernels, the fastest for this CPU (--no-blas-tuning leaves the choice to OpenBLAS)",
              flush=True)
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "OPENBLAS_CORETYPE": kernels})
