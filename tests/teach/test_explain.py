"""mg.explain: numbers against closed forms and finite differences, complete formulas, a page that works."""

import html
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import minigan as mg
from minigan import nn, ops
from minigan.engine import OPERATIONS, PRIMITIVES
from minigan.engine.state import state
from minigan.errors import DTypeError, GraphError, OptionError
from minigan.teach.explain import subjects
from minigan.teach.explain.formula import clauses, fields, latex, mathml
from minigan.teach.explain.layout import ROW, layout
from minigan.teach.explain.text import groups


def big(rng, *shape):
    """An array so large that the graph keeps only what rules read."""
    return rng.normal(size=shape)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture(scope="module")
def dcgan():
    return subjects.dcgan()


# ---- numbers ----
def test_a_neuron_is_derived_as_on_paper():
    steps = subjects.neuron().derivation
    w, x, b = np.array([2.0, 1.0]), np.array([0.5, -1.0]), -0.5
    p = 1 / (1 + np.exp(-(w @ x + b)))  # loss = -ln p, so d loss / d(w x + b) = p - 1
    result = {v.name: v for v in steps.leaves}
    np.testing.assert_allclose(result["w"].gradient, (p - 1) * x, rtol=1e-6)
    np.testing.assert_allclose(result["b"].gradient, p - 1, rtol=1e-6)
    assert [step.primitive.name for step in steps.steps] == ["mul", "sum", "add", "sigmoid", "log", "neg"]
    np.testing.assert_allclose(steps.outputs[0].array, -np.log(p), rtol=1e-6)


def test_second_order_gradients_agree_with_finite_differences(rng):
    x, w = rng.normal(size=(4, 2)), rng.normal(size=(2, 3))

    def penalty(array):  # of f(x) = sum tanh(x w): |f'(x)| = |(1 - tanh^2) w^T|, written without the engine
        slope = (1 - np.tanh(x @ array) ** 2) @ array.T
        return np.mean((np.sqrt((slope**2).sum(1)) - 1) ** 2)

    u, v = mg.tensor(x, requires_grad=True), mg.tensor(w, requires_grad=True)

    def loss():
        slope, = mg.grad(ops.tanh(u @ v).sum(), [u], create_graph=True)
        return ops.mean(ops.square(ops.norm(slope, axis=1) - 1.0))

    result = mg.explain(loss).derivation
    np.testing.assert_allclose(result.outputs[0].array, penalty(w), rtol=1e-12)
    numeric = np.zeros_like(w)
    for i in np.ndindex(w.shape):
        h = np.zeros_like(w)
        h[i] = 1e-5
        numeric[i] = (penalty(w + h) - penalty(w - h)) / 2e-5
    np.testing.assert_allclose(next(a for a in result.leaves if a.name == "v").gradient, numeric, rtol=1e-7, atol=1e-9)
    made = {result.steps[step.differentiates - 1].primitive.name for step in result.steps if step.differentiates}
    assert made == {"tanh", "matmul"}  # steps name the primitive whose rule they apply


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_operation_is_explained_on_its_sample(name):
    explained = subjects.operation(PRIMITIVES[name])
    given = np.random.default_rng(0)
    sample = PRIMITIVES[name].samples(given)[0]
    tensors = [mg.tensor(np.array(a), requires_grad=True) for a in sample.args]
    y = PRIMITIVES[name](*tensors, **sample.params)
    expected = mg.grad(y, tensors, given.normal(size=y.shape))
    result = [v.gradient for v in explained.derivation.leaves]
    for gradient, own in zip(expected, result, strict=True):
        np.testing.assert_array_equal(np.zeros_like(gradient.data) if own is None else own, gradient.data)
    assert all(clause in str(explained) for clause in clauses(fields(PRIMITIVES[name])["VJP"]))


def test_the_graph_is_left_as_it_was(rng):
    x = mg.tensor(big(rng, 40, 50), requires_grad=True)
    loss = ops.instance_norm(ops.reshape(ops.leaky_relu(x), (2, 20, 10, 5))).sum() + (x * x).sum()
    expected, = mg.grad(loss, [x], retain_graph=True)
    mg.explain(loss)
    assert x.grad is None and state.watchers == () and state.node is None
    loss.backward()
    np.testing.assert_array_equal(x.grad.data, expected.data)


