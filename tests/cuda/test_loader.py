"""The loader: how it reads a .cu file, which arguments a kernel accepts, the message if one does not compile."""

import re
import sys
import types

import numpy as np
import pytest

from minigan.errors import DeviceError, DTypeError
from minigan.kernels.cuda import emulated, gpu
from minigan.kernels.cuda.loader import kernel
from minigan.kernels.cuda.source import TYPES, Parameter, Table, signatures, source

EVERY_TYPE = """#include "common.cuh"
extern "C" __global__ void fill(int i, unsigned u, long long l, unsigned long long ul, unsigned char c, bool b, float f,
                                double d, REAL r, const REAL* maybe, REAL* y, int n) {
  REAL numbers[10] = {(REAL)i, (REAL)u, (REAL)l, (REAL)ul, (REAL)c, (REAL)b, (REAL)f, (REAL)d, r, (REAL)(maybe != 0)};
  int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at < n) y[at] = numbers[at];
}
extern "C" __global__ void __launch_bounds__(32) scale(const float* __restrict__ x, float* y, float by) {
  y[threadIdx.x] = x[threadIdx.x] * by;
}
extern "C" __global__ void sum_of_rows(Table table, REAL* y) {  // [addresses of `rows` arrays, rows, elements of each]
  REAL sum = 0;
  for (int row = 0; row < 3; row++)
    for (unsigned i = 0; i < table.word[4 + row]; i++) sum += ((const REAL*)table.word[row])[i];
  y[0] = sum * (REAL)table.word[3];
}
"""


