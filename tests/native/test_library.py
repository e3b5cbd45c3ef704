"""Which library is loaded, and what is said where none is: files that are missing, foreign, broken or stale."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan.kernels.native import library as room
from minigan.kernels.native.library import choose, interface, levels

ROOT = Path(__file__).parents[2]
COMPILED = types.SimpleNamespace(INTERFACE=interface())


@pytest.fixture(autouse=True)
def _two_levels(monkeypatch):
    """What is chosen on any processor here, as on one with levels v4 and v3."""
    monkeypatch.setattr(room, "levels", lambda: ("v4", "v3"))


def setuptools_version():
    """Major version; 0 without setuptools."""
    try:
        return int(importlib.metadata.version("setuptools").split(".")[0])
    except importlib.metadata.PackageNotFoundError:
        return 0


def modules(**by_level):
    """load(level): that level's module; raises it if it is an error, and as an import does if there is none."""

    def load(level):
        module = by_level.get(level, ModuleNotFoundError(f"No module named '_{level}'"))
        if isinstance(module, Exception):
            raise module
        return module

    return load


def never(level):
    pytest.fail(f"{level} was asked for")


# ---- choose ----


def test_the_best_level_is_taken():
    v4, v3 = (types.SimpleNamespace(INTERFACE=interface()) for _ in range(2))
    for wanted in ("", "1", " 1 "):
        assert choose(wanted, lambda level: True, modules(v4=v4, v3=v3)) == (v4, "native v4 kernels")
    assert choose("", lambda level: level == "v3", modules(v4=v4, v3=v3)) == (v3, "native v3 kernels")


def test_a_level_by_name():
    v4, v3 = (types.SimpleNamespace(INTERFACE=interface()) for _ in range(2))
    assert choose("v3", lambda level: True, modules(v4=v4, v3=v3)) == (v3, "native v3 kernels")
    assert choose("V4 ", lambda level: True, modules(v4=v4, v3=v3)) == (v4, "native v4 kernels")


@pytest.mark.parametrize("word", ["0", "off", "no", "false", " OFF "])
def test_turned_off(word):
    assert choose(word, never, never) == (
        None, f"NumPy only: the C kernels are turned off by MINIGAN_NATIVE={word.strip().lower()}")


@pytest.mark.parametrize("word", ["v2", "yes please", "2", "v3,v4", "../_v3"])
def test_an_unknown_word_loads_nothing(word):
    assert choose(word, never, never) == (
        None, f"NumPy only: MINIGAN_NATIVE={word!r} is not known; give 0, 1, v4 or v3")


def test_a_level_that_the_processor_lacks_is_never_loaded():
    library, wing = choose("v4", lambda level: level == "v3", never)
    assert library is None
    assert wing == ("NumPy only: MINIGAN_NATIVE=v4, but this processor has not the instructions of v4; "
                    "leave MINIGAN_NATIVE out")  # fmt: skip
    asked = []
    choose("", lambda level: level == "v3", lambda level: asked.append(level) or COMPILED)
    assert asked == ["v3"]
    assert choose("", lambda level: False, never) == (
        None, "NumPy only: C kernels need AVX2, which this processor does not have")


@pytest.mark.parametrize("error, words", [
    (ModuleNotFoundError("No module named '_features'"), "_features was not built; install a C compiler and Python's"),
    (ImportError("file too short"), "_features cannot be loaded (file too short); reinstall minigan"),
    (AttributeError("supports"), "_features cannot be loaded"),
])  # fmt: skip
def test_nothing_is_loaded_if_the_processor_cannot_be_asked(error, words):
    def supported(level):
        raise error

    library, wing = choose("", supported, never)
    assert library is None
    assert wing.startswith(f"NumPy only: {words}")


def test_no_levels_on_other_systems(monkeypatch):
    monkeypatch.setattr(room, "levels", levels)
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert choose("", never, never) == (
        None, "NumPy only: C kernels need Linux or macOS, and AVX2 or a 64-bit ARM processor")
    monkeypatch.setattr("platform.machine", lambda: "AMD64")
    monkeypatch.setattr(sys, "platform", "linux")
    assert levels() == ("v4", "v3")
    monkeypatch.setattr(sys, "platform", "win32")
    assert levels() == ()


def test_what_was_not_built_has_a_remedy():
    library, wing = choose("", lambda level: True, modules())
    assert library is None
    assert re.fullmatch(r"NumPy only: _v4 was not built; install a C compiler and Python's headers \(.*\), then "
                        r"reinstall minigan \(in a checkout: `pip install -e \.`\)", wing)  # fmt: skip


