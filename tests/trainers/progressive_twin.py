"""Progressive growing in PyTorch, written from the paper: networks as functions of arrays by name, and their training.

Only the names and initial values of the weights, the noise and the penalty's coefficients are minigan's.
"""

import pytest

torch = pytest.importorskip("torch", reason="the twin is written in PyTorch")  # pytest looks for doctests here, too
F = torch.nn.functional

HE = 2**0.5


def lrelu(x):
    return F.leaky_relu(x, 0.2)


def pixel_norm(x):
    return x / torch.sqrt((x**2).mean(1, keepdim=True) + 1e-8)


def conv(p, name, x, padding=0, gain=HE):
    w = p[f"{name}.weight"]
    return F.conv2d(x, w * (gain / (w[0].numel() ** 0.5)), p[f"{name}.bias"], padding=padding)


def up(x):
    return F.interpolate(x, scale_factor=2, mode="nearest")


def down(x):
    return F.avg_pool2d(x, 2)


def stddev(x, group):
    """Image n is in group n mod M, of `group` images."""
    groups = len(x) // group
    numbers = [torch.sqrt(x[m::groups].var(0, unbiased=False) + 1e-8).mean() for m in range(groups)]
    channel = torch.stack([numbers[n % groups].expand(1, *x.shape[2:]) for n in range(len(x))])
    return torch.cat([x, channel], 1)


def generate(p, z, depth, alpha):
    """Images; alpha None outside of a fade."""
    w = p["blocks.0.0.weight"]
    x = pixel_norm(z)[:, :, None, None]
    x = F.conv_transpose2d(x, w * (HE / 4 / w.shape[0] ** 0.5), p["blocks.0.0.bias"])
    x, before = pixel_norm(lrelu(x)), None
    x = pixel_norm(lrelu(conv(p, "blocks.0.3", x, 1)))
    for i in range(1, depth + 1):
        before, x = x, pixel_norm(lrelu(conv(p, f"blocks.{i}.0", up(x), 1)))
        x = pixel_norm(lrelu(conv(p, f"blocks.{i}.3", x, 1)))
    images = conv(p, f"to_rgb.{depth}", x, gain=1)
    if alpha is None:
        return images
    return torch.lerp(up(conv(p, f"to_rgb.{depth - 1}", before, gain=1)), images, alpha)


def judge(p, x, depth, alpha, group):
    """Logits (N, 1)."""
    h = lrelu(conv(p, f"from_rgb.{depth}.0", x))
    for i in range(depth, 0, -1):
        h = down(lrelu(conv(p, f"blocks.{i}.2", lrelu(conv(p, f"blocks.{i}.0", h, 1)), 1)))
        if i == depth and alpha is not None:
            h = torch.lerp(lrelu(conv(p, f"from_rgb.{depth - 1}.0", down(x))), h, alpha)
    h = lrelu(conv(p, "blocks.0.1", stddev(h, group), 1))
    h = lrelu(conv(p, "blocks.0.3", h)).flatten(1)
    w = p["blocks.0.6.weight"]
    return F.linear(h, w / w.shape[1] ** 0.5, p["blocks.0.6.bias"])


class Twin:
    """Steps of the whole algorithm. `phases` are (depth, fading, steps)."""

    def __init__(self, generator, discriminator, phases, loss, lr=1e-3):
        self.g, self.d = ({name: torch.tensor(array, requires_grad=True) for name, array in part.state_dict().items()}
                          for part in (generator, discriminator))
        self.averaged = {name: p.detach().clone() for name, p in self.g.items()}
        self.size, self.loss, self.lr, self.done = generator.size, loss, lr, 0
        self.plan = [(depth, i / steps if fading else None) for depth, fading, steps in phases for i in range(steps)]
        self.changes = {sum(steps for *_, steps in phases[:i]) for i in range(len(phases))}
        self.total = 0

    def adam(self, p):
        return torch.optim.Adam(p.values(), self.lr, (0.0, 0.99))

    def step(self, real, z, e, group):
        """One step on real images (N, C, size, size), noise z and coefficients e (N, 1, 1, 1)."""
        depth, alpha = self.plan[self.done]
        if self.done in self.changes:  # both optimisers are new when a fade begins, and when it ends
            self.g_adam, self.d_adam = self.adam(self.g), self.adam(self.d)
        while real.shape[2] > 4 << depth:
            real = down(real)
        if alpha is not None:
            real = torch.lerp(up(down(real)), real, alpha)
        fake = generate(self.g, z, depth, alpha)
        f, g = (judge(self.d, x, depth, alpha, group) for x in (real, fake.detach()))
        if self.loss == "least_squares":
            d_loss = ((f - 1) ** 2).mean() + (g**2).mean()
        else:
            u = (e * real + (1 - e) * fake.detach()).requires_grad_()
            slope, = torch.autograd.grad(judge(self.d, u, depth, alpha, group).sum(), u, create_graph=True)
            d_loss = g.mean() - f.mean() + 10 * ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
            d_loss = d_loss + 1e-3 * (f**2).mean()
        self.descend(self.d_adam, d_loss)
        logits = judge(self.d, fake, depth, alpha, group)
        g_loss = ((logits - 1) ** 2).mean() if self.loss == "least_squares" else -logits.mean()
        self.descend(self.g_adam, g_loss)
        self.done += 1
        decay = min(0.999, (1 + self.done) / (10 + self.done))
        for name, p in self.g.items():
            self.averaged[name] = decay * self.averaged[name] + (1 - decay) * p.detach()
        return d_loss.item(), g_loss.item()

    def descend(self, adam, loss):
        for p in (*self.g.values(), *self.d.values()):
            p.grad = None
        loss.backward()
        adam.step()
