"""Pictures of a translation run: rows, curves and their diagnosis."""

import numpy as np
import pytest

from minigan import report
from minigan.report import curves

Image = pytest.importorskip("PIL.Image", reason="pictures need Pillow")


class Doubling:
    """Translates by adding or subtracting 0.5."""

    def translate(self, images, way):
        return images + (0.5 if way == "ab" else -0.5)


def test_there_and_back_has_six_rows():
    a, b = np.full((3, 1, 4, 4), -0.5, np.float32), np.full((3, 1, 4, 4), 0.0, np.float32)
    picture = report.there_and_back(Doubling(), a, b)()
    assert picture.shape == (6 * 6 + 2, 3 * 6 + 2)
    middles = [picture[2 + 6 * row + 2, 4] for row in range(6)]
    assert middles == [64, 128, 64, 128, 64, 128]  # -0.5, 0, -0.5; 0, -0.5, 0 as pixels


def rows_of(steps=60, **more):
    return [{"step": i + 1, "d_a": 0.2, "d_b": 0.25, "g_a": 0.4, "g_b": 0.5, "cycle_a": 0.1, "cycle_b": 0.1, **more}
            for i in range(steps)]


def test_curves_of_a_translation_have_all_its_losses(tmp_path):
    keys = {key for _, _, series in curves._panels({"d_a", "cycle_a"}) for (key,), _, _ in series}
    assert keys == {f"{side}_{domain}" for side in ("d", "g", "cycle", "idt") for domain in "ab"}
    assert curves._panels({"d_loss", "l1"})[1][2][0][0] == ("l1",)
    pages = []
    for change in ({}, {"cycle_b": 0.9}):
        report.loss_curves([{**row, **change} for row in rows_of()], tmp_path / "curves.png")
        pages.append((tmp_path / "curves.png").read_bytes())
    assert pages[0] != pages[1]


def test_trouble_between_domains_is_said():
    assert report.diagnose(rows_of(200)) == [
        "last 200 steps: D_a 0.20, D_b 0.25, G_a 0.40, G_b 0.50, cycle_a 0.10, cycle_b 0.10",
        "no sign of trouble in them"]
    there_and_back, fakes, shapes = (report.diagnose([{**row, **change} for row in rows_of(200)])[1]
                             for change in ({"cycle_b": 0.5}, {"d_a": 0.001}, {"d_a": 0.14, "d_b": 0.12}))
    assert "translated there and back differ from the originals" in there_and_back
    assert "a discriminator recognises all fakes" in fakes
    assert "(losses 0.14 and 0.12), although there and back restores the originals (0.10 and 0.10)" in shapes