def test_the_next_level_serves_and_the_problem_is_named():
    library, wing = choose("", lambda level: True, modules(v4=ImportError("invalid\nELF header"), v3=COMPILED))
    assert library is COMPILED
    assert wing.startswith("native v3 kernels; _v4 cannot be loaded (invalid ELF header); reinstall minigan")
    assert choose("v4", lambda level: True, modules(v4=ImportError("broken"), v3=COMPILED))[0] is None  # v4, or none


@pytest.mark.parametrize("module", [
    types.SimpleNamespace(), types.SimpleNamespace(INTERFACE=None),
    types.SimpleNamespace(INTERFACE=interface() + "new:rw "),
    types.SimpleNamespace(INTERFACE=interface().replace("rwf", "rwff", 1)),
    types.SimpleNamespace(INTERFACE=interface().partition(" ")[2]),
], ids=["foreign", "no text", "a kernel more", "another argument", "a kernel less"])  # fmt: skip
def test_a_module_of_another_version_is_not_used(module):
    library, wing = choose("", lambda level: level == "v3", modules(v3=module))
    assert library is None
    assert wing == ("NumPy only: _v3 was compiled from other sources; "
                    "reinstall minigan (in a checkout: `pip install -e .`)")  # fmt: skip


@pytest.mark.parametrize("error", [SystemError("init failed"), OSError("disk"), SyntaxError("x")])
def test_whatever_a_foreign_file_raises_numpy_serves(error):
    assert choose("", lambda level: level == "v3", modules(v3=error))[0] is None


def test_the_interface_is_the_list_of_the_header(library):
    kernels = dict(entry.split(":") for entry in interface().split())
    assert kernels["leaky_relu"] == "rwf"
    assert kernels["gate"] == "rrwf"
    assert all(hasattr(library, name) for name in kernels)
    assert interface() == library.INTERFACE


def test_every_level_has_its_flags():
    text = (ROOT / "setup.py").read_text("utf-8")
    for machine, names in room.LEVELS.items():
        assert f'"{machine}"' in text
        assert all(f'"{name}": [' in text for name in names)


def test_one_line_says_what_computes():
    line = mg.device_info()
    assert line.count(mg.kernels.WING) == 1
    assert "\n" not in line
    assert re.search(r"; (native (v3|v4|baseline) kernels|NumPy only: .+)", line)


