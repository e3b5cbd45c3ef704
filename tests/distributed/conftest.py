"""For tests with several ranks: programs.py and training.py under mpiexec, where mpi4py and an MPI are installed."""

import json
import subprocess
import sys

import pytest
from launching import HERE, environment, launcher, missing


@pytest.fixture(scope="session")
def mpi():
    """mpi(count, *arguments) runs `python *arguments` on that many ranks; returns the completed process."""
    if missing():
        pytest.skip(missing())

    def start(count, *arguments, program="training.py"):
        command = [launcher(), "-n", str(count), sys.executable, str(HERE / program), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment())

    return start


@pytest.fixture(scope="session")
def ranks(mpi):
    """ranks(count, name, *arguments): what the function of programs.py returns on rank 0."""
    def start(count, name, *arguments):
        done = mpi(count, name, *arguments, program="programs.py")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return start
