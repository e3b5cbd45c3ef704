"""Style transfer in PyTorch, with the library's names of modules: features, losses, Ghiasi et al.'s network."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the twin is written in PyTorch")  # pytest looks for doctests here, too
nn, functional = torch.nn, torch.nn.functional

torch.set_num_threads(1)  # the networks are small, and other tests run beside these


def features(widths, convolutions, average=False):
    """Blocks of convolutions as in torchvision's VGG; a module `features`."""
    layers, inputs = [], 3
    for block, (width, count) in enumerate(zip(widths, convolutions, strict=True)):
        layers += [nn.AvgPool2d(2, 2) if average else nn.MaxPool2d(2, 2)] if block else []
        for _ in range(count):
            layers += [nn.Conv2d(inputs, width, 3, 1, 1), nn.ReLU()]
            inputs = width
    network = nn.Module()
    network.features = nn.Sequential(*layers)
    return network


def load(network, weights):
    """The network with the weights of the library's."""
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    return network


def maps(network, x, places):
    """The outputs of the layers with these numbers."""
    found = []
    for number, layer in enumerate(network.features):
        x = layer(x)
        if number in places:
            found.append(x)
    return found


def gram(x):
    flat = x.flatten(2)
    return torch.einsum("nip,njp->nij", flat, flat) / flat.shape[2]


def losses(network, y, content, grams, content_places, style_places):
    """Content and style loss of y, for the content's maps and the style's matrices."""
    own = [(a - b).pow(2).mean() for a, b in zip(maps(network, y, content_places), content, strict=True)]
    style = [(gram(a) - b).pow(2).mean() for a, b in zip(maps(network, y, style_places), grams, strict=True)]
    return sum(own), sum(style) / len(style)


def smoothness(x):
    return x.diff(dim=2).pow(2).mean() + x.diff(dim=3).pow(2).mean()


class Norm(nn.Module):
    def forward(self, x, parameters):
        scale, shift = parameters.chunk(2, 1)
        return functional.instance_norm(x) * (1 + scale[:, :, None, None]) + shift[:, :, None, None]


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.first, self.second = (nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3, bias=False)) for _ in "ab")
        self.norm1, self.norm2 = Norm(), Norm()

    def forward(self, x, one, other):
        return x + self.norm2(self.second(torch.relu(self.norm1(self.first(x), one))), other)


class StyleNetwork(nn.Module):
    def __init__(self, inputs, statistics, w, blocks, bottleneck):
        super().__init__()
        layers = [nn.ReflectionPad2d(4), nn.Conv2d(inputs, w, 9, bias=False), nn.InstanceNorm2d(w), nn.ReLU()]
        for c in (w, 2 * w):
            layers += [nn.Conv2d(c, 2 * c, 3, 2, 1, bias=False), nn.InstanceNorm2d(2 * c), nn.ReLU()]
        self.contract, self.blocks = nn.Sequential(*layers), nn.ModuleList([Block(4 * w) for _ in range(blocks)])
        self.up1, self.up2 = (nn.Conv2d(c, c // 2, 3, padding=1, bias=False) for c in (4 * w, 2 * w))
        self.norm1, self.norm2 = Norm(), Norm()
        self.last = nn.Sequential(nn.ReflectionPad2d(4), nn.Conv2d(w, 3, 9), nn.Tanh())
        self.sizes = [8 * w] * (2 * blocks) + [4 * w, 2 * w]
        self.squeeze, self.expand = nn.Linear(statistics, bottleneck), nn.Linear(bottleneck, sum(self.sizes))

    def forward(self, x, statistics):
        parts = list(self.expand(self.squeeze(statistics)).split(self.sizes, 1))
        y = self.contract(x)
        for block in self.blocks:
            y = block(y, parts.pop(0), parts.pop(0))
        for up, norm in ((self.up1, self.norm1), (self.up2, self.norm2)):
            y = torch.relu(norm(up(functional.interpolate(y, scale_factor=2, mode="nearest")), parts.pop(0)))
        return self.last(y)


def statistics(found):
    parts = []
    for x in found:
        parts += [x.mean((2, 3)), torch.sqrt(x.var((2, 3), correction=0) + 1e-5)]
    return torch.cat(parts, 1)


class StyleTransfer:
    """Ghiasi et al.'s step, by Adam."""

    def __init__(self, network, judge, content_places, style_places, lambda_style, lambda_smooth, lr):
        self.network, self.judge, self.places = network, judge, (content_places, style_places)
        self.weights = lambda_style, lambda_smooth
        self.optimizer = torch.optim.Adam(network.parameters(), lr, betas=(0.9, 0.999))

    def step(self, contents, styles):
        with torch.no_grad():
            wanted = maps(self.judge, contents, self.places[0])
            patterns = maps(self.judge, styles, self.places[1])
        y = self.network(contents, statistics(patterns))
        content, style = losses(self.judge, y, wanted, [gram(x) for x in patterns], *self.places)
        smooth = smoothness(y)
        self.optimizer.zero_grad()
        (content + self.weights[0] * style + self.weights[1] * smooth).backward()
        self.optimizer.step()
        return content.item(), style.item(), smooth.item()
