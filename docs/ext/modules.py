"""The page of modules names them in an order that reads well, but a new file needs no line there.

`.. automodule:: minigan.data.*` brings every public module of the package that the page does not name. A module is
public if it has `__all__`.
"""

import importlib
import pkgutil
import re

PAGE = "reference/api"
NAMED = re.compile(r"^\.\. automodule:: ([\w.]+)$", re.M)
OTHERS = re.compile(r"^\.\. automodule:: ([\w.]+)\.\*$", re.M)


def completed(text):
    """The page with each `.*` replaced by a line per module."""
    named = set(NAMED.findall(text))
    return OTHERS.sub(lambda line: "\n".join(
        f".. automodule:: {name}" for name in public(line[1]) if name not in named), text)


def public(package):
    """The modules of a package that have `__all__`, by full name."""
    names = (f"{package}.{module.name}" for module in pkgutil.iter_modules(importlib.import_module(package).__path__)
             if not module.name.startswith("_"))
    return [name for name in names if hasattr(importlib.import_module(name), "__all__")]


def _complete(app, docname, source):
    if docname == PAGE:
        source[0] = completed(source[0])


def setup(app):
    """Complete the page when Sphinx reads it."""
    app.connect("source-read", _complete)
    return {"parallel_read_safe": True}
