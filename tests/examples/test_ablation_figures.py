"""The figure of studies: equal studies give equal bytes, and one that diverged is marked."""

import numpy as np
import pytest

from figures.ablation import Study, ablation_figure, ablation_table
from minigan.errors import OptionError


def steps(count=60, **more):
    return [{"step": i + 1, "d_a": 0.2, "d_b": 0.25, "g_a": 0.4, "g_b": 0.5, "cycle_a": 0.1, "cycle_b": 0.1, **more}
            for i in range(count)]


def test_a_page_of_studies(tmp_path):
    picture = np.zeros((20, 40), np.uint8)
    studies = [Study("as published", steps(), picture, {"kept_ab": 0.9}, 12.0),
               Study("learning rate 9", steps(5, g_a=np.nan), picture, {}, 3.0, "step 5")]
    pages = []
    for name in ("one.png", "two.png"):
        ablation_figure(studies, tmp_path / name, ["MNIST", "as USPS"])
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]
    table = ablation_table(studies, {"kept_ab": "share"})
    assert "| learning rate 9 (diverged: step 5) | - | 3 |" in table
    with pytest.raises(OptionError, match="at least one study"):
        ablation_figure([], tmp_path / "none.png")
