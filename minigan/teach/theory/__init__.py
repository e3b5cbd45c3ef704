"""What the theory of GANs says, as numbers: exact ones, and those that trained networks find.

Needed by few programs, so `import minigan` does not bring it: `from minigan.teach import theory`.
"""

from minigan.teach.theory.exact import Gaussians, Lines, js, kl, optimal_discriminator, value, wasserstein
from minigan.teach.theory.measured import (
           Claim,
           approach,
           by_logit,
           optimum,
           parallel_lines,
           save_numbers,
           slopes,
           watched,
)

__all__ = ["Claim", "Gaussians", "Lines", "approach", "by_logit", "js", "kl", "optimal_discriminator", "optimum",
           "parallel_lines", "save_numbers", "slopes", "value", "wasserstein", "watched"]
