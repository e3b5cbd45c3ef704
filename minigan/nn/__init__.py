"""Networks: modules that hold parameters, the layers, and initial weights."""

from minigan.nn import init
from minigan.nn.layers import (
    ELU,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    InstanceNorm2d,
    LayerNorm,
    LeakyReLU,
    Linear,
    ReflectionPad2d,
    ReLU,
    Sigmoid,
    Softplus,
    SpectralNorm,
    Tanh,
    UpConv2d,
    Upsample,
)
from minigan.nn.module import Module, Parameter, Sequential

__all__ = ["ELU", "BatchNorm2d", "Conv2d", "ConvTranspose2d", "Dropout", "Flatten", "InstanceNorm2d", "LayerNorm",
           "LeakyReLU", "Linear", "Module", "Parameter", "ReLU", "ReflectionPad2d", "Sequential", "Sigmoid", "Softplus",
           "SpectralNorm", "Tanh", "UpConv2d", "Upsample", "init"]
