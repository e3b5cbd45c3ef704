"""The compiled library: one extension module for each level of instructions, the best that this CPU has.

    v4    x86-64-v4, AVX-512        v3    x86-64-v3, AVX2 and FMA        baseline    64-bit ARM, NEON

Without AVX2, NumPy's BLAS is faster than what C could do here, so there is no lower level. MINIGAN_NATIVE=0 turns the
library off; MINIGAN_NATIVE=v3 chooses a level, which is never run on a CPU that lacks it.

In an editable checkout a module may be older than its sources. Each says which kernels it was compiled with, and with
which arguments; if those are not the ones of kernels.h, it is not used.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

LEVELS = {"x86_64": ("v4", "v3"), "amd64": ("v4", "v3"), "aarch64": ("baseline",), "arm64": ("baseline",)}  # best first
REBUILD = "reinstall minigan (in a checkout: `pip install -e .`)"
TOOLS = "a C compiler and Python's headers (on Debian, apt-get install gcc python3-dev; GCC 11 or Clang 12 at least)"


def levels() -> tuple[str, ...]:
    """The levels that can be compiled for this kind of processor, the best first. The kernels need POSIX threads."""
    return () if sys.platform == "win32" else LEVELS.get(platform.machine().lower(), ())


def interface() -> str:
    """The kernels of kernels.h and what they take, as a module that was compiled with it says in INTERFACE."""
    text = (Path(__file__).parent / "kernels.h").read_text("utf-8")
    return "".join(f"{name}:{takes} " for name, takes in re.findall(r'X\((\w+), "(\w*)"\)', text))


def choose(
    wanted: str, supported: Callable[[str], bool], load: Callable[[str], ModuleType]
) -> tuple[ModuleType | None, str]:
    """The library, or None, and one line that says what computes: which kernels; or NumPy, why, and what to do.

    Args:
        wanted: the text of MINIGAN_NATIVE: "" for the best level, "0" for none, or a level.
        supported: whether the CPU has the instructions of a level. It may raise what an import raises.
        load: imports the extension module of a level.
    """
    wanted = wanted.strip().lower()
    if wanted in ("0", "off", "no", "false"):
        return None, f"NumPy only: the C kernels are turned off by MINIGAN_NATIVE={wanted}"
    if not levels():
        return None, "NumPy only: C kernels need Linux or macOS, and AVX2 or a 64-bit ARM processor"
    if wanted not in ("", "1", *levels()):
        return None, f"NumPy only: MINIGAN_NATIVE={wanted!r} is not known; give 0, 1, {' or '.join(levels())}"
    try:
        possible = [level for level in levels() if supported(level)]
    except Exception as error:  # whatever a foreign file raises
        return None, f"NumPy only: {_problem('_features', error)}"
    if not possible:
        return None, "NumPy only: C kernels need AVX2, which this processor does not have"
    if wanted in levels() and wanted not in possible:
        return None, (f"NumPy only: MINIGAN_NATIVE={wanted}, but this processor has not the instructions of {wanted}; "
                      "leave MINIGAN_NATIVE out")  # fmt: skip
    problems: list[str] = []
    for level in [wanted] if wanted in levels() else possible:
        try:
            library = load(level)
            if getattr(library, "INTERFACE", None) == interface():
                return library, "; ".join([f"native {level} kernels", *problems])
            problems.append(f"_{level} was compiled from other sources; {REBUILD}")
        except Exception as error:
            problems.append(_problem(f"_{level}", error))
    return None, f"NumPy only: {problems[0]}"


def _problem(module: str, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"{module} was not built; install {TOOLS}, then {REBUILD}"
    return f"{module} cannot be loaded ({' '.join(str(error).split())}); {REBUILD}"


def _supported(level: str) -> bool:
    return bool(_module("_features").supports(level))


def _module(name: str) -> ModuleType:
    """Import an extension module; ImportError, too, if its file is cut off, which would end the process (SIGBUS)."""
    spec = importlib.util.find_spec(f"{__package__}.{name}")
    if spec is not None and spec.origin and _is_cut_off(Path(spec.origin)):
        raise ImportError("its file is cut off")
    return importlib.import_module(f".{name}", __package__)


def _is_cut_off(file: Path) -> bool:
    """Whether an ELF file ends before its table of sections, which linkers write last."""
    with file.open("rb") as opened:
        header = opened.read(64)
    if header[:6] != b"\x7fELF\x02\x01" or len(header) < 64:  # of 64 bits, little-endian
        return False  # the loader will say what it is
    table, size, count = int.from_bytes(header[40:48], "little"), *struct.unpack("<2H", header[58:62])
    return file.stat().st_size < table + size * count


LIBRARY: Any  # an extension module, or None
WING: str  # what computes, in one line
LIBRARY, WING = choose(os.environ.get("MINIGAN_NATIVE", ""), _supported, lambda level: _module(f"_{level}"))
