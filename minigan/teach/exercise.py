"""Comparing a derivation with the truth, in words that help a student; exercises without their solutions.

Files with solutions have nbgrader's markers, so nbgrader can grade them as they are:

    ### BEGIN SOLUTION
    return gy * (1 - y * y)
    ### END SOLUTION
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.engine import Tensor
from minigan.errors import OptionError

BLANK = 'raise NotImplementedError("your turn")'
_SOLUTION = re.compile(r"^([ ]*)### BEGIN SOLUTION\n.*?^[ ]*### END SOLUTION\n", re.M | re.S)


def compare(name: str, mine: Any, reference: Any, rtol: float = 1e-6) -> str:
    """Compare `mine` with `reference`; print and return "exact", "close", "wrong" or "not done".

    exact      equal to the last bit
    close      differs by at most `rtol` times the reference's largest element, as rounding does
    wrong      differs by more, has another shape, or raised an error; what is printed says where and by how much
    not done   None, or a function that raises NotImplementedError

    `mine` is an array, a Tensor, or a function without arguments that returns one; `reference` is an array or a Tensor.

    >>> compare("tanh", np.array([1.0, 2.5]), np.array([1.0, 2.0]))
    tanh                             wrong     largest difference 0.5 at (1,): yours 2.5, reference 2
    'wrong'
    """
    verdict, reason = _verdict(mine, _array(reference), rtol)
    print(f"{name:<32} {verdict:<9} {reason}".rstrip())
    return verdict


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
    if array.shape != reference.shape:
        return "wrong", f"your shape is {array.shape}, the reference's {reference.shape}"
    if np.array_equal(array, reference):
        return "exact", ""
    gap = np.abs(array - reference)
    gap = np.where(np.isnan(gap), np.inf, gap)
    where = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
    reason = (f"largest difference {gap[where]:.3g} at {where}: yours {array[where]:.6g}, "
              f"reference {reference[where]:.6g}")
    return ("close" if gap[where] <= rtol * np.abs(reference).max() else "wrong"), reason


def without_solutions(text: str) -> str:
    """The file for students: every solution is replaced by a line that says it is their turn.

    Raises:
        OptionError: a marker without its partner, or no solution at all.
    """
    blank = _SOLUTION.sub(lambda match: f"{match[1]}{BLANK}\n", text)
    if "### BEGIN SOLUTION" in blank or "### END SOLUTION" in blank or blank == text:
        raise OptionError("exercise: a solution stands between ### BEGIN SOLUTION and ### END SOLUTION, each on its "
                          "own line; here is none, or a marker without its partner")
    return blank


def notebook(text: str) -> dict[str, Any]:
    """A file of `# %%` cells as a notebook for nbgrader: students fill in the cells with solutions, checks are graded.

    The cell after one with a solution is its check: locked, and worth one point. Solutions stay in; nbgrader removes
    them.
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
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