def test_numbers_the_graph_gave_up_are_computed_again(rng):
    x = mg.tensor(big(rng, 60, 50), requires_grad=True)
    hidden = ops.exp(ops.leaky_relu(x + 1.0))
    loss = (hidden + 0.5).sum()
    array = hidden.data
    del hidden
    steps = {step.primitive.name: step for step in mg.explain(loss).derivation.steps}
    np.testing.assert_array_equal(steps["exp"].result.array, array)
    np.testing.assert_allclose(steps["leaky_relu"].arguments["x"].array, x.data + 1)


def test_where_numbers_are_gone_the_shape_is_told_and_never_nan(rng):
    x = mg.tensor(big(rng, 60, 50), requires_grad=True)
    explained = mg.explain((x + mg.tensor(big(rng, 60, 50))).sum())  # no rule reads the constant
    assert "(60, 50) (constant) = numbers not kept by the graph" in str(explained)
    for written in (str(explained), explained.markdown(), explained.html()):
        assert "nan" not in written.lower().replace("mean and", "")
    assert explained.derivation.leaves[0].gradient.shape == (60, 50)


def test_a_shared_value_gets_the_sum_of_its_cotangents():
    x = mg.tensor(np.array([2.0]), requires_grad=True)
    h = x * 3.0
    text = str(mg.explain((h * h).sum()))
    assert text.count("g[h] gets [6]") == 2 and "from g[h] = [12], the sum of the 2 it got, through mul" in text


# ---- remarks ----
def test_saturation_and_dead_units_are_named_and_a_healthy_graph_is_not():
    x = mg.tensor(np.array([[0.0, 9.0, -9.0]]), requires_grad=True)
    step = mg.explain(ops.sigmoid(x).sum()).derivation.steps[0]
    assert any(r.startswith("saturated: at 2 of 3 elements") for r in step.remarks)
    y = mg.tensor(np.array([[1.0, -1.0, 2.0], [1.0, -3.0, -2.0]]), requires_grad=True)
    step = mg.explain(ops.relu(y).sum()).derivation.steps[0]
    assert any(r.startswith("dead: 1 of 3 units") for r in step.remarks)
    z = mg.tensor(np.array([[0.5, -0.5]]), requires_grad=True)
    healthy = mg.explain(ops.mean(ops.tanh(ops.sigmoid(z)))).derivation.steps
    assert [step.remarks for step in healthy] == [[]] * len(healthy)


def test_vanishing_and_exploding_gradients_say_what_did_it():
    x = mg.tensor(np.array([1e-8, 1.0]), requires_grad=True)
    assert any("explodes" in r and "1.0e-08" in r for r in mg.explain(ops.log(x).sum()).derivation.steps[0].remarks)
    w = mg.tensor(np.full((2, 2), 1e-4), requires_grad=True)
    y = mg.tensor(np.ones((2, 2)), requires_grad=True)
    remarks = mg.explain((y @ w).sum()).derivation.steps[0].remarks
    assert any("vanishes" in r and "w is of size 0.0001" in r for r in remarks)


