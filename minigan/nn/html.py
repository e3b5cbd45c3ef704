"""How a notebook shows a module: a table of its layers, the shapes of their weights, and how many numbers those are."""

from __future__ import annotations

import html
from typing import Any

from minigan.engine.html import table


def module_table(module: Any) -> str:
    """One row per layer, that is, per module with weights or without parts; modules that are shared once."""
    rows, total, trained = [], 0, 0
    for name, part in module.named_modules():
        own = [(key, p) for key, p in part.named_parameters(recurse=False)]
        if not own and part.children_by_name():
            continue
        count = sum(p.size for _, p in own)
        total, trained = total + count, trained + sum(p.size for _, p in own if p.requires_grad)
        shapes = ", ".join(f"{key} {p.shape}" for key, p in own)
        rows.append((name or "(itself)", type(part).__name__, part.extra_repr(), shapes, f"{count:,}" if count else ""))
    mode = "training" if module.training else "evaluation"
    return (f"<div><b>{html.escape(type(module).__name__)}</b>, in {mode} mode: {total:,} parameters, {trained:,} of "
            f"them trained{table(rows, ('layer', 'kind', 'options', 'weights', 'parameters'))}</div>")
