"""The CPU wing: blocked, threaded NumPy. Its namespace holds the kernels that its rooms name in __all__."""

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