def test_a_gradient_that_fades_or_grows_little_by_little_is_noticed_too(rng):
    weights = [mg.tensor(rng.normal(size=(4, 4)) / 4, requires_grad=True) for _ in range(12)]
    names = {f"w{i}": w for i, w in enumerate(weights)}
    h = mg.tensor(rng.normal(size=(3, 4)))
    for w in weights:
        h = ops.sigmoid(h @ w)  # a slope of at most 1/4 each
    remark, = mg.explain(h.sum(), names=names).derivation.remarks
    assert "vanishes on its way back: g[w0]" in remark and "most of it at sigmoid, 12 times" in remark
    ones = [mg.tensor(np.ones(3), requires_grad=True) for _ in range(12)]
    h = mg.tensor(np.ones(3))
    for w in ones:
        h = (h * w) ** 3  # 1 again, but with slope 3: 3^11 from the last weight to the first
    explained = mg.explain(h.sum(), names={f"w{i}": w for i, w in enumerate(ones)})
    remark, = explained.derivation.remarks
    assert remark in str(explained) and "explodes on its way back: g[w0] is of size 5.3e+05, g[w11] 3.0" in remark
    assert "most of it at power, 12 times, 1e+6 in all" in remark


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, nn.InstanceNorm2d])
@pytest.mark.parametrize("layer", [nn.Conv2d, nn.UpConv2d])
def test_a_bias_before_a_norm_is_no_gradient_that_vanishes(rng, layer, norm):
    """A norm takes off what a bias adds to its channel, so the bias has gradient 0 except for rounding."""
    mg.seed(0)
    net = nn.Sequential(layer(2, 3, 3, padding=1), norm(3))
    x = mg.tensor(rng.normal(size=(4, 2, 6, 6)), dtype=np.float32)
    weights = mg.tensor(rng.normal(size=net(x).shape), dtype=np.float32)
    explained = mg.explain(lambda: ops.sum(net(x) * weights))
    sizes = {v.name: np.abs(v.gradient).max() for v in explained.derivation.leaves}
    assert 0 < sizes["net.0.bias"] < 1e-4 * sizes["net.0.weight"]
    assert explained.derivation.remarks == [] and "vanishes" not in str(explained)


def test_a_bias_that_reaches_the_loss_past_the_norm_still_counts(rng):
    b = mg.tensor(np.zeros((1, 3, 1, 1)), requires_grad=True)
    x = mg.tensor(rng.normal(size=(4, 3, 2, 2)), requires_grad=True)
    h = b + x
    loss = (ops.batch_norm(h, mg.tensor(np.ones(3)), mg.tensor(np.zeros(3))) * rng.normal(size=x.shape)).sum()
    remark, = mg.explain(loss + (h * 1e-9).sum()).derivation.remarks
    assert "vanishes" in remark and "g[b]" in remark


def test_sums_over_samples_are_no_explosions(dcgan):
    assert {step.primitive.name for step in dcgan.derivation.steps if step.remarks} <= {"normalize"}


# ---- names and folds ----
def test_names_are_the_callers_variables_and_layers_those_of_the_function():
    critic = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    points = mg.tensor(np.ones((4, 2)), dtype=np.float32)
    explained = mg.explain(lambda: critic(points).mean(), fold=True)
    assert {v.name for v in explained.derivation.leaves} == {f"critic.{p}" for p, _ in critic.named_parameters()}
    assert "points (4, 2) (constant)" in str(explained)
    x = mg.tensor(np.array([[1.0, -1.0]]), requires_grad=True)
    slope, = mg.grad(ops.square(ops.relu(x * 2.0)).sum(), [x], create_graph=True)
    assert re.search(r"= gate\(v\d, v1\.detach\(\), slope=0\.0\)", str(mg.explain((slope * x).sum())))
    titles = [group.title for group in groups(explained.derivation, True)]
    assert titles[:3] == ["critic.0 Linear", "critic.1 Tanh", "critic.2 Linear"]
    assert explained.derivation.steps[0].origin.place.split(":")[0] == __file__


def test_a_dcgan_step_is_folded_by_layer(dcgan):
    folded = [group for group in groups(dcgan.derivation) if group.folded]
    runs = [group.title.split(".")[0] for group in folded]
    assert "".join(dict.fromkeys(runs)) == "GD" and runs.count("D") == 3 * 7  # real, fake, and the generator's pass
    names = [v.name for v in dcgan.derivation.leaves]
    assert len(names) == len(set(names)) == 20
    assert all(v.gradient is not None for v in dcgan.derivation.leaves)
    assert "fake.detach() (8, 1, 32, 32) (constant)" in str(dcgan)


