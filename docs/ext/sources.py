"""Links to source files, `[minigan/losses.py](../minigan/losses.py)`, open a page with the highlighted file.

In the repository such a link leads to the file. On the site it would download the file; instead, every source file gets
a page, and the link leads there.
"""

from pathlib import Path

from docutils import nodes
from sphinx import addnodes

ROOT = Path(__file__).parents[2]
FOLDERS = ("minigan", "kernels", "examples")
LANGUAGES = {".py": "python", ".c": "c", ".h": "c", ".inc": "c", ".cu": "cuda", ".cuh": "cuda"}


def page_of(path):
    """The page of a source file: "source/minigan/losses.py"."""
    return f"source/{path.relative_to(ROOT).as_posix()}"


def is_source(path):
    """Whether a file has a page."""
    return path.suffix in LANGUAGES and any(ROOT / folder in path.parents for folder in FOLDERS)


def _relink(app, tree):
    if app.builder.format != "html":
        return
    name = app.env.docname
    for node in list(tree.findall(addnodes.download_reference)):
        path = (Path(app.env.doc2path(name)).parent / node["reftarget"]).resolve()
        if is_source(path):
            address = app.builder.get_relative_uri(name, page_of(path))
            node.replace_self(nodes.reference("", "", *node.children, refuri=address, internal=True))


def _pages(app):
    if app.builder.format != "html":
        return
    for path in sorted(filter(is_source, (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.*")))):
        title = path.relative_to(ROOT).as_posix()
        code = app.builder.highlighter.highlight_block(path.read_text(encoding="utf-8"), LANGUAGES[path.suffix])
        yield page_of(path), {"title": title, "body": f"<h1>{title}</h1>{code}"}, "page.html"


def setup(app):
    """Change the links of each page before its downloads are collected, at priority 500; write the pages."""
    app.connect("doctree-read", _relink, priority=400)
    app.connect("html-collect-pages", _pages)
    return {"parallel_read_safe": True}
