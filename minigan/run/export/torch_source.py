"""A network as a Python file of torch.nn layers, and the weights for it, under the names that it has in minigan.

Layers with PyTorch's names become PyTorch's. What PyTorch lacks is a class of a few lines in the file, if the network
has it. Two things are computed once and for all: the weight of a layer with spectral norm, and the factor of
equalised layers; both become plain layers.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minigan import models, nn
from minigan.errors import OptionError
from minigan.models.dcgan import Discriminator, Generator
from minigan.models.mlp import MLPDiscriminator, MLPGenerator
from minigan.models.progressive import Discriminator as GrowingDiscriminator
from minigan.models.progressive import Generator as GrowingGenerator
from minigan.models.resnet import ResnetBlock
from minigan.models.unet import UnetLevel
from minigan.run.export.torch_classes import CLASSES

HEAD = '''"""{title}

{card}

    net = load()                     # needs torch and safetensors, and {weights} beside this file
    {example}
"""

from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F
'''
TAIL = '''

def network():
    """The network, with random weights."""
    return {expression}


def load(path=Path(__file__).with_suffix(".safetensors")):
    """The network with its trained weights, in evaluation mode."""
    net = network()
    net.load_state_dict(load_file(path))
    return net.eval()


if __name__ == "__main__":
    with torch.no_grad():
        {example}
    print(tuple(y.shape))
'''


class Writer:
    """Writes modules as expressions of torch.nn; remembers which classes they need."""

    def __init__(self) -> None:
        self.classes: dict[str, str] = {}

    def __call__(self, module: nn.Module, path: str = "") -> str:
        """The expression of a module; `path` is its name, for errors."""
        form = FORMS.get(type(module))
        if form is None:
            raise OptionError(
                f"export: {path or 'the network'}, a {type(module).__name__}, has no form in torch.nn: add one to "
                "minigan/run/export/torch_source.py, or export as onnx, or as safetensors and write the class yourself")
        return form(self, module, path)

    def own(self, name: str, *arguments: str) -> str:
        """A call of a class that the file defines."""
        self.classes[name] = CLASSES[name]
        return call(name, *arguments)

    def part(self, module: nn.Module, path: str, name: str) -> str:
        """The expression of a part."""
        return self(vars(module)[name], f"{path}.{name}" if path else name)


def call(name: str, *arguments: str, brackets: str = "()") -> str:
    """`name(arguments)`, one per line if they are long."""
    line = f"{name}{brackets[0]}{', '.join(arguments)}{brackets[1]}"
    if len(line) <= 100 and "\n" not in line:
        return line
    return f"{name}{brackets[0]}\n" + textwrap.indent(",\n".join(arguments), "    ") + brackets[1]


def _sequence(kind: str) -> Callable[[Writer, Any, str], str]:
    def form(write: Writer, module: Any, path: str) -> str:
        parts = module.items_by_name()
        layers = {name: write.part(module, path, name) for name in parts}
        items = list(layers.values())
        if kind == "nn.ModuleList":
            return f"{kind}({call('', *items, brackets='[]')})"
        if list(parts) == [str(i) for i in range(len(parts))]:
            return call(kind, *items)
        pairs = [f"({name!r}, {layer})" for name, layer in layers.items()]  # a slice keeps its layers' names
        return f"{kind}(OrderedDict({call('', *pairs, brackets='[]')}))"

    return form


def _plain(*names: str, **renamed: str) -> Callable[[Writer, Any, str], str]:
    """A layer of torch.nn with arguments that are attributes of ours."""

    def form(write: Writer, module: Any, path: str) -> str:
        own = {**{name: name for name in names}, **renamed}
        values = {name: getattr(module, ours) for name, ours in own.items()}
        return call(f"nn.{type(module).__name__}", *(f"{name}={value!r}" for name, value in values.items()))

    return form


def _activation(name: str = "", value: str = "") -> Callable[[Writer, Any, str], str]:
    def form(write: Writer, module: Any, path: str) -> str:
        shown = [f"{name}={module.options[value]!r}"] if value in module.options else []
        return call(f"nn.{type(module).__name__}", *shown)

    return form


def _filters(kind: str) -> Callable[[Writer, Any, str], str]:
    """A convolution, a transposed or an up-convolution: channels, kernel, geometry."""

    def form(write: Writer, module: Any, path: str) -> str:
        first, second, KH, KW = module.weight.shape
        channels = (first, second) if kind == "ConvTranspose2d" else (second, first)
        kernel = str(KH) if KH == KW else str((KH, KW))
        plain = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1}
        extra = [f"{name}={value!r}" for name, value in module.geometry.items() if plain.get(name) != value]
        extra += ["bias=False"] * (module.bias is None)
        arguments = (*map(str, channels), kernel, *extra)
        return write.own(kind, *arguments) if kind == "UpConv2d" else call(f"nn.{kind}", *arguments)

    return form


def _linear(write: Writer, module: Any, path: str) -> str:
    outputs, inputs = module.weight.shape
    return call("nn.Linear", str(inputs), str(outputs), *["bias=False"] * (module.bias is None))


def _norm(write: Writer, module: Any, path: str) -> str:
    extra = {"eps": (1e-5, module.eps), "momentum": (0.1, module.momentum),
             "affine": (isinstance(module, nn.BatchNorm2d), module.weight is not None),
             "track_running_stats": (isinstance(module, nn.BatchNorm2d), module.running_mean is not None)}
    return call(f"nn.{type(module).__name__}", str(module.channels),
                *(f"{name}={value!r}" for name, (default, value) in extra.items() if value != default))


def _upsample(write: Writer, module: Any, path: str) -> str:
    size = f"scale_factor={module.scale!r}" if module.size is None else f"size={module.size!r}"
    return call("nn.Upsample", size, f"mode={module.mode!r}")


def _own(name: str, *parts: str, values: Sequence[str] = ()) -> Callable[[Writer, Any, str], str]:
    """A class of the file, made of the parts of a module, and of numbers that are attributes of it."""

    def form(write: Writer, module: Any, path: str) -> str:
        return write.own(name, *(write.part(module, path, part) for part in parts),
                         *(f"{value}={getattr(module, value)!r}" for value in values))

    return form


def _growing(name: str, *parts: str) -> Callable[[Writer, Any, str], str]:
    """A network of progressive growing, as far as it has grown."""

    def form(write: Writer, module: Any, path: str) -> str:
        alpha = None if module.alpha is None else float(module.alpha.item())
        style = [f"sphere={module.style.sphere}", f"tanh={module.style.tanh}"] if name == "GrowingGenerator" else []
        return write.own(name, *(write.part(module, path, part) for part in parts), f"depth={module.depth}",
                         f"alpha={alpha}", *style)

    return form


def _scales(write: Writer, module: Any, path: str) -> str:
    return write.own("MultiScale", *(write.part(module, path, f"scale{i}") for i in range(module.scales)))


FORMS: dict[type, Callable[[Writer, Any, str], str]] = {
    nn.Sequential: _sequence("nn.Sequential"), nn.ModuleList: _sequence("nn.ModuleList"),
    nn.Linear: _linear, nn.EqualizedLinear: _linear,
    nn.Conv2d: _filters("Conv2d"), nn.EqualizedConv2d: _filters("Conv2d"),
    nn.ConvTranspose2d: _filters("ConvTranspose2d"), nn.EqualizedConvTranspose2d: _filters("ConvTranspose2d"),
    nn.UpConv2d: _filters("UpConv2d"), nn.EqualizedUpConv2d: _filters("UpConv2d"),
    nn.SpectralNorm: lambda write, module, path: write(module.layer, path),
    nn.BatchNorm2d: _norm, nn.InstanceNorm2d: _norm,
    nn.LayerNorm: _plain("normalized_shape", "eps"), nn.GroupNorm: _plain("num_groups", "num_channels", "eps"),
    nn.ReLU: _activation(), nn.LeakyReLU: _activation("negative_slope", "slope"), nn.ELU: _activation("alpha", "alpha"),
    nn.Sigmoid: _activation(), nn.Tanh: _activation(), nn.Softplus: _activation("beta", "beta"),
    nn.Upsample: _upsample, nn.Dropout: _plain("p"), nn.Flatten: _plain("start_dim", "end_dim"),
    nn.MaxPool2d: _plain("kernel_size", "stride", "padding", "dilation", "ceil_mode"), nn.Identity: _plain(),
    nn.ReflectionPad2d: _plain("padding"), nn.ReplicationPad2d: _plain("padding"), nn.ZeroPad2d: _plain("padding"),
    nn.PixelNorm: _own("PixelNorm", values=["eps"]), nn.MinibatchStddev: _own("MinibatchStddev", values=["group"]),
    nn.MinibatchDiscrimination: lambda write, module, path: write.own(
        "MinibatchDiscrimination", str(module.weight.shape[1]), str(module.kernels), str(module.dims)),
    nn.Embedding: lambda write, module, path: call("nn.Embedding", *map(str, module.weight.shape)),
    Generator: _own("Generator", "layers"), Discriminator: _own("Layers", "layers"),
    MLPGenerator: _own("Samples", "layers", values=["shape"]), MLPDiscriminator: _own("Layers", "layers"),
    models.ConditionalGenerator: _own("ConditionalGenerator", "network", "embedding"),
    models.ProjectionDiscriminator: _own("ProjectionDiscriminator", "network", "projection"),
    ResnetBlock: _own("ResnetBlock", "conv_block"), UnetLevel: _own("UnetLevel", "model",
                                                                               values=["outermost"]),
    models.ResnetGenerator: _own("Translator", "model", values=["multiple", "smallest"]),
    models.UnetGenerator: _own("Translator", "model", values=["multiple", "smallest"]),
    models.EncoderDecoder: _own("Translator", "model", values=["multiple", "smallest"]),
    models.ResnetEncoder: _own("Model", "model"), models.ResnetDecoder: _own("Model", "model"),
    models.PatchDiscriminator: _own("Model", "model"), models.MultiScaleDiscriminator: _scales,
    models.Residual: _own("Residual", "change"), models.Chroma: _own("Chroma", "painted"),
    models.Luma: _own("Luma", "lit"),
    models.Grey: _own("Grey", "coloured", values=["out_channels"]),
    GrowingGenerator: _growing("GrowingGenerator", "blocks", "to_rgb"),
    GrowingDiscriminator: _growing("GrowingDiscriminator", "blocks", "from_rgb"),
}


def torch_files(network: nn.Module, name: str, shapes: Mapping[str, Sequence[int]],
                notes: Mapping[str, str]) -> tuple[str, dict[str, np.ndarray]]:
    """The Python file and the weights, which belong beside it as NAME.safetensors.

    Raises:
        OptionError: a layer or a network has no form in torch.nn.
    """
    write = Writer()
    expression = textwrap.indent(write(network), "    ").strip()
    inputs = [f"torch.arange(2) % {shape[0]}" if key == "labels" else f"torch.randn(2, {', '.join(map(str, shape))})"
              for key, shape in shapes.items()]
    example = f"y = load()({', '.join(inputs) or '...'})"
    title = f"{type(network).__name__} in PyTorch, exported from minigan."
    shown = "\n".join(textwrap.fill(f"{key}: {text}", 110, subsequent_indent="    ", break_long_words=False)
                      for key, text in notes.items() if key != "settings").replace("\\", "\\\\").replace('"""', "'''")
    example_line = example.replace("load()", "net")
    head = HEAD.format(title=title, card=shown, weights=f"{name}.safetensors", example=example_line)
    body = TAIL.format(expression=expression, example=example)
    if not inputs:  # the file does not know what the network takes
        body = body.partition("\n\nif __name__")[0] + "\n"
    text = "\n".join([head, *("\n" + text for text in write.classes.values())]) + body
    for line, name in (("from collections import OrderedDict\n", r"OrderedDict\("),
                       ("from torch.nn import functional as F\n", r"\bF\.")):
        if not re.search(name, text):
            text = text.replace(line, "")
    return text, state(network)


