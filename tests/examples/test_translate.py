"""A user's pictures, translated by a run; and runs between two folders of a user's images."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan import models, run
from minigan.checkpoint import save_weights
from minigan.data.pictures import read_picture

Image = pytest.importorskip("PIL.Image", reason="pictures need Pillow")
EXAMPLES = Path(__file__).parents[2] / "examples"


# ---- examples/translate.py ----
@pytest.fixture
def translate(monkeypatch, capsys):
    """Run the example with arguments; returns its exit status, its output and its warnings."""
    program = example("translate")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["translate.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            run.main(program.main)
        return end.value.code, *capsys.readouterr()

    return call


def pictures(folder):
    """One image file of every kind, 12 x 16 pixels."""
    rng = np.random.default_rng(0)
    rgb = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    alpha = Image.fromarray(rng.integers(0, 256, (12, 16, 4), np.uint8))
    kinds = {"grey": rgb.convert("L"), "rgb": rgb, "rgba": alpha, "palette": rgb.quantize(16)}
    for name, image in kinds.items():
        image.save(folder / f"{name}.png")
    return [folder / f"{name}.png" for name in kinds]


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 3), (3, 1)])
def test_every_kind_of_picture_is_translated(translate, tmp_path, inputs, outputs):
    mg.seed(1)
    generator = models.ResnetGenerator(inputs, outputs, 2, 1)
    save_weights(tmp_path / "g_ab.safetensors", generator.state_dict())
    files = pictures(tmp_path)
    status, out, _ = translate(tmp_path, *files)
    assert (status, out.split()) == (0, [str(tmp_path / f"{file.stem}_ab.png") for file in files])
    for file in files:
        x = read_picture(file, inputs).transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1  # (1, C, H, W)
        expected = np.rint((generator(mg.tensor(x)).data + 1) * 127.5)[0].transpose(1, 2, 0)
        np.testing.assert_array_equal(read_picture(tmp_path / f"{file.stem}_ab.png"), expected)


def test_averaged_weights_come_first_and_odd_sizes_are_told(translate, tmp_path):
    names = ("g_ab", "averaged_ab")
    for seed, name in enumerate(names):
        mg.seed(seed)
        save_weights(tmp_path / f"{name}.safetensors", models.ResnetGenerator(1, 1, 2, 1).state_dict())
    Image.fromarray(np.zeros((9, 11), np.uint8)).save(tmp_path / "odd.png")
    with pytest.warns(UserWarning, match="images of 9x11 are mirrored at their borders to 12x12"):
        status, _, _ = translate(tmp_path, tmp_path / "odd.png", "--out", tmp_path / "out")
    assert status == 0
    x = mg.tensor(np.full((1, 1, 9, 11), -1.0, np.float32))
    with pytest.warns(UserWarning, match="mirrored"):
        expected = models.generator_of(mg.checkpoint.load_weights(tmp_path / "averaged_ab.safetensors"))(x).data[0, 0]
    written = read_picture(tmp_path / "out" / "odd_ab.png")[:, :, 0]
    np.testing.assert_array_equal(written, np.rint((expected + 1) * 127.5))


def test_a_file_that_is_there_is_kept(translate, tmp_path):
    save_weights(tmp_path / "g_ab.safetensors", models.ResnetGenerator(1, 1, 2, 1).state_dict())
    Image.fromarray(np.zeros((12, 12), np.uint8)).save(tmp_path / "x.png")
    (tmp_path / "x_ab.png").write_bytes(b"a drawing of mine")
    (tmp_path / "x_ab-2.png").symlink_to("nowhere")
    for out in ((), ("--out", tmp_path)):
        before = {*tmp_path.iterdir()}
        status, printed, _ = translate(tmp_path, tmp_path / "x.png", *out)
        written, = {*tmp_path.iterdir()} - before
        assert (status, printed) == (0, f"{written}\n") and re.fullmatch(r"x_ab-[34]\.png", written.name)
    assert (tmp_path / "x_ab.png").read_bytes() == b"a drawing of mine"


def test_what_cannot_be_translated_is_named_and_skipped(translate, tmp_path):
    save_weights(tmp_path / "g_ab.safetensors", models.ResnetGenerator(1, 1, 2, 1).state_dict())
    good, _, _, _ = pictures(tmp_path)
    (tmp_path / "notes.png").write_text("no picture")
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(tmp_path / "tiny.png")
    files = [tmp_path / "notes.png", tmp_path / "tiny.png", tmp_path / "none.png", good]
    status, out, err = translate(tmp_path, *files)
    assert status == 1 and out.split() == [str(tmp_path / "grey_ab.png")]
    assert [line.split(": ")[1] for line in err.splitlines()] == [str(file) for file in files[:3]]
    assert "smaller than the network's reach" in err and "no such file" in err
    status, out, err = translate(tmp_path, *files, "--strict", "--out", tmp_path / "strict")
    assert status == 2 and not out and "notes.png: not an image" in err and not list((tmp_path / "strict").iterdir())


def test_runs_without_a_generator_this_way_are_named(translate, tmp_path):
    (good, *_) = pictures(tmp_path)
    assert "no such run folder" in translate(tmp_path / "none", good)[2]
    assert "holds no generator for --way ba" in translate(tmp_path, good, "--way", "ba")[2]
    for kind, network in (("encoder", models.ResnetEncoder(1, 2, 1)), ("decoder", models.ResnetDecoder(1, 2, 0))):
        for i in range(2):
            save_weights(tmp_path / f"{kind}{i}.safetensors", network.state_dict())
    assert "a ComboGAN of 2 domains; give two of their numbers, such as 0-1" in translate(tmp_path, good)[2]
    assert translate(tmp_path, good, "--way", "1-0")[0] == 0
    assert (tmp_path / "grey_1-0.png").exists()


# ---- examples/cyclegan_folders.py ----
def example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_folders_of_grey_and_colour_images_are_translated(translate, tmp_path, monkeypatch, capsys):
    """A run on two folders, of 1 and 3 channels and with a damaged file, then its generator on a picture."""
    rng = np.random.default_rng(0)
    for name, shape in (("trainA", (16, 20)), ("trainB", (20, 16, 3))):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(tmp_path / name / f"{i}.png")
    (tmp_path / "trainA" / "x.png").write_text("no picture")
    arguments = ["--data", tmp_path, "--out", tmp_path / "run", "--smoke", "--size", "16", "--width", "1", "--blocks",
                 "0", "--no-blas-tuning", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["cyclegan_folders.py", *map(str, arguments)])
    with pytest.warns(UserWarning, match="the domains have 1 and 3 channels"):
        run.main(example("cyclegan_folders").main)
    assert "x.png" in capsys.readouterr().out
    assert read_picture(tmp_path / "run" / "reals.png").shape[2] == 3
    status, out, _ = translate(tmp_path / "run", "--way", "ba", tmp_path / "trainB" / "0.png")
    assert status == 0 and read_picture(Path(out.strip())).shape == (20, 16, 1)
    monkeypatch.setattr(sys, "argv", sys.argv[:1] + ["--strict", *map(str, arguments)])
    with pytest.raises(SystemExit, match="2"):
        run.main(example("cyclegan_folders").main)


# ---- names and layouts ----
@pytest.mark.parametrize("names, extra, words", [
    (["x.jpg", "x.png"], [], r"x\.jpg and .*x\.png would both be written to .*x_ab\.png"),
    (["a/y.png", "b/y.png"], ["--out", "o"], r"a/y\.png and .*b/y\.png would both be written to o/y_ab\.png"),
    (["X.png", "x.png"], [], "would both be written to"),  # one file on macOS and Windows
    (["x.png", "x_ab.png"], [], r"x_ab\.png: it is to be translated, .* of .*x\.png would overwrite it"),
    (["x_ab.png", "x.png"], [], r"x_ab\.png: it is to be translated"),
    (["x.png", "o/x_ab.png"], ["--out", "o"], "it is to be translated"),
    (["x.png", "o/X_AB.png"], ["--out", "a/../o"], "it is to be translated"),
])
def test_no_translation_overwrites_another_or_a_picture(translate, tmp_path, monkeypatch, names, extra, words):
    """Every picture gets a file of its own, or none is written."""
    monkeypatch.chdir(tmp_path)
    save_weights("g_ab.safetensors", models.ResnetGenerator(1, 1, 2, 1).state_dict())
    for number, name in enumerate(names):
        Path(name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((12, 12), 50 * number, np.uint8)).save(name)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*g")}
    status, out, err = translate(tmp_path, *names, *extra)
    assert status == 2 and not out and re.search(words, err)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*g")} == before


def test_a_picture_that_is_named_twice_is_translated_once(translate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_weights("g_ab.safetensors", models.ResnetGenerator(1, 1, 2, 1).state_dict())
    Image.fromarray(np.zeros((12, 12), np.uint8)).save("x.png")
    status, out, _ = translate(".", "x.png", "./x.png", tmp_path / "x.png")
    assert status == 0 and out.split() == ["x_ab.png"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert translate("~", "~/x.png", "--out=~/there")[0] == 0 and (tmp_path / "there" / "x_ab.png").exists()


def trained(name, arguments, monkeypatch, capsys):
    """The output of an example that trains for three steps."""
    arguments = [*arguments, "--smoke", "--size", "16", "--width", "1", "--no-blas-tuning", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
    run.main(example(name).main)
    return capsys.readouterr().out


def colours(path, shape):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8)).save(path)


def test_one_grey_picture_among_colour_ones_does_not_stop_the_training(tmp_path, monkeypatch, capsys):
    for side in "AB":
        for number in range(2):
            colours(tmp_path / f"train{side}" / f"{number}.png", (16, 16, 3))
    colours(tmp_path / "trainA" / "9.jpg", (16, 16))
    words = ["--data", tmp_path, "--blocks", "0", "--out"]
    out = trained("cyclegan_folders", [*words, tmp_path / "auto"], monkeypatch, capsys)
    assert "1 grey among colour: 9.jpg" in out and read_picture(tmp_path / "auto" / "reals.png").shape[2] == 3
    assert "shown: pictures and scores are of training images" in out
    trained("cyclegan_folders", [*words, tmp_path / "grey", "--channels", "1"], monkeypatch, capsys)
    assert read_picture(tmp_path / "grey" / "reals.png").shape[2] == 1


@pytest.mark.parametrize("layout", ["train", "trainA trainB", "train test", "trainA trainB testA testB"])
def test_pix2pix_takes_pairs_in_every_layout(layout, translate, tmp_path, monkeypatch, capsys):
    """Grey on the left, colour on the right; direction BtoA makes a generator from colour to grey."""
    for folder in layout.split():
        for number in range(8):
            wide = (16, 32, 3) if folder in ("train", "test") else (16, 16, *[3] * folder.endswith("B"))
            colours(tmp_path / folder / f"{number}.png", wide)
    words = ["--data", tmp_path, "--depth", "2", "--direction", "BtoA", "--out", tmp_path / "run"]
    out = trained("pix2pix_edges", words, monkeypatch, capsys)
    assert ("scores are of training images" in out) == ("test" not in layout)
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "x.png")
    status, _, _ = translate(tmp_path / "run", tmp_path / "x.png")
    assert status == 0
    assert read_picture(tmp_path / "x_ab.png").shape[2] == (1 if "A" in layout else 3)
