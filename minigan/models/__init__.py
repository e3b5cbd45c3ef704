"""Networks: pairs of a generator and a discriminator."""

from minigan.models.dcgan import dcgan
from minigan.models.mlp import mlp

__all__ = ["dcgan", "mlp"]
