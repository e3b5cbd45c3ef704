"""Makes translation.npz: losses of ten CycleGAN and ten pix2pix steps as PyTorch computes them.

    pip install torch && python tests/goldens/make_translation.py

Initial weights, data and the pools' random numbers come from minigan's own generator, so only losses need to be stored.
"""

import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "trainers")]
import translation_cases as cases  # noqa: E402
import translation_twin as twin  # noqa: E402


def cyclegan(case, dtype):
    """The eight losses of each step."""
    norm, upsample, loss = case
    g_ab, g_ba, d_a, d_b = (net.state_dict() for net in cases.cyclegan_networks(norm, upsample))
    nets = [twin.Resnet(1, 1, cases.WIDTH, 1, norm, upsample) for _ in "ab"]
    nets += [twin.Patch(1, cases.WIDTH, 1, norm) for _ in "ab"]
    nets = [twin.load(net, weights).to(dtype) for net, weights in zip(nets, (g_ab, g_ba, d_a, d_b), strict=True)]
    trainer = twin.CycleGAN(*nets, loss, cases.POOL)
    return np.array([trainer.step(*tensors(step, dtype)) for step in range(cases.STEPS)])


def pix2pix(case, dtype):
    """d_loss, g_loss and l1 of each step."""
    norm, upsample = case
    generator, discriminator = (net.state_dict() for net in cases.pix2pix_networks(norm, upsample))
    nets = [twin.load(net, weights).to(dtype) for net, weights in (
        (twin.Unet(1, 1, cases.WIDTH, 3, norm, upsample), generator),
        (twin.Patch(2, cases.WIDTH, 1, norm), discriminator))]
    trainer = twin.Pix2Pix(*nets)
    return np.array([trainer.step(*tensors(step, dtype)) for step in range(cases.STEPS)])


def tensors(step, dtype):
    """The batches of a step."""
    numpy_dtype = np.float64 if dtype is torch.float64 else np.float32
    return [torch.from_numpy(np.array(batch, order="C")) for batch in cases.batches(step, numpy_dtype)]


def losses(codes=("f4", "f8")):
    """All losses, by name, in these precisions."""
    torch.set_num_threads(1)
    makers = ((cyclegan, cases.CYCLEGAN), (pix2pix, cases.PIX2PIX))
    return {"_".join((make.__name__, *case, code)): make(case, dtype) for make, row in makers for case in row
            for code, dtype in (("f4", torch.float32), ("f8", torch.float64)) if code in codes}


if __name__ == "__main__":
    np.savez_compressed(HERE / "translation.npz", **losses())
