"""The page on which a run's network draws: its numbers, its kernels against NumPy's, its controls in a browser."""

import json

import numpy as np
import pytest
from browser import CHROMIUM, MISSING, Browser

import minigan as mg
from minigan import models, nn, report
from minigan.__main__ import main
from minigan.checkpoint import load_weights, save_weights
from minigan.errors import DataError, OptionError
from minigan.report.live import FILE
from minigan.run.play import Numbers, Program, directions, effects, play_data, play_page, write_play
from minigan.run.play.playing import translators


def random_weights(network, gain):
    """Weights for pictures of many grey levels, not of one or two; running statistics that are not 0 and 1."""
    rng = np.random.default_rng(0)
    state = {}
    for name, array in network.state_dict().items():
        array = np.asarray(array)
        if name.endswith("running_var") or (array.ndim == 1 and name.endswith("weight")):
            state[name] = rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
        elif array.ndim > 1 and name != "embedding.weight":
            state[name] = (rng.normal(size=array.shape) / np.sqrt(array[0].size / gain)).astype(np.float32)
        elif name.endswith(("bias", "mean", "embedding.weight")):
            state[name] = rng.normal(size=array.shape).astype(np.float32) / 4
        else:
            state[name] = array
    network.load_state_dict(state)
    return network.eval()


def folder_of(folder, options, gain=12, **networks):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"options": options, "steps": 1}))
    for name, network in networks.items():
        save_weights(folder / f"{name}.safetensors", random_weights(network, gain).state_dict())
    return folder


def dcgan(folder, size=28, width=4, upsample="upconv", **options):
    generator, _ = models.dcgan(1, size, 6, width, upsample)
    shape = {"size": size, "latent": 6, "width": width, "upsample": upsample}
    return folder_of(folder, shape | options, generator=generator)


class Linear:
    """A generator that is a matrix, of whose derivative everything is known."""

    def __init__(self, matrix):
        self.matrix, self.latent = matrix, matrix.shape[1]

    def noise(self, count, seed):
        return np.random.default_rng(seed).normal(size=(count, self.latent)).astype(np.float32)

    def labels(self, count):
        return np.zeros(count, int)

    def __call__(self, z, labels):
        return (z.astype(np.float64) @ self.matrix.T).reshape(len(z), 1, 2, -1)


def test_directions_of_a_matrix_are_its_right_singular_vectors():
    matrix = np.random.default_rng(0).normal(size=(12, 5))
    expected = np.linalg.svd(matrix)[2]
    ours = directions(Linear(matrix), count=3)
    assert ours.shape == (3, 5)
    np.testing.assert_allclose(np.abs(np.sum(ours * expected[:3], 1)), 1, atol=1e-4)  # equal up to their signs
    np.testing.assert_allclose(ours @ ours.T, np.eye(3), atol=1e-5)


def test_a_unit_that_nothing_reads_has_the_least_effect(tmp_path):
    folder = dcgan(tmp_path / "a")
    state = load_weights(folder / "generator.safetensors")
    state["layers.3.weight"][:, 5] = 0  # of the up-convolution behind the first rectifier: (out, in, KH, KW)
    state["layers.3.weight"][:, 2] *= 10
    state["layers.1.bias"][2] = 5  # it is never silent
    save_weights(folder / "generator.safetensors", state)
    order = effects(mg.load_generator(folder))
    assert list(order) == ["layers.2"] or list(order) == ["layers.2", "layers.5"]
    assert order["layers.2"][0] == 2 and order["layers.2"][-1] == 5


