"""The documentation: `sphinx-build -W --keep-going docs OUT`. It needs no network, neither to build nor to read.

Lessons are executed when the site is built, and their output is not stored: every number on a page is computed anew.
"""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "ext"))
os.environ["MATPLOTLIBRC"] = str(DOCS / "matplotlibrc")  # one style for all pictures, also in the lessons' kernels
for variable in ("OPENBLAS_NUM_THREADS", "MINIGAN_THREADS"):
    os.environ.setdefault(variable, "1")  # a lesson's arrays are small

import minigan  # noqa: E402

project, author, copyright = "minigan", "minigan maintainers", "minigan maintainers"
version = release = minigan.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "formulas", "docstrings", "derivations", "modules",
              "sources", "handouts"]
exclude_patterns = ["ext", "images", "static"]

# Lessons: Markdown with code cells.
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_dmath_double_inline = False
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_execution_in_temp = True
nb_merge_streams = True
extensions += ["course", "graphs"]  # the index, and the rules of lessons on graphs

# Reference: see ext/docstrings.py.
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the signature has them
autodoc_default_options = {"members": True, "show-inheritance": True}
add_module_names = False

html_theme = "furo"
html_title = "minigan"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
pygments_style = "default"
highlight_language = "none"  # for blocks without a language: file trees, formulas
