"""Gradients of filters run beside those of images: no launch reads or writes what another one is at work on.

Every other test of captured steps checks that too, on its own graphs: see conftest.py.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan import kernels, ops
from minigan.kernels.cuda import branches, emulated, hopper, loader
from minigan.kernels.cuda.emulated_graph import Recorder, branches_in_order
from minigan.kernels.cuda.tickets import tickets

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture
def on(device):
    if device.name != "emulated":
        pytest.skip("a GPU does not tell which launches raced")
    mg.set_device("emulated")
    return device


def layers(depth=5):
    """Filters of a few layers, and an image for them."""
    rng = np.random.default_rng(0)
    return ([mg.tensor(rng.standard_normal((3, 3, 3, 3)) / 5, requires_grad=True) for _ in range(depth)],
            mg.tensor(rng.standard_normal((2, 6, 6, 3)).transpose(0, 3, 1, 2)))  # (N, C, H, W), channels last in memory


def gradients(filters, x, **options):
    """Of the mean square of all layers' result."""
    for w in filters:
        x = ops.leaky_relu(ops.conv2d(x, w, padding=1), 0.2)
    return mg.grad((x * x).mean(), filters, **options)


def captured(work):
    """What work() returns and the graph that computes it, not yet launched."""
    graph = emulated.Graph()
    with graph.capture():
        results = work()
    return results, graph


def beside(graph):
    """The launches beside, by kernel."""
    return [launch.what for launch in graph.launches if launch.branch == 1]


@pytest.mark.parametrize("order", range(5))
def test_every_order_that_branches_allow_gives_the_bytes_of_plain_steps(on, order):
    filters, x = layers()
    plain = [g.numpy() for g in gradients(filters, x)]
    results, graph = captured(lambda: gradients(filters, x))
    for _ in range(2):
        with branches_in_order(order):
            graph.launch()
        assert [g.numpy().tobytes() for g in results] == [g.tobytes() for g in plain]
    assert len(beside(graph)) == len(filters)


def test_work_beside_waits_for_its_cotangent_but_not_for_the_gradient_of_the_image(on):
    """Of the last layer, both products may run at once; of the first, no other product follows."""
    filters, x = layers(depth=2)
    _, graph = captured(lambda: gradients(filters, x))
    main = [launch.what for launch in graph.launches if launch.branch == 0]
    first, second = (launch.after for launch in graph.launches if launch.branch == 1)
    assert "conv.cu: gemm" in main[first:second] and "conv.cu: gemm" not in main[second:]


def test_the_main_branch_is_never_far_ahead(on):
    """What work beside reads is kept until the main branch has waited: of AHEAD layers, not of all."""
    filters, x = layers(depth=8)
    _, graph = captured(lambda: gradients(filters, x))
    done = 0
    for launch in graph.launches:
        if launch.branch == 0:
            ahead = sum(other.branch == 1 and other.after <= done for other in graph.launches) - launch.after
            assert ahead <= branches.AHEAD + 1  # the piece that may begin now is one of them
            done += 1


def test_a_race_is_found_and_shows_in_the_numbers(on):
    """Planted: the result is read before it has been waited for, and memory is given back too early."""
    x = on.put(np.ones((1, 2, 4, 4), np.float32))
    graph, second = emulated.Graph(), on.put(np.full((1, 2, 4, 4), 2, np.float32))
    with graph.capture(), kernels.branches(True):
        kernels.reached()
        with kernels.beside(True, x):
            y = kernels.leaky_relu(x, 0.5)
        early = kernels.leaky_relu(y, 0.5)
    with branches_in_order(1):
        graph.launch()
    assert graph.races() == [("elementwise.cu: leaky_relu",) * 2] and np.isnan(on.get(early)).all()

    for kept in (False, True):
        freed = emulated.Graph()
        with freed.capture(), kernels.branches(True):
            temporary = kernels.leaky_relu(x, 0.5)
            kernels.reached()
            with kernels.beside(True, *([temporary] if kept else [])):
                y = kernels.leaky_relu(temporary, 0.5)
            del temporary
            kernels.leaky_relu(second, 0.5)  # in the memory that was just given back
        with branches_in_order(1):
            freed.launch()
        assert on.get(y).max() == (1 if kept else 2)
        assert len(freed.races()) == (0 if kept else 1)
    on.graphs.clear()  # these races are meant


