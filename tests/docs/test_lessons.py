"""The lessons run from top to bottom, can be typed into a plain Python session, and end in a gradient check."""

import codeop
import re
import shutil

import numpy as np
import pytest
from lessons import CELL, FOLDER, lessons, run

from minigan import OPERATIONS, PRIMITIVES, ops
from minigan.engine.device import why_no_emulation
from minigan.errors import GradientError
from minigan.gradcheck import formula, gradcheck, gradgradcheck

COMPILES = "13_cuda_kernel.md"  # a dozen kernels take half a minute; the build of the site runs it instead
IN_C = FOLDER / "15_cpu_convolution.md"
QUICK = [path for path in lessons() if path.name != COMPILES]


def test_there_are_eighteen():
    assert [path.name[:2] for path in lessons() if path.name[0] in "01"] == [f"{i:02}" for i in range(1, 19)]


@pytest.mark.long
@pytest.mark.parametrize("path", QUICK, ids=lambda path: path.stem)
def test_a_lesson_runs(path, capsys):
    before = dict(OPERATIONS), dict(PRIMITIVES), {name: op.rules for name, op in PRIMITIVES.items()}
    names = run(path)
    assert "gradcheck" in names
    out = capsys.readouterr().out
    assert out
    assert "not timed" not in out or not any(map(shutil.which, ("gcc", "cc", "clang")))
    assert (dict(OPERATIONS), dict(PRIMITIVES), {name: op.rules for name, op in PRIMITIVES.items()}) == before


def test_the_lesson_in_c_runs_without_a_compiler_and_its_algorithms_are_exact(capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    names = run(IN_C)
    out = capsys.readouterr().out
    assert "No C compiler (gcc, cc or clang) was found" in out
    assert not names["table"]
    assert out.count("exactly") == 4
    for algorithm, products, outputs in (("F2", 16, 4), ("F4", 36, 16), ("UP", 25, 16), ("COMPLEX", 49, 16)):
        AT, G, BT = names[algorithm]
        assert (len(G) ** 2, len(AT) ** 2) == (products, outputs)
        taps, window = np.array([5, -7, 3]), np.arange(BT.shape[1]) ** 3 - 4  # whole numbers, so nothing is rounded
        signal = window if algorithm != "UP" else np.repeat(window, 2)[1:-1]
        assert (AT @ ((G @ taps) * (BT @ window))).tolist() == np.correlate(signal, taps).tolist()


def test_the_kernels_of_the_lesson_compile_under_their_own_file_names(tmp_path, monkeypatch):
    """The lesson is long; its first kernel is enough to show that the loader accepts a source in another folder."""
    if (missing := why_no_emulation()) is not None:
        pytest.skip(f"device emulated: {missing}")
    from minigan.kernels.cuda import emulated, loader

    path = tmp_path / "twice.cu"
    path.write_text('#include "common.cuh"\nextern "C" __global__ void twice(const REAL* x, REAL* y) '
                    "{ y[threadIdx.x] = 2 * x[threadIdx.x]; }\n")
    x = emulated.asarray(np.arange(4.0))
    y = emulated.empty((4,), np.float64)
    loader.kernel(str(path), "twice", x)(1, 4, (x, y))
    assert y.get().tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize("path", lessons(), ids=lambda path: path.stem)
def test_a_lesson_can_be_typed_line_by_line(path):
    """In a plain session an empty line ends a block, and only that; cells are written accordingly."""
    compiler = codeop.CommandCompiler()
    for cell in CELL.findall(path.read_text()):
        typed = []
        for line in [*cell.split("\n"), ""]:
            typed.append(line)
            if compiler("\n".join(typed), path.name, "single") is not None:  # complete; a SyntaxError fails the test
                typed = []
        assert not any(line.strip() for line in typed)


@pytest.mark.parametrize("path", [p for p in lessons() if p.name[0] in "01"], ids=lambda path: path.stem)
def test_a_lesson_ends_in_a_gradient_check_and_stores_no_output(path):
    text = path.read_text()
    assert "gradcheck(" in CELL.findall(text)[-1] or "order(" in CELL.findall(text)[-1]
    assert "## The check" in text
    assert not re.search(r"^```\{?(?!code-cell)\w", text, re.M)  # only code cells: no output, no image


def test_a_wrong_formula_is_caught_and_leaves_no_trace():
    x, before = np.random.default_rng(0).normal(size=(2, 3)), dict(PRIMITIVES)
    right = formula(np.sin, lambda gy, y, x: gy * ops.sqrt(1 - y * y) * np.sign(np.cos(x.data)))
    assert gradcheck(right, [x]) < 1e-8
    assert gradgradcheck(right, [x]) < 1e-6
    with pytest.raises(GradientError, match="the derivative is wrong"):
        gradcheck(formula(np.sin, lambda gy, y, x: gy * np.cos(x.data) * 1.001), [x])
    with pytest.raises(GradientError, match="the vjp gives 0,"):
        gradgradcheck(formula(np.sin, lambda gy, y, x: gy * np.cos(x.data)), [x])
    assert dict(PRIMITIVES) == before


def test_a_formula_of_several_arguments_gives_a_tuple():
    a, b = np.random.default_rng(1).normal(size=(2, 3))
    product = formula(lambda a, b: a * b, lambda gy, y, a, b: (gy * b, gy * a))
    assert gradcheck(product, [a, b]) < 1e-8
    with pytest.raises(GradientError, match="input 1"):
        gradcheck(formula(lambda a, b: a * b, lambda gy, y, a, b: (gy * b, gy * b)), [a, b])
