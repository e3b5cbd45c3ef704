"""Networks of features: VGG-19 beside PyTorch's with the same weights, from both kinds of files; scales; errors."""

import numpy as np
import pytest

import minigan as mg
from minigan import models
from minigan.checkpoint import load_weights, save_weights
from minigan.errors import CheckpointError, OptionError, ShapeError
from minigan.random import Stream

STYLE = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
CONFIGURATIONS = {  # convolutions of each block, as torchvision has them
    "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


def places(convolutions, step=2):
    """{number of a convolution in `features`: (out, in)}"""
    found, number, inputs = {}, 0, 3
    for block, count in enumerate(convolutions):
        for _ in range(count):
            out = min(64 << block, 512)
            found[number], number, inputs = (out, inputs), number + step, out
        number += 1
    return found


def shapes(name, norm=False):
    """Weights of torchvision's network with this name that take no memory: zeros of the right shapes."""
    arrays = {}
    for number, (out, inputs) in places(CONFIGURATIONS[name], 3 if norm else 2).items():
        arrays |= {f"features.{number}.weight": (out, inputs, 3, 3), f"features.{number}.bias": (out,)}
        if norm:
            arrays |= {f"features.{number + 1}.{part}": (out,) for part in ("weight", "bias", "running_mean")}
    arrays |= {"classifier.0.weight": (4096, 25088), "classifier.0.bias": (4096,)}
    return {key: np.broadcast_to(np.float32(0), shape) for key, shape in arrays.items()}


def pictures(n=1, channels=3, size=32):
    return 2 * Stream(1, "pictures").uniform((n, channels, size, size)) - 1


@pytest.mark.long
def test_vgg19_is_pytorchs_with_weights_from_either_kind_of_file(tmp_path):
    """Random weights under torchvision's names, with those of the layers above; pixels scaled as by torchvision."""
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed")
    nn, layers, inputs = torch.nn, [], 3
    torch.manual_seed(0)
    for block, count in enumerate(CONFIGURATIONS["vgg19"]):
        for _ in range(count):
            layers += [nn.Conv2d(inputs, min(64 << block, 512), 3, padding=1), nn.ReLU()]
            inputs = layers[-2].out_channels
        layers.append(nn.MaxPool2d(2, 2))
    theirs = nn.Module()
    theirs.features, theirs.classifier = nn.Sequential(*layers), nn.Sequential(nn.Linear(8, 2))
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    torch.save(theirs.state_dict(), tmp_path / "vgg19.pth")
    save_weights(tmp_path / "vgg19.safetensors", {name: p.numpy() for name, p in theirs.state_dict().items()})
    x = pictures()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    y, expected = ((torch.from_numpy(x) + 1) / 2 - mean) / std, []
    with torch.no_grad():
        for number, layer in enumerate(layers[:30]):
            y = layer(y)
            expected += [y.numpy().copy()] if number in (1, 6, 11, 20, 29) else []
    for name in ("vgg19.pth", "vgg19.safetensors"):
        with mg.no_grad():
            ours = models.VGG19(load_weights(tmp_path / name)).maps(mg.tensor(x), STYLE)
        for own, other in zip(ours, expected, strict=True):
            np.testing.assert_allclose(own.numpy(), other, rtol=0, atol=1e-4 * np.abs(other).max())


def test_its_names_are_torchvisions():
    """The first numbers of each block in torchvision's vgg19: 0, 5, 10, 19, 28."""
    names = [name for name in shapes("vgg19") if name.startswith("features.")]
    network = models.VGG(*((3,) * 5, models.vgg.VGG19_SIZES[1]))
    own = list(network.state_dict())
    assert own == list(models.vgg._shapes(*models.vgg.VGG19_SIZES)) == names[: len(own)]
    assert own[-1] == "features.28.bias" and [network.places[name] - 1 for name in STYLE] == [0, 5, 10, 19, 28]


class Evil:
    """Code in a pickle, which runs when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_weights_of_another_network_and_code_are_refused(tmp_path):
    small = {**shapes("vgg19"), "features.5.weight": np.zeros((64, 64, 3, 3))}
    for weights, message in ((shapes("vgg16"), r"for features.16.weight \(256, 256, 3, 3\) there is no such array"),
                             (shapes("vgg19", norm=True), "another network.*without batch norm"),
                             (small, r"for features.5.weight \(128, 64, 3, 3\) there is shape \(64, 64, 3, 3\)"),
                             ({"model.1.weight": np.zeros(3)}, "vgg19-dcbb9e9d.pth")):
        with pytest.raises(CheckpointError, match=message):
            models.VGG19(weights)
    torch = pytest.importorskip("torch", reason="PyTorch, the writer, is not installed")
    torch.save({"features.0.weight": Evil(tmp_path / "ran")}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match=r"evil.pth.*torch.save\(network.state_dict\(\)"):
        models.VGG19(load_weights(tmp_path / "evil.pth"))
    assert not (tmp_path / "ran").exists()


def test_balancing_makes_every_mean_square_1_and_changes_scales_only():
    mg.seed(0)
    network, batches = models.VGG((6, 8), (2, 1), models.vgg.IMAGENET), [pictures(3), pictures(2, 1, 24)]
    names = list(network.places)
    before = [[m.numpy() for m in network.maps(mg.tensor(x), names)] for x in batches]
    network.balance(batches)
    after = [[m.numpy() for m in network.maps(mg.tensor(x), names)] for x in batches]
    for layer in range(len(names)):
        squares = [np.square(m[layer], dtype=np.float64).sum((0, 2, 3)) for m in after]
        count = sum(m[layer][:, 0].size for m in after)
        alive = np.array([m[layer].max((0, 2, 3)) for m in before]).max(0) > 0
        np.testing.assert_allclose((sum(squares) / count)[alive], 1, rtol=1e-5)
        for one, other in zip(before, after, strict=True):
            ratio = (other[layer].sum((0, 2, 3)) + 1e-9) / (one[layer].sum((0, 2, 3)) + 1e-9)
            np.testing.assert_allclose(other[layer], ratio[None, :, None, None] * one[layer], rtol=2e-3, atol=1e-4)


def test_a_grey_picture_is_three_equal_channels():
    network, grey = models.VGG((4,), (2,), models.vgg.IMAGENET), pictures(channels=1)
    one, other = (network(mg.tensor(x)).numpy() for x in (grey, grey.repeat(3, 1)))
    np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: models.VGG((4,), (2, 2)), OptionError, "one positive number for each block"),
    (lambda: models.VGG((4,), (2,)).maps(mg.tensor(pictures()), ["conv1_1"]), OptionError, "some of relu1_1, relu1_2"),
    (lambda: models.VGG((4,), (2,)).maps(mg.tensor(pictures()), []), OptionError, "some of relu1_1, relu1_2"),
    (lambda: models.VGG((4,), (2,))(mg.tensor(pictures(channels=2))), ShapeError, "with C = 1 or 3"),
    (lambda: models.VGG((4, 4), (1, 1))(mg.tensor(pictures(size=3))), ShapeError,
     "3x3 are too small for relu2_1.* enlarge them to 4 pixels or more, or use relu1_1 only"),
])
def test_what_cannot_be_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
