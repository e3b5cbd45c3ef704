"""Networks, data and settings shared by the goldens and the tests of the translation trainers."""

import minigan as mg
from minigan import models

STEPS, BATCH, SIZE, WIDTH, POOL = 10, 2, 16, 4, 5
CYCLEGAN = [("instance", "upconv", "least_squares"), ("batch", "deconv", "non_saturating")]
PIX2PIX = [("batch", "deconv"), ("instance", "upconv")]


def cyclegan_networks(norm="instance", upsample="upconv", channels=(1, 1), width=WIDTH):
    """G_ab, G_ba, D_a, D_b, always the same."""
    mg.seed(11)
    a, b = channels
    return [models.ResnetGenerator(a, b, width, 1, norm, upsample),
            models.ResnetGenerator(b, a, width, 1, norm, upsample),
            models.PatchDiscriminator(a, width, 1, norm), models.PatchDiscriminator(b, width, 1, norm)]


def pix2pix_networks(norm="batch", upsample="upconv", width=WIDTH):
    """U-Net and PatchGAN, always the same."""
    mg.seed(12)
    return models.UnetGenerator(1, 1, width, 3, norm, upsample), models.PatchDiscriminator(2, width, 1, norm)


def batches(step, dtype="float32", channels=(1, 1), size=SIZE, n=BATCH):
    """A batch of each domain: noise in [-1, 1], channels-last in memory."""
    return [2 * mg.random.uniform((n, size, size, c), seed=i, stream="data", step=step,
                                  dtype=dtype).transpose(0, 3, 1, 2) - 1 for i, c in enumerate(channels)]
