"""Comparing a derivation with the truth, in words that help a student; exercises without their solutions.

Files with solutions have nbgrader's markers, so nbgrader can grade them as they are:

    ### BEGIN SOLUTION
    return gy * (1 - y * y)
    ### END SOLUTION

and around the checks that its students do not see:

    ### BEGIN HIDDEN TESTS
    check("1 chain rule", neuron_vjp, neuron, ...)
    ### END HIDDEN TESTS
"""

from __future__ import annotations

import builtins
import contextlib
import copy
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import numpy as np

from minigan.engine import Tensor
from minigan.errors import OptionError
from minigan.teach.lesson import install_cell
from minigan.teach.mistakes import kind_of

BLANK = 'raise NotImplementedError("your turn")'
RIGHT = ("exact", "close")
ENGINES = ("minigan", "torch", "jax", "tensorflow", "autograd")  # what an answer may not call
_SOLUTION = re.compile(r"^([ ]*)### BEGIN SOLUTION\n.*?^[ ]*### END SOLUTION\n", re.M | re.S)
_HIDDEN = re.compile(r"^[ ]*### (?:BEGIN|END) HIDDEN TESTS\n", re.M)


def compare(name: str, mine: Any, reference: Any, rtol: float = 1e-6) -> str:
    """Compare `mine` with `reference`; print and return "exact", "close", "wrong" or "not done".

    exact      equal to the last bit
    close      differs by at most `rtol` times the reference's largest element, as rounding does
    wrong      differs by more, has another shape, or raised an error; what is printed says what kind of mistake it
               looks like (a factor, a sign, a transpose, a flip, one axis), where, and by how much
    not done   None, or a function that raises NotImplementedError

    `mine` is an array, a Tensor, or a function without arguments that returns one; `reference` is an array or a Tensor.

    >>> compare("tanh", np.array([1.0, 2.5]), np.array([1.0, 2.0]))
    tanh                             wrong     largest difference 0.5 at (1,): yours 2.5, reference 2
    'wrong'
    """
    verdict, reason = _verdict(mine, _array(reference), rtol)
    _show(name, verdict, reason)
    return verdict


def _show(name: str, verdict: str, reason: str) -> None:
    print(f"{name:<32} {verdict:<9} {reason}".rstrip())


def _array(value: Any) -> np.ndarray:
    return value.numpy() if isinstance(value, Tensor) else np.asarray(value, dtype=np.float64)


def _verdict(mine: Any, reference: np.ndarray, rtol: float) -> tuple[str, str]:
    """The verdict, and the reason for it; "" if there is nothing to add."""
    try:
        function: Callable[[], Any] = mine if callable(mine) else lambda: mine
        value = function()
        array = None if value is None else _array(value)
    except NotImplementedError:
        return "not done", ""
    except Exception as error:  # in the student's code
        return "wrong", f"it raises {type(error).__name__}: {error}"
    if array is None:
        return "not done", ""
    if np.array_equal(array, reference):  # shapes too
        return "exact", ""
    if array.shape != reference.shape:
        return "wrong", _join(kind_of(array, reference, rtol),
                              f"your shape is {array.shape}, the reference's {reference.shape}")
    gap = np.abs(array - reference)
    gap = np.where(np.isnan(gap), np.inf, gap)
    where = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
    reason = (f"largest difference {gap[where]:.3g} at {where}: yours {array[where]:.6g}, "
              f"reference {reference[where]:.6g}")
    if gap[where] <= rtol * np.abs(reference).max():
        return "close", reason
    return "wrong", _join(kind_of(array, reference, rtol), reason)


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def in_notebook() -> bool:
    """Whether this runs in a cell of a notebook, where a wrong answer must be a cell that fails."""
    shell = getattr(builtins, "get_ipython", lambda: None)()  # IPython adds the function while it runs a cell
    return hasattr(shell, "kernel")


