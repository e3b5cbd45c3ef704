"""What docs/one_step.md tells a reader to read, and how much that is: `python docs/ext/one_step.py`.

The page names functions; they are looked up in the source files, so that the numbers are counted, not typed.
"""

import re
from pathlib import Path
from typing import NamedTuple

from minigan.teach.reading import source

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "one_step.md"
ROW = re.compile(r"^\| (\d*) ?\| \[([\w/.]+)\]\(\.\./\2\) \| ([^|]+) \|", re.M)
READ = re.compile(r"^Read ([^\[]+?)\s+in\s+\[([\w/.]+)\]\(\.\./\2\)\.$", re.M)
CODE = re.compile(r"`([^`]+)`")


class Reading(NamedTuple):
    """A file, the functions in it that the page names, and whether it says to read them."""

    file: str
    functions: list[str]
    read: bool

    def lines(self) -> int:
        """Lines of these functions, with their docstrings and comments."""
        return sum(len(source(ROOT / self.file, name).splitlines()) for name in self.functions)


def algorithm(page: str) -> list[Reading]:
    """The stops of part 1."""
    return [Reading(file, CODE.findall(names), True) for names, file in READ.findall(page)]


def end_to_end(page: str) -> list[Reading]:
    """The rows of part 2."""
    return [Reading(file, CODE.findall(names), bool(number)) for number, file, names in ROW.findall(page)]


def size(stops: list[Reading]) -> tuple[int, int]:
    """Files and lines to read."""
    return sum(stop.read for stop in stops), sum(stop.lines() for stop in stops if stop.read)


if __name__ == "__main__":
    for title, stops in (("the algorithm", algorithm(PAGE.read_text())), ("end to end", end_to_end(PAGE.read_text()))):
        print("{}: {} files, {} lines to read, in {} files".format(title, *size(stops), len(stops)))
        for stop in stops:
            print(f"  {stop.lines() if stop.read else '':>4}  {stop.file:32} {', '.join(stop.functions)}")