# ---- errors ----
def test_what_cannot_be_explained_is_answered_with_the_remedy():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(GraphError, match=r"explain: x is a leaf.*pass something computed from it"):
        mg.explain(x)
    with pytest.raises(GraphError, match=r"no graph behind y.*make an input with requires_grad=True"):
        mg.explain(mg.tensor([1.0]) * 2)
    used = (x * x).sum()
    used.backward()
    with pytest.raises(GraphError, match=r"graph behind used was freed.*explain it before backward\(\)"):
        mg.explain(used)
    changed = (x * x).sum()
    x.data = np.ones(2)
    with pytest.raises(GraphError, match=r"argument of mul was changed in place.*before the optimiser's step"):
        mg.explain(changed)
    with pytest.raises(GraphError, match=r"pass a cotangent of that shape"):
        mg.explain(x * x)
    with pytest.raises(DTypeError, match="got list; explain a tensor"):
        mg.explain([x * x])
    with pytest.raises(DTypeError, match="the function returned float"):
        mg.explain(lambda: 3.0)
    with pytest.raises(DTypeError, match=r"Tanh is a network.*lambda: net\(x\)"):
        mg.explain(nn.Tanh())
    with pytest.raises(GraphError, match="empty dict"):
        mg.explain({})
    with pytest.raises(GraphError, match="one by one"):
        mg.explain({"a": x.sum(), "b": x.sum()}, cotangent=1.0)
    assert state.watchers == () and state.node is None


def test_an_unknown_subject_is_answered_with_the_list():
    with pytest.raises(OptionError, match=r"nothing is called 'dgan'.*dcgan.*conv2d"):
        subjects.find("dgan")


# ---- formulas ----
def bare(formula):
    """The letters, digits and signs of a formula, without spaces, brackets and marks of indices."""
    return re.sub(r"[\s_^(){}]", "", formula)


FORMULAS = [(name, clause) for name, op in OPERATIONS.items() for part in ("Forward", "VJP")
            for clause in clauses(fields(op)[part])]


@pytest.mark.parametrize("name, clause", FORMULAS)
def test_no_formula_loses_anything_as_mathml(name, clause):
    markup = mathml(clause)
    ET.fromstring(f"<p>{markup.replace('<wbr>', '')}</p>")  # well-formed
    seen = markup.replace("<mi>x</mi><mo>^</mo>", "<mi>xhat</mi>")
    seen = html.unescape(re.sub("<[^>]*>", "", seen))
    plains = ("-", "*", "<=", ">=", "...", "sum", "alpha", "beta", "gamma", "eps", "lambda")
    for sign, plain in zip("−·≤≥…∑αβγελ", plains, strict=True):
        seen = seen.replace(sign, plain)
    assert bare(seen) == bare(clause)


@pytest.mark.long
def test_every_formula_is_latex_that_a_typesetter_accepts():
    mathtext = pytest.importorskip("matplotlib.mathtext", reason="needs matplotlib, whose mathtext reads LaTeX")
    parser = mathtext.MathTextParser("path")
    for _, clause in FORMULAS:
        parser.parse(f"${latex(clause)}$")


def test_indices_exponents_and_cotangents_as_latex():
    assert latex("gx_k = e^-|x| (sum_i x_i^2)^(1/2)") == r"g_{x_{k}} = e^{-|x|}\,(\sum_{i}\ x_{i}^{2})^{1/2}"
    assert latex("ggamma = sum gy xhat") == r"g_{\gamma } = \mathrm{sum}\ g_{y}\,\hat{x}"
    assert latex("gw = conv2d_weight_grad(x, gy)") == r"g_{w} = \mathrm{conv2d\_weight\_grad}(x,\ g_{y})"


# ---- the page ----
def test_boxes_do_not_overlap_and_edges_run_down(rng):
    boxes = {i: float(rng.integers(80, 220)) for i in range(40)}
    edges = sorted({(int(rng.integers(max(0, i - 9), i)), i) for i in range(1, 40) for _ in range(2)})
    drawn = layout(boxes, edges)
    for a in boxes:
        for b in range(a):
            (xa, ya), (xb, yb) = drawn.centre[a], drawn.centre[b]
            assert abs(ya - yb) >= ROW or abs(xa - xb) > (boxes[a] + boxes[b]) / 2
    assert all(drawn.centre[a][1] < drawn.centre[b][1] for a, b in edges)
    assert all(x - boxes[i] / 2 >= 0 and x + boxes[i] / 2 <= drawn.width + 1e-9 for i, (x, _) in drawn.centre.items())


