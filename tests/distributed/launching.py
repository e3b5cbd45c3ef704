"""How the tests start several ranks, and why they cannot where they cannot."""

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


@functools.cache
def missing():
    """Why several ranks cannot be started here; empty if they can."""
    if importlib.util.find_spec("mpi4py") is None:
        return 'mpi4py is not installed: pip install "minigan[mpi]"'
    if launcher() is None:
        return "there is no mpiexec"
    probe = subprocess.run([sys.executable, "-c", "import mpi4py.MPI"], capture_output=True, text=True)
    return probe.stderr.strip().splitlines()[-1] if probe.returncode else ""


def launcher():
    beside = Path(sys.executable).parent / "mpiexec"  # a wheel's, in an environment that is not active
    return str(beside) if beside.exists() else shutil.which("mpiexec")


def environment():
    return {**os.environ, "MINIGAN_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg",
            "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_rmaps_base_oversubscribe": "1"}