# ---- files, in a copy of the library ----


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A folder with a copy of the library and whatever was compiled."""
    folder = tmp_path_factory.mktemp("copy")
    for source, target in (("minigan", "minigan"), ("kernels", "minigan/kernels")):
        shutil.copytree(ROOT / source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def wing_and_values(folder, **environment):
    """What computes in a fresh process that imports the copy, and what leaky_relu gives there."""
    program = ("import minigan, numpy as np; from minigan import kernels; print(minigan.__file__); "
               "print(kernels.WING); print(kernels.leaky_relu(np.float32([-1, 2]), 0.5).tolist())")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "MINIGAN_NATIVE": "", **environment})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr  # nothing is printed on import
    file, wing, values = done.stdout.splitlines()
    assert file.startswith(str(folder))
    assert values == "[-0.5, 2.0]"
    return wing


def test_files_that_cannot_be_used(copied, library):
    """One after another, in one copy: as it is, off, stale, broken, foreign, missing; NumPy serves, and says why."""
    native, level = copied / "minigan" / "kernels" / "native", library.__name__.rpartition("._")[2]
    file, = native.glob(f"_{level}.*")
    good, named = file.read_bytes(), {"MINIGAN_NATIVE": level}
    assert wing_and_values(copied) == f"native {level} kernels"
    assert wing_and_values(copied, MINIGAN_NATIVE="0").startswith("NumPy only: the C kernels are turned off")
    header = native / "kernels.h"
    text = header.read_text("utf-8")
    header.write_text(text.replace('"rwf")', '"rwfi")'))
    assert f"_{level} was compiled from other sources; reinstall" in wing_and_values(copied, **named)
    header.write_text(text)
    for broken in (b"", b"This is a text.\n", good[:1000], good[: len(good) // 2], b"\0" * len(good),
                   next(native.glob("_features.*")).read_bytes()):
        file.unlink()  # never written to in place: another process may have it in its memory
        file.write_bytes(broken)
        assert f"NumPy only: _{level} cannot be loaded (" in wing_and_values(copied, **named)
    file.unlink()
    file.mkdir()
    assert wing_and_values(copied, **named).startswith(f"NumPy only: _{level} ")
    file.rmdir()
    assert f"NumPy only: _{level} was not built; install a C compiler" in wing_and_values(copied, **named)
    next(native.glob("_features.*")).unlink()
    assert "NumPy only: _features was not built; install a C compiler" in wing_and_values(copied)


@pytest.mark.skipif(setuptools_version() < 78, reason="the build needs a later setuptools: see pyproject.toml")
@pytest.mark.skipif(sys.platform == "win32", reason="nothing is compiled on Windows")
def test_without_a_compiler_the_build_succeeds_and_numpy_serves(tmp_path):
    ignore = shutil.ignore_patterns("__pycache__", "*.so", ".*", "docs", "tests", "benchmarks", "examples", "build")
    shutil.copytree(ROOT, tmp_path / "source", ignore=ignore)
    done = subprocess.run([sys.executable, "setup.py", "-q", "build", "--build-lib", str(tmp_path / "built")],
                          cwd=tmp_path / "source", capture_output=True, text=True, timeout=300,
                          env={**os.environ, "CC": "false", "CXX": "false"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    built = {path.name for path in (tmp_path / "built" / "minigan" / "kernels" / "native").iterdir()}
    assert built >= {"kernels.h", "vec.h", "module.c", "threads.c", "features.c", "library.py"}
    assert not [name for name in built if name.endswith((".so", ".pyd"))]
    if levels():
        assert "_features was not built; install a C compiler" in wing_and_values(tmp_path / "built")


# ---- arguments ----


@pytest.fixture
def arrays():
    return np.linspace(-1, 1, 20, dtype=np.float32), np.full(20, 7, np.float32)


@pytest.mark.parametrize("x, error", [
    (np.zeros(19, np.float32), ValueError), (np.zeros(20, np.float64), TypeError), (np.zeros(20, ">f4"), TypeError),
    (np.zeros(20, np.int32), TypeError), (np.zeros(40, np.float32)[::2], ValueError), (None, ValueError),
    (np.zeros((4, 5), np.float32).T, ValueError), (np.zeros(20, np.float32)[::-1], ValueError), ([0.0] * 20, TypeError),
    (bytes(80), TypeError), (3.0, TypeError),
], ids=str)  # fmt: skip
def test_an_array_that_does_not_fit_is_an_error_and_nothing_is_written(x, error, arrays, library):
    _, y = arrays
    with pytest.raises((error, BufferError) if error is ValueError else error):
        library.leaky_relu(1, x, y, 0.2)
    assert (y == 7).all()


def test_outputs_that_do_not_fit(arrays, library):
    x, y = arrays
    y.flags.writeable = False
    for wrong in (y, None, np.zeros(20, np.float64), y.reshape(4, 5).T):
        with pytest.raises((ValueError, TypeError, BufferError)):
            library.leaky_relu(1, x, wrong, 0.2)
    assert (y == 7).all()


def test_numbers_and_counts_of_arguments_that_do_not_fit(arrays, library):
    x, y = arrays
    for wrong in ((1, x, y), (1, x, y, 0.2, 3), (), (1, x, y, "slope"), ("two", x, y, 0.2), (2**70, x, y, 0.2)):
        with pytest.raises((TypeError, OverflowError)):
            library.leaky_relu(*wrong)
    assert (y == 7).all()
    with pytest.raises(TypeError):
        library.leaky_relu(1, x, y, slope=0.2)


def test_arrays_are_given_back_after_an_error(arrays, library):
    x, y = arrays
    counts = [sys.getrefcount(a) for a in (x, y)]
    for _ in range(100):
        with pytest.raises(TypeError):
            library.leaky_relu(1, x, np.zeros(20), 0.2)
        with pytest.raises(ValueError):
            library.leaky_relu(1, x[:3], y, 0.2)
        library.leaky_relu(1, x, y, 0.2)
    assert [sys.getrefcount(a) for a in (x, y)] == counts


@pytest.mark.parametrize("odd", [1, 2, 3])
def test_arrays_at_odd_addresses(odd, library):
    """NumPy has them: a file's header may have any length. They are copied, and copied back."""
    x = np.frombuffer(bytearray(80 + odd), np.float32, 20, offset=odd)
    y = np.frombuffer(bytearray(80 + odd), np.float32, 20, offset=odd)
    x[...] = np.arange(-10, 10)
    assert not x.flags.aligned
    library.leaky_relu(1, x, y, 0.5)
    np.testing.assert_array_equal(y, np.where(x > 0, x, x / 2))
    np.testing.assert_array_equal(mg.kernels.leaky_relu(x, 0.5), y)
