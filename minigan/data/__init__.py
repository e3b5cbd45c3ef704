"""What networks learn from, and the loader that serves it: arrays in memory, in an order that a seed decides."""

from minigan.data.idx import read_idx
from minigan.data.loader import Loader
from minigan.data.mnist import ImageData, mnist

__all__ = ["ImageData", "Loader", "mnist", "read_idx"]
