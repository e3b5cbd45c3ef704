"""A trained network as a program for the page: a list of steps in the words of report/kernels.js, and its numbers.

    program = Program(Numbers(), (1, 32, 32))      of the shape of one input
    program.write(network)                         every layer becomes one step
    program.steps     [{"op": "conv2d", "in": [0], "w": [0, [16, 1, 4, 4]], "stride": [2, 2], ...}, ...]
    program.numbers   filters as float16; biases, scales and shifts as float32

Step n writes register n + 1; register 0 is the input. What follows the last use of a batch norm's statistics is a scale
and a shift, so these are computed here, in float64. A layer that has no JavaScript is an error that names it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np

from minigan import nn
from minigan.engine import device
from minigan.errors import OptionError
from minigan.models.anysize import AnySize
from minigan.models.conditional import ConditionalGenerator
from minigan.models.dcgan import Generator
from minigan.models.progressive import Generator as GrowingGenerator
from minigan.models.residual import LUMA, Chroma, Grey, Luma, Residual
from minigan.models.resnet import EncoderDecoder, ResnetBlock, ResnetDecoder, ResnetEncoder
from minigan.models.unet import UnetLevel

RECTIFIERS = ("relu", "leaky_relu")  # behind these, the page shows feature maps and switches units off
LARGEST_HALF = 65504.0  # of float16


class Numbers:
    """The numbers of all networks of a page: filters as float16, vectors as float32, each in one row."""

    def __init__(self) -> None:
        self.halves: list[np.ndarray] = []
        self.floats: list[np.ndarray] = []
        self.count = {"halves": 0, "floats": 0}

    def filters(self, array: Any) -> list[Any]:
        """Keep an array as float16; returns its place and shape. OptionError if a number is beyond float16."""
        values = device.asnumpy(array)
        if not np.abs(values).max(initial=0) <= LARGEST_HALF:
            raise OptionError(f"play: a weight of {np.abs(values).max():.3g} is beyond float16's {LARGEST_HALF:,.0f}; "
                              "the page cannot hold this network")
        return self._keep("halves", values.astype(np.float16))

    def vector(self, array: Any) -> list[Any]:
        """Keep an array as float32; returns its place and shape."""
        return self._keep("floats", np.asarray(array, np.float32))

    def _keep(self, kind: str, values: np.ndarray) -> list[Any]:
        place = self.count[kind]
        getattr(self, kind).append(np.ascontiguousarray(values).ravel())
        self.count[kind] += values.size
        return [place, list(values.shape)]

    def encoded(self) -> dict[str, str]:
        """Both rows, little-endian, as base64."""
        rows = {"halves": (self.halves, "<f2"), "floats": (self.floats, "<f4")}
        return {name: base64.b64encode(np.concatenate([np.zeros(0), *arrays]).astype(kind).tobytes()).decode()
                for name, (arrays, kind) in rows.items()}


class Program:
    """The steps of one network for one image, (C, H, W) or noise (latent,), with all its numbers in `numbers`."""

    def __init__(self, numbers: Numbers, size: tuple[int, ...] = ()) -> None:
        self.numbers, self.size = numbers, size
        self.steps: list[dict[str, Any]] = []
        self.path: list[str] = []  # names of the modules around the present one

    def step(self, op: str, *inputs: int, **options: Any) -> int:
        """Append a step; returns the register that it writes."""
        entry = {"op": op, "in": list(inputs), **{key: value for key, value in options.items() if value is not None}}
        if op in RECTIFIERS:
            entry["layer"] = ".".join(self.path)
        self.steps.append(entry)
        return len(self.steps)

    def write(self, module: nn.Module, x: int = 0, name: str = "") -> int:
        """The steps of a module on register x; returns the register of its output.

        Raises:
            OptionError: it has a layer without JavaScript.
        """
        rule = next((RULES[kind] for kind in type(module).__mro__ if kind in RULES), None)
        if rule is None:
            raise OptionError(f"play: {'.'.join([*self.path, name]) or 'the network'} is a {type(module).__name__}, "
                              "for which the page has no JavaScript; it knows "
                              f"{', '.join(sorted(kind.__name__ for kind in RULES))}")
        if name:
            self.path.append(name)
        y = rule(self, module, x)
        if name:
            self.path.pop()
        return y


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else [int(part) for part in value]


def _filtered(op: str) -> Callable[[Program, Any, int], int]:
    """The rule of a layer with filters: its geometry, its filters times the factor of an equalized layer, its bias."""
    def rule(program: Program, layer: Any, x: int) -> int:
        geometry = {name: _pair(value) for name, value in layer.geometry.items()}
        if geometry.pop("dilation", [1, 1]) != [1, 1]:
            raise OptionError(f"play: {'.'.join(program.path)} is dilated, for which the page has no JavaScript")
        weight = device.asnumpy(layer.weight.data) * getattr(layer, "scale", 1.0)
        bias = None if layer.bias is None else program.numbers.vector(device.asnumpy(layer.bias.data))
        return program.step(op, x, w=program.numbers.filters(weight), b=bias, **geometry)
    return rule


def _linear(program: Program, layer: Any, x: int) -> int:
    weight = device.asnumpy(layer.weight.data) * getattr(layer, "scale", 1.0)
    bias = None if layer.bias is None else program.numbers.vector(device.asnumpy(layer.bias.data))
    return program.step("linear", x, w=program.numbers.filters(weight), b=bias)


def _channel_norm(program: Program, layer: Any, x: int) -> int:
    """With running statistics: one scale and one shift per channel, gamma (x - mean) / (var + eps)^(1/2) + beta."""
    gamma, beta = (None if p is None else device.asnumpy(p.data).astype(np.float64) for p in (layer.weight, layer.bias))
    if layer.running_mean is None:
        if isinstance(layer, nn.BatchNorm2d):
            raise OptionError(f"play: {'.'.join(program.path)} normalises by the statistics of a batch, and the page "
                              "draws one image at a time; train with track_running_stats=True")
        return program.step("instance_norm", x, eps=layer.eps, scale=gamma if gamma is None else
                            program.numbers.vector(gamma), shift=beta if beta is None else program.numbers.vector(beta))
    mean, var = (device.asnumpy(array).astype(np.float64) for array in (layer.running_mean, layer.running_var))
    scale = (1.0 if gamma is None else gamma) / np.sqrt(var + layer.eps)
    shift = (0.0 if beta is None else beta) - mean * scale
    return program.step("scale_shift", x, scale=program.numbers.vector(scale), shift=program.numbers.vector(shift))


def _pad(program: Program, layer: Any, x: int) -> int:
    left, right, top, bottom = layer.sides
    return program.step("pad", x, mode=layer.mode, sides=[top, bottom, left, right])


def _chain(program: Program, layers: Any, x: int) -> int:
    for name, layer in layers.named_children():
        x = program.write(layer, x, name)
    return x


def _unet_level(program: Program, level: Any, x: int) -> int:
    y = program.write(level.model, x, "model")
    return y if level.outermost else program.step("concat", x, y)


def _any_size(program: Program, network: Any, x: int) -> int:
    """The model between a mirrored border and its removal, for images of the program's size."""
    (top, bottom), (left, right) = network.border(*program.size[1:])
    has_border = any((top, bottom, left, right))
    if has_border:
        x = program.step("pad", x, mode="reflect", sides=[top, bottom, left, right])
    y = program.write(network.model, x, "model")
    return program.step("crop", y, sides=[top, bottom, left, right]) if has_border else y


