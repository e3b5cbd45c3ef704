"""In a notebook: tensors, networks and runs show themselves; a run has a bar and pictures, and Ctrl-C keeps it."""

import base64
import io
import json
import re

import numpy as np
import pytest

import minigan as mg
from minigan import nn
from minigan.run.notebook import RunFolder


def cells(html):
    """The text of a table's cells, row by row."""
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]


def test_a_tensor(rng):
    image = pytest.importorskip("PIL.Image", reason="Pillow (extra `examples`) is missing")
    x = mg.tensor([[1.0, -2.0], [np.nan, 4.0]], requires_grad=True)
    html = (x * 2)._repr_html_()
    assert ["shape", "(2, 2)"] in cells(html) and ["requires_grad", "True, made by mul"] in cells(html)
    assert ["min, mean, max", "-4, 2, 8"] in cells(html) and ["not finite", "1 of 4"] in cells(html)
    assert "<pre>[[ 2., -4.],\n [nan,  8.]]</pre>" in html
    pixels = rng.integers(0, 256, (2, 3, 8, 9), np.uint8)
    for channels in (3, 1):
        html = mg.tensor(pixels[:, :channels] / 127.5 - 1)._repr_html_()
        png = base64.b64decode(re.search(r"base64,([^\"]+)", html)[1])
        shown = np.asarray(image.open(io.BytesIO(png))).reshape(8, 18, channels)
        np.testing.assert_array_equal(shown, np.concatenate(pixels[:, :channels].transpose(0, 2, 3, 1), 1))
    assert "<img" not in mg.tensor(np.zeros((2, 5, 8, 9)))._repr_html_()
    assert mg.tensor(np.zeros((0, 3)))._repr_html_() and mg.tensor(3.0)._repr_html_()


def test_a_module():
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Sequential(nn.Linear(3, 1, bias=False))).eval()
    net[0].requires_grad_(False)
    html = net._repr_html_()
    assert html.startswith("<div><b>Sequential</b>, in evaluation mode: 18 parameters, 3 of them trained")
    assert cells(html) == [["layer", "kind", "options", "weights", "parameters"],
                           ["0", "Linear", "4, 3, bias=True", "weight (3, 4), bias (3,)", "15"],
                           ["1", "ReLU", "", "", ""], ["2.0", "Linear", "3, 1, bias=False", "weight (1, 3)", "3"]]

    class Escaped(nn.Module):
        def extra_repr(self):
            return "<script>"

    assert "<script>" not in Escaped()._repr_html_() and "&lt;script&gt;" in Escaped()._repr_html_()


def test_a_run(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({
        "options": {}, "steps": 7, "data": [{"name": "<noise>", "source": "s", "images": 3}]}))
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "epoch": 1, "d_loss": 0.123456}\n')
    folder = RunFolder(tmp_path)
    assert folder == tmp_path and isinstance(folder / "x", type(tmp_path))
    assert cells(folder._repr_html_()) == [["data", "&lt;noise&gt;"], ["steps", "1 of 7"], ["d_loss", "0.1235"]]
    assert (folder / "config.json")._repr_html_() is None


SETUP = """
import os, signal, sys
import numpy as np
from minigan import data, models, run, trainers
pixels = np.random.default_rng(0).integers(0, 256, (22, 1, 28, 28), np.uint8)
images = data.ImageData(pixels, np.zeros(22, np.uint8), "noise", "22 images of noise")

class Interrupted(trainers.GAN):
    at = None
    def update(self, batch, plan=None):
        if self.steps + 1 == self.at:
            os.kill(os.getpid(), signal.SIGINT)  # what the notebook's stop button sends to its kernel
        return super().update(batch, plan)

def train(*arguments, at=None):
    options = run.options("", ["--out", OUT, "--batch-size", "4", "--steps", "130", *arguments], name="x", latent=4)
    trainer = Interrupted(*models.dcgan(1, 28, 4, 4))
    trainer.at = at
    return run.train(trainer, images, options)
"""


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # of the packages that run notebooks
def test_a_run_in_a_notebook(tmp_path):
    """Real cells in a real kernel: interrupted by SIGINT at step 30, continued to the end."""
    nbformat = pytest.importorskip("nbformat", reason="nbclient and ipykernel (extra `test`) run notebooks")
    nbclient = pytest.importorskip("nbclient", reason="nbclient and ipykernel (extra `test`) run notebooks")
    pytest.importorskip("ipykernel", reason="nbclient and ipykernel (extra `test`) run notebooks")
    new = nbformat.v4
    sources = [f"OUT = {str(tmp_path / 'run')!r}\n{SETUP}", "train(at=30)", "print('the notebook goes on')",
               "train('--resume')", "from minigan import nn\nnn.ReLU()"]
    book = new.new_notebook(cells=[new.new_code_cell(source) for source in sources])
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3", allow_errors=True).execute()
    stopped, on, done, layer = (cell["outputs"] for cell in book.cells[1:])
    error = next(output for output in stopped if output["output_type"] == "error")
    assert error["ename"] == "Stopped" and "is saved after step 30" in error["evalue"]
    assert on[0]["text"] == "the notebook goes on\n"
    text = "".join(output.get("text", "") for output in done)
    assert "continued from step 30" in text and "130/130" in text  # the bar
    shown = [output["data"]["text/html"] for output in done if "text/html" in output.get("data", {})]
    assert len(shown) == 2  # one place for all samples, then the run
    assert "samples after step 130" in shown[0] and "data:image/png;base64," in shown[0]
    assert ["steps", "130 of 130"] in cells(shown[1]) and "data:image/png;base64," in shown[1]
    assert "<b>ReLU</b>" in layer[0]["data"]["text/html"]
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 130
