"""NVIDIA's checks of memory and races, on a GPU with compute-sanitizer installed."""

import shutil
import subprocess
import sys

import pytest

SMALL = ["tests/cuda/test_cuda_filters.py", "tests/cuda/test_cuda_norm.py", "tests/cuda/test_cuda_conv.py"]


@pytest.mark.gpu
@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_the_sanitizer_finds_nothing(tool):
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        pytest.skip("compute-sanitizer is not installed (it comes with the CUDA toolkit)")
    command = [sanitizer, "--tool", tool, "--error-exitcode", "9", "--launch-count", "400", sys.executable, "-m",
               "pytest", "-m", "gpu", "-x", *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
