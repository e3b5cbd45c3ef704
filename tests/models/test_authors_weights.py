"""Weights of the CycleGAN and pix2pix authors' code, as PyTorch saves them; weights that ask for much."""

import sys
import warnings

import numpy as np
import pytest

import minigan as mg
from minigan import models
from minigan.checkpoint import load_weights, save_weights
from minigan.errors import CheckpointError

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def authors_resnet(torch, blocks=2, width=4, dropout=False, statistics=False):
    """ResnetGenerator of their models/networks.py with norm="instance", as an nn.Sequential called `model`."""
    nn = torch.nn

    def norm(c):
        return nn.InstanceNorm2d(c, affine=False, track_running_stats=statistics)

    class Block(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.conv_block = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3), norm(c), nn.ReLU(True),
                                            *([nn.Dropout(0.5)] if dropout else []),
                                            nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3), norm(c))

        def forward(self, x):
            return x + self.conv_block(x)

    w = width
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, w, 7), norm(w), nn.ReLU(True)]
    for c in (w, 2 * w):
        layers += [nn.Conv2d(c, 2 * c, 3, 2, 1), norm(2 * c), nn.ReLU(True)]
    layers += [Block(4 * w) for _ in range(blocks)]
    for c in (4 * w, 2 * w):
        layers += [nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1), norm(c // 2), nn.ReLU(True)]
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(w, 3, 7), nn.Tanh()]
    network = nn.Module()
    network.model = nn.Sequential(*layers)
    return network


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("old", [False, True])
def test_the_authors_resnet_gives_pytorchs_pictures(tmp_path, wrapped, dropout, old):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = authors_resnet(torch, dropout=dropout, statistics=old)
    state = {("module." if wrapped else "") + name: value for name, value in theirs.state_dict().items()}
    torch.save(state, tmp_path / "latest_net_G_A.pth", _use_new_zipfile_serialization=not old)
    weights = load_weights(tmp_path / "latest_net_G_A.pth")
    if old:
        with pytest.warns(UserWarning, match=r"27 statistics of instance normalisation are left out.*running_mean"):
            ours = models.generator_of(weights)
        for module in theirs.modules():  # they were never used: the authors' old code normalised with the image's own
            if isinstance(module, torch.nn.InstanceNorm2d):
                module.track_running_stats, module.running_mean, module.running_var = False, None, None
    else:
        ours = models.generator_of(weights)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 3, 16, 16)).astype(np.float32)
    with torch.no_grad():
        expected = theirs.eval().model(torch.tensor(x)).numpy()
    np.testing.assert_allclose(ours(mg.tensor(x)).data, expected, atol=2e-5)


def test_statistics_prefix_and_dropout_need_no_pytorch():
    network = models.ResnetGenerator(1, 1, 2, 1, "instance", "deconv")
    state = network.state_dict()
    theirs = {"module." + name.replace("conv_block.5.", "conv_block.6."): array for name, array in state.items()}
    theirs |= {f"module.model.2.{name}": np.zeros(2 if "running" in name else (), np.float32) for name in STATISTICS}
    with pytest.warns(UserWarning, match="3 statistics of instance normalisation"):
        again = models.generator_of(theirs)
    x = mg.tensor(np.linspace(-1, 1, 256, dtype=np.float32).reshape(1, 1, 16, 16))
    np.testing.assert_array_equal(again(x).data, network(x).data)


@pytest.mark.parametrize("before", ["module.", "_orig_mod.", "module._orig_mod.", "netG.", "net.G.module."])
@pytest.mark.parametrize("make", [lambda: models.ResnetGenerator(1, 1, 4, 1), lambda: models.UnetGenerator(1, 1, 4, 5),
                                  lambda: models.Residual(models.ResnetGenerator(1, 1, 4, 1))],
                         ids=["resnet", "unet", "residual"])
def test_what_pytorchs_wrappers_put_before_all_names_is_removed(make, before):
    """nn.DataParallel's `module.`, torch.compile's `_orig_mod.`, and the attribute of a class around the network."""
    state = make().state_dict()
    again = models.generator_of({before + name: array for name, array in state.items()}).state_dict()
    assert list(again) == list(state)
    assert all(np.array_equal(again[name], state[name]) for name in state)


def test_the_first_layer_that_is_missing_is_named():
    weights = dict(models.ResnetGenerator(1, 1, 4, 1).state_dict())
    del weights["model.1.weight"]
    with pytest.raises(CheckpointError, match=r"model\.1\.weight is missing; there are model\.1\.bias"):
        models.generator_of(weights)