def test_numbers_are_half_precision_and_layers_without_javascript_are_named():
    numbers = Numbers()
    assert numbers.filters(np.ones((2, 3), np.float32)) == [0, [2, 3]]
    assert numbers.filters(np.ones(4, np.float32)) == [6, [4]]
    assert numbers.encoded()["halves"] == "ADwAPAA8ADwAPAA8ADwAPAA8ADw="  # ten times 0x3c00, which is 1.0
    with pytest.raises(OptionError, match=r"a weight of 1e\+05 is beyond float16's 65,504"):
        numbers.filters(np.full(1, 1e5, np.float32))
    with pytest.raises(OptionError, match=r"play: 1 is a MaxPool2d, for which the page has no JavaScript; it knows"):
        Program(Numbers(), (1, 8, 8)).write(nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)))


def test_the_command_writes_into_the_run_or_elsewhere(tmp_path, capsys):
    folder = dcgan(tmp_path / "a <b>")
    main(["play", str(folder), "--out", str(tmp_path / "page.html")])
    page = (tmp_path / "page.html").read_text()
    assert "<h1>a &lt;b&gt;</h1>" in page and not (folder / "report.html").exists()
    main(["play", str(folder)])
    text = (folder / "report.html").read_text()
    assert 'id="live"' in text and (folder / FILE).exists() and "{{" not in text
    assert report.report_page(folder).read_bytes() == text.encode()  # from then on, whoever writes the page
    with pytest.raises(OptionError, match="name it"):
        main(["play", str(folder), "--out", str(tmp_path / "page.pdf")])
    (folder / "generator.safetensors").unlink()
    with pytest.raises(DataError, match="weights are missing"):
        play_data(folder)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "config.json").write_text('{"options": {"size": 8}}')
    with pytest.raises(DataError, match="holds no generator"):
        play_data(tmp_path / "b")
    with pytest.raises(OptionError, match=r"weights would take .* MB of the page; at most 0 MB are written: name a"):
        write_play(dcgan(tmp_path / "c"), most=100)


def test_a_strangers_play_json_is_checked_and_cannot_end_a_script(tmp_path):
    folder = dcgan(tmp_path / "a", size=28)
    write_play(folder)
    data = json.loads((folder / FILE).read_text())
    for key, value in (("halves", "</script>"), ("latent", "6"), ("more", 1), ("networks", [])):
        (folder / FILE).write_text(json.dumps(data | {key: value}))
        text = report.report_page(folder).read_text()
        assert 'id="live"' not in text and f"damaged at {key!r}" in text.replace("&#x27;", "'")
    (folder / FILE).write_text(json.dumps(data | {"weights": "</script><script>alert(1)//"}))
    assert "<script>alert" not in report.report_page(folder).read_text()
    (folder / FILE).write_text("{")
    assert "damaged: not JSON" in report.report_page(folder).read_text()


ASK = """
(async () => {
  const source = new Blob([document.getElementById("worker").textContent], {type: "text/javascript"});
  const worker = new Worker(URL.createObjectURL(source)), replies = [];
  worker.postMessage({data: JSON.parse(document.getElementById("play-data").textContent)});
  for (const question of QUESTIONS) {
    if (question.picture) question.picture.data = new Float32Array(question.picture.data);
    replies.push(await new Promise(resolve => { worker.onmessage = event => resolve(event.data);
                                                worker.postMessage(question); }));
  }
  return replies.map(({error, ms, pictures}) => error ? {error} : {ms, pictures: pictures.map(
    ({w, h, pixels}) => ({w, h, pixels: Array.from(pixels)}))});
})()
"""


def asked(browser, page, questions):
    """The grey levels or colours (C, H, W) of the last picture of each answer; C = 3."""
    browser.open(page.as_uri())
    replies = browser.evaluate(ASK.replace("QUESTIONS", json.dumps(questions)))
    assert not any("error" in reply for reply in replies), replies
    return [np.array(reply["pictures"][-1]["pixels"]).reshape(reply["pictures"][-1]["h"], -1, 4)[:, :, :3]
            .transpose(2, 0, 1) for reply in replies], [reply["ms"] for reply in replies]


