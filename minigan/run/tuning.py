"""BLAS kernels that suit the CPU: a program restarts itself if there are faster ones."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from minigan.engine import device

CPUINFO = Path("/proc/cpuinfo")  # Linux only


def tune_blas() -> None:
    """Restart this program with OPENBLAS_CORETYPE set, if that makes its matrix products faster.

    OpenBLAS reads the variable when NumPy is imported, so the process must be replaced, with the same arguments. If the
    variable is set already, nothing is done, so this happens once.
    """
    is_program = Path(sys.argv[0]).is_file() and sys.orig_argv[-len(sys.argv):] == sys.argv  # else: a notebook, a shell
    if not is_program or "OPENBLAS_CORETYPE" in os.environ or not CPUINFO.exists():
        return
    kernels = device.better_blas_kernels(CPUINFO.read_text())
    if kernels is not None:
        print(f"OpenBLAS: {kernels} kernels, the fastest for this CPU (--no-blas-tuning leaves the choice to OpenBLAS)",
              flush=True)
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "OPENBLAS_CORETYPE": kernels})
