"""Every .cu file compiles for every architecture and both precisions, without warnings and without spilled registers.

The compiler is nvcc if it is on PATH, else NVRTC, CuPy's compiler; neither needs a GPU. The sources are those that are
launched: with includes inlined and CuPy's options. What takes most of the time is reading CUDA's own headers, so many
sources, each with macros and a namespace of its own, are compiled as one program.
"""

import re
import shutil
import subprocess

import pytest

from minigan.kernels.cuda import hopper, tiles
from minigan.kernels.cuda.source import FOLDER, source

HOPPER = ("90a",)  # what each kind of kernel is launched on
ARCHITECTURES, WITH_TENSOR_CORES = (75, 80, 90), (80, 90)
OTHERS = (86, 89, 100, 120)  # compiled, too; there some kernels spill a few registers
FILES = sorted({path.name for path in FOLDER.glob("*.cu")} - {"hopper.cu"})
OPTIONS = ("-std=c++17", "-ftz=true")
PACKED = [file for file in FILES if '#include "pack.cuh"' in (FOLDER / file).read_text()]
WIDE = {"VA": 4, "VB": 4, "A_ALONG_K": 1, "B_ALONG_K": 0, "BK": 32, "STAGES": 3}
TENSOR_CORES = [  # every tile, and the largest for every layout of the operands
    *({**WIDE, **tile._asdict()} for tile in (*tiles.TILES, tiles.HALF)), {**WIDE, **tiles.NARROW._asdict(), "VB": 1},
    *({**WIDE, **tiles.TILES[0]._asdict(), **lie} for lie in (
        {"B_ALONG_K": 1}, {"A_ALONG_K": 0}, {"A_ALONG_K": 0, "B_ALONG_K": 1}, {"VA": 1, "VB": 1, "BK": 16},
        {"MIRROR": 1, "MOMENTS": 1}, {"B_ALONG_K": 1, "MOMENTS": 1}, {"A_ALONG_K": 0, "MIRROR": 1}, {"OPENED": 1},
        {"B_ALONG_K": 1, "OPENED": 2}))]
CUTS = ((0, 1, 0, 0, 0), (1, 2, 0, 0, 0), (2, 8, 0, 0, 0), (2, 1, 1, 1, 0), (0, 2, 0, 1, 0), (1, 1, 0, 1, 0),
        (1, 4, 0, 1, 0), (0, 2, 1, 1, 0), (0, 1, 1, 0, 0), (0, 1, 0, 0, 1), (0, 2, 0, 0, 1), (1, 1, 0, 0, 2),
        (1, 4, 0, 0, 2))  # mode, cluster, mirror, moments, opened
PROGRAMS = {  # name: [(file, its macros), ...]
    **{real: [*((file, {"REAL": real}) for file in FILES), *((file, {"REAL": real, "VEC": 1}) for file in PACKED)]
       for real in ("float", "double")},
    "tensor cores": [("conv.cu", {"REAL": "float", "TF32": 1, **macros}) for macros in TENSOR_CORES],
    "bf16": [*((file, {"STORE": "bf16", "VEC": vec}) for file in PACKED for vec in (4, 1)),
             ("arrange.cu", {"STORE": "bf16", "OUT": "bf16"}),
             *((file, {"OUT": "bf16"}) for file in ("elementwise.cu", "conv.cu", "arrange.cu"))],
    "bf16 tensor cores": [("conv.cu", {"BF16": 1, "STORE": "bf16", **macros, **loads, "BK": deep, "OUT": out})
                          for macros in TENSOR_CORES for loads, deep, out in (
                              ({key: 8 for key in ("VA", "VB") if macros[key] == 4}, 2 * macros["BK"], "bf16"),
                              ({}, 32, "float"))],
    **{f"Hopper {tile.BN}x{tile.STAGES}": [
        ("hopper.cu", {"REAL": "float", "MODE": mode, "BN": tile.BN, "STAGES": tile.STAGES, "BLOCKS": tile.BLOCKS,
                       "CLUSTER": cluster, "MIRROR": mirror, "MOMENTS": moments, "OPENED": opened})
        for mode, cluster, mirror, moments, opened in CUTS] for tile in hopper.TILES},
    **{f"Hopper bf16 {tile.BN}x{tile.STAGES}": [
        ("hopper.cu", {"BF16": 1, "STORE": "bf16", "OUT": "float" if mode == 2 else "bf16", "MODE": mode, "BN": tile.BN,
                       "STAGES": tile.STAGES, "BLOCKS": tile.BLOCKS, "CLUSTER": cluster, "MIRROR": mirror,
                       "MOMENTS": moments, "OPENED": opened})
        for mode, cluster, mirror, moments, opened in CUTS] for tile in hopper.TILES}}
