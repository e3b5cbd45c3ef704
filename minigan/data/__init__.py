"""What networks learn from, and the loader that serves it: arrays in memory, in an order that a seed decides."""

from minigan.data.batches import Batches, Labelled
from minigan.data.digits import digits
from minigan.data.folder import domain_folders, image_folder
from minigan.data.idx import read_idx
from minigan.data.images import ImageData, enlarged
from minigan.data.loader import Loader
from minigan.data.mnist import mnist
from minigan.data.pairs import Unpaired, paired
from minigan.data.patches import edges, luma, patches
from minigan.data.scenes import scenes
from minigan.data.shapes import Shapes, shapes
from minigan.data.stacked import stacked
from minigan.data.toy2d import TOYS, Toy2D, toy2d
from minigan.data.usps import read_libsvm, usps

__all__ = ["TOYS", "Batches", "ImageData", "Labelled", "Loader", "Shapes", "Toy2D", "Unpaired", "digits",
           "domain_folders", "edges", "enlarged", "image_folder", "luma", "mnist", "paired", "patches",
           "read_idx", "read_libsvm", "scenes", "shapes", "stacked", "toy2d", "usps"]
