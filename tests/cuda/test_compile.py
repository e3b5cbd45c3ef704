"""Every .cu file compiles for every architecture and both precisions, without warnings and without spilled registers.

The compiler is nvcc if it is on PATH, else NVRTC, CuPy's compiler; neither needs a GPU. The sources are those that are
launched: with includes inlined, CuPy's options, and both the plain variant and those in VARIANTS.
"""

import re
import shutil
import subprocess

import pytest

from minigan.kernels.cuda import conv
from minigan.kernels.cuda.source import FOLDER, source

ARCHITECTURES, WITH_TENSOR_CORES = (75, 80, 90), (80, 90)  # what is launched on tensor cores needs sm_80
FILES = sorted(path.name for path in FOLDER.glob("*.cu"))
OPTIONS = ("-std=c++17", "-ftz=true")
PACKED = [file for file in FILES if '#include "pack.cuh"' in (FOLDER / file).read_text()]
WIDE = {"VA": 4, "VB": 4, "A_ALONG_K": 1, "B_ALONG_K": 0}
TENSOR_CORES = [  # every tile, and the largest for every layout of the operands
    *({**WIDE, **tile._asdict()} for tile in (*conv.TILES, conv.HALF)), {**WIDE, **conv.NARROW._asdict(), "VB": 1},
    *({**WIDE, **conv.TILES[0]._asdict(), **lie} for lie in (
        {"B_ALONG_K": 1}, {"A_ALONG_K": 0}, {"A_ALONG_K": 0, "B_ALONG_K": 1}, {"VA": 1, "VB": 1}))]
VARIANTS = [*((file, real, {"VEC": 1}) for real in ("float", "double") for file in PACKED),
            *(("conv.cu", "float", {"TF32": 1, "STAGES": 4, **macros}) for macros in TENSOR_CORES)]
CASES = [*((file, real, {}) for real in ("float", "double") for file in FILES), *VARIANTS]
SPILLING = """extern "C" __global__ void __launch_bounds__(1024) spilling(float* x, int n) {
  float v[128];
#pragma unroll
  for (int i = 0; i < 128; i++) v[i] = x[i * n];
  for (int k = 0; k < n; k++)
#pragma unroll
    for (int i = 0; i < 128; i++) v[i] = v[i] * v[(i + 7) % 128] + v[(i + 13) % 128];
#pragma unroll
  for (int i = 0; i < 128; i++) x[i * n] = v[i];
}
"""


def nvcc(text, macros, architectures, folder):
    """The warnings and errors of nvcc.

    All architectures from sm_80 on have the same PTX, because the sources tell apart no others; registers are allocated
    for each. Making PTX takes most of the time.
    """
    (folder / "kernel.cu").write_text(text)
    targets = [word for sm in architectures for word in ("-gencode", f"arch=compute_{min(sm, 80)},code=sm_{sm}")]
    done = subprocess.run(
        ["nvcc", *OPTIONS, *macros, *targets, "-Xptxas", "-warn-spills", "-Werror", "all-warnings", "-fatbin",
         "-o", str(folder / "kernel.fatbin"), str(folder / "kernel.cu")], capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


def nvrtc(text, macros, architectures, folder):
    """The warnings and errors of NVRTC; warnings are in the log of a program that compiles."""
    from cupy_backends.cuda.libs import nvrtc as library

    complaints = ""
    for sm in architectures:
        program = library.createProgram(text, "kernel.cu", (), ())
        options = (*OPTIONS, *macros, f"-arch=sm_{sm}", "--device-as-default-execution-space", "-lineinfo",
                   "--ptxas-options=-warn-spills")
        try:
            library.compileProgram(program, options)
            complaints += library.getProgramLog(program)
        except library.NVRTCError as error:
            complaints += f"{error}\n{library.getProgramLog(program)}"
        finally:
            library.destroyProgram(program)
    return complaints


def find_compiler():
    """nvcc, NVRTC or None."""
    if shutil.which("nvcc"):
        return nvcc
    try:
        from cupy_backends.cuda.libs import nvrtc as library

        library.getVersion()
    except Exception:
        return None
    return nvrtc


@pytest.fixture
def complaints(tmp_path):
    """complaints(text, real, macros): the compiler's messages, for every architecture that launches such a kernel."""
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("compiling CUDA needs nvcc on PATH (CUDA toolkit) or NVRTC (pip install cupy-cuda13x[ctk])")

    def compiled(text, real="float", macros=None):
        macros = {"REAL": real, **(macros or {})}
        words = [f"-D{key}={value}" for key, value in macros.items()]
        return compiler(text, words, WITH_TENSOR_CORES if "TF32" in macros else ARCHITECTURES, tmp_path)

    return compiled


@pytest.mark.parametrize("file, real, macros", CASES, ids=lambda part: " ".join(map(str, part.items())) if isinstance(
    part, dict) else part)
def test_compiles_without_warnings_and_spills(complaints, file, real, macros):
    assert complaints(source(file), real, macros) == ""


def test_the_compiler_would_complain(complaints):
    """Planted faults (spilled registers, a warning, an error) are reported with the file and line of #line."""
    assert "spilled" in complaints(SPILLING)
    kernel = '#line 1 "norm.cu"\nextern "C" __global__ void f(float* x) {\n  %s\n  x[0] = 1;\n}\n'
    assert complaints(kernel % "") == ""
    assert re.search(r"norm\.cu\(2\): (warning|error).*never referenced", complaints(kernel % "int unused;"))
    assert re.search(r'norm\.cu\(2\): error.*"wrong"', complaints(kernel % "x[1] = wrong;"))


def test_sources_tell_apart_only_what_is_below_sm_80_and_what_is_not():
    sources = "".join(path.read_text() for path in FOLDER.glob("*.cu*"))
    assert set(re.findall(r"__CUDA_ARCH__ *([<>=!]+ *\w+)", sources)) == {">= 800"}