def levels(images):
    """Images (N, C, H, W) as the grey levels that minigan.report.grid shows, (N, 3, H, W)."""
    shown = np.rint((np.clip(images.astype(np.float64), -1, 1) + 1) * 127.5).astype(int)
    return np.broadcast_to(shown, (len(shown), 3, *shown.shape[2:]))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


def drawing_runs(tmp_path):
    yield dcgan(tmp_path / "upconv")
    yield dcgan(tmp_path / "deconv", 32, upsample="deconv")
    pair = models.dcgan(1, 28, 6, 4, labels=np.arange(5))
    yield folder_of(tmp_path / "labels", {"size": 28, "latent": 6, "width": 4, "upsample": "upconv",
                                          "conditional": "labels"}, generator=pair[0])
    grown, _ = models.progressive(3, 16, 6, 8, norm="pixel")
    folder = folder_of(tmp_path / "grown", {"size": 16, "latent": 6, "width": 8, "flat": 32, "row": "g"},
                       generator=grown)
    (folder / "metrics.jsonl").write_text('{"step": 1, "side": 16, "alpha": 0.25}\n')  # while a block fades in
    yield folder


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_drawn_pictures_are_numpys_to_one_grey_level(tmp_path, browser):
    for folder in drawing_runs(tmp_path):
        page = tmp_path / f"{folder.name}.html"
        page.write_text(play_page(folder))
        generator = mg.load_generator(folder)
        label = 3 if generator.classes else 0
        drawn, _ = asked(browser, page, [{"noise": {"seed": 2**40 + 7, "number": n, "share": 0, "label": label},
                                          "ways": ["noise"], "off": {}} for n in range(4)])
        z = generator.noise(4, 2**40 + 7)
        images = generator(z, np.full(4, label)) if generator.classes else generator(z)
        assert images.std() > 0.15, folder.name  # no test is passed by grey pictures
        assert np.abs(np.array(drawn) - levels(images)).max() <= 1, folder.name


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_moves_ways_and_units_are_numpys(tmp_path, browser):
    """Half way to another sample on the sphere, then along a direction, without three units."""
    from minigan.run.latent import spherical, switched_off

    folder = dcgan(tmp_path / "a")
    (tmp_path / "a.html").write_text(play_page(folder))
    generator = mg.load_generator(folder)
    where = {"seed": 3, "number": 4, "toward": {"seed": 3, "number": 1}, "share": 0.5, "moves": [0, 1.5]}
    drawn, _ = asked(browser, tmp_path / "a.html", [
        {"noise": where, "ways": ["noise"], "off": off} for off in ({}, {"layers.2": [0, 3, 7]})])
    ends = generator.noise(5, 3)
    z = spherical(ends[4], ends[1], 0.5) + 1.5 * directions(generator)[1]
    z = z[None].astype(np.float32)
    assert np.abs(drawn[0] - levels(generator(z))[0]).max() <= 1
    without, _ = switched_off(generator.network, z, 0, [0, 3, 7])
    assert np.abs(drawn[1] - levels(without)[0]).max() <= 1
    assert np.abs(drawn[0] - drawn[1]).max() > 10


