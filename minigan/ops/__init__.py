"""The differentiable vocabulary. Each operation's docstring gives its formula, its vjp and why; see OPERATIONS.

A module's `__all__` lists the names that are public here.
"""

from minigan.ops.activation import *
from minigan.ops.conv import *
from minigan.ops.elementwise import *
from minigan.ops.linear import *
from minigan.ops.means import *
from minigan.ops.minibatch import *
from minigan.ops.norm import *
from minigan.ops.pad import *
from minigan.ops.pool import *
from minigan.ops.quantize import *
from minigan.ops.ranks import *
from minigan.ops.reduce import *
from minigan.ops.resample import *
from minigan.ops.shape import *
from minigan.ops.upconv import *
