"""The model card that every exported file carries: data, licence, settings, scores, shapes. Text by name.

Source   Mitchell et al., Model cards for model reporting, 2019: what a model was trained on and how well it does should
         travel with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minigan.checkpoint import inside
from minigan.errors import DataError
from minigan.nn import Module
from minigan.report import read_config, read_scores
from minigan.run.folder import version

NO_LICENCE = "not recorded: the licence of the training data decides how the network may be used"


def card(network: Module, shapes: Mapping[str, Sequence[int]], folder: Path | None,
         weights: str = "") -> dict[str, str]:
    """Texts by name: network, weights, inputs, minigan; of a run also run, data, licence, settings, scores, steps.

    Args:
        network: the module that is exported.
        shapes: of its inputs, without the batch.
        folder: of its run, or None.
        weights: the file in that folder with its weights.

    Raises:
        DataError: config.json is missing or damaged.
    """
    count = sum(p.size for p in network.parameters())
    notes = {"network": f"{type(network).__name__}, {count:,} weights", "minigan": version(),
             "inputs": "; ".join(f"{name} (N, {', '.join(map(str, shape))})" for name, shape in shapes.items())}
    if folder is None:
        return notes
    config = read_config(folder)
    credits = dict.fromkeys(part["credit"] for part in config.get("data", []) if part.get("credit"))
    notes |= {"run": folder.resolve().name, "weights": weights, "steps": str(config.get("steps", "")),
              "data": "; ".join(_data(part) for part in config.get("data", [])) or "not recorded",
              "licence": "; ".join(credits) or NO_LICENCE,
              "settings": json.dumps({"options": config["options"], "in_force": config.get("in_force", {}),
                                      "versions": config.get("versions", {})}, sort_keys=True),
              "scores": json.dumps(_scores(folder), sort_keys=True)}
    return notes


def _data(part: Mapping[str, Any]) -> str:
    return f"{part.get('name', 'data')}: {part.get('source', 'unknown source')}"


def _scores(folder: Path) -> Any:
    """The contents of scores.json; none if it is missing or damaged, for which a network can still be exported."""
    try:
        return read_scores(folder) if inside.check(folder, "scores.json") else {}
    except DataError:
        return {}
