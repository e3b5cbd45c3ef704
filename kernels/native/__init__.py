"""The native wing: C kernels for float32 on the CPU, channels-last in memory. Everything else stays with the CPU wing.

A room has the same name and kernels as in `cpu`, of which each is the readable twin and the oracle. A kernel here looks
at what it was given: where C does not pay, or does not know the case, it calls its twin. Without a compiled library the
namespace is empty, and NumPy computes everything.
"""

from .library import LIBRARY

if LIBRARY is not None:
    from .conv import *
    from .elementwise import *
    from .filters import *
    from .means import *
    from .norm import *
    from .optim import *
    from .pad import *
    from .pool import *
    from .reduce import *
    from .resample import *
