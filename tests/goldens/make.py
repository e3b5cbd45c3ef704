"""Makes ops.npz, the values that tests/ops/test_goldens.py compares with: the same table with PyTorch's functions.

    pip install torch pytest && python tests/goldens/make.py

One flat float64 array per case: the output, its gradients with respect to each input for a random cotangent, and the
gradients of a random combination of those with respect to each input (zeros where PyTorch finds no dependence).
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "ops"))
from test_goldens import CASES, FAR, WIDE, draw  # noqa: E402


def batch_norm(training):
    def f(x, gamma, beta):
        mean, var = torch.linspace(-1, 1, 3).double(), torch.linspace(0.5, 2, 3).double()
        y = F.batch_norm(x, mean, var, gamma, beta, training, momentum=0.3)
        return torch.cat([y.reshape(-1), mean, var])

    return f


def gradient_penalty(x):
    return ((x.reshape(3, 8).norm(dim=1) - 1) ** 2).mean()


THEIRS = {
    "conv2d": F.conv2d,
    "conv2d wide": lambda x, w, b: F.conv2d(x, w, b, **WIDE),
    "conv2d far": lambda x, w: F.conv2d(x, w, **FAR),
    "conv2d one pixel": F.conv2d,
    "conv_transpose2d": F.conv_transpose2d,
    "conv_transpose2d doubling": lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1),
    "conv_transpose2d wide": lambda x, w: F.conv_transpose2d(
        x, w, stride=(3, 2), padding=(1, 0), output_padding=(2, 1)),
    "conv_transpose2d far": lambda x, w: F.conv_transpose2d(
        x, w, stride=(2, 1), padding=(1, 1), output_padding=(1, 0), dilation=(1, 3)),
    "upconv2d": lambda x, w, b: F.conv2d(F.interpolate(x, scale_factor=2), w, b, padding=1),
    "linear": F.linear,
    "matmul": torch.matmul,
    "batch_norm training": batch_norm(True),
    "batch_norm evaluation": batch_norm(False),
    "batch_norm of vectors": lambda x, g, b: F.batch_norm(x, None, None, g, b, True),
    "instance_norm": lambda x, g, b: F.instance_norm(x, weight=g, bias=b),
    "layer_norm": lambda x, g, b: F.layer_norm(x, x.shape[1:], g, b),
    "bilinear up": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear down": lambda x: F.interpolate(x, (3, 4), mode="bilinear"),
    "nearest": lambda x: F.interpolate(x, scale_factor=(2, 3)),
    "nearest down": lambda x: F.interpolate(x, (3, 5)),
    "avg_pool2d": lambda x: F.avg_pool2d(x, (3, 2), (2, 1), (1, 1)),
    "max_pool2d": lambda x: F.max_pool2d(x, (3, 2), (2, 1), (1, 1)),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x, 2),
    "pad constant": lambda x: F.pad(x, (2, 3, 1, 0), value=0.5),
    "pad reflect": lambda x: F.pad(x, (3, 0, 2, 1), mode="reflect"),
    "pad edge": lambda x: F.pad(x, (3, 0, 2, 1), mode="replicate"),
    "relu": F.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "elu": F.elu,
    "sigmoid": lambda x: torch.sigmoid(3 * x),
    "tanh": torch.tanh,
    "softplus": lambda x: F.softplus(9 * x, threshold=1000),
    "log_sigmoid": lambda x: F.logsigmoid(9 * x),
    "softmax": lambda x: F.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "logsumexp": lambda x: torch.logsumexp(x, (0, 2), keepdim=True),
    "var": lambda x: x.var((0, 2)),
    "norm": lambda x: torch.linalg.vector_norm(x, dim=(1, 2)),
    "max": lambda x: x.amax((1, 2)),
    "min": lambda x: x.amin(1, keepdim=True),
    "rows taken twice": lambda x: x[[3, 0, 3]],
    "power": lambda x: (x * x + 0.5) ** 1.7,
    "bce with logits": lambda x: F.binary_cross_entropy_with_logits(x, (torch.arange(6) < 3).double()),
    "minimax": lambda x: F.logsigmoid(x[:3]).mean() + F.logsigmoid(-x[3:]).mean(),
    "gradient penalty": gradient_penalty,
}


def golden(name):
    arrays, random = draw(name, CASES[name][0])
    xs = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = THEIRS[name](*xs)
    gs = torch.autograd.grad(y, xs, torch.tensor(random.standard_normal(y.shape)).reshape(y.shape), create_graph=True)
    weighed = sum((g * torch.tensor(random.standard_normal(g.shape)).reshape(g.shape)).sum() for g in gs)
    seconds = [None] * len(xs)
    if weighed.requires_grad:
        seconds = torch.autograd.grad(weighed, xs, allow_unused=True)
    seconds = [torch.zeros_like(x) if s is None else s for x, s in zip(xs, seconds, strict=True)]
    return np.concatenate([part.detach().numpy().ravel() for part in (y, *gs, *seconds)])


def main():
    assert list(THEIRS) == list(CASES)
    np.savez_compressed(HERE / "ops.npz", **{name: golden(name) for name in CASES})
    print(f"ops.npz: {len(CASES)} cases, {(HERE / 'ops.npz').stat().st_size} bytes, PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
