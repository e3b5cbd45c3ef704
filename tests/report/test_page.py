"""report.html: its contents, that it opens anywhere, and that its slider and curves work in a real browser."""

import base64
import json
import re
import shutil
import subprocess
import time

import numpy as np
import pytest
from browser import Browser

from minigan import report
from minigan.errors import DataError
from minigan.report import page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def folder(tmp_path):
    """The folder of a run, as written by fit: 3 epochs of 400 steps, then 50 more."""
    run = tmp_path / "a <b> & c"
    (run / "samples").mkdir(parents=True)
    config = {"options": {"seed": 0, "loss": "<script>alert(1)</script>", "out": None, "graph": True}, "steps": 1250,
              "data": [{"name": "mnist", "source": "MNIST, 5 digits"}], "device": "cpu", "versions": {"minigan": "0"}}
    (run / "config.json").write_text(json.dumps(config))
    rows = [{"step": step, "epoch": step // 400, "d_loss": 1 / step, "g_loss": 2.0 - 1 / step, "d_real": 0.7,
             "d_fake": 0.2, "cycle_a": 1.0, "cycle_b": 2.0} for step in range(1, 1251)]
    rows[700]["d_loss"] = 50.0
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run / "scores.jsonl").write_text('{"step": 400, "frechet": 9.5}\n{"step": 800, "frechet": 7.25}\n')
    for number, name in enumerate(("step_000000", "epoch_0001", "epoch_0002", "epoch_0003", "step_001250")):
        report.save_png(np.full((8, 8), 10 * number, np.uint8), run / "samples" / f"{name}.png")
    report.save_png(np.zeros((8, 8), np.uint8), run / "reals.png")
    (run / "latent").mkdir()
    report.save_png(np.zeros((8, 8), np.uint8), run / "latent" / "interpolate.png")
    return run


def inside(path):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text())[1])


def test_all_that_is_there_is_in_it(folder):
    text = report.report_page(folder).read_text()
    data = inside(folder / "report.html")
    assert [sheet["step"] for sheet in data["sheets"]] == [0, 400, 800, 1200, 1250]
    for sheet, name in zip(data["sheets"], ("step_000000", "epoch_0001"), strict=False):
        raw = base64.b64decode(sheet["src"].partition(",")[2])
        assert raw == (folder / "samples" / f"{name}.png").read_bytes()
    assert [panel["title"] for panel in data["panels"]] == [
        "Losses", "Discriminator's output", "Cycle consistency", "Frechet distance of samples, 0 is best"]
    for words in ("all 1,250 steps done", "Interpolation", "D(x) 0.70", "best, step 800"):
        assert words in text


def test_it_opens_anywhere(folder):
    """No address outside the file, and no text of the run that a browser could run as code."""
    text = report.report_page(folder).read_text()
    assert not re.findall(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[\w.]+\.\w+", re.sub(r"base64,[\w+/=]+", "", text))
    assert not re.search(r"<(link|iframe|script[^>]* src|img[^>]* src=\"(?!data:))", text)
    assert "<script>alert" not in text and "<b> &" not in text and "{{" not in text


def test_curves_keep_what_stands_out_and_where_it_ends(folder):
    losses = inside(report.report_page(folder))["panels"][0]["series"][0]
    assert len(losses["raw"][0]) <= page.POINTS + 2 and len(losses["mean"][0]) <= page.POINTS
    assert max(losses["raw"][1]) == 50  # fewer points, but a spike is still visible
    assert losses["mean"][0][0] == 1 and losses["mean"][0][-1] == 1250


def test_pages_are_the_same_bytes_and_never_half_written(folder, monkeypatch):
    first = report.report_page(folder).read_bytes()
    assert report.report_page(folder).read_bytes() == first
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError):
        report.report_page(folder)
    assert (folder / "report.html").read_bytes() == first and not list(folder.glob("*.tmp"))


def test_a_long_run_stays_small(folder, monkeypatch):
    monkeypatch.setattr(page, "_SHEET_BYTES", 40_000)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)  # about 4 kB that cannot be compressed
    for step in range(1, 100):
        report.save_png(pixels, folder / "samples" / f"step_{step:06d}.png")
    path = report.report_page(folder)
    steps = [sheet["step"] for sheet in inside(path)["sheets"]]
    assert steps[0] == 0 and steps[-1] == 1250 and 5 <= len(steps) <= 12
    assert path.stat().st_size < 200_000


def test_a_run_that_has_just_begun_and_one_that_diverged(tmp_path, folder):
    (tmp_path / "new").mkdir()
    with pytest.raises(DataError, match=r"config\.json: cannot be read"):
        report.report_page(tmp_path / "new")
    (tmp_path / "new" / "config.json").write_text('{"options": {}}')
    assert "no steps were recorded" in report.report_page(tmp_path / "new").read_text()
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1251, "d_loss": NaN}\n')
    assert "diverged: d_loss not finite from step 1251 on" in report.report_page(folder).read_text()