ON = {**dict.fromkeys(("tensor cores", "bf16", "bf16 tensor cores"), WITH_TENSOR_CORES),
      **{name: HOPPER for name in PROGRAMS if name.startswith("Hopper")}}
KNOWN = re.compile(  # the end of a loop; and at most 39 bytes, not read again in the loop (cuobjdump shows LDL there)
    r"ptxas info .*C7517.*\n|ptxas \w+ +: Registers are spilled .*_MODE1_BN128_STAGES3_.*, [1-3]?\d bytes.*\n")
STRICT = "-Xptxas", "-warn-spills", "-Werror", "all-warnings"
SERIAL = "C7515"  # asynchronous products that wait for each other
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


def program(sources):
    """The text of a program that holds all sources; messages and kernels' names say which source and which macros."""
    parts = ["#ifndef __CUDACC_RTC__\n#include <stdint.h>\n#endif"]
    for number, (file, macros) in enumerate(sources):
        name = "_".join((file.partition(".")[0], str(number), *(f"{key}{value}" for key, value in macros.items())))
        text = source(file).replace('extern "C" __global__', "__global__").replace(f'"{file}"', f'"{name}.cu"')
        parts += [*(f"#define {key} {value}" for key, value in macros.items()), f"namespace {name} {{", text, "}",
                  *(f"#undef {key}" for key in {**macros, **dict.fromkeys(re.findall(r"#define (\w+)", text))})]
    return "\n".join(parts)


def nvcc(text, architectures, folder, strict=True):
    """The warnings and errors of nvcc; if not strict, errors alone.

    All architectures from sm_80 on have the same PTX, because the sources tell apart no others; registers are allocated
    for each. Making PTX takes most of the time.
    """
    (folder / "kernel.cu").write_text(text)
    virtual = {sm: sm if sm in HOPPER else min(sm, 80) for sm in architectures}
    targets = [word for sm in architectures for word in ("-gencode", f"arch=compute_{virtual[sm]},code=sm_{sm}")]
    done = subprocess.run(
        ["nvcc", *OPTIONS, *targets, *(STRICT if strict else ()), "-fatbin",
         "-o", str(folder / "kernel.fatbin"), str(folder / "kernel.cu")], capture_output=True, text=True)
    messages = done.stdout + done.stderr
    return KNOWN.sub("", messages) if done.returncode or SERIAL in messages else ""


def nvrtc(text, architectures, folder, strict=True):
    """The warnings and errors of NVRTC; the log of a program that compiles has warnings. Else: errors alone."""
    from cupy_backends.cuda.libs import nvrtc as library

    complaints = ""
    for sm in architectures:
        program = library.createProgram(text, "kernel.cu", (), ())
        options = (*OPTIONS, f"-arch=sm_{sm}", "--device-as-default-execution-space", "-lineinfo",
                   "--ptxas-options=-warn-spills")
        try:
            library.compileProgram(program, options)
            complaints += library.getProgramLog(program) if strict else ""
        except library.NVRTCError as error:
            complaints += f"{error}\n{library.getProgramLog(program)}"
        finally:
            library.destroyProgram(program)
    return KNOWN.sub("", complaints)


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
    """complaints(text, architectures): the compiler's messages."""
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("compiling CUDA needs nvcc on PATH (CUDA toolkit) or NVRTC (pip install cupy-cuda13x[ctk])")
    return lambda text, architectures, strict=True: compiler(text, architectures, tmp_path, strict)


@pytest.mark.long
@pytest.mark.parametrize("name", PROGRAMS)
def test_compiles_without_warnings_and_spills(complaints, name):
    assert complaints(program(PROGRAMS[name]), ON.get(name, ARCHITECTURES)) == ""


@pytest.mark.long
@pytest.mark.parametrize("name", ["float", "tensor cores", "bf16", "bf16 tensor cores"])
def test_compiles_for_other_architectures(complaints, name):
    assert complaints(program(PROGRAMS[name]), OTHERS, strict=False) == ""


def test_the_compiler_would_complain(complaints):
    """Planted faults (spilled registers, a warning, an error) are reported with the file and line of #line."""
    assert "spilled" in complaints(SPILLING, [80])
    kernel = '#line 1 "norm.cu"\nextern "C" __global__ void f(float* x) {\n  %s\n  x[0] = 1;\n}\n'
    assert complaints(kernel % "", [80]) == ""
    assert re.search(r"norm\.cu\(2\): (warning|error).*never referenced", complaints(kernel % "int unused;", [80]))
    assert re.search(r'norm\.cu\(2\): error.*"wrong"', complaints(kernel % "x[1] = wrong;", [80]))


def test_sources_tell_apart_only_what_is_below_sm_80_and_what_is_not():
    sources = "".join(path.read_text() for path in FOLDER.glob("*.cu*"))
    assert set(re.findall(r"__CUDA_ARCH__ *([<>=!]+ *\w+)", sources)) == {">= 800"}
