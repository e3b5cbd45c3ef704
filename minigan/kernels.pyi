# For mypy and editors: minigan.kernels is the folder kernels/ beside this one. An installed copy needs no stub.
from kernels import *