@pytest.fixture
def write(tmp_path):
    """Write a source into a temporary folder; returns its path, for `kernel`."""
    def write(text, name="some.cu"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


@pytest.fixture(scope="module")
def every_type(tmp_path_factory):
    """The path of EVERY_TYPE, compiled once for every test that launches it."""
    path = tmp_path_factory.mktemp("source") / "every_type.cu"
    path.write_text(EVERY_TYPE)
    return str(path)


# ---- reading ----
def test_signatures():
    text = """
    // extern "C" __global__ void commented(int n) {}
    /* extern "C" __global__ void too(int n) {} */
    __device__ float helper(float x) { return x; }
    extern "C" __global__ void  __launch_bounds__(64, 2)
    first(const REAL* __restrict__ x,  // (N, C), with a comment, and commas
          unsigned long long *y, /* and another, */ const T n, Table table)
    { }
    extern "C" __global__ void second() {}
    """
    declared = signatures(text, {"REAL": "double", "T": "unsigned char"})
    assert declared == {
        "first": [Parameter("x", np.dtype(np.float64), True, True), Parameter("y", np.dtype(np.uint64), True),
                  Parameter("n", np.dtype(np.uint8), False), Parameter("table", np.dtype(TYPES["Table"]), False)],
        "second": [],
    }
    with pytest.raises(TypeError, match=r"kernel parameter `const half\* x`: half is none of int, unsigned"):
        signatures('extern "C" __global__ void f(const half* x) {}', {})


def test_every_type_has_its_size():
    sizes = {kind: np.dtype(numpy).itemsize for kind, numpy in TYPES.items()}
    assert sizes == {"int": 4, "unsigned": 4, "unsigned int": 4, "long long": 8, "unsigned long long": 8,
                     "unsigned char": 1, "bool": 1, "float": 4, "double": 8, "bf16": 2, "Table": 3840}
    assert "struct Table { unsigned long long word[480]; };" in source("common.cuh")


def test_includes_are_inlined_once_and_lines_keep_their_numbers(write):
    part = write("#pragma once\nint part;\n", "part.cuh")
    text = source(write(f'// head\n#include "{part}"\nint three;\n#include "{part}"\n#include <math.h>\nint six;\n'))
    assert text.count("int part;") == 1
    assert "#include <math.h>" in text
    assert "#pragma once" not in text
    where = {}
    for line in text.splitlines():
        marker = re.fullmatch(r'#line (\d+) ".*?([^/]+)"', line)
        if marker:
            number, file = int(marker[1]), marker[2]
            continue
        where[line] = (file, number)
        number += 1
    assert where["// head"] == ("some.cu", 1)
    assert where["int part;"] == ("part.cuh", 2)
    assert where["int three;"] == ("some.cu", 3)
    assert where["int six;"] == ("some.cu", 6)


# ---- checking and casting ----
def filled(device, path, dtype, *arguments, maybe=None):
    y = device.put(np.zeros(10, dtype))
    kernel(path, "fill", y)(1, 32, (*arguments, maybe, y, 10))
    return device.get(y).tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arguments_are_cast_to_the_declared_types(device, every_type, dtype):
    plain = filled(device, every_type, dtype, -3, 4, -5, 6, 7, True, 0.5, 0.25, 0.125)
    assert plain == [-3, 4, -5, 6, 7, 1, 0.5, 0.25, 0.125, 0]
    # the reverse: NumPy's numbers in place of Python's, ints where the kernel takes floats
    wide = filled(device, every_type, dtype, np.int64(-3), 4.0, np.int8(-5), np.float32(6), np.int64(7), 0, 2,
                  np.int32(3), 4, maybe=device.put(np.ones(1, dtype)))
    assert wide == [-3, 4, -5, 6, 7, 0, 2, 3, 4, 1]


@pytest.mark.parametrize("position, value", [
    (0, 2**31), (0, -(2**31) - 1), (0, 0.5), (0, np.int64(2**40)), (1, -1), (1, 2**32), (2, 2**63), (3, -1), (3, 2**64),
    (4, 256), (4, -1)])
def test_numbers_that_do_not_fit_are_refused(device, every_type, position, value):
    numbers = [0] * 9
    numbers[position] = value
    with pytest.raises(OverflowError):
        filled(device, every_type, np.float32, *numbers)


@pytest.mark.parametrize("position", range(9))
def test_a_number_must_be_a_number(device, every_type, position):
    for value in (None, device.put(np.ones(1, np.float32)), np.ones(1)):
        numbers = [0] * 9
        numbers[position] = value
        with pytest.raises(TypeError):
            filled(device, every_type, np.float32, *numbers)


def test_arrays_are_checked(device, every_type):
    x, y = device.put(np.arange(32, dtype=np.float32)), device.put(np.zeros(32, np.float32))
    scale = kernel(every_type, "scale", x)
    scale(1, 32, (x, y, 2))
    np.testing.assert_array_equal(device.get(y), 2 * np.arange(32))
    wide, host = device.put(np.zeros((32, 2), np.float32)), np.zeros(32, np.float32)
    cases = [
        (TypeError, r"scale: 2 arguments for \['x', 'y', 'by'\]", (x, y)),
        (TypeError, "scale: 4 arguments for", (x, y, 2, 3)),
        (DTypeError, "scale: x is float64, but the kernel reads float32", (x.astype(np.float64), y, 2)),
        (DTypeError, "scale: y is int32, but the kernel reads float32", (x, x.astype(np.int32), 2)),
        (ValueError, r"scale: x \(32,\) with strides \(8,\) has gaps in memory", (wide[:, 0], y, 2)),
        (ValueError, "has gaps in memory", (x, y[::-1], 2)),
        (DeviceError, f"scale: y is a ndarray, not an array on {device.backend.name}", (x, host, 2)),
        (DeviceError, "scale: x is a float, not an array on", (1.0, y, 2)),
    ]
    for error, message, arguments in cases:
        with pytest.raises(error, match=message):
            scale(1, 32, arguments)
    scale(1, 32, (x.reshape(4, 8).T, y.reshape(2, 16), 3))  # dense, in any order of axes
    np.testing.assert_array_equal(device.get(y), 3 * np.arange(32))
    scale((0, 1), 32, (x, y, 9))  # an empty grid is not launched
    np.testing.assert_array_equal(device.get(y), 3 * np.arange(32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_table_is_passed_by_value(device, every_type, dtype):
    y = device.put(np.zeros(1, dtype))
    rows = [device.put(np.full(n, n, dtype)) for n in (2, 5, 7)]
    kernel(every_type, "sum_of_rows", y)(1, 1, (Table(rows, [10, 2, 5, 7]), y))
    assert device.get(y).tolist() == [10 * (4 + 25 + 49)]
    with pytest.raises(DTypeError, match=r"sum_of_rows: table is int64, but the kernel reads float"):
        kernel(every_type, "sum_of_rows", y)(1, 1, (Table([device.put(np.arange(3))], []), y))
    with pytest.raises(ValueError):
        kernel(every_type, "sum_of_rows", y)(1, 1, (Table([], [0] * 481), y))


# ---- compiling ----
def test_a_kernel_that_is_not_there(device, every_type):
    with pytest.raises(DeviceError, match="declares no kernel scales, only fill, scale, sum_of_rows"):
        kernel(every_type, "scales", device.put(np.ones(1)))


@pytest.mark.long
def test_compiled_once_for_each_set_of_macros(device, write, monkeypatch):
    path, compiled, compile_it = write(EVERY_TYPE), [], device.backend.compile
    monkeypatch.setattr(device.backend, "compile", lambda *a: compiled.append(a[2]) or compile_it(*a))
    x, y = (device.put(np.zeros(32, dtype)) for dtype in (np.float32, np.float64))
    assert kernel(path, "scale", x) is kernel(path, "scale", x)
    assert kernel(path, "scale", x, TILE=4) is not kernel(path, "scale", x, TILE=8)
    assert compiled == []  # not before the first launch
    for _ in range(3):
        kernel(path, "scale", x)(1, 32, (x, x, 1))
        filled(device, path, np.float32, *[0] * 9)
    assert compiled == [{"REAL": "float"}]
    filled(device, path, np.float64, *[0] * 9)
    kernel(path, "scale", x, TILE=4)(1, 32, (x, x, 1))
    kernel(path, "scale", y, REAL="float", TILE=4)(1, 32, (x, x, 1))
    assert compiled == [{"REAL": "float"}, {"REAL": "double"}, {"REAL": "float", "TILE": 4}]


def test_an_error_in_a_source_is_told_with_file_and_line(device, write):
    part = write("#pragma once\n#define FINE 1\n", "part.cuh")
    signature = 'extern "C" __global__ void broken(float* x) {'
    path = write(f'#include "common.cuh"\n#include "{part}"\n{signature}\n  x[0] = undeclared_name;\n}}\n', "broken.cu")
    x = device.put(np.zeros(1, np.float32))
    with pytest.raises(DeviceError, match=r"broken\.cu does not compile .*\n?(.|\n)*broken\.cu[:(]4") as caught:
        kernel(path, "broken", x)(1, 1, (x,))
    assert "undeclared_name" in str(caught.value)
    part = write("#pragma once\n#define FINE 1\nstatic const float wrong = undeclared_name;\n", "wrong.cuh")
    path = write(f'#include "common.cuh"\n#include "{part}"\n{signature} x[0] = FINE; }}\n', "right.cu")
    with pytest.raises(DeviceError, match=r"wrong\.cuh[:(]3"):
        kernel(path, "broken", x)(1, 1, (x,))


def test_without_a_compiler_the_remedy_is_named(write, monkeypatch):
    monkeypatch.setattr(emulated, "compiler", lambda: None)
    x = emulated.asarray(np.zeros(1, np.float32))
    with pytest.raises(DeviceError, match=r"needs a C\+\+ compiler; install g\+\+"):
        kernel(write(EVERY_TYPE), "scale", x)(1, 1, (x, x, 1))


@pytest.fixture
def hopper_compiler(monkeypatch):
    """CuPy's NVRTC, which is not there without a GPU: it counts its programs, and every cubin is the same."""
    programs = []
    nvrtc = types.SimpleNamespace(
        getVersion=lambda: (13, 0), createProgram=lambda text, *_: programs.append(text),
        compileProgram=lambda *_: None, getCUBIN=lambda _: b"cubin", destroyProgram=lambda _: None)
    monkeypatch.setitem(sys.modules, "cupy", types.ModuleType("cupy"))
    monkeypatch.setitem(sys.modules, "cupy.cuda", types.SimpleNamespace(nvrtc=nvrtc))
    return programs


def test_a_cubin_is_kept_in_the_cache_of_cupy(hopper_compiler, monkeypatch, tmp_path):
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "new"))
    paths = [gpu._cubin(text, "hopper.cu", ("-arch=sm_90a",)) for text in ("a", "a", "b")]
    assert hopper_compiler == ["a", "b"] and paths[0] == paths[1] != paths[2]
    assert [path.read_bytes() for path in sorted((tmp_path / "new").iterdir())] == [b"cubin"] * 2


def test_a_cache_of_cupy_that_cannot_be_written_is_named(hopper_compiler, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.raises(DeviceError, match=r"hopper\.cu: the folder of CuPy's cache, .*, cannot be written .*CUPY_"):
        gpu._cubin("a", "hopper.cu", ())
