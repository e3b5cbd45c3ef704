"""Films beside the pictures of the latent tools: each has words, also one that a program of its own has drawn."""

import json
import re

import numpy as np
import pytest

from minigan import report

pytest.importorskip("PIL.Image", reason="films need Pillow")


@pytest.mark.parametrize("stem", ["interpolate", "walk", "map", "arithmetic", "unit", "guided"])
def test_no_film_is_without_words(tmp_path, stem):
    (tmp_path / "config.json").write_text(json.dumps({"options": {}, "steps": 1}))
    (tmp_path / "latent").mkdir()
    report.film([np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)], tmp_path / "latent" / f"{stem}.gif")
    page = report.report_page(tmp_path).read_text("utf-8")
    caption, = re.findall(r'<img class="wide"[^>]*><figcaption>(.*?)</figcaption>', page)
    assert "film" in caption
