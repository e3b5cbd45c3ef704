"""`mg.export` and `python -m minigan export`: formats, the model card, and what is refused."""

import json

import numpy as np
import pytest

import minigan as mg
from minigan import data, models, nn, run, trainers
from minigan.__main__ import main
from minigan.checkpoint import load_metadata, load_weights, save_weights
from minigan.errors import DataError, OptionError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of two steps, with scores and a credit."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    pixels = np.random.default_rng(0).integers(0, 256, (8, 1, 32, 32), np.uint8)
    images = data.ImageData(pixels, np.zeros(8, np.uint8), "noise", "8 images of noise", credit="A. Nobody, CC BY 4.0")
    options = run.options("", ["--out", str(folder), "--batch-size", "4", "--steps", "2"], name="x", size=32, latent=3,
                          width=2, upsample="upconv", loss="non_saturating", norm="auto")
    run.train(trainers.GAN(*models.dcgan(1, 32, 3, 2), ema=0.9), images, options)
    run.write_scores(folder, {"fid": 12.5})
    return folder


def test_every_format_by_command(folder, tmp_path, capsys):
    pytest.importorskip("onnxruntime", reason="the onnxruntime package (extra `export`) is missing")
    generator = mg.load_generator(folder)
    for form, ending in (("onnx", "onnx"), ("pytorch", "py"), ("safetensors", "safetensors"), ("npz", "npz")):
        assert main(["export", str(folder), "--format", form]) == 0
        path = folder / f"exported_averaged.{ending}"
        assert capsys.readouterr().out == f"{path}: {path.stat().st_size:,} bytes\n"
        files = [(folder / "checkpoints" / "files.txt").read_text()]
        assert f"exported_averaged.{ending}" in files[0]
    main(["export", str(folder), "--format", "safetensors"])
    weights = load_weights(folder / "exported_averaged.safetensors")
    with np.load(folder / "exported_averaged.npz") as archive:
        assert str(archive["card.licence"]) == "A. Nobody, CC BY 4.0"
        for name, array in generator.network.state_dict().items():
            np.testing.assert_array_equal(array, weights[name])
            np.testing.assert_array_equal(array, archive[name])
    assert np.array_equal(mg.load_generator(folder).draw(2), generator.draw(2))  # the run's own weights are untouched
    assert mg.export(folder, tmp_path / "d.npz", network="discriminator") == tmp_path / "d.npz"
    with np.load(tmp_path / "d.npz") as archive:
        assert "layers.0.weight" in archive and str(archive["card.inputs"]) == "x (N, 1, 32, 32)"


def test_the_model_card_is_in_the_file(folder, tmp_path):
    mg.export(folder, tmp_path / "g.safetensors")
    notes = load_metadata(tmp_path / "g.safetensors")
    assert notes["data"] == "noise: 8 images of noise" and notes["licence"] == "A. Nobody, CC BY 4.0"
    assert notes["steps"] == "2" and json.loads(notes["scores"]) == {"fid": 12.5}
    assert notes["network"] == "Generator, 791 weights" and notes["inputs"] == "z (N, 3)"
    settings = json.loads(notes["settings"])
    assert settings["options"]["latent"] == 3 and settings["in_force"]
    onnx = pytest.importorskip("onnx", reason="the onnx package (extra `export`) is missing")
    mg.export(folder, tmp_path / "g.onnx", check=False)
    model = onnx.load(tmp_path / "g.onnx")
    props = {entry.key: entry.value for entry in model.metadata_props}
    assert props.items() >= {**notes, "opset": "18", "batch": "any"}.items()
    assert model.opset_import[0].version == 18
    assert [d.dim_param or d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == ["N", 1, 32, 32]


@pytest.mark.parametrize("names", [["g_ab", "g_ba"], ["encoder0", "encoder1", "decoder0", "decoder1"]])
def test_runs_that_translate(names, tmp_path, rng):
    make = {"g": lambda: models.UnetGenerator(1, 1, 2, 2), "e": lambda: models.ResnetEncoder(1, 2, 1),
            "d": lambda: models.ResnetDecoder(1, 2, 1)}
    networks = {name: make[name[0]]() for name in names}
    for name, network in networks.items():
        save_weights(tmp_path / f"{name}.safetensors", network.state_dict())
    (tmp_path / "config.json").write_text(json.dumps({"options": {"size": 16}}))
    if "g_ab" in names:
        mg.export(tmp_path, tmp_path / "x.npz")
        mg.export(tmp_path, tmp_path / "y.npz", network="g_ba")
        with np.load(tmp_path / "x.npz") as x, np.load(tmp_path / "y.npz") as y:
            name = "model.model.0.weight"
            np.testing.assert_array_equal(x[name], networks["g_ab"].state_dict()[name])
            np.testing.assert_array_equal(y[name], networks["g_ba"].state_dict()[name])
            assert str(x["card.inputs"]) == "x (N, 1, 16, 16)"
        return
    for network, shape in (("0-1", (1, 16, 16)), ("encoder1", (1, 16, 16)), ("decoder0", (8, 4, 4))):
        mg.export(tmp_path, tmp_path / "x.npz", network=network)
        with np.load(tmp_path / "x.npz") as x:
            assert str(x["card.inputs"]) == f"x (N, {', '.join(map(str, shape))})"
    with pytest.raises(OptionError, match=r"network None is none of this run's: decoder0, .* or, such as 0-1, two"):
        mg.export(tmp_path, tmp_path / "x.npz")


def test_what_is_refused(folder, tmp_path, without):
    with pytest.raises(OptionError, match="format 'tflite' is not one of onnx, pytorch, safetensors, npz"):
        main(["export", str(folder), "--format", "tflite"])
    with pytest.raises(DataError, match="there is no such folder"):
        mg.export(tmp_path / "none")
    (tmp_path / "run").mkdir()
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match=r"the weights are missing, averaged\.safetensors or generator\.safetensors: "
                                        "the run ended before its first epoch did; continue it with --resume"):
        mg.export(tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text(json.dumps({"options": {}}))
    with pytest.raises(DataError, match="holds no weights: the run ended before its first epoch did"):
        mg.export(tmp_path / "run")
    with pytest.raises(OptionError, match="network 'g_ab' is none of this run's: averaged, discriminator, generator"):
        mg.export(folder, network="g_ab")
    with pytest.raises(OptionError, match="give the path of the file"):
        mg.export(nn.ReLU())
    with pytest.raises(OptionError, match=r"ReLU does not say what its input is; give its shape .* shape=\(\.\.\.\)"):
        mg.export(nn.ReLU(), tmp_path / "x.onnx")
    without("onnxruntime")
    with pytest.raises(ModuleNotFoundError, match=r'an export to ONNX needs onnxruntime: run `pip install "minigan\[e'):
        mg.export(folder, tmp_path / "g.onnx")
    without("onnx")
    with pytest.raises(ModuleNotFoundError, match=r'an export to ONNX needs onnx: run `pip install "minigan\[export'):
        mg.export(folder, tmp_path / "g.onnx", check=False)
    assert not (tmp_path / "g.onnx").exists()
