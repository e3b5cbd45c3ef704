"""The same quantities measured by networks: by a discriminator trained against a fixed generator, and by a critic.

    JS   (V + ln 4) / 2 of a trained discriminator                       Goodfellow et al., 2014, theorem 1
    KL   E_p T - E_q e^T + 1 of its logit T, whose best is ln(p / q)     Nguyen, Wainwright & Jordan, 2010
    W    (E_p f - E_q f) / max |grad f| of a trained critic              Kantorovich & Rubinstein's duality

Each is a lower bound, whatever the network has learnt: a measured value may be too small, but not too large.
"""

from __future__ import annotations

__all__ = ["Claim", "approach", "by_logit", "optimum", "parallel_lines", "save_numbers", "slopes", "watched"]

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minigan import nn, ops
from minigan.checkpoint import write_atomically
from minigan.engine import Tensor, capture, grad, no_grad, tensor
from minigan.losses import gradient_penalty, minimax, non_saturating, wasserstein
from minigan.models.mlp import MLPDiscriminator
from minigan.optim import Adam, linear_decay
from minigan.random import Stream
from minigan.teach.theory import exact
from minigan.teach.theory.exact import LOG4, Gaussians, Lines

ASKED = 65_536  # samples on which a trained network is evaluated
Row = dict[str, Any]


@dataclass(frozen=True)
class Claim:
    """One row of the table: a claim, the exact number, the measured one, and how their difference is taken.

    kind  "relative": |measured - exact| / |exact|; "absolute": |measured - exact|; "bound": measured <= exact
    """

    text: str
    exact: float
    measured: float
    kind: str = "relative"

    @property
    def off(self) -> float:
        """The difference by `kind`; for a bound the excess, 0 if it holds."""
        difference = self.measured - self.exact
        return max(difference, 0.0) if self.kind == "bound" else abs(difference) / (
            abs(self.exact) if self.kind == "relative" else 1.0)

    def __str__(self) -> str:
        """`claim  exact  measured  off by`, in columns."""
        off = {"relative": f"{self.off:.2%}", "absolute": f"{self.off:.1e}",
               "bound": "holds" if self.off == 0 else f"{self.off:.1e} above"}[self.kind]
        limit = "<= " if self.kind == "bound" else ""
        return f"{self.text:<70}{limit + format(self.exact, '.5g'):>13}{self.measured:>13.5g}{off:>9}"


def save_numbers(path: Path, claims: Sequence[Claim], settings: Row, *results: Any) -> None:
    """Write claims, settings and results, without their curves (arrays), as JSON; infinity becomes null."""
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(v) for key, v in value.items() if not isinstance(v, np.ndarray)}
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    rows = [{"claim": c.text, "exact": c.exact, "measured": c.measured, "kind": c.kind, "off": c.off} for c in claims]
    text = json.dumps(plain({"settings": settings, "claims": rows, "found": results}), indent=1, allow_nan=False)
    write_atomically(path, (text + "\n").encode())


def watched(steps: int, count: int = 40) -> list[int]:
    """About `count` steps from 0 to `steps`, evenly spaced on a logarithmic scale.

    >>> watched(100, 5)
    [0, 1, 3, 10, 32, 100]
    """
    return [0, *np.unique(np.geomspace(1, steps, count).round().astype(int)).tolist()]


