"""The main example as a user runs it: its output, its files, its error messages."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan import run
from minigan.checkpoint import load_weights

SCRIPT = Path(__file__).parents[2] / "examples" / "dcgan_mnist.py"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A data directory with 300 small drawn digits in MNIST's own format: no download, no network."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    images = np.zeros((300, 28, 28), np.uint8)
    for image, (i, j) in zip(images, rng.integers(4, 18, (300, 2)), strict=True):
        image[i : i + 6, j : j + 2] = 255
    header = b"\x00\x00\x08\x03" + np.array(images.shape, ">u4").tobytes()
    (folder / "train-images-idx3-ubyte").write_bytes(header + images.tobytes())
    (folder / "train-labels-idx1-ubyte").write_bytes(
        b"\x00\x00\x08\x01" + np.array([300], ">u4").tobytes() + bytes(300))
    return folder


def dcgan(*arguments, **environment):
    """Run the script in its own process."""
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, **environment}, timeout=240)


@pytest.fixture
def refused(monkeypatch, capsys):
    """refused(arguments): what the script says before it ends with status 2, in this process."""
    def ended(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--no-blas-tuning", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        assert end.value.code == 2
        return capsys.readouterr().err

    return ended


def test_a_run_leaves_everything(digits, tmp_path):
    out = tmp_path / "run"
    done = dcgan("--data", digits, "--out", out, "--steps", 5, "--width", 8, "--batch-size", 100, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "MNIST" in done.stdout
    assert "cpu" in done.stdout
    assert "images/s" in done.stderr
    assert "D(G(z))" in done.stderr
    assert {p.name for p in out.iterdir()} == {
        "averaged.safetensors", "checkpoints", "config.json", "curves.png", "discriminator.safetensors",
        "generator.safetensors", "judged.jsonl", "metrics.jsonl", "reals.png", "report.html", "samples"}
    assert [p.name for p in sorted((out / "samples").iterdir())] == [
        "epoch_0001.png", "step_000000.png", "step_000005.png"]
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    assert {"d_loss", "g_loss", "d_real", "d_fake"} <= set(rows[0])
    config = json.loads((out / "config.json").read_text())
    assert config["options"]["seed"] == 0
    assert config["options"]["upsample"] == "upconv"
    assert config["device"] in done.stdout
    generator, _ = mg.models.dcgan(size=32, width=8)
    generator.load_state_dict(load_weights(out / "averaged.safetensors"))
    assert generator.eval()(np.zeros((1, 100), np.float32)).shape == (1, 1, 32, 32)


def test_same_seed_same_bytes_and_an_earlier_run_is_kept(digits, tmp_path):
    options = ["--data", digits, "--out", tmp_path / "run", "--steps", 3, "--width", 4, "--upsample", "deconv"]
    first = dcgan(*options, MINIGAN_THREADS="1")
    second = dcgan(*options, MINIGAN_THREADS="2")
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert "holds an earlier run, which is kept" in second.stdout
    for name in ("metrics.jsonl", "generator.safetensors", "discriminator.safetensors", "curves.png", "reals.png"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "run-2" / name).read_bytes(), name


def test_smoke(digits, tmp_path):
    done = dcgan("--data", digits, "--out", tmp_path / "run", "--smoke", "--size", 28, "--width", 4)
    assert done.returncode == 0, done.stderr
    assert "3 steps in" in done.stdout


@pytest.mark.parametrize(("arguments", "words"), [
    (["--device", "tpu"], "'tpu' is not one of"),
    (["--batch-size", "0"], "must be above 0"),
    (["--upsample", "bicubic"], "invalid choice"),
    (["--seed", "-1"], "seed"),
    (["--batch-size", "1000"], "batch_size=1000"),
    (["--label-smoothing", "0.9"], "label_smoothing=0.9"),
    (["--n-discriminator", "0"], "n_discriminator=0"),
])
def test_wrong_options_are_one_sentence_and_status_2(digits, tmp_path, refused, arguments, words):
    errors = refused("--data", digits, "--out", tmp_path / "run", "--steps", "1", *arguments)
    assert words in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "run").exists()  # no partial output


def test_the_status_of_a_process_whose_options_are_wrong(digits, tmp_path):
    done = dcgan("--data", digits, "--out", tmp_path / "run", "--batch-size", "1000")
    assert done.returncode == 2 and "batch_size=1000" in done.stderr and "Traceback" not in done.stderr


def test_a_damaged_data_file_is_named_and_nothing_is_trained(digits, tmp_path, refused):
    broken = tmp_path / "data"
    broken.mkdir()
    for file in digits.iterdir():
        (broken / file.name).write_bytes(file.read_bytes()[:-7])
    errors = refused("--data", broken, "--out", tmp_path / "run")
    assert "idx3-ubyte" in errors or "idx1-ubyte" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "run").exists()


def test_an_output_folder_that_cannot_be_written_is_said_before_training(digits, tmp_path, refused):
    (tmp_path / "file").write_text("in the way")
    errors = refused("--data", digits, "--out", tmp_path / "file" / "run")
    assert "cannot be written" in errors
    assert "Traceback" not in errors
    assert "step" not in errors.replace("--steps", "")


def test_planned_steps():
    options = run.options("", [], name="x")
    loader = mg.data.Loader(np.zeros((5000, 1, 2, 2), np.uint8), 64)
    trainer = mg.trainers.Trainer()
    assert run.planned_steps(options, loader, trainer) == run.IMAGES_SEEN // 5000 * 78
    options.epochs = 2
    assert run.planned_steps(options, loader, trainer) == 156
    trainer.batches_per_step = 2
    assert run.planned_steps(options, loader, trainer) == 78
    options.steps = 7
    assert run.planned_steps(options, loader, trainer) == 7
