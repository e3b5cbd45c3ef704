"""The CUDA wing: kernels of our own, and the launch code that two backends share, CuPy's and the emulated one.

Its rooms are twins of the CPU wing's, and its namespace holds the kernels that they name in __all__. Nothing here
imports CuPy before one of its arrays or devices is used.
"""

from .conv import *
from .counters import *
from .data import *
from .elementwise import *
from .filters import *
from .matmul import *
from .means import *
from .norm import *
from .optim import *
from .pad import *
from .pool import *
from .random import *
from .reduce import *
from .resample import *
