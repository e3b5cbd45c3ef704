"""CycleGAN and pix2pix in PyTorch, with the module names of the authors' code, to compare with.

The image pools and the order of data use minigan's counter-based random numbers, so that both see the same images.
"""

import torch
from torch import nn
from torch.nn import functional

import minigan as mg


def norm_of(norm, channels):
    return nn.InstanceNorm2d(channels) if norm == "instance" else nn.BatchNorm2d(channels)


class UpConv(nn.Conv2d):
    """Nearest x2, then a 3x3 convolution."""

    def __init__(self, inputs, outputs, bias):
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, x):
        return super().forward(functional.interpolate(x, scale_factor=2, mode="nearest"))


class Block(nn.Module):
    def __init__(self, c, norm):
        super().__init__()
        bias = norm == "instance"
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3, bias=bias), norm_of(norm, c), nn.ReLU(),
            nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3, bias=bias), norm_of(norm, c))

    def forward(self, x):
        return x + self.conv_block(x)


class Resnet(nn.Module):
    def __init__(self, inputs, outputs, width, blocks, norm, upsample):
        super().__init__()
        bias = norm == "instance"
        layers = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, width, 7, bias=bias), norm_of(norm, width), nn.ReLU()]
        for c in (width, 2 * width):
            layers += [nn.Conv2d(c, 2 * c, 3, 2, 1, bias=bias), norm_of(norm, 2 * c), nn.ReLU()]
        layers += [Block(4 * width, norm) for _ in range(blocks)]
        for c in (4 * width, 2 * width):
            layers += [UpConv(c, c // 2, bias) if upsample == "upconv"
                       else nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1, bias=bias), norm_of(norm, c // 2), nn.ReLU()]
        self.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, outputs, 7), nn.Tanh())

    def forward(self, x):
        return self.model(x)


class Patch(nn.Module):
    def __init__(self, channels, width, layers, norm):
        super().__init__()
        stack, c = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)], width
        for i in range(1, layers + 1):
            out = width * min(2**i, 8)
            stack += [nn.Conv2d(c, out, 4, 2 if i < layers else 1, 1, bias=norm == "instance"), norm_of(norm, out),
                      nn.LeakyReLU(0.2)]
            c = out
        self.model = nn.Sequential(*stack, nn.Conv2d(c, 1, 4, 1, 1))

    def forward(self, x):
        return self.model(x)


class Level(nn.Module):
    def __init__(self, outer, inner, submodule, norm, upsample, source=None):
        super().__init__()
        self.outermost, bias = source is not None, norm == "instance"
        down = nn.Conv2d(source if self.outermost else outer, inner, 4, 2, 1, bias=bias)
        wide = 2 * inner if submodule else inner
        up_bias = bias or self.outermost
        up = UpConv(wide, outer, up_bias) if upsample == "upconv" else nn.ConvTranspose2d(wide, outer, 4, 2, 1,
                                                                                        bias=up_bias)
        if self.outermost:
            layers = [down, *([submodule] if submodule else []), nn.ReLU(), up, nn.Tanh()]
        elif submodule:
            layers = [nn.LeakyReLU(0.2), down, norm_of(norm, inner), submodule, nn.ReLU(), up, norm_of(norm, outer)]
        else:
            layers = [nn.LeakyReLU(0.2), down, nn.ReLU(), up, norm_of(norm, outer)]
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class Unet(nn.Module):
    def __init__(self, inputs, outputs, width, depth, norm, upsample):
        super().__init__()
        sizes, level = [width * min(2**i, 8) for i in range(depth)], None
        for i in range(depth - 1, 0, -1):
            level = Level(sizes[i - 1], sizes[i], level, norm, upsample)
        self.model = Level(outputs, sizes[0], level, norm, upsample, source=inputs)

    def forward(self, x):
        return self.model(x)


def load(module, weights):
    """Copy a minigan state_dict into a module; all names must match."""
    given = {name: torch.from_numpy(array) for name, array in weights.items()}
    missing = module.load_state_dict(given, strict=False)
    assert not missing.unexpected_keys and all("num_batches" in name for name in missing.missing_keys), missing
    return module


