"""Comparing a derivation with the truth, in words a student can use; handing out exercises without their solutions.

Files with solutions carry nbgrader's markers, so they are graded by nbgrader as they are:

    ### BEGIN SOLUTION
    return gy * (1 - y * y)
    ### END SOLUTION
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.engine.tensor import Tensor
from minigan.errors import OptionError

BLANK = 'raise NotImplementedError("your turn")'
_SOLUTION = re.compile(r"^([ ]*)### BEGIN SOLUTION\n.*?^[ ]*### END SOLUTION\n", re.M | re.S)


def compare(name: str, mine: Any, reference: Any, rtol: float = 1e-6) -> str:
    """Print and return what `mine` is beside `reference`: "exact", "close", "wrong" or "not done".

    exact      equal to the last bit
    close      differs by at most `rtol` of the reference's largest element, as rounding does
    wrong      with the largest difference, where it is, and both numbers there; or that shapes differ or it failed
    not done   None, or a function that raises NotImplementedError

    `mine` is an array, a Tensor or a function without arguments that returns one; `reference` an array or a Tensor.

    >>> compare("tanh", np.array([1.0, 2.5]), np.array([1.0, 2.0]))
    tanh                             wrong     largest difference 0.5 at (1,): yours 2.5, reference 2
    'wrong'
    """
    verdict, told = _verdict(mine, _array(reference), rtol)
    print(f"{name:<32} {verdict:<9} {told}".rstrip())
    return verdict


def _array(value: Any) -> np.ndarray:
    return value.numpy() if isinstance(value, Tensor) else np.asarray(value, dtype=np.float64)


def _verdict(mine: Any, reference: np.ndarray, rtol: float) -> tuple[str, str]:
    try:
        given: Callable[[], Any] = mine if callable(mine) else lambda: mine
        value = given()
        array = None if value is None else _array(value)
    except NotImplementedError:
        return "not done", ""
    except Exception as error:  # a student's own
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
    told = (f"largest difference {gap[where]:.3g} at {where}: yours {array[where]:.6g}, "
            f"reference {reference[where]:.6g}")
    return ("close" if gap[where] <= rtol * np.abs(reference).max() else "wrong"), told


def without_solutions(text: str) -> str:
    """What students get: every solution replaced by a line that says it is their turn.

    Raises:
        OptionError: a marker without its partner, or no solution at all.
    """
    left = _SOLUTION.sub(lambda found: f"{found[1]}{BLANK}\n", text)
    if "### BEGIN SOLUTION" in left or "### END SOLUTION" in left or left == text:
        raise OptionError("exercise: a solution stands between ### BEGIN SOLUTION and ### END SOLUTION, each on its "
                          "own line; none is here, or a marker is alone")
    return left


def notebook(text: str) -> dict[str, Any]:
    """A file of `# %%` cells as a notebook for nbgrader: who solves fills cells with solutions, checks are graded.

    A cell after one with a solution is its check: one point, locked. Solutions stay in; nbgrader takes them out.
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