def test_only_what_nobody_reads_before_the_end_runs_beside(on):
    filters, x = layers()

    def second_order():
        return gradients([w * 1.0 for w in filters], x)

    assert beside(captured(lambda: gradients(filters, x, create_graph=True))[1]) == []  # read by the next pass
    assert beside(captured(second_order)[1]) == []  # read by the product's rule: these filters are no leaves
    graph = emulated.Graph(False)
    with graph.capture():
        gradients(filters, x)
    assert beside(graph) == []


def test_sums_that_work_beside_has_left_are_taken_by_its_own_bias_alone(on, monkeypatch):
    """The bias's gradient is not asked for; another sum of the same cotangent follows, on the main branch."""
    monkeypatch.setattr(hopper, "WORTH", 0)
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.normal(size=(2, 9, 9, 32)).astype(np.float32).transpose(0, 3, 1, 2))  # channels last in memory
    w, b, c = (mg.tensor(rng.normal(size=s).astype(np.float32), requires_grad=True) for s in ((32, 32, 3, 3), 32, 32))

    def work():
        y = (x + c.reshape(1, 32, 1, 1) * 2.0) + ops.conv2d(x, w, b, padding=1)
        return mg.grad((y * y).mean(), [w, c])

    plain = [g.numpy().tobytes() for g in work()]
    results, graph = captured(work)
    with branches_in_order(1):
        graph.launch()
    assert "arrange.cu: arrange" in beside(graph) and [g.numpy().tobytes() for g in results] == plain


def test_what_was_launched_before_an_error_is_waited_for(on):
    x, graph = on.put(np.ones((1, 2, 4, 4), np.float32)), emulated.Graph()
    with graph.capture():
        with pytest.raises(ZeroDivisionError), kernels.branches(True):
            kernels.reached()
            with kernels.beside(True, x):
                y = kernels.leaky_relu(x, 0.5)
                1 / 0  # noqa: B018
        kernels.leaky_relu(y, 0.5)
    assert graph.counts == [1, 1] and graph.launches[-1].after == 1


def test_tickets_are_for_one_branch(on):
    x, graph = on.put(np.ones(3, np.float32)), emulated.Graph()
    assert tickets(x, 1) is not None
    with graph.capture(), kernels.branches(True):
        kernels.reached()
        assert tickets(x, 1) is not None
        with kernels.beside(True, x):
            assert tickets(x, 1) is None


def test_a_capture_that_fails_leaves_no_branch(on):
    filters, x = layers()
    with pytest.raises(ZeroDivisionError), emulated.Graph().capture(), kernels.branches(True):
        kernels.reached()
        with kernels.beside(True, x.data):
            1 / 0  # noqa: B018
    results, graph = captured(lambda: gradients(filters, x))
    graph.launch()
    assert len(beside(graph)) == len(filters) == len(results)


@pytest.mark.parametrize("case", ["DCGAN-32 b64", "WGAN-GP b64", *(
    pytest.param(case, marks=pytest.mark.long) for case in ("DCGAN-64 b128", "CycleGAN-128 b1", "CycleGAN-256 b1"))])
def test_no_launch_of_a_step_races_at_full_size(on, monkeypatch, case):
    """Sizes at which Hopper's kernels and split products are used; launches are recorded and not run."""
    class Module:
        def __init__(self, file):
            self.file = file

        def function(self, name, parameters):
            return lambda grid, block, values, shared: emulated.do(
                f"{self.file}: {name}", parameters, values, lambda lent: None)

    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.syspath_prepend(BENCHMARKS)
    import gpu_cases

    monkeypatch.setattr(emulated, "compile", lambda text, file, defines: Module(file))
    monkeypatch.setattr(Recorder, "room", Recorder.memory)
    monkeypatch.setattr("minigan.engine.device._constants", {})  # what is kept from here on has no guards
    monkeypatch.setattr("minigan.kernels.cuda.tickets._made", {})
    caches = loader._module, loader._kernel
    for cache in caches:
        cache.cache_clear()
    try:
        with np.errstate(all="ignore"):
            step = gpu_cases.build(case)
            step()
            with kernels.constant_weights():
                _, graph = captured(step)
    finally:
        for cache in caches:
            cache.cache_clear()
    assert graph.races() == []
    assert sum("gemm" in what for what in beside(graph)) >= 6
