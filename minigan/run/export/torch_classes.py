"""The classes that a file for PyTorch may define: networks of minigan.models, and layers that torch.nn lacks.

Each is a few lines of text, for people to read and change; tests compare them with minigan's own on random inputs.
"""

from __future__ import annotations


def _holding(name: str, docstring: str, parts: str, forward: str, values: str = "", **defaults: str) -> str:
    """The source of a module that is given its parts, and numbers, and has a forward of these lines."""
    names = [n.strip() for n in f"{parts},{values}".split(",") if n.strip()]
    given = ", ".join(f"{n}={defaults[n]}" if n in defaults else n for n in names)
    assigned = "\n".join(f"        self.{n} = {n}" for n in names)
    body = "\n".join(f"        {line}" if line else "" for line in forward.splitlines()[1:])
    return f'''class {name}(nn.Module):
    """{docstring}"""

    def __init__(self{", " if given else ""}{given}):
        super().__init__()
{assigned}

    def forward(self, {forward.splitlines()[0]}):
{body}
'''


CLASSES = {
    "UpConv2d": '''class UpConv2d(nn.Conv2d):
    """Nearest up-sampling, then a convolution."""

    def __init__(self, inputs, outputs, kernel, scale=2, padding=1, bias=True):
        super().__init__(inputs, outputs, kernel, padding=padding, bias=bias)
        self.scale = scale

    def forward(self, x):
        return super().forward(F.interpolate(x, scale_factor=self.scale, mode="nearest"))
''',
    "PixelNorm": _holding("PixelNorm", "Scale the channels of every pixel to unit mean square.", "", """x
return x * (x.square().mean(1, keepdim=True) + self.eps).rsqrt()""", "eps"),
    "MinibatchStddev": _holding(
        "MinibatchStddev", "Append a channel: the mean standard deviation over groups of images.", "", """x
N, C, H, W = x.shape
sizes = [n for n in range(1, min(self.group, N) + 1) if N % n == 0]
G = N if max(sizes) == 1 and self.group > 1 else max(sizes)
spread = (x.view(G, N // G, C, H, W).var(0, correction=0) + 1e-8).sqrt()
channel = spread.mean((1, 2, 3)).repeat(G).view(N, 1, 1, 1).expand(N, 1, H, W)
return torch.cat([x, channel], 1)""", "group"),
    "MinibatchDiscrimination": '''class MinibatchDiscrimination(nn.Module):
    """Append similarities to the other samples of the batch."""

    def __init__(self, inputs, kernels, dims):
        super().__init__()
        self.dims, self.weight = dims, nn.Parameter(torch.zeros(kernels * dims, inputs))

    def forward(self, x):
        m = (x @ self.weight.T).view(len(x), -1, self.dims)
        apart = (m[:, None] - m[None]).abs().sum(3)
        return torch.cat([x, (-apart).exp().sum(1)], 1)
''',
    "Layers": _holding("Layers", "A sequence of layers.", "layers", "x\nreturn self.layers(x)"),
    "Model": _holding("Model", "A sequence of layers.", "model", "x\nreturn self.model(x)"),
    "Generator": _holding("Generator", "Noise (N, latent) to images.", "layers", """z
return self.layers(z.reshape(len(z), -1, 1, 1))"""),
    "Samples": _holding("Samples", "Noise (N, latent) to samples (N, *shape).", "layers", """z
return self.layers(z).reshape(len(z), *self.shape)""", "shape"),
    "ConditionalGenerator": _holding(
        "ConditionalGenerator", "Noise (N, latent) and labels, integers (N,), to images.", "network, embedding",
        """z, labels
return self.network(torch.cat([z, self.embedding(labels)], 1))"""),
    "ProjectionDiscriminator": _holding(
        "ProjectionDiscriminator", "Images and labels, integers (N,), to logits.", "network, projection", """x, labels
features = self.network.layers[:-1](x)
logits = self.network.layers[-1](features)
pooled = features.sum((2, 3)) if features.ndim == 4 else features
match = self.projection(pooled).gather(1, labels[:, None])
return logits + match.reshape(logits.shape)"""),
    "ResnetBlock": _holding("ResnetBlock", "x plus two convolutions of it.", "conv_block", """x
return x + self.conv_block(x)"""),
    "UnetLevel": _holding("UnetLevel", "The level below, and x beside its result.", "model", """x
return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)""", "outermost"),
    "Translator": _holding(
        "Translator", "Images to images of the same size; sides that do not fit are mirrored and cropped back.",
        "model", """x
H, W = x.shape[2:]
above, left = (max(-n % self.multiple, self.smallest - n) for n in (H, W))
top, first = above // 2, left // 2
if above or left:
    x = F.pad(x, (first, left - first, top, above - top), mode="reflect")
return self.model(x)[:, :, top : top + H, first : first + W]""", "multiple, smallest"),
    "Residual": _holding("Residual", "x plus a change, clipped to [-1, 1].", "change", """x
return (x + self.change(x)).clamp(-1, 1)"""),
    "Chroma": _holding("Chroma", "The colours of images, with the luma of x; clipped to [-1, 1].", "painted", """x
c = self.painted(x)
light = 0.299 * c[:, 0:1] + 0.587 * c[:, 1:2] + 0.114 * c[:, 2:3]
return (x + (c - light)).clamp(-1, 1)"""),
    "Luma": '''class Luma(nn.Module):
    """Images in grey: their luma, or that of a network's images."""

    def __init__(self, lit):
        super().__init__()
        self.lit = lit
        if isinstance(lit, nn.Identity):
            self.register_buffer("shares", torch.tensor([0.299, 0.587, 0.114]))

    def forward(self, x):
        c = self.lit(x)
        light = 0.299 * c[:, 0:1] + 0.587 * c[:, 1:2] + 0.114 * c[:, 2:3]
        return light.expand(-1, 3, -1, -1)
''',
    "Grey": _holding("Grey", "Images in grey: the mean of their channels.", "coloured", """x
grey = self.coloured(x).mean(1, keepdim=True)
return grey.expand(-1, self.out_channels, -1, -1)""", "out_channels"),
    "MultiScale": '''class MultiScale(nn.Module):
    """Discriminators of the image at full size, half, quarter, ...; a list of maps."""

    def __init__(self, *scales):
        super().__init__()
        self.count = len(scales)
        for i, scale in enumerate(scales):
            self.add_module(f"scale{i}", scale)

    def forward(self, x):
        maps = []
        for i in range(self.count):
            maps.append(getattr(self, f"scale{i}")(x))
            x = F.avg_pool2d(x, 2)
        return maps
''',
    "GrowingGenerator": _holding(
        "GrowingGenerator", "Noise (N, latent) to images; alpha is the last block's weight while it is faded in.",
        "blocks, to_rgb", """z
x = z.reshape(len(z), -1, 1, 1)
if self.sphere:
    x = x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()
for block in self.blocks[: self.depth]:
    x = block(x)
images = self.to_rgb[self.depth](self.blocks[self.depth](x))
if self.alpha is not None:
    before = F.interpolate(self.to_rgb[self.depth - 1](x), scale_factor=2, mode="nearest")
    images = (1 - self.alpha) * before + self.alpha * images
return images.tanh() if self.tanh else images""", "depth, alpha, sphere, tanh"),
    "GrowingDiscriminator": _holding(
        "GrowingDiscriminator", "Images to logits (N, 1); alpha is the last block's weight while it is faded in.",
        "blocks, from_rgb", """x
h = self.from_rgb[self.depth](x)
for number in range(self.depth, 0, -1):
    h = F.avg_pool2d(self.blocks[number](h), 2)
    if number == self.depth and self.alpha is not None:
        before = self.from_rgb[number - 1](F.avg_pool2d(x, 2))
        h = (1 - self.alpha) * before + self.alpha * h
return self.blocks[0](h)""", "depth, alpha"),
}
