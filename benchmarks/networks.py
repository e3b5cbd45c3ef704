"""The networks of the benchmarks, written once: `nn` is minigan's, PyTorch's or jax_twin; their layers share names.

Each function returns a list of layers, to be applied in this order.
"""

import numpy as np


def dcgan(nn, size=32, upsample="upconv", latent=100, width=64, channels=1):
    """Generator and discriminator of minigan.models.dcgan."""
    base, doublings = _stages(size)
    wide = width << (doublings - 1)
    layers = [nn.ConvTranspose2d(latent, wide, base, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
    for i in range(doublings):
        last = i == doublings - 1
        out = channels if last else wide // 2
        layers.append(nn.UpConv2d(wide, out, 3, bias=last) if upsample == "upconv"
                      else nn.ConvTranspose2d(wide, out, 4, 2, 1, bias=last))
        layers += [nn.Tanh()] if last else [nn.BatchNorm2d(out), nn.ReLU()]
        wide = out
    judge = [nn.Conv2d(channels, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for _ in range(doublings - 1):
        judge += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2)]
        width *= 2
    return layers, [*judge, nn.Conv2d(width, 1, base)]


def critic(nn, size=32, width=64, channels=1):
    """DCGAN's discriminator without batch norm, which a gradient penalty per sample rules out; hence with biases."""
    base, doublings = _stages(size)
    layers = []
    for i in range(doublings):
        layers += [nn.Conv2d(width << (i - 1) if i else channels, width << i, 4, 2, 1), nn.LeakyReLU(0.2)]
    return [*layers, nn.Conv2d(width << (doublings - 1), 1, base)]


def resnet(nn, channels=3, width=64, blocks=6):
    """The generator of Zhu et al., CycleGAN, 2017: two strided convolutions, residual blocks, two transposed ones."""
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7), nn.InstanceNorm2d(width), nn.ReLU()]
    for c in (width, 2 * width):
        layers += [nn.Conv2d(c, 2 * c, 3, 2, 1), nn.InstanceNorm2d(2 * c), nn.ReLU()]
    for _ in range(blocks):
        c = 4 * width
        layers.append(nn.Residual(nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3), nn.InstanceNorm2d(c), nn.ReLU(),
                                  nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3), nn.InstanceNorm2d(c)))
    for c in (4 * width, 2 * width):
        layers += [nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1), nn.InstanceNorm2d(c // 2), nn.ReLU()]
    return [*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh()]


def patchgan(nn, channels=3, width=64):
    """The 70x70 PatchGAN of Isola et al., pix2pix, 2017."""
    layers = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    for c, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
        layers += [nn.Conv2d(c, 2 * c, 4, stride, 1), nn.InstanceNorm2d(2 * c), nn.LeakyReLU(0.2)]
    return [*layers, nn.Conv2d(8 * width, 1, 4, 1, 1)]


def _stages(size):
    """Side of the smallest feature map, and the number of doublings from there to `size`."""
    return (4, (size // 4).bit_length() - 1) if size % 7 else (7, (size // 7).bit_length() - 1)


def load_start(path):
    """Initial weights {network: {name: array}} and inputs [array], as works.save_start wrote them for the peers.

    They come from a file, so that a peer's process need not load minigan.
    """
    weights, inputs = {}, []
    with np.load(path) as file:
        for key in file:
            network, _, name = key.partition(":")
            if network == "inputs":
                inputs.append(file[key])
            else:
                weights.setdefault(network, {})[name] = file[key]
    return weights, inputs
