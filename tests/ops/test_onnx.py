"""An external suite: ONNX's node tests, through the table of onnx_table.py from its operators to ours.

A node test is skipped only for a stated reason: its operator is in THEIRS, its case in WHY_NOT, or it is an expanded
twin, the same values computed by a graph of several operators.
"""

import warnings
from collections import Counter, defaultdict

import numpy as np
import pytest
from onnx_table import OURS, THEIRS, WHY_NOT, NotOurs

from minigan import Tensor

pytestmark = pytest.mark.long
RUN_AT_LEAST = 370


@pytest.fixture(scope="module")
def node_tests():
    """Tests of one node each, by operator; making them takes seconds, and some divide by zero on purpose.

    ONNX is imported here, not above, because it adds bfloat16 to NumPy for the rest of the process.
    """
    result = defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loader = pytest.importorskip("onnx.backend.test.loader", reason="the onnx package (extra `test`) is missing")
        for case in loader.load_model_tests(kind="node"):
            if len(case.model.graph.node) == 1:
                result[case.model.graph.node[0].op_type].append(case)
    return result


@pytest.fixture(scope="module")
def outcomes():
    """The outcomes of an operator's cases: run, or the reason why not; set by test_operator, read by the last test."""
    return {}


@pytest.mark.parametrize("op_type", OURS)
def test_operator(op_type, node_tests, outcomes):
    outcome = Counter()
    for case in node_tests[op_type]:
        try:
            run(op_type, case)
            outcome["run"] += 1
        except NotOurs as reason:
            outcome[str(reason)] += 1
    outcomes[op_type] = outcome
    assert outcome["run"], f"{op_type}: no case runs: {dict(outcome)}"


def run(op_type, case):
    """Run one case: all its data sets, compared with ONNX's tolerance."""
    (node,) = case.model.graph.node
    attributes = {"outputs": len(node.output), **{a.name: value_of(a) for a in node.attribute}}
    for inputs, expected in case.data_sets:
        if not all(is_real(a) for a in (inputs[1 if op_type == "Where" else 0], expected[0])):
            raise NotOurs("type")
        given = iter(inputs)
        arguments = [as_argument(next(given)) if name else None for name in node.input]
        with np.errstate(all="ignore"):
            got = OURS[op_type](attributes, *arguments)
        for ours, theirs in zip(got if isinstance(got, list | tuple) else [got], expected, strict=False):
            assert ours.shape == theirs.shape, case.name
            np.testing.assert_allclose(np.asarray(ours), theirs, case.rtol, case.atol, err_msg=case.name)


def value_of(attribute):
    import onnx

    return onnx.helper.get_attribute_value(attribute)


def is_real(value):
    return isinstance(value, np.ndarray) and value.dtype in (np.float32, np.float64)


def as_argument(value):
    """Floating-point inputs become tensors; indices, sizes and conditions stay arrays."""
    return Tensor(value.copy()) if is_real(value) else value


def test_every_operator_is_ours_or_explained(node_tests):
    assert not set(OURS) & THEIRS
    assert not set(node_tests) - set(OURS) - THEIRS, "operators in neither table: add them to one"


def test_how_many_ran(outcomes):
    if set(outcomes) != set(OURS):
        pytest.skip("counts only when all operators were tested in this process")
    total = sum(outcomes.values(), Counter())
    assert set(total) - {"run"} <= set(WHY_NOT)
    assert not set(WHY_NOT) - set(total), "a reason that no case gives any more"
    print(f"\nONNX node tests: {total.pop('run')} run; not run: {dict(total)}")
    assert sum(outcomes.values(), Counter())["run"] >= RUN_AT_LEAST
