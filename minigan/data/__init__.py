"""What networks learn from, and the loader that serves it: arrays in memory, in an order that a seed decides."""

from minigan.data.idx import read_idx
from minigan.data.loader import Loader
from minigan.data.mnist import ImageData, mnist
from minigan.data.pairs import Unpaired, paired
from minigan.data.stacked import stacked
from minigan.data.toy2d import TOYS, Toy2D, toy2d

__all__ = ["TOYS", "ImageData", "Loader", "Toy2D", "Unpaired", "mnist", "paired", "read_idx", "stacked", "toy2d"]
