"""The documents are true: their code runs, and what they quote and link to exists."""

import doctest
import re
from pathlib import Path

import numpy as np

import minigan as mg
from minigan.engine import PRIMITIVES

ROOT = Path(__file__).parents[2]


def blocks(document, language):
    """The code blocks of a Markdown file, without their indentation."""
    result = re.findall(rf"^( *)```{language}\n(.*?)^ *```", (ROOT / document).read_text(), re.M | re.S)
    return [re.sub(rf"^{indent}", "", body, flags=re.M) for indent, body in result]


def test_the_readmes_library_example_runs():
    example = next(block for block in blocks("README.md", "python") if "import minigan as mg" in block)
    names = {}
    exec(example, names)
    assert np.isfinite(names["loss"].item())
    np.testing.assert_allclose(names["slope"].data, [3, 12])
    second, = mg.grad(mg.grad((names["u"] ** 3).sum(), [names["u"]], create_graph=True)[0].sum(), [names["u"]])
    np.testing.assert_allclose(second.data, [6, 12])


def test_the_page_about_the_engine_is_true():
    results = doctest.testfile(str(ROOT / "docs/engine.md"), module_relative=False)
    assert results.failed == 0
    assert results.attempted > 5


def test_the_readme_shows_conv2d_as_it_is():
    shown = next(block for block in blocks("README.md", "python") if "def conv2d" in block)
    docstring = " ".join(PRIMITIVES["conv2d"].__doc__.split())
    assert " ".join(re.search(r'"""(.*?)"""', shown, re.S)[1].split()) in docstring


def test_every_link_and_file_named_in_the_readme_exists():
    text = (ROOT / "README.md").read_text()
    named = re.findall(r"\]\(([^)#]+)\)", text)
    named += re.findall(r"`((?:minigan|kernels|tests|examples|benchmarks)/[\w/.]+)`", text)
    assert named
    assert [name for name in named if "://" not in name and not (ROOT / name).exists()] == []
