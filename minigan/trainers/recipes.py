"""The GAN family by name: which losses, which normalisation of the discriminator, which published settings.

One row an algorithm, so that they can be compared, or chosen on a command line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from minigan.errors import OptionError
from minigan.nn import Module
from minigan.trainers.gan import GAN
from minigan.trainers.wgan import WGAN


@dataclass(frozen=True)
class Recipe:
    """An algorithm as published.

    make    (generator, discriminator, **options of GAN or WGAN) -> trainer
    norm    of the discriminator it was published with: "batch", "none" or "spectral", as in models.dcgan
    source  the paper
    """

    make: Callable[..., GAN]
    norm: str
    source: str
    settings: dict[str, Any] = field(default_factory=dict)

    def trainer(self, generator: Module, discriminator: Module, **options: Any) -> GAN:
        """The trainer; options that are None stay as published, the others go to GAN or WGAN."""
        chosen = {key: value for key, value in options.items() if value is not None}
        if self.make is WGAN:
            if chosen.pop("label_smoothing", 0):
                raise OptionError("WGAN: a critic has no labels to smooth; use label_smoothing=0")
            if "n_discriminator" in chosen:
                chosen["n_critic"] = chosen.pop("n_discriminator")
        return self.make(generator, discriminator, **{**self.settings, **chosen})


_SPECTRAL = {"lr": 2e-4, "betas": (0.0, 0.9)}
RECIPES = {
    "non_saturating": Recipe(partial(GAN, loss="non_saturating"), "batch", "Goodfellow et al., 2014, section 3"),
    "minimax": Recipe(partial(GAN, loss="minimax"), "batch", "Goodfellow et al., 2014, equation 1"),
    "least_squares": Recipe(partial(GAN, loss="least_squares"), "batch", "Mao et al., 2017"),
    "hinge": Recipe(partial(GAN, loss="hinge"), "batch", "Lim & Ye, 2017"),
    "hinge_spectral": Recipe(partial(GAN, loss="hinge"), "spectral", "Miyato et al., 2018", _SPECTRAL),
    "wasserstein_clip": Recipe(WGAN, "batch", "Arjovsky et al., 2017", {"lipschitz": "clip"}),
    "wasserstein_gp": Recipe(WGAN, "none", "Gulrajani et al., 2017", {"lipschitz": "gp"}),
    "wasserstein_spectral": Recipe(WGAN, "spectral", "Miyato et al., 2018", {"lipschitz": "spectral"}),
}


def recipe(name: str) -> Recipe:
    """An algorithm by its name.

    Raises:
        OptionError: no algorithm has that name; the message lists those there are.
    """
    if name not in RECIPES:
        raise OptionError(f"no GAN loss is called {name!r}; there are: {', '.join(RECIPES)}")
    return RECIPES[name]
