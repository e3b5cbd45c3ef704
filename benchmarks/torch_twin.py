"""The same networks and training steps in PyTorch, to compare times and results with.

Needs PyTorch; minigan itself does not.
"""

from types import SimpleNamespace

import networks
import torch
from torch import nn
from torch.nn import functional as F
from turns import SkipError


class UpConv2d(nn.Conv2d):
    """Nearest x2, then a 3x3 convolution, as PyTorch users write it."""

    def __init__(self, inputs, outputs, kernel_size=3, bias=True):
        super().__init__(inputs, outputs, kernel_size, padding=1, bias=bias)

    def forward(self, x):
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"))


class Residual(nn.Module):
    """x + body(x)."""

    def __init__(self, *layers):
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.body(x)


def instance_norm(channels):
    """Group norm with groups of one channel: the same function, faster on the CPU, and right in channels_last.

    The gradient of nn.InstanceNorm2d (2.13) is wrong for a single image if the cotangent comes in channels_last.
    """
    return nn.GroupNorm(channels, channels, affine=False)


NN = SimpleNamespace(**{**vars(nn), "UpConv2d": UpConv2d, "Residual": Residual, "InstanceNorm2d": instance_norm})


class Net(nn.Module):
    """A sequence called `layers`; noise (N, latent) is reshaped to (N, latent, 1, 1)."""

    def __init__(self, layers, latent=None):
        super().__init__()
        self.layers, self.latent = nn.Sequential(*layers), latent

    def forward(self, x):
        return self.layers(x.view(len(x), self.latent, 1, 1) if x.ndim == 2 else x)


def dcgan(size=32, upsample="upconv", latent=100, width=64, channels=1):
    """Generator and discriminator with the layers, and so the state_dict names, of minigan.models.dcgan."""
    generator, discriminator = networks.dcgan(NN, size, upsample, latent, width, channels)
    return Net(generator, latent), Net(discriminator)


def load(module, weights):
    """Copy a minigan state_dict into a module."""
    module.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()}, strict=False)


class GAN:
    """minigan.trainers.GAN, non-saturating, one discriminator step, as PyTorch users write it."""

    def __init__(self, generator, discriminator, **options):
        self.generator, self.discriminator = generator, discriminator
        self.g_optimizer = torch.optim.Adam(generator.parameters(), 2e-4, (0.5, 0.999), **options)
        self.d_optimizer = torch.optim.Adam(discriminator.parameters(), 2e-4, (0.5, 0.999), **options)

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
        return d_loss.detach(), g_loss.detach()


class WGANGP:
    """One critic step with gradient penalty; see works.wgan_gp."""

    def __init__(self, generator, critic, **options):
        self.generator, self.critic = generator, critic
        self.optimizer = torch.optim.Adam(critic.parameters(), 1e-4, (0.0, 0.9), **options)

    def step(self, real, z, e):
        """Returns the loss without penalty, and the penalty."""
        with torch.no_grad():
            fake = self.generator(z)
        self.optimizer.zero_grad(set_to_none=True)
        distance = self.critic(fake).mean() - self.critic(real).mean()
        u = (e * real + (1 - e) * fake).requires_grad_()
        slope, = torch.autograd.grad(self.critic(u).sum(), u, create_graph=True)
        penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
        (distance + 10 * penalty).backward()
        self.optimizer.step()
        return distance.detach(), penalty.detach()


class CycleGAN:
    """Both generators, then both discriminators; see works.cyclegan."""

    def __init__(self, g_ab, g_ba, d_a, d_b, **options):
        self.g_ab, self.g_ba, self.d_a, self.d_b = g_ab, g_ba, d_a, d_b
        self.judges = nn.ModuleList([d_a, d_b])
        self.g_optimizer = torch.optim.Adam([*g_ab.parameters(), *g_ba.parameters()], 2e-4, (0.5, 0.999), **options)
        self.d_optimizer = torch.optim.Adam(self.judges.parameters(), 2e-4, (0.5, 0.999), **options)

    def step(self, a, b):
        """Returns the generators' adversarial, cycle and identity losses, and the discriminators' loss."""
        self.judges.requires_grad_(False)
        self.g_optimizer.zero_grad(set_to_none=True)
        fake_b, fake_a = self.g_ab(a), self.g_ba(b)
        game = wants(self.d_b(fake_b), 1) + wants(self.d_a(fake_a), 1)
        cycle = F.l1_loss(self.g_ba(fake_b), a) + F.l1_loss(self.g_ab(fake_a), b)
        identity = F.l1_loss(self.g_ab(b), b) + F.l1_loss(self.g_ba(a), a)
        (game + 10 * cycle + 5 * identity).backward()
        self.g_optimizer.step()

        self.judges.requires_grad_(True)
        self.d_optimizer.zero_grad(set_to_none=True)
        judged = (wants(self.d_a(a), 1) + wants(self.d_a(fake_a.detach()), 0)
                  + wants(self.d_b(b), 1) + wants(self.d_b(fake_b.detach()), 0)) * 0.5
        judged.backward()
        self.d_optimizer.step()
        return game.detach(), cycle.detach(), identity.detach(), judged.detach()


def wants(logits, target):
    """The least-squares GAN's loss."""
    return (logits - target).square().mean()


def build(work, options):
    """The trainer class of a work and its networks by name."""
    if work in ("dcgan", "dcgan64", "wgan_gp"):
        generator, discriminator = dcgan(options.size, options.upsample, 100, options.width, options.channels)
        if work != "wgan_gp":
            return GAN, {"generator": generator, "discriminator": discriminator}
        critic = nn.Sequential(*networks.critic(nn, options.size, options.width, options.channels))
        return WGANGP, {"generator": generator, "critic": critic}
    nets = {name: nn.Sequential(*networks.resnet(NN, options.channels, options.width)) for name in ("g_ab", "g_ba")}
    nets |= {name: nn.Sequential(*networks.patchgan(NN, options.channels, options.width)) for name in ("d_a", "d_b")}
    return CycleGAN, nets


def work(name, options, channels_last=False, compiled=False):
    """A step of the work and a line that describes PyTorch, at its fastest settings: in-place ReLU, fused Adam."""
    if name == "wgan_gp" and compiled:
        raise SkipError("torch.compile does not support the double backward pass of a gradient penalty.")  # with
        # torch.func.grad in one compiled function it works, but is slower than eager (2.13)
    torch.set_num_threads(options.threads)
    trainer, nets = build(name, options)
    weights, inputs = networks.load_start(options.start)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for key, net in nets.items():
        load(net.to(memory_format=layout), weights[key])
        for module in net.modules():
            if isinstance(module, nn.ReLU | nn.LeakyReLU):
                module.inplace = True
        if compiled:
            torch._inductor.config.max_autotune_report_choices_stats = False  # no log of its search
            net.compile(dynamic=False, mode="max-autotune-no-cudagraphs")  # 10 % faster than the default mode
    batch = [t.to(memory_format=layout) if t.ndim == 4 else t for t in map(torch.from_numpy, inputs)]
    trainer = trainer(**nets, fused=True)
    info = [f"PyTorch {torch.__version__}", "torch.compile" if compiled else "eager",
            *(["channels_last"] if channels_last else []), f"{torch.get_num_threads()} threads"]
    return lambda: [loss.item() for loss in trainer.step(*batch)], ", ".join(info)
