"""The GAN family by name: the loss, the discriminator's normalisation and the published settings of each algorithm.

RECIPES has one row per algorithm, for comparisons and for the command line; TUNED what was found by measuring.
"""

from __future__ import annotations

__all__ = ["RECIPES", "TUNED", "Recipe", "recipe"]

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from minigan.errors import OptionError
from minigan.losses import GAN_LOSSES
from minigan.nn import Module
from minigan.trainers.gan import GAN
from minigan.trainers.wgan import WGAN


@dataclass(frozen=True)
class Recipe:
    """An algorithm as published.

    make      (generator, discriminator, **options of GAN or WGAN) -> trainer
    norm      normalisation of the published discriminator: "batch", "none" or "spectral", as in models.dcgan
    source    the paper
    settings  options that differ from the defaults of GAN or WGAN
    """

    make: Callable[..., GAN]
    norm: str
    source: str
    settings: dict[str, Any] = field(default_factory=dict)

    def trainer(self, generator: Module, discriminator: Module, **options: Any) -> GAN:
        """The trainer with these options; for options that are None, the published value."""
        changes = {key: value for key, value in options.items() if value is not None}
        return self.make(generator, discriminator, **{**self.settings, **changes})

    def norm_with(self, norm: str = "auto", r1: float = 0.0) -> str:
        """The discriminator's normalisation for these options; auto: the published one, but with r1 no batch norm."""
        if norm != "auto":
            return norm
        return "none" if r1 and self.norm == "batch" else self.norm


def _wgan(generator: Module, critic: Module, *, n_discriminator: int = 5, label_smoothing: float = 0.0,
          **options: Any) -> WGAN:
    """WGAN with the option names of GAN. Raises OptionError for label smoothing: a critic has no labels."""
    if label_smoothing:
        raise OptionError("WGAN: a critic has no labels to smooth; use label_smoothing=0")
    return WGAN(generator, critic, n_critic=n_discriminator, **options)


_SPECTRAL = {"lr": 2e-4, "betas": (0.0, 0.9)}
RECIPES = {
    "non_saturating": Recipe(partial(GAN, loss="non_saturating"), "batch", "Goodfellow et al., 2014, section 3"),
    "minimax": Recipe(partial(GAN, loss="minimax"), "batch", "Goodfellow et al., 2014, equation 1"),
    "least_squares": Recipe(partial(GAN, loss="least_squares"), "batch", "Mao et al., 2017"),
    "hinge": Recipe(partial(GAN, loss="hinge"), "batch", "Lim & Ye, 2017"),
    "hinge_spectral": Recipe(partial(GAN, loss="hinge"), "spectral", "Miyato et al., 2018", _SPECTRAL),
    "wasserstein_clip": Recipe(partial(_wgan, lipschitz="clip"), "batch", "Arjovsky et al., 2017"),
    "wasserstein_gp": Recipe(partial(_wgan, lipschitz="gp"), "none", "Gulrajani et al., 2017"),
    "wasserstein_spectral": Recipe(partial(_wgan, lipschitz="spectral"), "spectral", "Miyato et al., 2018"),
}
for _name in GAN_LOSSES:  # a pair without a recipe above is trained as DCGAN's
    if _name != "wasserstein":  # it needs a bound: one of the three above
        RECIPES.setdefault(_name, Recipe(partial(GAN, loss=_name), "batch", f"minigan.losses.{_name}"))

TUNED = {  # not as published: what drew the best digits in the time of the default run, see docs/measures.md
    "tuned": Recipe(partial(GAN, loss="hinge"), "spectral", "Miyato et al., 2018, at eight times the learning rate",
                    {**_SPECTRAL, "lr": 1.6e-3}),
}


def recipe(name: str) -> Recipe:
    """The algorithm with this name, of RECIPES or TUNED.

    Raises:
        OptionError: no algorithm has that name; the message lists them all.
    """
    known = RECIPES | TUNED
    if name not in known:
        raise OptionError(f"loss={name!r} is not one of {', '.join(known)}")
    return known[name]
