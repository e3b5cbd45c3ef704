"""Slides from an executed page, notebooks for every lesson, and a lecturer's page that names what exists."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "ext"))
handouts = pytest.importorskip("handouts", reason="BeautifulSoup is not installed (it comes with the extra docs)")

MATH = '<span class="math">\\(x &lt; 1\\)</span>'
BODY = f"""<section id="a"><h1>3. A title<a class="headerlink" href="#a">#</a></h1>
<blockquote><p>Before this: nothing.</p></blockquote>
<p>One &amp; two {MATH}. Three &lt; four. Five.</p>
<section id="b"><h2>First part</h2>
<p>It has {MATH}. {MATH} is more.</p>
<div class="math-wrapper"><div class="math">\\[y = x\\]</div></div>
<div class="cell docutils container"><div class="cell_input"><pre>print(1)
print(2)</pre></div><div class="cell_output"><pre>1
2</pre><img src="../_images/p.png"></div></div>
<ul><li>a</li><li>b</li></ul>
</section>
<section id="c"><h2>Test yourself</h2><details><summary>Why?</summary><p>Because.</p></details></section>
</section>"""


def parts(page):
    """(shown, notes) of every slide."""
    made = re.findall(r"<section.*?</section>", page, re.S)
    return [tuple(slide.partition('<aside class="notes">')[::2]) for slide in made]


def test_a_slide_shows_formulas_code_results_and_first_sentences():
    page = handouts.slides(BODY, "lessons/03_a")
    slides = parts(page)
    assert [re.search(r"<h\d>(.*?)</h", shown)[1] for shown, _ in slides] == [
        "3. A title", "First part", "First part (2)", "Test yourself"]
    assert f"<p>One &amp; two {MATH}.</p>" in slides[0][0]
    assert "Three &lt; four. Five." in slides[0][1] and "Before this" in slides[0][1]
    assert f"<p>It has {MATH}.</p>" in slides[1][0] and "is more" in slides[1][1]
    everything = "".join(shown for shown, _ in slides)
    for shown in (r"\[y = x\]", "print(2)", "<pre>1\n2</pre>", "../_images/p.png", "<li>b</li>", "<summary>Why?"):
        assert shown in everything
    assert '<a href="../lessons/03_a.html">' in page


def test_slides_load_nothing_from_a_network():
    page = handouts.slides(BODY, "lessons/03_a")
    loaded = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert loaded and all(name.startswith("../") for name in loaded)
    for name in ("slides.css", "slides.js"):
        text = (handouts.PARTS / name).read_text("utf-8")
        assert "http" not in text and "url(" not in text and "@import" not in text


def test_a_long_part_becomes_several_slides():
    paragraphs = "".join(f"<p>Number {i}.</p>" for i in range(20))
    page = handouts.slides(f"<section><h1>T</h1><section><h2>P</h2>{paragraphs}</section></section>", "lessons/01_t")
    slides = parts(page)[1:]
    assert len(slides) == 3 and [shown.count("<p>") for shown, _ in slides] == [7, 7, 6]


def test_every_lesson_has_a_notebook_and_the_exercises_have_two_files(tmp_path):
    handouts.notebooks(tmp_path)
    names = {path.stem for path in handouts.lessons()}
    assert {path.stem for path in tmp_path.glob("*.ipynb")} == names and len(names) >= 16 and "problem_set" in names
    for path in tmp_path.rglob("*.ipynb"):
        assert json.loads(path.read_text("utf-8"))["nbformat"] == 4
        assert "BEGIN SOLUTION" not in path.read_text("utf-8")
    assert {path.name for path in (tmp_path / "exercises").iterdir()} == {
        f"{name}{end}" for name in ("vjps", "beyond", "bug_hunt") for end in (".py", ".ipynb")}
    for name in names | {"exercises/vjps"}:
        assert f"notebooks/{name}.ipynb" in handouts.listing("../")


def test_the_lecturers_page_has_eight_weeks_with_every_exercise_and_lesson():
    text = (ROOT / "docs/teaching/index.md").read_text("utf-8")
    weeks = re.findall(r"^\| (\d) \|(.*)\|$", text, re.M)
    assert [int(week) for week, _ in weeks] == list(range(1, 9))
    columns = [row.split("|") for _, row in weeks]
    numbers = {int(n) for column in columns for n in re.findall(r"\b\d+\b", column[2])}
    assert numbers == set(range(1, 21))
    assert {int(n) for column in columns for n in re.findall(r"lessons/(\d\d)_", column[0])} == set(range(1, 19))
    for place in re.findall(r"\]\((\.\./[^)]+)\)", text):
        assert (ROOT / "docs/teaching" / place).exists(), place
    assert handouts.LIST in text and "JupyterLite was not tried" in text
    assert len(re.findall(r"^\|", text.split("## Common wrong answers")[1], re.M)) >= 15
