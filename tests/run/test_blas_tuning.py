"""Which OpenBLAS kernels suit a CPU, and that only a program on the command line restarts to use them."""

import os
import subprocess
import sys

import pytest

from minigan import run
from minigan.engine import device
from minigan.run import tuning

AVX2 = "fpu sse sse2 avx fma avx2"
AVX512 = AVX2 + " avx512f avx512dq avx512cd avx512bw avx512vl"


def x86(vendor, family, flags):
    """/proc/cpuinfo of two equal cores, as Linux writes it."""
    core = (f"vendor_id\t: {vendor}\ncpu family\t: {family}\nmodel name\t: some: CPU\n"
            f"bugs\t\t: spectre_v1\nflags\t\t: {flags}\npower management:\n")
    return f"processor\t: 0\n{core}\nprocessor\t: 1\n{core}\n"


ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd evtstrm sve\nCPU implementer\t: 0x41\n"
ZEN3, ZEN4, ZEN5 = (x86("AuthenticAMD", family, flags) for family, flags in [(25, AVX2), (25, AVX512), (26, AVX512)])


@pytest.mark.parametrize("cpuinfo, kernels", [
    (ZEN3, None),
    (ZEN4, "Haswell"),
    (ZEN5, "SkylakeX"),
    (x86("GenuineIntel", 6, AVX512), "SkylakeX"),
    (x86("GenuineIntel", 25, AVX512), "SkylakeX"),  # families are numbered by each vendor
    (x86("GenuineIntel", 6, AVX2), None),
    (x86("GenuineIntel", 6, AVX2 + " avx512f avx512cd avx512er avx512pf"), None),  # Knights Landing
    (x86("AuthenticAMD", 25, AVX512.replace("fma", "")), None),
    (ARM, None),
    ("", None),
])
def test_kernels_for_a_cpu(cpuinfo, kernels):
    assert device.blas_kernels_for(cpuinfo) == kernels


@pytest.mark.parametrize("api, loaded, cpuinfo, kernels", [
    ("openblas", "Haswell", ZEN5, "SkylakeX"),  # an OpenBLAS older than the CPU
    ("openblas", "Zen", ZEN5, "SkylakeX"),
    ("openblas", "SkylakeX", ZEN5, None),
    ("openblas", "SapphireRapids", x86("GenuineIntel", 6, AVX512), None),
    ("openblas", "SkylakeX", ZEN4, "Haswell"),
    ("openblas", "Haswell", ZEN4, None),
    ("openblas", "Haswell", ZEN3, None),
    ("mkl", None, ZEN5, None),
])
def test_only_slower_kernels_are_replaced(monkeypatch, api, loaded, cpuinfo, kernels):
    monkeypatch.setattr(device, "_blas", lambda: {"internal_api": api, "architecture": loaded})
    assert device.better_blas_kernels(cpuinfo) == kernels


@pytest.fixture
def restarts(monkeypatch, tmp_path):
    """The (argv, environment) of the restarted program, on a Zen 5 with an OpenBLAS that does not know it."""
    (tmp_path / "cpuinfo").write_text(ZEN5)
    (tmp_path / "script.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tuning, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(device, "_blas", lambda: {"internal_api": "openblas", "architecture": "Haswell"})
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    started = []
    monkeypatch.setattr(os, "execve", lambda program, argv, environment: started.append((argv, environment)))
    return started


@pytest.fixture
def command_line(monkeypatch):
    """Make this process look as if it had been started as `python *before script.py *arguments`."""

    def start(*arguments, before=(), script="script.py"):
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        monkeypatch.setattr(sys, "orig_argv", ["python", *before, script, *arguments])

    return start


def test_a_program_is_started_anew_with_its_own_command_line(restarts, command_line, capsys):
    command_line("--seed", "1", before=("-X", "dev"))
    run.options("", name="x")
    (argv, environment), = restarts
    assert argv == [sys.executable, "-X", "dev", "script.py", "--seed", "1"]
    assert environment == {**os.environ, "OPENBLAS_CORETYPE": "SkylakeX"}
    assert "SkylakeX kernels" in capsys.readouterr().out
    assert "OPENBLAS_CORETYPE" not in os.environ


@pytest.mark.parametrize("name", ["SkylakeX", "Haswell", ""])
def test_a_variable_that_is_set_is_left_alone(restarts, command_line, monkeypatch, name):
    command_line()
    monkeypatch.setenv("OPENBLAS_CORETYPE", name)
    run.options("", name="x")
    assert not restarts


def test_it_can_be_turned_off(restarts, command_line):
    command_line("--no-blas-tuning")
    assert not run.options("", name="x").blas_tuning
    assert not restarts


def test_only_a_program_of_its_own_is_started_anew(restarts, command_line, monkeypatch, tmp_path):
    command_line(script="-")  # a script on standard input, which cannot be read again
    run.options("", name="x")
    command_line()
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "ipykernel_launcher", "-f", "x.json"])  # a notebook's %run
    run.options("", name="x")
    command_line()
    run.options("", [], name="x")  # options not from the command line
    monkeypatch.setattr(tuning, "CPUINFO", tmp_path / "nowhere")  # not Linux
    run.options("", name="x")
    assert not restarts


PROGRAM = """
import os, minigan
from minigan import run
run.main(lambda: run.options("", name="x"))
print(os.environ.get("OPENBLAS_CORETYPE"), minigan.device_info(), sep="; ")
"""


def kernels_of_a_program(folder, *arguments, **environment):
    """From a real program: OPENBLAS_CORETYPE, the line about the device, and the output before that."""
    (folder / "program.py").write_text(PROGRAM)
    inherited = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    done = subprocess.run([sys.executable, "program.py", *arguments], cwd=folder, capture_output=True, text=True,
                          timeout=60, env={**inherited, **environment})
    assert done.returncode == 0, done.stderr
    *printed, last = done.stdout.splitlines()
    variable, device_line = last.split("; ", 1)
    return variable, device_line, "".join(printed)


def test_a_real_program_on_this_machine(tmp_path):
    """Turned off: OpenBLAS's choice; by default: faster kernels if there are any; if the variable is set: those."""
    variable, own_choice, printed = kernels_of_a_program(tmp_path, "--no-blas-tuning")
    assert (variable, printed) == ("None", "")
    variable, tuned, printed = kernels_of_a_program(tmp_path)
    if variable == "None":
        assert (tuned, printed) == (own_choice, "")
    else:
        assert variable == device.blas_kernels_for(run.CPUINFO.read_text())
        assert f"({variable} kernels)" in tuned
        assert tuned != own_choice
        assert printed.startswith(f"OpenBLAS: {variable} kernels")
    variable, _, printed = kernels_of_a_program(tmp_path, OPENBLAS_CORETYPE="Nehalem")
    assert (variable, printed) == ("Nehalem", "")


def test_importing_the_library_changes_nothing():
    program = "import os; before = dict(os.environ); import minigan.run; assert dict(os.environ) == before"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
