"""The way a program takes through our files, in the order of first call: for reading a training step as it runs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from minigan import kernels
from minigan.errors import OptionError

PACKAGE, KERNELS = Path(__file__).resolve().parent.parent, Path(kernels.__file__).resolve().parent


class Stop(NamedTuple):
    """A file on the way.

    file       its path from the top of the project: "minigan/optim/rules.py"
    functions  what runs in it, in the order of first call, and its first and last line: {"Adam.update": (201, 204)}
    """

    file: str
    functions: dict[str, tuple[int, int]]

    @property
    def lines(self) -> int:
        """Lines of the functions that run, with their docstrings and comments."""
        return sum(last - first + 1 for first, last in self.functions.values())


class Way(NamedTuple):
    """The way from `first` to the end of `last`; see `follow`.

    frames  the calls that lead from the program to `last`, the program first: ["main", ..., "GAN.update"]
    stops   the files of these calls, then every other file in the order of first call
    """

    frames: list[str]
    stops: list[Stop]


def follow(program: Callable[[], Any], first: Callable[..., Any], last: Callable[..., Any], time: int = 2) -> Way:
    """Run a program, and note its way through our files from the `time`-th call of `first` until `last` returns.

    Only the thread that calls is watched: with several threads, part of a kernel may run where nobody looks; call
    `mg.set_threads(1)` before.

    Raises:
        OptionError: the program never came there.

    >>> from minigan import optim
    >>> way = follow(lambda: optim.schedule("linear", 4), optim.schedule, optim.schedule, time=1)
    >>> [(stop.file, *stop.functions) for stop in way.stops if stop.file.startswith("minigan/optim")]
    [('minigan/optim/schedules.py', 'schedule', 'SCHEDULES', 'linear_decay')]
    """
    recorder = _Recorder(_code(program), _code(first), _code(last), time)
    before = sys.getprofile()
    sys.setprofile(recorder)
    try:
        program()
    finally:
        sys.setprofile(before)
    if not recorder.frames:
        raise OptionError(f"follow: the program did not come from call {time} of {first.__qualname__} to "
                          f"{last.__qualname__}; it called the first {recorder.calls} times")
    functions: dict[str, dict[str, tuple[int, int]]] = {}
    for code in (*recorder.frames, *recorder.codes):
        if (file := _project_path(code.co_filename)) is not None:
            name, lines = _statement(code)
            functions.setdefault(file, {})[name] = lines
    return Way([_statement(code)[0] for code in recorder.frames], [Stop(*item) for item in functions.items()])


class _Recorder:
    """What sys.setprofile calls: notes the code that runs between two points."""

    def __init__(self, program: CodeType, first: CodeType, last: CodeType, time: int) -> None:
        self.program, self.first, self.last, self.time, self.calls = program, first, last, time, 0
        self.on = False
        self.codes: dict[CodeType, None] = {}  # a set in order
        self.frames: list[CodeType] = []

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code is self.first:
            self.calls += 1
            self.on = self.on or self.calls == self.time
        if not self.on or event not in ("call", "return"):
            return
        if event == "call":
            self.codes.setdefault(code)
        elif code is self.last:
            self.on, self.frames = False, self._frames(frame)

    def _frames(self, frame: FrameType | None) -> list[CodeType]:
        """The calls from the program to a frame."""
        codes = []
        while frame is not None:
            codes.append(frame.f_code)
            if frame.f_code is self.program:
                break
            frame = frame.f_back
        return codes[::-1]


def _code(function: Callable[..., Any]) -> CodeType:
    """The code of a function or method."""
    code: CodeType = getattr(function, "__func__", function).__code__
    return code


def _project_path(file: str) -> str | None:
    """A file's path from the top of the project, where kernels/ stands beside minigan/; None for files of others."""
    path = Path(file).resolve()
    for folder, top in ((KERNELS, KERNELS), (PACKAGE, PACKAGE), (PACKAGE.parent / "examples",) * 2):
        if folder in path.parents:
            return f"{top.name}/{path.relative_to(folder).as_posix()}"
    return None


def source(path: Path, name: str) -> str:
    """The text of a function, class, method or statement of a file, by its name as in `Stop.functions`.

    Raises:
        OptionError: there is nothing of that name in the file.

    >>> print(source(Path(__file__), "Stop.lines").splitlines()[-1].strip())
    return sum(last - first + 1 for first, last in self.functions.values())
    """
    lines = [(first, last) for known, first, last in _statements(str(path)) if known == name]
    if not lines:
        raise OptionError(f"{path}: there is no {name}")
    text = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(text[lines[0][0] - 1:lines[-1][1]])


def _statement(code: CodeType) -> tuple[str, tuple[int, int]]:
    """The function, method or statement that code is written in, and its lines; a lambda's is the one around it."""
    for name, first, last in _statements(code.co_filename):
        if first <= code.co_firstlineno <= last:  # classes come after what is in them
            return name, (first, last)
    return code.co_qualname, (code.co_firstlineno, code.co_firstlineno)


@cache
def _statements(file: str) -> list[tuple[str, int, int]]:
    """(name, first line, last line) of what a file is made of: functions, the parts of its classes, statements."""
    path = Path(file)
    if path.suffix != ".py" or not path.is_file():  # a notebook's cell, a session
        return []
    return list(_named(ast.parse(path.read_text(encoding="utf-8")).body, ""))


def _named(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, int, int]]:
    for node in body:
        first = min((d.lineno for d in getattr(node, "decorator_list", [])), default=node.lineno)
        if isinstance(node, ast.ClassDef):
            yield from _named(node.body, f"{prefix}{node.name}.")
            yield prefix + node.name, first, node.end_lineno or first
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, first, node.end_lineno or first
        else:
            yield prefix + _target(node), first, node.end_lineno or first


def _target(node: ast.stmt) -> str:
    """What a statement defines, as written: `non_saturating` of an assignment, `conv2d.defvjp` of a call."""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
    return ast.unparse(node).partition("(")[0]