def test_the_page_loads_nothing(dcgan):
    page = dcgan.html()
    loaded = set(re.findall(r"""(?:src|href)\s*=\s*["']?([^"'> ]+)""", page))
    assert loaded == {"data:,"}
    assert "http" not in page.replace("http-equiv", "") and "@import" not in page


def test_a_notebook_shows_it_and_files_hold_what_is_returned(tmp_path):
    x = mg.tensor([1.0], requires_grad=True)
    explained = mg.explain((x * x).sum())
    assert "<iframe" in explained._repr_html_() and "$$" in explained._repr_markdown_()
    for name, write in (("a.txt", explained.text), ("a.md", explained.markdown), ("a.html", explained.html)):
        returned = write(tmp_path / name)
        assert returned and (tmp_path / name).read_text() == returned


def test_the_command_writes_by_ending_and_by_format(tmp_path, capsys):
    from minigan.__main__ import main

    assert main(["explain", "tanh", "--out", str(tmp_path / "tanh.html")]) == 0
    assert (tmp_path / "tanh.html").read_text().startswith("<!doctype html>")
    assert main(["explain", "tanh", "--format", "markdown"]) == 0
    assert r"$$g_{x} = g_{y}\,(1 - y^{2})$$" in capsys.readouterr().out
    assert main(["explain", "neuron"]) == 0
    assert "gx = gy y (1 - y)" in capsys.readouterr().out


PROBE = """<script>
const report = {errors: []};
addEventListener('error', e => report.errors.push(e.message));
addEventListener('load', () => {
  const s = document.getElementById('slider'), now = () => document.querySelector('section.now');
  report.steps = Number(s.max) / 2;
  report.start = now().id;
  s.value = 3; s.dispatchEvent(new Event('input'));
  report.third = document.getElementById('label').textContent;
  report.done = document.querySelectorAll('.box.done').length;
  s.value = s.max; s.dispatchEvent(new Event('input'));
  report.back = document.body.classList.contains('back');
  report.returned = document.querySelectorAll('.box.returned').length - document.querySelectorAll('.box').length;
  const box = [...document.querySelectorAll('.box')].find(b => b.textContent.includes('D.layers.8'));
  box.dispatchEvent(new MouseEvent('click', {bubbles: true}));
  report.clicked = now().innerText;
  const sub = now().querySelector('msub'), base = sub.children[0].getBoundingClientRect();
  report.lowered = sub.children[1].getBoundingClientRect().bottom - base.bottom;
  const boxes = [...document.querySelectorAll('.box')];
  report.overflow = boxes.filter(b => [...b.querySelectorAll('text:not(.mark text)')].some(t =>
    t.getBBox().width > b.querySelector('rect').getBBox().width - 6)).length;
  const p = document.createElement('pre'); p.id = 'report'; p.textContent = JSON.stringify(report);
  document.body.replaceChildren(p);
});
</script></body>"""


def test_the_page_of_a_dcgan_step_works_in_a_browser(dcgan, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here (apt-get install chromium): the page was not opened")
    page = dcgan.html()
    (tmp_path / "page.html").write_text(page.replace("</body>", PROBE))
    ran = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1300,900", "--enable-logging=stderr",
         f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", (tmp_path / "page.html").as_uri()],
        capture_output=True, text=True, timeout=120)
    result = re.search(r'<pre id="report">(.*?)</pre>', ran.stdout, re.S)
    assert result, ran.stderr[-2000:]
    report = json.loads(html.unescape(result[1]))
    assert report["errors"] == [] and "CONSOLE" not in ran.stderr
    assert report["start"] == "s-start" and report["steps"] == len(groups(dcgan.derivation))
    assert report["third"].startswith("forward 3 of") and report["done"] >= 3
    assert report["back"] and report["returned"] == 0  # at the end, every box has been returned to
    assert "D.layers.8 Conv2d" in report["clicked"] and "conv_transpose2d" in report["clicked"]
    assert report["lowered"] > 1  # an index is below its letter: MathML was laid out, not shown as text
    assert report["overflow"] == 0
