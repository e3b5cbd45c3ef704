"""What networks learn from, and the loader that serves it: arrays in memory, in an order that a seed decides.

A module of this folder is a data set, or a tool for them, by being here: what its __all__ names is data.NAME.
"""

from typing import TYPE_CHECKING

from minigan.errors import gather

if TYPE_CHECKING:  # for type checkers and editors, which cannot follow `gather`
    from minigan.data.augment import *
    from minigan.data.batches import *
    from minigan.data.digits import *
    from minigan.data.folder import *
    from minigan.data.idx import *
    from minigan.data.images import *
    from minigan.data.loader import *
    from minigan.data.mnist import *
    from minigan.data.openmoji import *
    from minigan.data.pairs import *
    from minigan.data.patches import *
    from minigan.data.scenes import *
    from minigan.data.shapes import *
    from minigan.data.stacked import *
    from minigan.data.toy2d import *
    from minigan.data.usps import *
    from minigan.data.voxels import *
else:
    __all__ = gather(__name__)
