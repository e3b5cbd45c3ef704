"""DiffAugment against loops over pixels and the paper's PyTorch code; finite differences; its random numbers."""

import numpy as np
import pytest

import minigan as mg
from minigan import data, ops
from minigan.errors import OptionError, ShapeError
from minigan.gradcheck import gradcheck, gradgradcheck
from minigan.random import Stream

SHAPES = [(5, 1, 8, 8), (4, 3, 16, 11)]


def whole(u, count):
    return int(np.floor(u * count))


def by_loops(x, draw, policy):
    """The paper's three augmentations, image by image and pixel by pixel."""
    N, C, H, W = x.shape
    y = x.copy()
    for n in range(N):
        image, u = y[n].copy(), draw[:, n]
        if "colour" in policy:
            image = image + (u[0] - 0.5)
            if C == 3:
                grey = image.mean(0)
                image = grey + (image - grey) * (2 * u[1])
            image = image.mean() + (image - image.mean()) * (u[2] + 0.5)
        if "translation" in policy:
            moved = np.zeros_like(image)
            limits = [whole(side / 8 + 0.5, 1) for side in (H, W)]
            v, h = (whole(a, 2 * limit + 1) - limit for a, limit in zip(u[3:5], limits, strict=True))
            for i in range(H):
                for j in range(W):
                    if 0 <= i + v < H and 0 <= j + h < W:
                        moved[:, i, j] = image[:, i + v, j + h]
            image = moved
        if "cutout" in policy:
            tall, wide = (whole(side / 2 + 0.5, 1) for side in (H, W))
            i0 = whole(u[5], H + 1 - tall % 2) - tall // 2
            j0 = whole(u[6], W + 1 - wide % 2) - wide // 2
            for i in range(H):
                for j in range(W):
                    if i0 <= i < i0 + tall and j0 <= j < j0 + wide:
                        image[:, i, j] = 0
        y[n] = image
    return y


@pytest.mark.parametrize("policy", ["colour", "translation", "cutout", "colour,translation,cutout"])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_loops(shape, policy, rng):
    x, draw = rng.normal(size=shape), rng.random((7, shape[0]))
    draw[3:, 0], draw[3:, 1] = 0, 1 - 1e-9  # the corners
    np.testing.assert_allclose(data.DiffAugment(policy)(mg.tensor(x), draw).data, by_loops(x, draw, policy),
                               rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_papers_pytorch_code_with_the_same_draws(shape, rng):
    """Values, and the gradient of a sum of squares; https://github.com/mit-han-lab/data-efficient-gans."""
    torch = pytest.importorskip("torch", reason="PyTorch is the outside truth here")
    x, draw, g = rng.normal(size=shape), rng.random((7, shape[0])), rng.normal(size=shape)
    N, C, H, W = shape
    leaf = torch.tensor(x, requires_grad=True)
    u = torch.tensor(draw)[:, :, None, None, None]  # (7, N, 1, 1, 1)
    y = leaf + (u[0] - 0.5)
    if C == 3:
        mean = y.mean(dim=1, keepdim=True)
        y = (y - mean) * (u[1] * 2) + mean
    mean = y.mean(dim=[1, 2, 3], keepdim=True)
    y = (y - mean) * (u[2] + 0.5) + mean
    shift = [int(side * 0.125 + 0.5) for side in (H, W)]
    batch, rows, columns = torch.meshgrid(torch.arange(N), torch.arange(H), torch.arange(W), indexing="ij")
    t = [(torch.tensor(draw[3 + k]) * (2 * s + 1)).long() - s for k, s in enumerate(shift)]
    rows = torch.clamp(rows + t[0][:, None, None] + 1, 0, H + 1)
    columns = torch.clamp(columns + t[1][:, None, None] + 1, 0, W + 1)
    padded = torch.nn.functional.pad(y, [1, 1, 1, 1, 0, 0, 0, 0])
    y = padded.permute(0, 2, 3, 1).contiguous()[batch, rows, columns].permute(0, 3, 1, 2)
    size = [int(side * 0.5 + 0.5) for side in (H, W)]
    batch, rows, columns = torch.meshgrid(torch.arange(N), torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    o = [(torch.tensor(draw[5 + k]) * (side + 1 - s % 2)).long() for k, (side, s) in enumerate(
        zip((H, W), size, strict=True))]
    rows = torch.clamp(rows + o[0][:, None, None] - size[0] // 2, min=0, max=H - 1)
    columns = torch.clamp(columns + o[1][:, None, None] - size[1] // 2, min=0, max=W - 1)
    mask = torch.ones(N, H, W, dtype=y.dtype)
    mask[batch, rows, columns] = 0
    y = y * mask[:, None]
    (y * y * torch.tensor(g)).sum().backward()

    ours = mg.tensor(x, requires_grad=True)
    z = data.DiffAugment()(ours, draw)
    gradient, = mg.grad(ops.sum(z * z * mg.tensor(g)), [ours])
    np.testing.assert_allclose(z.data, y.detach().numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gradient.data, leaf.grad.numpy(), rtol=1e-12, atol=1e-12)


def test_finite_differences_of_both_orders(rng):
    x, draw = rng.normal(size=(2, 3, 5, 4)), rng.random((7, 2))
    augment = data.DiffAugment()
    assert gradcheck(lambda x: augment(x, draw), [x]) < 1e-6
    assert gradgradcheck(lambda x: ops.square(augment(x, draw)), [x]) < 1e-6


def test_a_draw_comes_again_after_resuming_and_each_image_has_its_own():
    augment = data.DiffAugment("translation,cutout", Stream(3, "augment"))
    x = mg.tensor(np.ones((6, 1, 16, 16), np.float32))
    augment(x)
    state = augment.stream.state_dict()
    first = augment(x).data
    augment.stream.load_state_dict(state)
    assert augment(x).data.tobytes() == first.tobytes()
    assert augment(x).data.tobytes() != first.tobytes()
    assert len({image.tobytes() for image in first}) == 6


def test_without_colour_a_pixel_keeps_its_value_or_is_0(rng):
    x = rng.uniform(0.1, 1, (20, 1, 16, 16)).astype(np.float32)
    y = data.DiffAugment("cutout,translation")(mg.tensor(x)).data
    assert {*np.unique(y)} <= {0.0, *np.unique(x)}


def test_what_is_no_augmentation_is_refused():
    for policy in ("flip", "", "colour,,cutout"):
        with pytest.raises(OptionError, match="colour, translation, cutout"):
            data.DiffAugment(policy)
    with pytest.raises(ShapeError, match=r"x \(4, 2\) must be \(N, C, H, W\)"):
        data.DiffAugment()(mg.tensor(np.ones((4, 2))))
    assert data.DiffAugment("color").policy == ("colour",)
