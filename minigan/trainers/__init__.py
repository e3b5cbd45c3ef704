"""Trainers: one `step` per iteration of an algorithm, one loop for all."""

from minigan.trainers.base import Progress, Trainer
from minigan.trainers.combogan import ComboGAN
from minigan.trainers.cyclegan import CycleGAN
from minigan.trainers.gan import GAN
from minigan.trainers.labelled import SemiSupervised, TaskCycleGAN
from minigan.trainers.pix2pix import Pix2Pix
from minigan.trainers.pool import ImagePool
from minigan.trainers.recipes import RECIPES, Recipe, recipe
from minigan.trainers.wgan import WGAN

__all__ = ["GAN", "RECIPES", "WGAN", "ComboGAN", "CycleGAN", "ImagePool", "Pix2Pix", "Progress", "Recipe",
           "SemiSupervised", "TaskCycleGAN", "Trainer", "recipe"]
