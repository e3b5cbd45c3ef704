"""The same DCGAN and the same training step in PyTorch: a peer to measure against and an oracle to agree with.

Needs PyTorch, which minigan itself never does.
"""

import torch
from torch import nn
from torch.nn import functional as F


def dcgan(size=32, upsample="upconv", latent=100, width=64, channels=1):
    """Generator and discriminator with the layers, and so the state_dict names, of minigan.models.dcgan."""
    base, doublings = (4, (size // 4).bit_length() - 1) if size % 7 else (7, (size // 7).bit_length() - 1)
    wide = width << (doublings - 1)
    layers = [nn.ConvTranspose2d(latent, wide, base, bias=False), nn.BatchNorm2d(wide), nn.ReLU(True)]
    for i in range(doublings):
        last = i == doublings - 1
        out = channels if last else wide // 2
        layers.append(UpConv2d(wide, out, last) if upsample == "upconv"
                      else nn.ConvTranspose2d(wide, out, 4, 2, 1, bias=last))
        layers += [nn.Tanh()] if last else [nn.BatchNorm2d(out), nn.ReLU(True)]
        wide = out
    critic = [nn.Conv2d(channels, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for _ in range(doublings - 1):
        critic += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2, True)]
        width *= 2
    return Net(layers, latent), Net([*critic, nn.Conv2d(width, 1, base)])


class UpConv2d(nn.Conv2d):
    """Nearest x2, then a 3x3 convolution, as PyTorch users write it."""

    def __init__(self, inputs, outputs, bias):
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, x):
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"))


class Net(nn.Module):
    """A stack called `layers`; noise (N, latent) is made (N, latent, 1, 1)."""

    def __init__(self, layers, latent=None):
        super().__init__()
        self.layers, self.latent = nn.Sequential(*layers), latent

    def forward(self, x):
        return self.layers(x.view(len(x), self.latent, 1, 1) if x.ndim == 2 else x)


def load(module, weights):
    """Copy a minigan state_dict in."""
    module.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()}, strict=False)


class GAN:
    """minigan.trainers.GAN, non-saturating, one discriminator step, as PyTorch users write it."""

    def __init__(self, generator, discriminator, lr=2e-4, betas=(0.5, 0.999)):
        self.generator, self.discriminator = generator, discriminator
        self.g_optimizer = torch.optim.Adam(generator.parameters(), lr, betas)
        self.d_optimizer = torch.optim.Adam(discriminator.parameters(), lr, betas)

    def step(self, real, z):
        """One iteration; returns d_loss and g_loss."""
        fake = self.generator(z)
        self.d_optimizer.zero_grad(set_to_none=True)
        d_loss = F.softplus(-self.discriminator(real)).mean() + F.softplus(self.discriminator(fake.detach())).mean()
        d_loss.backward()
        self.d_optimizer.step()

        self.g_optimizer.zero_grad(set_to_none=True)
        self.discriminator.requires_grad_(False)
        g_loss = F.softplus(-self.discriminator(fake)).mean()
        g_loss.backward()
        self.g_optimizer.step()
        self.discriminator.requires_grad_(True)
        return d_loss.item(), g_loss.item()
