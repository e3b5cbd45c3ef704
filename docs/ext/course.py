"""The course's index: a table of the lessons and a drawing of what builds on what, both read from the lessons' heads.

Each lesson begins with a quotation, after its title:

    > **Before this**: [lesson 1](01_chain_rule.md), what else. **Time**: about 60 minutes. **Difficulty**: 2 of 3.
    >
    > **Afterwards you can** ...

`<!-- course: table -->` and `<!-- course: graph -->` in lessons/index.md are replaced when Sphinx reads the page.
"""

import html
import re
from pathlib import Path
from typing import NamedTuple

from minigan.teach.explain.layout import curve, layout

FOLDER = Path(__file__).parents[1] / "lessons"
PAGE = "lessons/index"
HEAD = re.compile(r"^# (\d+)\. (.+?)\n\n((?:>.*\n)+)", re.M)
LINE = re.compile(r"\*\*Before this\*\*: (.+?)\. \*\*Time\*\*: about (\d+) minutes\. "
                  r"\*\*Difficulty\*\*: ([123]) of 3\. \*\*Afterwards you can\*\* (.+)\.$")
LINK = re.compile(r"\]\((\d\d_\w+)\.md\)")
BOX, SPACING, CHARACTER = 54.0, 19.0, 8.6  # heights of a box and of a line, a character's width, in pixels


class Lesson(NamedTuple):
    """The head of a lesson; `before` are the names of the lessons that it builds on."""

    name: str
    number: int
    title: str
    before: list[str]
    before_text: str
    minutes: int
    difficulty: int
    goals: str

    @property
    def lines(self) -> tuple[str, str]:
        """Number and words of the file's name in two lines of about equal length, for a box."""
        words = [str(self.number), *self.name.split("_")[1:]]
        cuts = [(" ".join(words[:i]), " ".join(words[i:])) for i in range(1, len(words))]
        return min(cuts, key=lambda cut: max(map(len, cut)))


def lesson(path: Path) -> Lesson:
    """Read the head of a lesson.

    Raises:
        ValueError: it has none, or it is not of the form above.
    """
    head = HEAD.search(path.read_text(encoding="utf-8"))
    quoted = " ".join(re.sub(r"^> ?", "", head[3], flags=re.M).split()) if head else ""
    line = LINE.fullmatch(quoted)
    if head is None or line is None:
        raise ValueError(f"{path.name}: its head is not of the form that docs/ext/course.py describes; it reads: "
                         f"{quoted}")
    return Lesson(path.stem, int(head[1]), head[2], LINK.findall(line[1]), line[1], int(line[2]), int(line[3]), line[4])


def lessons() -> list[Lesson]:
    """All lessons, in order."""
    return [lesson(path) for path in sorted(FOLDER.glob("[0-9]*_*.md"))]


def table(course: list[Lesson]) -> str:
    """A row per lesson, in Markdown."""
    rows = [f"| [{x.number}. {x.title}]({x.name}.md) | {x.before_text} | {x.minutes} | {x.difficulty} |"
            for x in course]
    total = sum(x.minutes for x in course)
    return "\n".join(["| lesson | before it | minutes | difficulty |", "|---|---|--:|--:|", *rows,
                      f"| | | {total // 60} hours | |"])


def needed(course: list[Lesson]) -> list[tuple[str, str]]:
    """Arrows (before, after) without those that follow from others."""
    before = {x.name: set(x.before) for x in course}
    every: dict[str, set[str]] = {}
    for x in course:  # a lesson comes after those that it builds on
        every[x.name] = set().union(*(every[name] | {name} for name in x.before)) if x.before else set()
    return [(name, x.name) for x in course for name in x.before
            if not any(name in every[other] for other in before[x.name] - {name})]


def graph(course: list[Lesson]) -> str:
    """An SVG whose boxes lead to the lessons."""
    widths = {x.name: 20 + CHARACTER * max(map(len, x.lines)) for x in course}
    drawing = layout(widths, needed(course))
    parts = [f'<svg viewBox="0 0 {drawing.width + 4:.0f} {drawing.height:.0f}" role="img" '
             'aria-label="which lesson builds on which">']
    for _, _, points in drawing.edges:
        parts.append(f'<path d="{curve(points, BOX)}"/>')
    for x in course:
        (centre, y), width = drawing.centre[x.name], widths[x.name]
        parts.append(f'<a href="{x.name}.html"><title>{html.escape(x.title)}</title>'
                     f'<rect class="level{x.difficulty}" x="{centre - width / 2 + 2:.0f}" y="{y - BOX / 2:.0f}" '
                     f'width="{width:.0f}" height="{BOX:.0f}" rx="9"/>'
                     + "".join(f'<text x="{centre + 2:.0f}" y="{y + row * SPACING + 5:.0f}">{html.escape(line)}</text>'
                               for row, line in zip((-0.5, 0.5), x.lines, strict=True)) + "</a>")
    return "\n".join(['<div class="course">', *parts, "</svg></div>"])


def _fill(app, docname, source):
    if docname == PAGE:
        course = lessons()
        drawn = f"```{{raw}} html\n{graph(course)}\n```"
        source[0] = source[0].replace("<!-- course: table -->", table(course)).replace("<!-- course: graph -->", drawn)


def setup(app):
    """Fill the index when Sphinx reads it."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True}
