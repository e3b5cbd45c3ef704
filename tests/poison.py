"""New memory holds NaN, or the largest integer, so that a read before a write shows in the result."""

import importlib
import pkgutil

import numpy as np

from minigan.kernels import cpu


def rooms(wing):
    """Every module of a wing (kernels/cpu, native or cuda), by name; but compiled ones, which not every CPU can run."""
    return {room.name: importlib.import_module(f"{wing.__name__}.{room.name}")
            for room in pkgutil.iter_modules(wing.__path__) if not room.name.startswith("_")}


def poison(a):
    if a.dtype.kind == "f":
        a.fill(np.nan)
    elif a.dtype.kind in "iu":
        a.fill(np.iinfo(a.dtype).max)
    return a


def poison_new_memory(monkeypatch):
    """Poison np.empty, recycled outputs and the scratch memory of every module of the CPU wing."""
    empty, empty_like = np.empty, np.empty_like
    monkeypatch.setattr(np, "empty", lambda *a, **k: poison(empty(*a, **k)))
    monkeypatch.setattr(np, "empty_like", lambda *a, **k: poison(empty_like(*a, **k)))
    monkeypatch.setattr(cpu.memory, "RECYCLED", float("inf"))  # large outputs also come from np.empty
    for room in rooms(cpu).values():
        if hasattr(room, "scratch"):
            monkeypatch.setattr(room, "scratch", lambda key, shape, dtype: np.empty(shape, dtype))
