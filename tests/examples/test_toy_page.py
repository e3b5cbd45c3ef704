"""points.html: what D says of the plane and where G's points are told to go, for a D of which both are known."""

import base64
import json
import re

import numpy as np
import pytest
from browser import CHROMIUM, MISSING, Browser

import minigan as mg
from figures.toy import Snapshot
from figures.toy_page import SIDE, field, half_side, points_page
from minigan import data, losses, nn


class Game:
    """A discriminator that is linear in the scaled points: D(x) = a x_0 + b x_1."""

    def __init__(self, loss, a, b):
        self.loss, self.discriminator = losses.gan_loss(loss), nn.Linear(2, 1, bias=False)
        self.discriminator.load_state_dict({"weight": np.array([[a, b]], np.float32)})


def test_arrows_are_minus_the_gradient_and_the_first_row_is_at_the_top():
    toy, points = data.toy2d("gaussians8"), np.array([[1.0, 2.0], [-0.5, 0.25]], np.float32)
    seen = field(Game("wasserstein", 0.0, 3.0), toy, points)
    np.testing.assert_allclose(seen.arrows, [[0, 3], [0, 3]], atol=1e-6)  # a critic's loss is -D
    assert seen.values.shape == (SIDE, SIDE) and (np.diff(seen.values, axis=0) < 0).all()
    np.testing.assert_allclose(seen.values[0], 3 * half_side(toy) / toy.scale, rtol=1e-5)
    ours = field(Game("non_saturating", 2.0, 0.0), toy, points).arrows
    logit = 2 * points[:, 0] / toy.scale
    np.testing.assert_allclose(ours[:, 0], 2 / (1 + np.exp(logit)), rtol=1e-5)  # -d/dx ln(1 + e^-D) = sigmoid(-D) w


def page_of(toy, tmp_path):
    games, rows = {}, {}
    for name, game in {"one <b>": Game("wasserstein", 0.0, 1.0), "two": Game("hinge", 1.0, 0.0)}.items():
        clouds = [toy.sample(40, mg.random.Stream(step, "x")) for step in (0, 5, 9)]
        games[name] = [Snapshot(step, points, toy.coverage(points), field(game, toy, points))
                       for step, points in zip((0, 5, 9), clouds, strict=True)]
        rows[name] = [{"step": step, "d_loss": 1 / step, "g_loss": float(step)} for step in range(1, 10)]
    path = tmp_path / "points.html"
    path.write_bytes(points_page(toy, games, rows))
    return path, games


def test_the_page_has_the_points_and_no_text_that_is_code(tmp_path):
    toy = data.toy2d("ring")
    path, games = page_of(toy, tmp_path)
    text = path.read_text()
    inside = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    for game, film in zip(inside["games"], games.values(), strict=True):
        for ours, snapshot in zip(game["snapshots"], film, strict=True):
            points = np.frombuffer(base64.b64decode(ours["points"]), "<i2").reshape(-1, 2) / 1000
            np.testing.assert_allclose(points * half_side(toy), snapshot.points, atol=0.01)
            assert len(base64.b64decode(ours["map"])) == SIDE**2
    assert "<b>" not in text and "{{" not in text


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_in_a_browser_the_curves_move_along(tmp_path):
    path, _ = page_of(data.toy2d("gaussians8"), tmp_path)
    with Browser(tmp_path / "profile") as browser:
        browser.open(path.as_uri(), width=390)
        seen = browser.evaluate("""[0, 1, 2].map(number => {
          slider.value = number;
          slider.dispatchEvent(new Event("input"));
          return [document.getElementById("at").textContent, document.querySelector(".legend span").textContent,
                  document.querySelector("canvas").getAttribute("aria-label").split(":")[0]];
        })""")
        assert [at for at, *_ in seen] == ["step 0", "step 5", "step 9"]
        assert [curve for _, curve, _ in seen] == ["discriminator's loss  1", "discriminator's loss  0.2",
                                                   "discriminator's loss  0.1111"]
        assert seen[1][2] == "one <b> at step 5" and browser.errors() == []
        assert browser.evaluate("document.documentElement.scrollWidth") <= 390