# ---- a file of exercises ----
class Sheet:
    """The verdicts on a file of exercises: every answer is tried in several cases, with NumPy alone.

    verdicts   the worst verdict on each exercise, by its name
    """

    def __init__(self) -> None:
        self.verdicts: dict[str, str] = {}
        self._passed: dict[str, str] = {}  # the case that an exercise passed first, in words

    def check(self, name: str, answer: Callable[..., Any], reference: Callable[..., Any], *arguments: Any,
              safe: bool = False, rtol: float = 1e-6) -> None:
        """Compare answer(*arguments) with reference(*arguments). `safe`: no overflow, no 0/0 on the way to it.

        Raises:
            AssertionError: the answer is not right, in a notebook: nbgrader counts cells that fail.
        """
        expected = _array(reference(*copy.deepcopy(arguments)))

        def alone() -> Any:
            strict: Any = np.errstate(over="raise", divide="raise", invalid="raise") if safe else np.errstate()
            with numpy_only(), strict:
                return answer(*copy.deepcopy(arguments))

        self._record(name, *_verdict(alone, expected, rtol), _case(answer, arguments))

    def judge(self, name: str, examine: Callable[[], str]) -> None:
        """Record what `examine` finds wrong in an answer; "" if nothing is. It may raise NotImplementedError."""
        try:
            reason = examine()
            verdict = "wrong" if reason else "exact"
        except NotImplementedError:
            verdict, reason = "not done", ""
        except Exception as error:  # in the student's code
            verdict, reason = "wrong", f"it raises {type(error).__name__}: {error}"
        self._record(name, verdict, reason, "")

    def _record(self, name: str, verdict: str, reason: str, case: str) -> None:
        before = self.verdicts.get(name)
        if before in (*RIGHT, None):
            self.verdicts[name] = max(before or verdict, verdict, key=("exact", "close", "not done", "wrong").index)
            if before is not None and verdict not in RIGHT and case:
                reason = f"right with {self._passed[name]}, but not with {case}: {reason}"
            if before is None or verdict not in RIGHT:
                _show(name, verdict, reason)
            self._passed.setdefault(name, case)
        assert self.verdicts[name] in RIGHT or not in_notebook(), f"{name}: {reason or verdict}"

    def end(self) -> None:
        """Count the right answers and leave Python: status 0 if all are right, 1 if not. In a notebook: do nothing."""
        if in_notebook():
            return
        right = sum(verdict in RIGHT for verdict in self.verdicts.values())
        print(f"{right} of {len(self.verdicts)} right")
        sys.exit(right < len(self.verdicts))


def _case(answer: Callable[..., Any], arguments: tuple[Any, ...]) -> str:
    """Arguments in words: arrays by their shapes, numbers as they are."""
    values = zip(inspect.signature(answer).parameters, arguments, strict=False)
    return ", ".join(f"{name} {value.shape}" if isinstance(value, np.ndarray) else f"{name} = {value}"
                     for name, value in values if not callable(value))


@contextlib.contextmanager
def numpy_only() -> Iterator[None]:
    """While this is open, a call into an autodiff engine is an error: an exercise asks for a derivation of one's own.

    Raises:
        OptionError: a function of one of ENGINES was called, also if the caller caught the error.
    """
    called: list[str] = []

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        module = str(frame.f_globals.get("__name__", ""))
        if event == "call" and module.partition(".")[0] in ENGINES and module != __name__:
            called.append(module)
            raise _refused(module)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)
    if called:
        raise _refused(called[0])


def _refused(module: str) -> OptionError:
    return OptionError(f"exercise: your answer calls {module}; derive the result and write it with NumPy alone")


# ---- the file for students ----
def without_solutions(text: str) -> str:
    """The file for students: every solution is replaced by a line that says it is their turn.

    Raises:
        OptionError: a marker without its partner, or no solution at all.
    """
    blank = _SOLUTION.sub(lambda match: f"{match[1]}{BLANK}\n", text)
    if "### BEGIN SOLUTION" in blank or "### END SOLUTION" in blank or blank == text:
        raise OptionError("exercise: a solution stands between ### BEGIN SOLUTION and ### END SOLUTION, each on its "
                          "own line; here is none, or a marker without its partner")
    return _HIDDEN.sub("", blank)


def notebook(text: str) -> dict[str, Any]:
    """A file of `# %%` cells as a notebook for nbgrader: students fill in the cells with solutions, checks are graded.

    The cell after one with a solution is its check: locked, and worth one point. Solutions and hidden tests stay in;
    nbgrader removes them. The second cell installs minigan where it is missing.
    """
    cells: list[dict[str, Any]] = []
    for part in re.split(r"^# %% ?", text, flags=re.M)[1:]:
        kind, _, body = part.partition("\n")
        name = f"cell-{len(cells)}"
        solved = "### BEGIN SOLUTION" in body
        checks = bool(cells) and cells[-1]["metadata"].get("nbgrader", {}).get("solution", False)
        cell: dict[str, Any] = {"id": name, "cell_type": "code", "metadata": {}, "source": body.strip("\n")}
        if kind.strip() == "[markdown]":
            cell |= {"cell_type": "markdown", "source": re.sub(r"^# ?", "", body.strip("\n"), flags=re.M)}
        else:
            cell |= {"execution_count": None, "outputs": []}
            if solved or checks:
                cell["metadata"] = {"nbgrader": {"schema_version": 3, "grade_id": name, "solution": solved,
                                                 "grade": not solved, "locked": not solved, "task": False,
                                                 **({} if solved else {"points": 1})}}
        cells.append(cell)
    cells.insert(1, install_cell())
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