class Pool:
    """The list of images of the authors' code."""

    def __init__(self, size, generator):
        self.size, self.generator, self.images = size, generator, []

    def query(self, images):
        coins, places = self.generator.uniform((2, len(images)), "float64")
        out = []
        for image, coin, place in zip(images, coins, places, strict=True):
            if len(self.images) < self.size:
                self.images.append(image)
                out.append(image)
            elif coin < 0.5:
                place = int(place * self.size)
                out.append(self.images[place])
                self.images[place] = image
            else:
                out.append(image)
        return torch.stack(out)


def d_loss(real, fake, least_squares):
    if least_squares:
        return ((real - 1) ** 2).mean() + (fake**2).mean()
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def g_loss(fake, least_squares):
    return ((fake - 1) ** 2).mean() if least_squares else functional.softplus(-fake).mean()


class CycleGAN:
    """One step: both generators, then both discriminators; the eight losses of minigan.trainers.CycleGAN."""

    def __init__(self, g_ab, g_ba, d_a, d_b, loss, pool, lambda_cycle=10.0, lambda_identity=5.0, seed=0):
        self.nets, self.squares = (g_ab, g_ba, d_a, d_b), loss == "least_squares"
        self.weights = lambda_cycle, lambda_identity
        self.judges = nn.ModuleList([d_a, d_b])
        self.g_optimizer = torch.optim.Adam([*g_ab.parameters(), *g_ba.parameters()], 2e-4, (0.5, 0.999))
        self.d_optimizer = torch.optim.Adam(self.judges.parameters(), 2e-4, (0.5, 0.999))
        self.pools = [Pool(pool, mg.random.Stream(seed, f"pool {domain}")) for domain in "ab"]

    def step(self, a, b):
        g_ab, g_ba, d_a, d_b = self.nets
        self.judges.requires_grad_(False)
        self.g_optimizer.zero_grad(set_to_none=True)
        fake_b, fake_a = g_ab(a), g_ba(b)
        games = g_loss(d_a(fake_a), self.squares), g_loss(d_b(fake_b), self.squares)
        cycles = functional.l1_loss(g_ba(fake_b), a), functional.l1_loss(g_ab(fake_a), b)
        same = functional.l1_loss(g_ba(a), a), functional.l1_loss(g_ab(b), b)
        (sum(games) + self.weights[0] * sum(cycles) + self.weights[1] * sum(same)).backward()
        self.g_optimizer.step()
        self.judges.requires_grad_(True)
        self.d_optimizer.zero_grad(set_to_none=True)
        judged = [0.5 * d_loss(d(x), d(pool.query(fake.detach())), self.squares)
                  for d, x, pool, fake in zip((d_a, d_b), (a, b), self.pools, (fake_a, fake_b), strict=True)]
        sum(judged).backward()
        self.d_optimizer.step()
        return [loss.item() for loss in (*judged, *games, *cycles, *same)]


class Pix2Pix:
    """One step: the discriminator, then the generator; d_loss, g_loss and l1 of minigan.trainers.Pix2Pix."""

    def __init__(self, generator, discriminator):
        self.generator, self.discriminator = generator, discriminator
        self.g_optimizer = torch.optim.Adam(generator.parameters(), 2e-4, (0.5, 0.999))
        self.d_optimizer = torch.optim.Adam(discriminator.parameters(), 2e-4, (0.5, 0.999))

    def step(self, a, b):
        fake = self.generator(a)
        self.d_optimizer.zero_grad(set_to_none=True)
        real_logits = self.discriminator(torch.cat([a, b], 1))
        judged = 0.5 * d_loss(real_logits, self.discriminator(torch.cat([a, fake.detach()], 1)), False)
        judged.backward()
        self.d_optimizer.step()
        self.discriminator.requires_grad_(False)
        self.g_optimizer.zero_grad(set_to_none=True)
        game, l1 = g_loss(self.discriminator(torch.cat([a, fake], 1)), False), functional.l1_loss(fake, b)
        (game + 100 * l1).backward()
        self.g_optimizer.step()
        self.discriminator.requires_grad_(True)
        return [loss.item() for loss in (judged, game, l1)]