def _residual(program: Program, network: Any, x: int) -> int:
    return program.step("clip", program.step("add", x, program.write(network.change, x, "change")))


def _mixed(program: Program, x: int, weights: np.ndarray) -> int:
    """New channels of the old ones, by weights (3, 3): a 1x1 convolution."""
    kept = program.numbers.filters(weights[:, :, None, None])
    return program.step("conv2d", x, w=kept, b=None, stride=[1, 1], padding=[0, 0])


def _chroma(program: Program, network: Any, x: int) -> int:
    chroma = _mixed(program, program.write(network.painted, x, "painted"), np.eye(3) - np.array(LUMA))
    return program.step("clip", program.step("add", x, chroma))


def _luma(program: Program, network: Any, x: int) -> int:
    return _mixed(program, program.write(network.lit, x, "lit"), np.array([LUMA] * 3))


def _grown(program: Program, network: Any, x: int) -> int:
    """A generator that grows, as far as it has grown; while a block fades in, both images are mixed."""
    depth, alpha, before = network.depth, network.alpha, None
    x = program.step("pixel_norm", x, eps=1e-8) if network.style.sphere else x
    for number in range(depth + 1):
        if number == depth and alpha is not None:
            before = program.step("upsample", program.write(network.to_rgb[number - 1], x, f"to_rgb.{number - 1}"))
        x = program.write(network.blocks[number], x, f"blocks.{number}")
    y = program.write(network.to_rgb[depth], x, f"to_rgb.{depth}")
    if before is not None:
        y = program.step("mix", before, y, share=float(alpha.data.ravel()[0]))
    return program.step("tanh", y) if network.style.tanh else y


def _conditional(program: Program, network: Any, x: int) -> int:
    table = program.numbers.filters(device.asnumpy(network.embedding.weight.data))
    return program.write(network.network, program.step("with_label", x, w=table), "network")


RULES: dict[type, Callable[[Program, Any, int], int]] = {
    nn.Conv2d: _filtered("conv2d"), nn.ConvTranspose2d: _filtered("conv_transpose2d"),
    nn.UpConv2d: _filtered("upconv2d"), nn.Linear: _linear,
    nn.BatchNorm2d: _channel_norm, nn.InstanceNorm2d: _channel_norm,
    nn.PixelNorm: lambda program, layer, x: program.step("pixel_norm", x, eps=layer.eps),
    nn.ReLU: lambda program, layer, x: program.step("relu", x),
    nn.LeakyReLU: lambda program, layer, x: program.step("leaky_relu", x, slope=layer.options["slope"]),
    nn.Tanh: lambda program, layer, x: program.step("tanh", x),
    nn.Sigmoid: lambda program, layer, x: program.step("sigmoid", x),
    nn.ReflectionPad2d: _pad, nn.ReplicationPad2d: _pad, nn.ZeroPad2d: _pad,
    nn.Dropout: lambda program, layer, x: x, nn.Identity: lambda program, layer, x: x,  # nothing, once trained
    nn.Sequential: _chain,
    ResnetBlock: lambda program, block, x: program.step("add", x, program.write(block.conv_block, x, "conv_block")),
    ResnetEncoder: lambda program, part, x: program.write(part.model, x, "model"),
    ResnetDecoder: lambda program, part, x: program.write(part.model, x, "model"),
    UnetLevel: _unet_level, AnySize: _any_size, EncoderDecoder: _any_size,
    Residual: _residual, Chroma: _chroma, Luma: _luma,
    Grey: lambda program, net, x: program.step("grey", program.write(net.coloured, x, "coloured")),
    Generator: lambda program, net, x: program.write(net.layers, x, "layers"),
    ConditionalGenerator: _conditional, GrowingGenerator: _grown,
}
