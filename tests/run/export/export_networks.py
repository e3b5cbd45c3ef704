"""One small network of every model class, with the shapes of its inputs; weights and statistics are random."""

import numpy as np

from minigan import models, nn
from minigan.models.progressive import progressive


class Halves(nn.Module):
    """Layers that no model has, in a network of a person's own."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ELU(0.5), nn.MaxPool2d(2))
        self.last = nn.Sequential(nn.Upsample(2, "bilinear"), nn.ReplicationPad2d((1, 0, 2, 1)), nn.Conv2d(4, 2, 2),
                                  nn.Softplus(2.0), nn.Flatten(), nn.LayerNorm(448), nn.Dropout(0.5),
                                  nn.Linear(448, 3), nn.Sigmoid())

    def forward(self, x):
        h = self.last(self.first(x))
        return (h[:, 1:] - h[..., 0][:, None] / 2) ** 2


def _grown(number, alpha, **style):
    network = progressive(2, 16, width=4, **style)[number]
    network.grow(2, alpha)
    return network


NETWORKS = {  # name: (network, shapes of its inputs)
    "dcgan": lambda: (models.dcgan(3, 32, 5, 4)[0], {"z": (5,)}),
    "dcgan, deconv": lambda: (models.dcgan(1, 28, 5, 4, "deconv")[0], {"z": (5,)}),
    "dcgan, discriminator": lambda: (models.dcgan(3, 32, 5, 4)[1], {"x": (3, 32, 32)}),
    "dcgan, spectral": lambda: (models.dcgan(3, 32, 5, 4, norm="spectral")[1], {"x": (3, 32, 32)}),
    "dcgan, conditional": lambda: (models.dcgan(1, 32, 5, 4, labels=np.arange(3))[0], {"z": (5,), "labels": (3,)}),
    "projection": lambda: (models.dcgan(1, 32, 5, 4, labels=np.arange(3))[1], {"x": (1, 32, 32), "labels": (3,)}),
    "mlp": lambda: (models.mlp((1, 4, 3), 6, 8)[0], {"z": (6,)}),
    "mlp, discriminator": lambda: (models.mlp((1, 4, 3), 6, 8)[1], {"x": (1, 4, 3)}),
    "resnet": lambda: (models.ResnetGenerator(2, 3, 4, 1), {"x": (2, 16, 16)}),
    "resnet, batch, deconv, 18x17": lambda: (models.ResnetGenerator(1, 1, 4, 1, "batch", "deconv"), {"x": (1, 18, 17)}),
    "unet": lambda: (models.UnetGenerator(2, 2, 4, 3, dropout=0.5), {"x": (2, 16, 16)}),
    "unet, instance, deconv": lambda: (models.UnetGenerator(1, 3, 4, 2, "instance", "deconv"), {"x": (1, 18, 16)}),
    "grey residual": lambda: (models.Grey(models.Residual(models.UnetGenerator(3, 3, 4, 2))), {"x": (3, 16, 16)}),
    "chroma": lambda: (models.Chroma(models.UnetGenerator(3, 3, 4, 2)), {"x": (3, 16, 16)}),
    "luma": lambda: (models.Luma(models.UnetGenerator(3, 3, 4, 2)), {"x": (3, 16, 16)}),
    "luma, of the image": lambda: (models.Luma(), {"x": (3, 16, 16)}),
    "patchgan": lambda: (models.PatchDiscriminator(2, 4, 2), {"x": (2, 24, 24)}),
    "patchgan, two scales": lambda: (models.MultiScaleDiscriminator(1, 4, 1), {"x": (1, 24, 24)}),
    "encoder": lambda: (models.ResnetEncoder(2, 4, 1), {"x": (2, 16, 16)}),
    "decoder": lambda: (models.ResnetDecoder(2, 4, 1), {"x": (16, 4, 4)}),
    "encoder and decoder": lambda: (models.EncoderDecoder(models.ResnetEncoder(2, 4, 1), models.ResnetDecoder(1, 4, 0)),
                                    {"x": (2, 16, 16)}),
    "progressive": lambda: (_grown(0, None), {"z": (4,)}),
    "progressive, fading": lambda: (_grown(0, 0.3, tanh=True, equalized=False, norm="batch"), {"z": (4,)}),
    "progressive, discriminator": lambda: (_grown(1, 0.3, critic_norm="layer"), {"x": (2, 16, 16)}),
    "progressive, discrimination": lambda: (_grown(1, None, variation="discrimination"), {"x": (2, 16, 16)}),
    "a person's own": lambda: (Halves(), {"x": (2, 14, 14)}),
}


def network(name, rng):
    """A network of the table with random weights of a size that keeps signals alive, and its shapes."""
    net, shapes = NETWORKS[name]()
    net._warned = True  # of sizes that are mirrored
    for module in net.modules():
        for key, array in vars(module).items():
            if isinstance(array, nn.Parameter):
                scale = 0.4 if array.ndim < 2 else 1.5 / np.sqrt(array.size / array.shape[0])
                array.data = (array.ndim < 2) * 0.6 + scale * rng.normal(size=array.shape)
            elif key.startswith("running_") and array is not None:
                array[...] = rng.uniform(0.5, 1.5, array.shape)
    return net, shapes


def inputs(shapes, count, rng):
    """Random inputs; labels are one-hot rows."""
    return [np.eye(*shape, dtype=np.float32)[rng.integers(0, shape[0], count)] if name == "labels"
            else rng.normal(size=(count, *shape)).astype(np.float32) for name, shape in shapes.items()]