def state(network: nn.Module) -> dict[str, np.ndarray]:
    """The weights under the names that the written network has."""
    arrays = network.state_dict()
    for prefix, module in network.named_modules(remove_duplicate=False):
        dot = f"{prefix}." if prefix else ""
        if hasattr(module, "scale") and type(module).__name__.startswith("Equalized"):
            arrays[f"{dot}weight"] = arrays[f"{dot}weight"] * np.float32(module.scale)
        if isinstance(module, nn.SpectralNorm):
            arrays[f"{dot}weight"] = arrays.pop(f"{dot}layer.weight") / _sigma(module)
            if f"{dot}layer.bias" in arrays:
                arrays[f"{dot}bias"] = arrays.pop(f"{dot}layer.bias")
            del arrays[f"{dot}u"]
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            arrays[f"{dot}num_batches_tracked"] = np.zeros((), np.int64)
        if isinstance(module, models.ConditionalGenerator):
            del arrays[f"{dot}shares"]
        if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm | nn.LayerNorm) and (
                module.weight is not None and module.bias is None):
            arrays[f"{dot}bias"] = np.zeros_like(arrays[f"{dot}weight"])
    return {key: np.ascontiguousarray(array) if array.ndim else array for key, array in arrays.items()}


def _sigma(module: nn.SpectralNorm) -> np.ndarray:
    """The singular value that the layer divides its weight by in evaluation."""
    matrix = module._matrix(module.layer.weight).data  # (KH*KW*in, out)
    v = matrix @ module.u
    v = v / (np.sqrt((v * v).sum()) + 1e-12)
    return v @ matrix @ module.u
