"""Trainers: `update` is one iteration of an algorithm, and `fit` the training loop that all trainers share.

Every module of this folder is imported; the names in its __all__ are available as trainers.NAME.
"""

from typing import TYPE_CHECKING

from minigan.errors import gather

if TYPE_CHECKING:  # for type checkers and editors, which cannot follow `gather`
    from minigan.trainers.base import *
    from minigan.trainers.codec import *
    from minigan.trainers.combogan import *
    from minigan.trainers.cyclegan import *
    from minigan.trainers.gan import *
    from minigan.trainers.gatys import *
    from minigan.trainers.growth_rows import *
    from minigan.trainers.labelled import *
    from minigan.trainers.perceptual import *
    from minigan.trainers.pix2pix import *
    from minigan.trainers.pool import *
    from minigan.trainers.progressive import *
    from minigan.trainers.recipes import *
    from minigan.trainers.style import *
    from minigan.trainers.wgan import *
else:
    __all__ = gather(__name__)
