"""Networks: modules that hold parameters, the layers, and initial weights."""

from minigan.nn import init
from minigan.nn.activations import ELU, LeakyReLU, ReLU, Sigmoid, Softplus, Tanh
from minigan.nn.layers import (
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    InstanceNorm2d,
    LayerNorm,
    Linear,
    ReflectionPad2d,
    SpectralNorm,
    UpConv2d,
    Upsample,
)
from minigan.nn.module import Module, Parameter
from minigan.nn.sequential import Sequential

__all__ = ["ELU", "BatchNorm2d", "Conv2d", "ConvTranspose2d", "Dropout", "Flatten", "InstanceNorm2d", "LayerNorm",
           "LeakyReLU", "Linear", "Module", "Parameter", "ReLU", "ReflectionPad2d", "Sequential", "Sigmoid", "Softplus",
           "SpectralNorm", "Tanh", "UpConv2d", "Upsample", "init"]
