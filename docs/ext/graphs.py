"""The rules of a lesson on a graph with numbers: pages of `mg.explain`; lesson and page lead to each other."""

from pathlib import Path

import numpy as np

import minigan as mg
from minigan import losses, ops

FOLDER = "lessons/graphs"
QUOTE = "> **Afterwards you can**"  # the link comes below the paragraph that begins so


def _leaves(**shapes):
    rng = np.random.default_rng(0)
    return {name: mg.tensor(rng.normal(size=shape), requires_grad=True) for name, shape in shapes.items()}


def chain_rule():
    """L = sum c tanh(W x + b), as in the lesson."""
    t = _leaves(W=(3, 4), x=4, b=3, c=3)
    return t, ops.sum(t["c"] * ops.tanh(ops.matmul(t["W"], t["x"]) + t["b"]))


def broadcasting():
    """A bias, broadcast, and a mean that is taken off."""
    t = _leaves(x=(2, 3), b=3)
    y = t["x"] + t["b"]
    return t, ops.sum(ops.square(y - ops.mean(y)))


def convolution():
    """A convolution with stride."""
    t = _leaves(x=(1, 1, 4, 4), w=(1, 1, 3, 3))
    return t, ops.sum(ops.square(ops.conv2d(t["x"], t["w"], stride=2, padding=1)))


def transposed():
    """A transposed convolution."""
    t = _leaves(x=(1, 1, 2, 2), w=(1, 1, 3, 3))
    return t, ops.sum(ops.square(ops.conv_transpose2d(t["x"], t["w"], stride=2, padding=1, output_padding=1)))


def upconvolution():
    """An up-convolution."""
    t = _leaves(x=(1, 1, 2, 2), w=(1, 1, 3, 3))
    return t, ops.sum(ops.square(ops.upconv2d(t["x"], t["w"])))


def normalisation():
    """A batch norm."""
    t = _leaves(x=(3, 2, 1, 2), gamma=2, beta=2)
    return t, ops.sum(ops.tanh(ops.batch_norm(t["x"], t["gamma"], t["beta"])))


def stable():
    """A discriminator's loss from logits."""
    t = _leaves(real=(3, 1), fake=(3, 1))
    return t, losses.non_saturating.discriminator_loss(t["real"], t["fake"])


def penalty():
    """A gradient's length, differentiated; the critic has one hidden layer of ReLUs."""
    t = _leaves(W=(3, 2), u=2, c=3)
    f = ops.sum(t["c"] * ops.relu(ops.matmul(t["W"], t["u"])))
    slope, = mg.grad(f, [t["u"]], create_graph=True)
    return t, ops.square(ops.norm(slope) - 1.0)


def cycle():
    """The cycle loss of two kernels."""
    t = _leaves(x=(1, 1, 3, 3), KG=(1, 1, 3, 3), KF=(1, 1, 3, 3))
    back = ops.conv2d(ops.conv2d(t["x"], t["KG"], padding=1), t["KF"], padding=1)
    return t, ops.mean(ops.abs(back - t["x"].detach()))


GRAPHS = {
    "01_chain_rule": chain_rule, "02_broadcasting": broadcasting, "03_convolution_matrix": convolution,
    "04_transposed_convolution": transposed, "05_upconvolution": upconvolution, "06_normalisation": normalisation,
    "07_stable_losses": stable, "10_gradient_penalty": penalty, "12_cycle_subgradients": cycle}


def page(lesson):
    """The page of a lesson's graph; its links lead to the lessons beside its folder."""
    leaves, loss = GRAPHS[lesson]()
    return mg.explain(loss, names={**leaves, "L": loss}).html(lessons="..")


def linked(text, lesson):
    """A lesson's text with a link to its graph below its head."""
    head, mark, rest = text.partition(QUOTE)
    goals, _, body = rest.partition("\n\n")
    link = f'<p><a href="graphs/{lesson}.html">The rules of this lesson on a graph, with numbers</a></p>'
    return f"{head}{mark}{goals}\n\n```{{raw}} html\n{link}\n```\n\n{body}"


def _link(app, docname, source):
    lesson = docname.removeprefix("lessons/")
    if lesson in GRAPHS and app.builder.format == "html":
        source[0] = linked(source[0], lesson)


def _write(app, error):
    if error is None and app.builder.format == "html":
        folder = Path(app.outdir, FOLDER)
        folder.mkdir(parents=True, exist_ok=True)
        for lesson in GRAPHS:
            (folder / f"{lesson}.html").write_text(page(lesson), encoding="utf-8")


def setup(app):
    """Add the links when Sphinx reads the lessons; write the pages when the site is built."""
    app.connect("source-read", _link)
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True}