BROWSER = """
<script>
window.onerror = message => { document.title = "error: " + message; };
const found = {paths: document.querySelectorAll("svg path").length, wide: document.documentElement.scrollWidth, at: []};
for (const number of [0, 3, 1]) {
  slider.value = number;
  slider.dispatchEvent(new Event("input"));
  found.at.push([sheet.src, document.getElementById("at").textContent]);
}
const svg = document.querySelector("svg"), box = svg.getBoundingClientRect();
svg.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + 44, clientY: box.top + 20}));
found.read = document.querySelector(".legend span").textContent;
document.body.textContent = "FOUND" + JSON.stringify(found) + "END";
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (apt-get install chromium): the page is not opened")
@pytest.mark.parametrize("width", [1200, 500])
def test_in_a_browser(folder, tmp_path, width):
    """The slider shows each grid with its step; curves are drawn, with values; nothing is wider than the window."""
    text = report.report_page(folder).read_text()
    copy = tmp_path / "page.html"
    copy.write_text(text.replace("</body>", BROWSER + "</body>"))
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'browser'}",
         f"--window-size={width},900", "--dump-dom", copy.as_uri()], capture_output=True, text=True, timeout=120)
    assert "FOUND" in done.stdout, done.stdout[-2000:] + done.stderr
    result = json.loads(re.search("FOUND(.*?)END", done.stdout)[1])
    sheets = inside(folder / "report.html")["sheets"]
    seen = ((0, "step 0"), (3, "step 1,200"), (1, "step 400"))
    assert result["at"] == [[sheets[number]["src"], words] for number, words in seen]
    assert result["paths"] == 2 * 7  # values and means of every curve
    assert result["wide"] <= width
    assert result["read"].startswith("discriminator's loss")


def test_it_names_what_was_in_force_and_how_long_it_took(folder):
    """Defaults of the loss are no options; times of two processes are added; all numbers of scores.json are shown."""
    config = json.loads((folder / "config.json").read_text())
    adam = {"kind": "Adam", "lr": 2e-4, "betas": [0.5, 0.9]}
    config["in_force"] = {"trainer": "GAN", "optimizers": {"g_optimizer": adam},
                          "parameters": {"generator": 1234567, "averaged": 1234567}}
    config["sessions"] = [{"steps": 1000, "seconds": 3600.0, "images_per_second": 10.0},
                          {"steps": 250, "seconds": 61.0, "images_per_second": 987.6}]
    config["caption"] = "Rows: A, A to <B>."
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "scores.json").write_text('{"weights": "a", "scores": {"frechet": 12.345}, "ab": {"kept": 0.5}}')
    text = report.report_page(folder).read_text()
    for words in ("Adam, lr 0.0002, betas 0.5 and 0.9", "<b>parameters</b> generator 1,234,567</span>", "1:01:01",
                  "<b>images per second</b> 988", "A to &lt;B&gt;.", "<th>frechet</th><td>12.35</td>",
                  "<th>ab kept</th><td>0.5</td>"):
        assert words in text, words


def test_it_reloads_itself_only_while_the_run_goes_on(folder):
    assert inside(report.report_page(folder))["written"] is None
    assert abs(inside(report.report_page(folder, live=True))["written"] - time.time()) < 60


def judged(folder):
    rows = [{"step": step, "real": [1.0, 2.0, 3.0], "fake": [-1.0, -2.0, 0.0 + step / 1000]} for step in (0, 400, 1250)]
    (folder / "judged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [
        *rows, {"step": 1251, "real": [float("nan")], "fake": [1.0]}]))
    return rows


def test_ds_view_is_in_it_and_a_damaged_row_is_named(folder):
    """Values that are not finite are left out; a run of an earlier version has no such file."""
    assert inside(report.report_page(folder))["views"] == []
    rows = judged(folder)
    assert inside(report.report_page(folder))["views"] == rows
    (folder / "judged.jsonl").write_text('{"step": 3, "real": "<b>", "fake": []}\n')
    with pytest.raises(DataError, match=r'judged.jsonl, line 1: real is "<b>"; expected a list of at most 1024'):
        report.report_page(folder)


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (apt-get install chromium): the page is not opened")
def test_the_film_moves_the_curves_and_ds_view(folder, tmp_path):
    judged(folder)
    with Browser(tmp_path / "profile") as browser:
        browser.open(report.report_page(folder).as_uri(), width=390, dark=True)
        seen = browser.evaluate("""[0, 1, 4].map(number => {
          slider.value = number;
          slider.dispatchEvent(new Event("input"));
          const card = [...document.querySelectorAll(".curve")].pop(), bars = [...card.querySelectorAll("rect")];
          return [document.querySelector(".legend span").textContent, card.querySelector("h2").textContent,
                  card.querySelector(".legend").textContent,
                  bars.filter(bar => +bar.getAttribute("height") > 0).length];
        })""")
        assert [view for _, view, _, _ in seen] == ["D's view, step 0", "D's view, step 400", "D's view, step 1,250"]
        assert "generated pictures, mean -0.8667" in seen[1][2] and "real pictures, mean 2" in seen[1][2]
        assert all(bars == 6 for *_, bars in seen)
        assert seen[0][0] != seen[1][0]  # the mean of the loss at these steps
        assert browser.errors() == [] and browser.evaluate("document.documentElement.scrollWidth") <= 390
