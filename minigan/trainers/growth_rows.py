"""The rows of progressive growing's table of ablations as settings by name: each row adds one change to those before.

Source: Karras et al., Progressive growing of GANs, 2018, table 1, section 6.1 and appendix A.2.
"""

from __future__ import annotations

__all__ = ["GROWTH_ROWS", "GrowthRow", "growth_row"]

from dataclasses import dataclass
from typing import Any

from minigan import models
from minigan.errors import OptionError
from minigan.trainers.progressive import Progressive


@dataclass(frozen=True)
class GrowthRow:
    """A row of the table.

    title     what the row adds, in the paper's words
    networks  the style of models.progressive
    settings  options of Progressive
    batch     images per step: the paper's
    """

    title: str
    networks: dict[str, Any]
    settings: dict[str, Any]
    batch: int

    def networks_of(self, channels: int, size: int, **shape: Any) -> tuple[Any, Any]:
        """The pair of models.progressive in this row's style; `shape` is latent, width and flat."""
        return models.progressive(channels, size, **{**shape, **self.networks})

    def trainer(self, generator: Any, discriminator: Any, **options: Any) -> Progressive:
        """The trainer with this row's settings; for options that are not None, those."""
        given = {name: value for name, value in options.items() if value is not None}
        return Progressive(generator, discriminator, **{**self.settings, **given})


_BASE = {"equalized": False, "variation": "none"}
_GULRAJANI = {**_BASE, "norm": "batch", "critic_norm": "layer", "slope": 0.0, "tanh": True, "sphere": False}
_PLAIN = {**_BASE, "norm": "none"}
_OLD: dict[str, Any] = {"lr": 1e-4, "betas": (0.0, 0.9), "n_critic": 5, "drift": 0.0}
GROWTH_ROWS = {
    "a": GrowthRow("Gulrajani et al. (2017)", _GULRAJANI, {**_OLD, "growing": False}, 64),
    "b": GrowthRow("+ Progressive growing", _GULRAJANI, _OLD, 64),
    "c": GrowthRow("+ Small minibatch", _GULRAJANI, _OLD, 16),
    "d": GrowthRow("+ Revised training parameters", _PLAIN, {}, 16),
    "e*": GrowthRow("+ Minibatch discrimination", {**_PLAIN, "variation": "discrimination"}, {}, 16),
    "e": GrowthRow("Minibatch stddev", {**_PLAIN, "variation": "stddev"}, {}, 16),
    "f": GrowthRow("+ Equalized learning rate", {"norm": "none"}, {}, 16),
    "g": GrowthRow("+ Pixelwise normalization", {}, {}, 16),
}


def growth_row(name: str) -> GrowthRow:
    """The row with this letter; "e*" is the one that "e" replaces.

    Raises:
        OptionError: no row has that name; the message lists them all.
    """
    if name not in GROWTH_ROWS:
        raise OptionError(f"row {name!r} is not one of {', '.join(GROWTH_ROWS)}")
    return GROWTH_ROWS[name]