def translating_runs(tmp_path):
    unet = models.UnetGenerator(1, 3, 4, 3, "batch")
    yield folder_of(tmp_path / "pix2pix", {"size": 28}, 2, generator=unet)  # 28 is no multiple of 8: with a border
    ab, ba = (models.ResnetGenerator(1, 1, 4, 1, "instance", up) for up in ("upconv", "deconv"))
    yield folder_of(tmp_path / "cyclegan", {"size": 16}, 2, averaged_ab=ab, g_ba=ba)
    change = models.Grey(models.Residual(models.UnetGenerator(3, 3, 4, 3, "instance")))
    chroma = models.Chroma(models.UnetGenerator(3, 3, 4, 3, "instance"))
    yield folder_of(tmp_path / "residual", {"size": 16}, 2, g_ab=chroma, g_ba=change)
    yield folder_of(tmp_path / "luma", {"size": 16}, 2, g_ab=models.Luma(models.UnetGenerator(3, 3, 4, 3, "instance")))
    yield folder_of(tmp_path / "combogan", {"size": 16}, 2, encoder0=models.ResnetEncoder(1, 4, 1),
                    encoder1=models.ResnetEncoder(1, 4, 1), decoder0=models.ResnetDecoder(1, 4, 1),
                    decoder1=models.ResnetDecoder(1, 4, 1))


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
@pytest.mark.filterwarnings("ignore:UnetGenerator. images of 28x28 are mirrored")
def test_translations_are_numpys_to_one_grey_level(tmp_path, browser):
    for folder in translating_runs(tmp_path):
        page = tmp_path / f"{folder.name}.html"
        page.write_text(play_page(folder))
        for way, network in translators(folder).items():
            C, size = network.in_channels, play_data(folder)["size"]
            x = np.random.default_rng(1).uniform(-1, 1, (1, C, size, size)).astype(np.float32)
            picture = {"h": size, "w": size, "c": C, "data": x[0].transpose(1, 2, 0).ravel().tolist()}
            drawn, _ = asked(browser, page, [{"picture": picture, "ways": [way], "off": {}}])
            with mg.no_grad():
                image = network(mg.tensor(x)).numpy()
            assert image.std() > 0.05, folder.name
            assert np.abs(drawn[0] - levels(image)[0]).max() <= 1, (folder.name, way)


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_a_dcgan_of_the_default_run_draws_twenty_images_a_second_from_a_small_page(tmp_path, browser):
    generator, _ = models.dcgan(1, 32, 100, 32)
    folder = folder_of(tmp_path / "a", {"size": 32, "latent": 100, "width": 32, "upsample": "upconv"},
                       generator=generator)
    page = tmp_path / "page.html"
    page.write_text(play_page(folder))
    assert page.stat().st_size < 3_000_000
    _, times = asked(browser, page, [{"noise": {"seed": 0, "number": n, "share": 0}, "ways": ["noise"], "off": {},
                                      "maps": True} for n in range(40)])
    assert min(times) <= 50  # milliseconds; the others wait for the tests beside this one


USE = """
(async () => {
  const picture = document.querySelector("canvas.picture"), pause = () => new Promise(r => setTimeout(r, 400));
  const seen = () => picture.toDataURL(), pictures = [seen()];
  const press = async (element, key) => {
    element.focus();
    element.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
    await pause();
    pictures.push(seen());
  };
  const pad = document.querySelector(".pad"), maps = document.querySelector(".maps canvas");
  await press(pad, "ArrowRight");
  await press(pad, "Home");
  await press(maps, "ArrowRight");
  await press(maps, " ");
  document.querySelector(".maps button[aria-label]").click();
  await pause();
  pictures.push(seen());
  const unnamed = [...document.querySelectorAll("#live button, #live input, #live select, #live canvas, #live .pad")]
    .filter(e => !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length));
  return {pictures, focus: document.activeElement === maps, spoken: document.querySelector(".spoken").textContent,
    unnamed: unnamed.map(e => e.outerHTML), wide: document.documentElement.scrollWidth};
})()
"""


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_by_keyboard_from_a_file(tmp_path, browser, width):
    """The pad and the maps answer to keys; every control has a name; nothing is wider than the window."""
    page = tmp_path / "page.html"
    page.write_text(play_page(dcgan(tmp_path / "a")))
    browser.open(page.as_uri(), width=width, dark=width == 390)
    browser.wait("document.querySelectorAll('.maps canvas').length === 2")
    result = browser.evaluate(USE)
    first, moved, home, chosen, without, again = result["pictures"]
    assert first != moved and home == first == chosen == again != without
    assert result["focus"] and "unit 1 of layers.2 is off" in result["spoken"]
    assert result["unnamed"] == [] and result["wide"] <= width and browser.errors() == []
