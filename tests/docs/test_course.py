"""The course's aids: heads of the lessons, the index made of them, notation, glossary, graphs that lead back."""

import re
import sys
from pathlib import Path

import pytest

from minigan.engine import OPERATIONS
from minigan.teach.references import LESSONS, lesson_of

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "ext"))
import course
import graphs

COURSE = course.lessons()


def test_every_lesson_comes_after_those_that_it_builds_on():
    numbers = {x.name: x.number for x in COURSE}
    assert list(numbers.values()) == list(range(1, 19))
    for x in COURSE:
        assert all(numbers[name] < x.number for name in x.before), x.name
        assert 20 <= x.minutes <= 180 and len(x.goals) > 60


def test_the_arrows_are_the_fewest_from_which_all_others_follow():
    arrows = course.needed(COURSE)

    def reached(start, without):
        ends = [end for begin, end in arrows if begin == start and (begin, end) != without]
        return set(ends).union(*(reached(end, without) for end in ends)) if ends else set()

    assert all(end not in reached(start, (start, end)) for start, end in arrows)
    assert all(x.name in reached(before, None) for x in COURSE for before in x.before)


def test_the_drawing_has_a_box_and_a_link_for_each_lesson_and_nothing_overlaps():
    svg = course.graph(COURSE)
    assert re.findall(r'<a href="(\w+)\.html">', svg) == [x.name for x in COURSE]
    boxes = [tuple(map(float, box)) for box in re.findall(r'x="([-\d.]+)" y="([-\d.]+)" width="([\d.]+)" height', svg)]
    assert len(boxes) == len(COURSE)
    for i, (x, y, width) in enumerate(boxes):
        assert all(y != other_y or x + width <= other or other + other_width <= x
                   for other, other_y, other_width in boxes[i + 1:])


def test_a_head_of_another_form_stops_the_build(tmp_path):
    path = tmp_path / "19_new.md"
    path.write_text("# 19. New\n\n> **Before this**: nothing. **Time**: long.\n\nText.\n")
    with pytest.raises(ValueError, match=r"19_new\.md: its head is not of the form"):
        course.lesson(path)


@pytest.mark.parametrize("x", COURSE, ids=lambda x: x.name)
def test_a_lesson_ends_with_three_questions_and_folded_answers(x):
    text = (course.FOLDER / f"{x.name}.md").read_text()
    end = text.split("## Test yourself\n")[1]
    answers = re.findall(r"<details><summary>([^<$]+\?)</summary>\n\n(.+?)\n\n</details>\n", end, re.S)
    assert len(answers) == 3 and end.count("<details>") == 3  # no formula in a question: summaries are not typeset
    assert all(len(answer) > 20 for _, answer in answers)


def test_the_glossary_is_sorted_and_leads_to_lessons():
    text = (course.FOLDER / "glossary.md").read_text()
    words = re.findall(r"^\*\*(.+?)\*\*:", text, re.M)
    assert words == sorted(words, key=str.lower) and len(words) > 40
    entries = text.split("\n\n")[2:]
    for entry in entries:
        links = re.findall(r"\[(\d+)\]\((\d\d)_\w+\.md\)", entry)
        assert links and all(int(number) == int(name) for number, name in links), entry
        assert all((course.FOLDER / name).exists() for name in re.findall(r"\]\((\w+\.md)\)", entry))


def test_letters_of_the_notation_are_not_used_for_something_else():
    """The ones that once were double: the column of a pixel, matrix, extra rows, variance, projection, norm."""
    def text(number):
        return next(course.FOLDER.glob(f"{number:02}_*.md")).read_text()

    assert "x_{n,c,h,v}" in text(3) and "x_{n,c,h,w}" not in text(3)
    for number, letter in ((2, r"\bP\b"), (2, r"\bv\b"), (3, r"y = C ?x"), (5, r"\bu_m\b"), (6, r"\bv\b"),
                           (10, r"\bn\b"), (10, r"\bq\b")):
        formulas = " ".join(re.findall(r"\$+[^$]+\$+", re.sub(r"```.*?```", "", text(number), flags=re.S)))
        assert not re.search(letter, re.sub(r"\\\w+|\\text\{[^}]*\}", " ", formulas)), (number, letter)


# ---- explanations and lessons ----
def test_operations_lead_to_lessons_that_exist():
    assert all((course.FOLDER / f"{name}.md").exists() for name in LESSONS)
    assert lesson_of("conv2d") == "03_convolution_matrix" and lesson_of("reshape") == ""
    assert set().union(*LESSONS.values()) <= set(OPERATIONS)


@pytest.mark.parametrize("lesson", graphs.GRAPHS)
def test_the_graph_of_a_lesson_leads_back_to_it(lesson):
    page = graphs.page(lesson)
    assert f'<a href="../{lesson}.html">derived in lesson {int(lesson[:2])}</a>' in page
    assert set(re.findall(r'href="\.\./(\w+)\.html"', page)) <= set(LESSONS)
    text = graphs.linked((course.FOLDER / f"{lesson}.md").read_text(), lesson)
    assert f'href="graphs/{lesson}.html"' in text.partition("## ")[0]


def test_a_step_names_its_lesson_where_there_is_no_site():
    import minigan as mg
    from minigan import ops

    x = mg.tensor([1.0, 2.0], requires_grad=True)
    explanation = mg.explain(ops.sum(ops.tanh(x)))
    for text in (explanation.text(), explanation.markdown().replace("\\", ""), explanation.html()):
        assert "derived in lesson 1, docs/lessons/01_chain_rule.md" in text
    assert "href=\"../" not in explanation.html()
