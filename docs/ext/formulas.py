"""Formulas are drawn by MathJax, from a file that comes with the site; here they are also checked during the build.

A misspelt command would only be seen in a browser, in red. So docutils, which knows a part of LaTeX, also parses each
formula; a formula that it does not understand gives a warning, which -W turns into an error.
"""

import importlib.util
import re
import shutil
from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

from minigan.errors import not_installed

PACKAGE = "sphinx-mathjax-offline"
MATHJAX = "tex-svg-full.js"  # draws outlines, so it needs no fonts, which browsers refuse to load from a disk
ALSO = {"dots": r"\\ldots", "iff": r"\\Leftrightarrow", "implies": r"\\Rightarrow", "texttt": r"\\text",
        "mathrel": "", "boldsymbol": r"\\mathbf", "tag": r"\\text"}  # MathJax knows these, docutils does not
logger = logging.getLogger(__name__)


def _check(app, tree):
    for node in tree.findall(lambda node: isinstance(node, nodes.math | nodes.math_block)):
        tex = re.sub(r"\\[bB]igg?[lrm]?(?![a-z])", "", node.astext().strip())
        for command, known in ALSO.items():
            tex = re.sub(rf"\\{command}(?![a-zA-Z])", known, tex)
        try:
            tex2mathml(tex)
        except MathError as error:
            logger.warning("formula %r: %s", tex, error, location=node)


def _bring(app, error):
    if error is None and app.builder.format == "html":
        package = Path(importlib.util.find_spec(PACKAGE).origin).parent
        folder = Path(app.outdir, "_static", "mathjax")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(package / "static" / "mathjax" / MATHJAX, folder / MATHJAX)


def setup(app):
    """Check the formulas of each page that has been read; copy MathJax to the site when all pages are written."""
    if importlib.util.find_spec(PACKAGE) is None:  # seen before the lessons are run, not after
        raise ModuleNotFoundError(not_installed(PACKAGE, "the site"))
    app.config.mathjax_path = f"mathjax/{MATHJAX}"
    app.connect("doctree-read", _check)
    app.connect("build-finished", _bring)
    return {"parallel_read_safe": True}
