"""The codec's trainer: ten steps are PyTorch's, written as its users would; bad input; what a code is."""

import numpy as np
import pytest

import minigan as mg
from minigan import data, models, trainers
from minigan.errors import OptionError, ShapeError

STEPS, SIZE, WIDTH, CODE = 10, 32, 4, 2


def networks():
    mg.seed(21)
    return *models.codec(3, WIDTH, CODE, 5, 2, 1), models.PatchDiscriminator(3, WIDTH, 1, "none")


def pictures(step, dtype):
    return 2 * mg.random.uniform((2, 3, SIZE, SIZE), seed=4, stream="data", step=step, dtype=dtype) - 1


def twins(torch):
    """The same layers under the same names in torch.nn."""
    from torch import nn

    class Block(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.conv_block = nn.Sequential(
                nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3, bias=False), nn.BatchNorm2d(c), nn.ReLU(),
                nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3, bias=False), nn.BatchNorm2d(c))

        def forward(self, x):
            return x + self.conv_block(x)

    class UpConv(nn.Conv2d):
        def forward(self, x):
            return super().forward(nn.functional.interpolate(x, scale_factor=2, mode="nearest"))

    class Net(nn.Module):
        def __init__(self, *layers):
            super().__init__()
            self.model = nn.Sequential(*layers)

        def forward(self, x):
            return self.model(x)

    def conv(a, b, stride):
        return nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()

    def up(a, b):
        return UpConv(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()

    w = WIDTH
    encoder = Net(nn.ReflectionPad2d(3), nn.Conv2d(3, w, 7, bias=False), nn.BatchNorm2d(w), nn.ReLU(),
                  *conv(w, 2 * w, 2), *conv(2 * w, 4 * w, 2), nn.Conv2d(4 * w, CODE, 3, 1, 1))
    decoder = Net(*conv(CODE, 4 * w, 1), Block(4 * w), *up(4 * w, 2 * w), *up(2 * w, w), nn.ReflectionPad2d(3),
                  nn.Conv2d(w, 3, 7), nn.Tanh())
    judge = Net(nn.Conv2d(3, w, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(w, 2 * w, 4, 1, 1), nn.LeakyReLU(0.2),
                nn.Conv2d(2 * w, 1, 4, 1, 1))
    return encoder, decoder, judge


def quantized(torch, z):
    """Mentzer et al., 2018: nearest centre forward, softmax-weighted centres backward."""
    centres = torch.arange(5, dtype=z.dtype) - 2
    distance = (z[..., None] - centres) ** 2
    soft = (torch.softmax(-distance, -1) * centres).sum(-1)
    return soft + (centres[distance.argmin(-1)] - soft).detach()


@pytest.mark.long
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-4), (np.float64, 1e-9)], ids=["float32", "float64"])
def test_ten_steps_are_pytorchs(dtype, tolerance):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: no twin to compare with")
    ours, theirs = [net.astype(dtype) for net in networks()], [net.to(getattr(torch, np.dtype(dtype).name))
                                                              for net in twins(torch)]
    for net, twin in zip(ours, theirs, strict=True):
        state = {name: torch.from_numpy(array.copy()) for name, array in net.state_dict().items()}
        assert {*state} >= {name for name in twin.state_dict() if not name.endswith("num_batches_tracked")}
        twin.load_state_dict(state, strict=False)
    encoder, decoder, judge = theirs
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 2e-4, (0.5, 0.999))
    d_optimizer = torch.optim.Adam(judge.parameters(), 2e-4, (0.5, 0.999))
    trainer = trainers.Codec(*ours)
    for step in range(STEPS):
        metrics, x = trainer.step(pictures(step, dtype)), torch.from_numpy(pictures(step, dtype).copy())
        fake = decoder(quantized(torch, encoder(x)))
        d_loss = 0.5 * ((judge(x) - 1).square().mean() + judge(fake.detach()).square().mean())
        d_optimizer.zero_grad()
        d_loss.backward()
        d_optimizer.step()
        g_loss, error = (judge(fake) - 1).square().mean(), (fake - x).square().mean()
        optimizer.zero_grad()
        (g_loss + 10 * error).backward()
        optimizer.step()
        np.testing.assert_allclose([metrics[name] for name in ("d_loss", "g_loss", "mse")],
                                   [loss.item() for loss in (d_loss, g_loss, error)], rtol=tolerance, err_msg=str(step))
    for net, twin in zip(ours, theirs, strict=True):
        weights = twin.state_dict()
        for name, array in net.state_dict().items():
            np.testing.assert_allclose(array, weights[name].numpy(), rtol=0, atol=10 * tolerance, err_msg=name)


def test_codes_are_levels_and_come_back_as_pictures():
    trainer = trainers.Codec(*networks())
    x = pictures(0, np.float32)
    levels = trainer.levels(x)
    assert levels.shape == (2, CODE, SIZE // 4, SIZE // 4) and {*np.unique(levels)} <= {-2, -1, 0, 1, 2}
    decoder = trainer.decoder.eval()
    np.testing.assert_array_equal(trainer.translate(x), decoder(mg.tensor(levels)).numpy())


def test_without_the_game_the_discriminator_stays_as_it_is_and_the_error_falls():
    trainer = trainers.Codec(*networks(), lambda_gan=0.0, lr=1e-2)
    before = trainer.discriminator.state_dict()["model.0.weight"].copy()
    x = data.scaled(data.shapes("circles", 2, SIZE).images).repeat(3, 1)
    rows = [trainer.step(x) for _ in range(30)]
    assert [*rows[0]] == ["mse"] and rows[-1]["mse"] < 0.7 * rows[0]["mse"]
    np.testing.assert_array_equal(trainer.discriminator.state_dict()["model.0.weight"], before)


def test_what_is_refused():
    encoder, decoder, judge = networks()
    for options, words in (({"lambda_mse": 0.0}, "lambda_mse=0"), ({"lambda_gan": -1.0}, "lambda_gan=-1.0")):
        with pytest.raises(OptionError, match=words):
            trainers.Codec(encoder, decoder, judge, **options)
    with pytest.raises(OptionError, match="takes 3 channels to 2, the decoder 3 to 3; make both with models.codec"):
        trainers.Codec(encoder, models.CodecDecoder(3, WIDTH, 3, 2), judge)
    with pytest.raises(OptionError, match="is for 1 channels"):
        trainers.Codec(encoder, decoder, models.PatchDiscriminator(1, WIDTH, 1))
    with pytest.raises(OptionError, match="got 2 batches"):
        trainers.Codec(encoder, decoder, judge).update([pictures(0, np.float32)] * 2)
    with pytest.raises(ShapeError, match=r"take \(N, 3, H, W\)"):
        trainers.Codec(encoder, decoder, judge).update(pictures(0, np.float32)[:, :1])
    with pytest.raises(ShapeError, match="sides that are no multiples of 4; choose another size"):
        trainers.Codec(encoder, decoder, judge).update(pictures(0, np.float32)[:, :, :30])
    for options in ({"levels": 1}, {"code": 0}, {"blocks": -1}, {"halvings": 0}):
        with pytest.raises(OptionError, match=f"{next(iter(options))}="):
            models.codec(3, **options)