def approach(network: nn.Module, loss: Callable[[], Tensor], steps: int, lr: float,
             watch: Callable[[], Row] | None = None, at: Iterable[int] = (),
             betas: tuple[float, float] = (0.9, 0.999)) -> list[Row]:
    """Train a network as well as it can be: by Adam, with a learning rate that falls linearly to 0 in the second half.

    Args:
        network: changed in place.
        loss: called once per step; returns a number.
        steps: number of steps.
        lr, betas: Adam's.
        watch: returns what is to be recorded.
        at: steps after which it is called; 0 is before the first.

    Returns:
        One row per step in `at`: the number of the step, and what `watch` returned.
    """
    optimizer = Adam(network.parameters(), lr, betas, schedule=linear_decay(steps // 2, steps))

    def update() -> Tensor:
        value = loss()
        optimizer.minimize(value)
        return value.detach()

    step, rows, at = capture(update), [], set(at)  # on a GPU one CUDA graph: samples, loss, gradients and Adam
    for number in range(steps + 1):
        if number:
            step()
        if watch is not None and number in at:
            rows.append({"step": number, **watch()})
    return rows


def ask(network: nn.Module, points: np.ndarray | Tensor) -> np.ndarray:
    """The network's outputs for points (N, d): float64 (N,) on the host."""
    with no_grad():
        x = points if isinstance(points, Tensor) else tensor(points, dtype=np.float32)
        return network(x).numpy().astype(np.float64)[:, 0]


def value_of(real: np.ndarray, fake: np.ndarray, mean: Callable[[int, np.ndarray], float]) -> float:
    """V = E ln D(x) + E ln(1 - D(G(z))) from logits; mean(0, values) is over real, mean(1, ...) over generated."""
    return -mean(0, np.logaddexp(0, -real)) - mean(1, np.logaddexp(0, fake))


def optimum(p: Gaussians, q: Gaussians, steps: int, samples: int = 1024, hidden: int = 64, lr: float = 5e-3,
            seed: int = 0) -> Row:
    """Train a discriminator on p (real) and q (generated), and compare it with D*.

    Its expectations are integrals over the grid of the exact numbers, so every difference is what it has not learnt.

    Returns:
        trace: rows of step and value; value, js, kl: measured at the end; error: the mean of |D - D*| under
        m = (p + q) / 2; worst: the largest |D - D*| where m is above a hundredth of its peak; x, p, q, d, d_star:
        curves.
    """
    network, x = MLPDiscriminator((1,), hidden), exact.grid(p, q)
    real, fake = (d.batches(samples, Stream(seed, f"theory {name}")) for d, name in ((p, "p"), (q, "q")))

    def value_by(logits: np.ndarray) -> float:
        return value_of(logits, logits, lambda which, values: exact.expectation((p, q)[which], values, x))

    trace = approach(network, lambda: minimax.discriminator_loss(network(real()), network(fake())), steps, lr,
                     lambda: {"value": value_by(ask(network, x[:, None]))}, watched(steps))
    logits = ask(network, x[:, None])
    d, d_star = sigmoid(logits), exact.optimal_discriminator(p, q, x)
    m, difference = (p.density(x) + q.density(x)) / 2, np.abs(d - d_star)
    value = value_by(logits)
    return {
        "trace": trace, "value": value, "js": (value + LOG4) / 2,
        "kl": exact.expectation(p, logits, x) - exact.expectation(q, np.exp(np.minimum(logits, 80)), x) + 1,
        "error": float(np.trapezoid(m * difference, x)), "worst": float(difference[m > m.max() / 100].max()),
        "x": x, "p": p.density(x), "q": q.density(x), "d": d, "d_star": d_star,
    }


def parallel_lines(theta: float, steps: int, samples: int = 512, hidden: int = 64, lr: float = 2e-3,
                   lambda_gp: float = 10.0, seed: int = 0) -> Row:
    """Train a discriminator and a critic on the line at 0 (real) and the line at theta (generated).

    Returns:
        trace: rows of `slopes` as the two learn; js: by the discriminator; gap: E f(x) - E f(G(z)) of the critic;
        slope: the largest |grad f| in the rectangle between the lines; wasserstein: gap / slope.
    """
    network, critic = MLPDiscriminator((2,), hidden), MLPDiscriminator((2,), hidden)
    noise, coefficients = Stream(seed, "theory lines"), Stream(seed, "theory penalty")
    real, fake = (Lines(t).batches(samples, noise) for t in (0.0, theta))

    def critic_loss() -> Tensor:
        x, g = real(), fake()
        return wasserstein.discriminator_loss(critic(x), critic(g)) + lambda_gp * gradient_penalty(
            critic, x, g, coefficients)

    at = watched(steps)
    trace = approach(network, lambda: minimax.discriminator_loss(network(real()), network(fake())), steps, lr,
                     lambda: slopes(network, theta, seed), at)
    critic_trace = approach(critic, critic_loss, steps, lr, lambda: slopes(critic, theta, seed), at, betas=(0.5, 0.9))
    for row, of_critic in zip(trace, critic_trace, strict=True):
        row["critic"] = of_critic["critic"]
    x, g = (Lines(t).batches(ASKED, Stream(seed, f"theory told {name}"))()  # new and independent samples
            for t, name in ((0.0, "x"), (theta, "g")))
    value = value_of(ask(network, x), ask(network, g), lambda _, values: float(values.mean()))
    gap, slope = float(ask(critic, x).mean() - ask(critic, g).mean()), steepest(critic, theta)
    return {"theta": theta, "trace": trace, "js": (value + LOG4) / 2, "gap": gap, "slope": slope,
            "wasserstein": gap / slope}


def slopes(network: nn.Module, theta: float, seed: int = 0, samples: int = 1024) -> Row:
    """What a generator G(y) = (theta, y) would learn from a discriminator or critic: derivatives of its loss by theta.

    Returns:
        minimax, non_saturating, critic: |d loss / d theta|, critic for the loss -E f(G(z)); d: the mean of D(G(z));
        bound: the largest possible |minimax|, by theorem 2.4 of Arjovsky & Bottou, 2017.
    """
    y = Stream(seed, "theory slopes").uniform((samples, 1))
    place = tensor([[theta]], dtype=np.float32, requires_grad=True)
    points = place * tensor([[1.0, 0.0]]) + tensor(y) * tensor([[0.0, 1.0]])  # (samples, 2)
    logits = network(points)
    losses = {"minimax": minimax, "non_saturating": non_saturating, "critic": wasserstein}
    row: Row = {name: abs(grad(loss.generator_loss(logits), [place], retain_graph=True)[0].item())
                for name, loss in losses.items()}
    to_points, = grad(ops.sum(ops.sigmoid(logits)), [points])
    d = sigmoid(logits.numpy().astype(np.float64)[:, 0])  # (samples,)
    epsilon = float((d + np.linalg.norm(to_points.numpy(), axis=1)).max())
    return {**row, "d": float(d.mean()), "bound": epsilon / (1 - epsilon) if epsilon < 1 else math.inf}


def by_logit(logit: float) -> dict[str, float]:
    """Derivatives of the minimax and the non_saturating generator loss by one logit, from backpropagation."""
    at = tensor([[logit]], dtype=np.float64, requires_grad=True)
    return {loss.name: grad(loss.generator_loss(at), [at])[0].item() for loss in (minimax, non_saturating)}


def steepest(critic: nn.Module, theta: float, points: int = 101) -> float:
    """The largest |grad f| on a grid over the rectangle between the lines: its Lipschitz constant there."""
    grid = np.meshgrid(np.linspace(0, theta, points), np.linspace(0, 1, points))
    u = tensor(np.stack(grid, axis=-1).reshape(-1, 2), dtype=np.float32, requires_grad=True)  # (points^2, 2)
    slope, = grad(ops.sum(critic(u)), [u])
    return float(np.linalg.norm(slope.numpy(), axis=1).max())


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-l), without overflow for any logit l."""
    return np.exp(-np.logaddexp(0, -logits))
