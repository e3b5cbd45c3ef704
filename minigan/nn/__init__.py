"""Networks: modules that hold parameters, the layers, and initial weights."""

from minigan.nn import init
from minigan.nn.activations import ELU, LeakyReLU, ReLU, Sigmoid, Softplus, Tanh
from minigan.nn.containers import ModuleDict, ModuleList, ParameterList
from minigan.nn.equalized import (
    EqualizedConv2d,
    EqualizedConvTranspose2d,
    EqualizedLinear,
    EqualizedUpConv2d,
    MinibatchDiscrimination,
    MinibatchStddev,
    PixelNorm,
)
from minigan.nn.grouped import Embedding, GroupNorm
from minigan.nn.layers import (
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    Linear,
    SpectralNorm,
    UpConv2d,
    Upsample,
)
from minigan.nn.losses import BCEWithLogitsLoss, CrossEntropyLoss, L1Loss, MSELoss
from minigan.nn.module import Module, Parameter
from minigan.nn.norms import BatchNorm2d, InstanceNorm2d, LayerNorm
from minigan.nn.padding import Identity, MaxPool2d, ReflectionPad2d, ReplicationPad2d, ZeroPad2d
from minigan.nn.passes import in_one_pass
from minigan.nn.sequential import Sequential

__all__ = ["ELU", "BCEWithLogitsLoss", "BatchNorm2d", "Conv2d", "ConvTranspose2d", "CrossEntropyLoss", "Dropout",
           "Embedding", "EqualizedConv2d", "EqualizedConvTranspose2d", "EqualizedLinear", "EqualizedUpConv2d",
           "Flatten", "GroupNorm", "Identity", "InstanceNorm2d", "L1Loss", "LayerNorm", "LeakyReLU", "Linear",
           "MSELoss", "MaxPool2d", "MinibatchDiscrimination", "MinibatchStddev", "Module", "ModuleDict", "ModuleList",
           "Parameter", "ParameterList", "PixelNorm", "ReLU", "ReflectionPad2d", "ReplicationPad2d", "Sequential",
           "Sigmoid", "Softplus", "SpectralNorm", "Tanh", "UpConv2d", "Upsample", "ZeroPad2d", "in_one_pass", "init"]
