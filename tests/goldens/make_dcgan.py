"""Makes dcgan.npz and optim.npz: losses of twenty DCGAN steps, and optimiser trajectories, as PyTorch computes them.

    pip install torch && python tests/goldens/make_dcgan.py

Initial weights, data and noise come from minigan's own counter-based generator, so only losses need to be stored.
"""

import sys
from pathlib import Path

import numpy as np
import torch

import minigan as mg

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "benchmarks"))
import torch_twin  # noqa: E402

STEPS, BATCH = 20, 8
CASES = [(28, "upconv"), (32, "deconv")]


def networks(size, upsample):
    """The minigan networks with which every case starts."""
    mg.seed(7)
    return mg.models.dcgan(size=size, upsample=upsample, width=8)


def batch(size, step, dtype):
    """The data of a step: noise in [-1, 1], stored channels-last."""
    return 2 * mg.random.uniform((BATCH, size, size, 1), seed=1, step=step, dtype=dtype).transpose(0, 3, 1, 2) - 1


def losses(size, upsample, dtype):
    """d_loss and g_loss of each step in PyTorch."""
    ours = networks(size, upsample)
    twins = [twin.to(dtype) for twin in torch_twin.dcgan(size, upsample, width=8)]
    for twin, net in zip(twins, ours, strict=True):
        torch_twin.load(twin, net.state_dict())
    trainer, noise = torch_twin.GAN(*twins), mg.random.Stream(0, "noise")
    numpy_dtype = np.float64 if dtype is torch.float64 else np.float32
    return np.array([trainer.step(torch.from_numpy(np.array(batch(size, step, numpy_dtype), order="C")),
                                  torch.from_numpy(noise.normal((BATCH, 100), numpy_dtype))) for step in range(STEPS)])


OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.1}),
    "sgd_momentum": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    "sgd_nesterov": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.01}),
    "rmsprop_decay": (torch.optim.RMSprop, {"lr": 0.01, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1}),
    "adam": (torch.optim.Adam, {"lr": 0.01}),
    "adam_gan": (torch.optim.Adam, {"lr": 0.02, "betas": (0.5, 0.9), "eps": 1e-2, "weight_decay": 0.1}),
}


def trajectory(kind, options):
    """The values of a parameter over the steps, for the gradients 2 p + sin(step)."""
    p = torch.linspace(-1, 2, 7, dtype=torch.float64, requires_grad=True)
    optimizer, path = kind([p], **options), []
    for step in range(12):
        p.grad = (2 * p + np.sin(step)).detach()
        optimizer.step()
        path.append(p.detach().numpy().copy())
    return np.array(path)


if __name__ == "__main__":
    torch.set_num_threads(1)
    np.savez_compressed(HERE / "dcgan.npz", **{f"{size}_{up}_{name}": losses(size, up, dtype) for size, up in CASES
                                                for name, dtype in (("f4", torch.float32), ("f8", torch.float64))})
    np.savez_compressed(HERE / "optim.npz", **{name: trajectory(*args) for name, args in OPTIMIZERS.items()})
