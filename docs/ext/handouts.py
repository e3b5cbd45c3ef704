"""What a lesson's page brings beside itself: a notebook to download, and slides made from the executed page.

    notebooks/NN_name.ipynb    the lesson without its output, with a first cell that installs what is missing
    notebooks/exercises/       the exercises' notebooks for students, and the .py files
    slides/NN_name.html        per heading its formulas, code, numbers and pictures, and the first sentence of each
                               paragraph; the rest of the text is notes (press n). Keys: arrows, space, n; printing
                               gives one slide per page

Links to both stand at the end of each lesson; `<div id="handouts"></div>` on any page becomes a list of all of them.
"""

import html
import json
import re
import shutil
from pathlib import Path
from string import Template

from bs4 import BeautifulSoup, NavigableString, Tag

from minigan.teach import exercise, lesson

DOCS = Path(__file__).parents[1]
LESSON = re.compile(r"lessons/(\d\d_\w+|problem_set)$")
LIST = '<div id="handouts"></div>'
FULL = 15  # lines on a slide, roughly
SENTENCE = re.compile(r"[.?!](?=\s+[A-Z(]|\s+$)")  # also one that ends where a formula or a word in code follows
PARTS = Path(__file__).parent / "slides"
PAGE = Template((PARTS / "page.html").read_text(encoding="utf-8"))


# ---- slides ----
def slides(body, page):
    """The slides of a page, from the HTML of its body."""
    soup = BeautifulSoup(body, "html.parser")
    top = soup.find("section")
    title = top.find("h1")
    made = [_slide(title, _split(top), first=True)]
    for section in top.find_all("section", recursive=False):
        heading = section.find(["h2", "h3"])
        for number, blocks in enumerate(_chunks(_split(section))):
            made.append(_slide(heading, blocks, number=number))
    text = _words(title)
    return PAGE.substitute(title=html.escape(text), slides="\n".join(made), page=page)


def _words(heading):
    return "".join(child.get_text() for child in heading.children
                   if not (isinstance(child, Tag) and "headerlink" in child.get("class", []))).strip()


def _split(section):
    """(what a slide shows, what its notes hold, its lines) for each block of a section, without inner sections."""
    blocks = []
    for block in section.find_all(True, recursive=False):
        if block.name in ("section", "h1", "h2", "h3") or block.get("class") == ["downloads"]:
            continue
        if block.name == "p":
            head, rest = _first_sentence(block)
            blocks.append((head, rest, 2))
        elif block.name == "blockquote":
            blocks.append(("", str(block), 0))
        elif "cell" in block.get("class", []):
            blocks += [(str(part), "", _lines(part)) for part in block.find_all(True, recursive=False)]
        else:
            blocks.append((str(block), "", _lines(block)))
    return blocks


def _first_sentence(paragraph):
    """The HTML of a paragraph's first sentence, and of the rest."""
    children = list(paragraph.children)
    for i, child in enumerate(children):
        end = SENTENCE.search(child) if isinstance(child, NavigableString) and child is not children[-1] else None
        end = end or (isinstance(child, NavigableString) and SENTENCE.search(child.rstrip()))
        if end:
            head = "".join(map(_html, children[:i])) + html.escape(child[:end.end()], quote=False)
            rest = html.escape(child[end.end():], quote=False) + "".join(map(_html, children[i + 1:]))
            return f"<p>{head}</p>", f"<p>{rest.strip()}</p>"
    return str(paragraph), ""


def _html(node):
    """An element, or text, as HTML."""
    return html.escape(node, quote=False) if isinstance(node, NavigableString) else str(node)


def _lines(block):
    """How many lines of a slide a block takes."""
    if block.find("img"):
        return 9
    if block.name in ("table", "ul", "ol") or block.find(["table", "ul", "ol"]):
        return 1 + len(block.find_all(["tr", "li"]))
    text = block.get_text().strip("\n")
    if block.name != "details" and block.select_one("div.math"):
        return 4
    return 2 if block.name == "details" else 1 + text.count("\n") * 2 // 3


def _chunks(blocks):
    """Blocks in groups that fit a slide; one that is too long stands alone."""
    group, size = [], 0
    for block in blocks:
        if group and size + block[2] > FULL:
            yield group
            group, size = [], 0
        group.append(block)
        size += block[2]
    if any(shown for shown, _, _ in group):
        yield group


def _slide(heading, blocks, number=0, first=False):
    level, words = "h1" if first else "h2", html.escape(_words(heading))
    shown = "\n".join(shown for shown, _, _ in blocks)
    notes = "".join(rest for _, rest, _ in blocks)
    more = f" ({number + 1})" if number else ""
    aside = f'<aside class="notes">{notes}</aside>' if notes else ""
    return f'<section{" class=first" if first else ""}><{level}>{words}{more}</{level}>\n{shown}\n{aside}</section>'


# ---- notebooks ----
def notebooks(folder):
    """Write the notebook of every lesson into a folder, and the exercises into one below it."""
    inner = folder / "exercises"
    inner.mkdir(parents=True, exist_ok=True)
    for path in lessons():
        _write(folder / f"{path.stem}.ipynb", lesson.notebook(path.read_text(encoding="utf-8")))
    for path in exercises():
        text = path.read_text(encoding="utf-8")
        (inner / path.name).write_text(text, encoding="utf-8")
        _write(inner / f"{path.stem}.ipynb", exercise.notebook(text))


def lessons():
    """The files of all lessons, the problem set last."""
    folder = DOCS / "lessons"
    return [*sorted(folder.glob("[0-9][0-9]_*.md")), folder / "problem_set.md"]


def exercises():
    """The exercises' files for students."""
    return [DOCS / "exercises" / path.name for path in sorted((DOCS / "exercises/solutions").glob("*.py"))]


def _write(path, notebook):
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


# ---- the site ----
def links(name, root):
    """Links to a lesson's handouts from a page whose way to the site's root is `root`."""
    return (f'<a href="{root}notebooks/{name}.ipynb" download>notebook</a> · '
            f'<a href="{root}slides/{name}.html">slides</a>')


def listing(root):
    """All handouts as an HTML list."""
    rows = []
    for path in lessons():
        title = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), re.M)[1]
        page = f'<a href="{root}lessons/{path.stem}.html">{html.escape(title)}</a>'
        rows.append(f"<li>{page}: {links(path.stem, root)}</li>")
    for path in exercises():
        files = " · ".join(f'<a href="{root}notebooks/exercises/{path.stem}{end}" download>{path.stem}{end}</a>'
                           for end in (".py", ".ipynb"))
        rows.append(f"<li>exercises: {files}</li>")
    return "<ul>\n" + "\n".join(rows) + "\n</ul>"


def _page(app, pagename, templatename, context, doctree):
    if app.builder.format != "html" or doctree is None:
        return
    root = "../" * pagename.count("/")
    if match := LESSON.match(pagename):
        folder = Path(app.outdir, "slides")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{match[1]}.html").write_text(slides(context["body"], pagename), encoding="utf-8")
        context["body"] += f'<p class="downloads">Take it with you: {links(match[1], root)}</p>'
    context["body"] = context["body"].replace(LIST, listing(root))


def _finish(app, error):
    if error is None and app.builder.format == "html":
        notebooks(Path(app.outdir, "notebooks"))
        for name in ("slides.css", "slides.js"):
            shutil.copyfile(PARTS / name, Path(app.outdir, "_static", name))


def setup(app):
    """Make slides from each page that is written, notebooks when all are."""
    app.connect("html-page-context", _page)
    app.connect("build-finished", _finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
