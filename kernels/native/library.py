"""The compiled library: one extension module for each level of instructions, the best that this CPU has.

    v4    x86-64-v4, AVX-512        v3    x86-64-v3, AVX2 and FMA        baseline    64-bit ARM, NEON

Without AVX2, NumPy's BLAS is faster than what C could do here, so there is no lower level. MINIGAN_NATIVE=0 turns the
library off; MINIGAN_NATIVE=v3 chooses a level, which is never run on a CPU that lacks it.
"""

from __future__ import annotations

import importlib
import os
import platform
from collections.abc import Callable
from types import ModuleType
from typing import Any

LEVELS = {"x86_64": ("v4", "v3"), "amd64": ("v4", "v3"), "aarch64": ("baseline",), "arm64": ("baseline",)}  # best first


def levels() -> tuple[str, ...]:
    """The levels that can be compiled for this kind of processor, the best first."""
    return LEVELS.get(platform.machine().lower(), ())


def choose(
    wanted: str, supported: Callable[[str], bool], load: Callable[[str], ModuleType]
) -> tuple[ModuleType | None, str]:
    """The library and its level, or None and one line that says why NumPy computes and what to do.

    Args:
        wanted: the text of MINIGAN_NATIVE: "" for the best level, "0" for none, or a level.
        supported: whether the CPU has the instructions of a level.
        load: imports the extension module of a level.
    """
    wanted = wanted.strip().lower()
    if wanted in ("0", "off", "no", "false"):
        return None, f"turned off by MINIGAN_NATIVE={wanted}"
    if wanted not in ("", "1", *levels()):
        return None, f"MINIGAN_NATIVE={wanted!r} is none of 0, 1, {', '.join(levels())}"
    possible = [level for level in levels() if supported(level)]
    if wanted in levels() and wanted not in possible:
        return None, f"MINIGAN_NATIVE={wanted}, but this CPU has not the instructions of {wanted}"
    if not possible:
        return None, "there are no C kernels for this CPU (they need AVX2 or 64-bit ARM)"
    problems = []
    for level in [wanted] if wanted in levels() else possible:
        try:
            return load(level), level
        except ModuleNotFoundError:
            problems.append(f"_{level} was not built: install a C compiler, then reinstall minigan")
        except ImportError as error:
            problems.append(f"_{level} cannot be loaded ({error}): reinstall minigan")
    return None, problems[0]


def _supported(level: str) -> bool:
    try:
        features = importlib.import_module("._features", __package__)
    except ImportError:  # not built, and then neither is a level
        return True
    return bool(features.supports(level))


LIBRARY: Any  # an extension module, or None
LIBRARY, LEVEL = choose(
    os.environ.get("MINIGAN_NATIVE", ""), _supported, lambda level: importlib.import_module(f"._{level}", __package__)
)