def test_batch_norms_statistics_stay():
    network = models.ResnetGenerator(1, 1, 2, 1, "batch")
    state = network.state_dict()
    state["model.2.running_mean"] += 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = models.generator_of({"module." + name: array for name, array in state.items()})
    np.testing.assert_array_equal(again.state_dict()["model.2.running_mean"], state["model.2.running_mean"])


def test_the_error_names_what_is_missing_and_surplus_and_strict_false_goes_on():
    state = models.ResnetGenerator(1, 1, 2, 1).state_dict()
    odd = {**{name: array for name, array in state.items() if name != "model.4.bias"}, "extra.weight": np.zeros(3)}
    with pytest.raises(CheckpointError, match=r"closest is a ResnetGenerator: missing: model.4.bias; surplus: "
                                              r"extra.weight; .*strict=False"):
        models.generator_of(odd)
    with pytest.warns(UserWarning, match="only in part: missing: model.4.bias; surplus: extra.weight"):
        network = models.generator_of(odd, strict=False)
    np.testing.assert_array_equal(network.state_dict()["model.1.weight"], state["model.1.weight"])
    other = {**state, "model.4.bias": np.zeros(9, np.float32)}
    for strict in (True, False):
        with pytest.raises(CheckpointError, match=r"of another shape: model.4.bias \(9,\), not \(4,\)"):
            models.generator_of(other, strict)


def empty(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize("weights", [
    {"model.1.weight": empty(1_000_000, 1, 0, 0)},
    {"model.1.weight": empty(1_000_000_000, 1_000_000_000, 0, 0)},
    {"model.1.weight": empty(1, 1, 7, 7), "model.2.weight": empty(10**9, 1, 0, 0)},
    {"model.1.weight": empty(1, 1, 7, 7), **{f"model.{i}.conv_block.1.weight": empty(0) for i in range(10_000)}},
    {"model.1.weight": empty(1, 1, 7, 7), **{f"model.{i}.conv_block.1.weight": empty(0) for i in range(200)}},
    {"model.model.0.weight": empty(10**6, 1, 0, 0), "model.model.3.weight": empty(10**6, 1, 0, 0)},
    {"model.model.0.weight": empty(1, 1, 4, 4), **{f"model.model.{i}.weight": empty(0, 0, 0, 0) for i in range(5000)}},
    {"model.model.0.weight": empty(1, 1, 4, 4), "model.model.3.weight": empty(10**9, 10**9, 0, 0)},
    {"change." * 5000 + "model.1.weight": empty(1, 1, 7, 7)}, {"module." * 5000 + "model.1.weight": empty(1, 1, 7, 7)},
    {}, {"model.1.weight": empty()}, {"model.1.weight": empty(0, 0, 7, 7)}, {"x": empty(3)},
], ids=range(14))
def test_weights_that_ask_for_much_are_refused_before_anything_is_built(weights):
    """The whole test process may grow by little: nothing of the size that the shapes describe is allocated."""
    import time
    import tracemalloc

    tracemalloc.start()
    start = time.process_time()
    for read in (models.generator_of, lambda w: models.combined(w, w)):
        with pytest.raises(CheckpointError, match="these weights fit no generator"):
            read(weights)
    peak, seconds = tracemalloc.get_traced_memory()[1], time.process_time() - start
    tracemalloc.stop()
    assert peak < 50e6
    assert seconds < 10


def test_translate_takes_the_authors_files(tmp_path, monkeypatch, capsys):
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    image = pytest.importorskip("PIL.Image", reason="pictures need Pillow")
    torch = pytest.importorskip("torch")
    spec = spec_from_file_location("translate", Path(__file__).parents[2] / "examples" / "translate.py")
    program = module_from_spec(spec)
    spec.loader.exec_module(program)
    image.new("RGB", (16, 16), (200, 100, 50)).save(tmp_path / "x.png")
    for name in ("G_A", "G_B"):
        torch.save(authors_resnet(torch).state_dict(), tmp_path / f"latest_net_{name}.pth")
    for run, way in ((tmp_path, "ab"), (tmp_path, "ba"), (tmp_path / "latest_net_G_A.pth", "ab")):
        monkeypatch.setattr(sys, "argv", ["translate.py", str(run), str(tmp_path / "x.png"), "--way", way])
        with pytest.raises(SystemExit) as end:
            program.main()
        assert end.value.code in (0, None)
        assert (tmp_path / f"x_{way}.png").exists()


def test_a_small_file_of_weights_that_asks_for_much(tmp_path):
    save_weights(tmp_path / "g_ab.safetensors", {"model.1.weight": empty(1_000_000, 1, 0, 0)})
    with pytest.raises(CheckpointError, match="139,000,049,000,000 .556,000,196,000,000 bytes."):
        models.generator_of(load_weights(tmp_path / "g_ab.safetensors"))
