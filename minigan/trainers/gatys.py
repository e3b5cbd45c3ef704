"""Style transfer by optimisation: the pixels of an image are changed until its maps are those that are wanted.

    minimise over x in [-1, 1]:
    lambda_content content(x, c)  +  lambda_style style(x, s)  +  lambda_smooth smoothness(x)        see perceptual.py

No network is trained. Each picture takes some hundred steps through the network of features, forward and back.
Source: Gatys, Ecker & Bethge, Image style transfer using convolutional neural networks, 2016, section 2.3, by L-BFGS.
"""

from __future__ import annotations

__all__ = ["Stylised", "stylised"]

from typing import NamedTuple

import numpy as np

from minigan import ops
from minigan.engine import Tensor, grad, tensor
from minigan.errors import NonFiniteError, OptionError, ShapeError, require
from minigan.models.vgg import VGG
from minigan.optim import Adam
from minigan.trainers.perceptual import Perception, check_judgement, smoothness

METHODS = ("lbfgs", "adam")


class Stylised(NamedTuple):
    """Images with another style, and how the losses fell.

    images    float32 (N, 3, H, W) in [-1, 1]
    curve     (evaluations, 3): the sum that is minimised, content loss, style loss, each time they were computed
    content   the content loss of the images
    style     their style loss
    """

    images: np.ndarray
    curve: np.ndarray
    content: float
    style: float


def stylised(network: VGG | Perception, content: np.ndarray, style: np.ndarray, lambda_content: float = 1.0,
             lambda_style: float = 3.0, lambda_smooth: float = 0.0, steps: int = 200, method: str = "lbfgs",
             lr: float = 0.05, start: np.ndarray | None = None) -> Stylised:
    """Images with the content of some pictures and the style of one or as many.

    Args:
        network: models.VGG or VGG19; with Perception.of(network, content, style), by other layers.
        content: (N, 1 or 3, H, W) in [-1, 1]; grey ones become RGB.
        style: (1 or N, 1 or 3, H', W'), of any size: one for all, or one for each.
        lambda_content, lambda_style, lambda_smooth: weights of the losses. The paper has no smoothness.
        steps: iterations; of L-BFGS each has one evaluation or a few.
        method: "lbfgs", SciPy's L-BFGS-B with the bounds -1 and 1, or "adam", clipped to them after each step.
        lr: Adam's learning rate, in pixels, of which 2 are the range.
        start: the images to begin with (N, 3, H, W), such as noise; by default the content.

    Returns:
        the images and the curve of the losses, means over the N images.

    Raises:
        OptionError: another method, no steps, or a weight below 0. ShapeError: other shapes, or too small for a layer.
        NonFiniteError: a loss is NaN or infinite. ModuleNotFoundError: "lbfgs" without SciPy.
    """
    judge = network if isinstance(network, Perception) else Perception.of(network)
    check_judgement("stylised", lambda_content, lambda_style, lambda_smooth)
    if method not in METHODS or steps < 1 or not lr > 0:
        raise OptionError(f"stylised: method={method!r} must be one of {', '.join(METHODS)}, steps={steps} at least 1 "
                          f"and lr={lr} above 0")
    if method == "lbfgs":
        require("scipy.optimize", "L-BFGS")
    parameter = judge.network.parameters()[0]
    c, s = (tensor(_rgb(x, judge, name), dtype=parameter.dtype, device=parameter.device)
            for x, name in ((content, judge.content), (style, judge.style)))
    if len(s) not in (1, len(c)):
        raise ShapeError(f"stylised: {len(s)} styles for {len(c)} pictures; give one, or one for each")
    first = c.numpy() if start is None else np.asarray(start)
    if first.shape != c.shape:
        raise ShapeError(f"stylised: start {first.shape} must have the content's shape {c.shape}")
    problem = _Problem(judge, c, s, (lambda_content, lambda_style, lambda_smooth))
    pixels = (_by_lbfgs if method == "lbfgs" else _by_adam)(problem, np.clip(first, -1, 1), steps, lr)
    problem(problem.pixels(pixels))  # the last line of the curve is that of the images
    curve = np.array(problem.curve)
    return Stylised(pixels.astype(np.float32), curve, float(curve[-1, 1]), float(curve[-1, 2]))


class _Problem:
    """The sum to minimise, as a function of pixels; it records each evaluation.

    The losses are means over N images. Each image is a problem of its own, so N times the losses are minimised: then
    steps do not depend on how many images there are.
    """

    def __init__(self, judge: Perception, content: Tensor, style: Tensor, weights: tuple[float, ...]) -> None:
        self.judge, self.weights = judge, weights
        self.content, grams = judge.targets(content, style)
        self.grams = [g if len(g) == len(content) else Tensor(g.data.repeat(len(content), 0)) for g in grams]
        self.dtype, self.device = content.dtype, content.device
        self.curve: list[tuple[float, float, float]] = []

    def pixels(self, array: np.ndarray) -> Tensor:
        """Images as a tensor that wants gradients."""
        return tensor(array, dtype=self.dtype, device=self.device, requires_grad=True)

    def __call__(self, x: Tensor) -> Tensor:
        """The sum over images, a scalar."""
        content, style = self.judge.losses(x, self.content, self.grams)
        total = self.weights[0] * content + self.weights[1] * style
        if self.weights[2]:
            total = total + self.weights[2] * smoothness(x)
        self.curve.append((total.item(), content.item(), style.item()))
        if not np.isfinite(self.curve[-1][0]):
            raise NonFiniteError(f"stylised: the loss is {self.curve[-1][0]} at evaluation {len(self.curve)}: lower "
                                 "the learning rate, or check the network's weights")
        return float(len(x)) * total


def _by_lbfgs(problem: _Problem, pixels: np.ndarray, steps: int, lr: float) -> np.ndarray:
    """SciPy's L-BFGS-B, in float64; the losses are computed in the network's precision."""
    optimize = require("scipy.optimize", "L-BFGS")

    def evaluated(flat: np.ndarray) -> tuple[float, np.ndarray]:
        x = problem.pixels(flat.reshape(pixels.shape))  # (N, 3, H, W)
        total = problem(x)
        slope = grad(total, [x])[0].numpy()
        return total.item(), np.asarray(slope, np.float64, order="C").ravel()

    options = {"maxiter": steps, "maxfun": 4 * steps, "maxcor": 20, "ftol": 0.0, "gtol": 0.0}
    result = optimize.minimize(evaluated, pixels.astype(np.float64, order="C").ravel(), jac=True, method="L-BFGS-B",
                               bounds=optimize.Bounds(-1, 1), options=options)
    return np.asarray(result.x).reshape(pixels.shape)  # (N, 3, H, W)


def _by_adam(problem: _Problem, pixels: np.ndarray, steps: int, lr: float) -> np.ndarray:
    """Adam on the pixels, which stay on the device."""
    x = problem.pixels(pixels)
    optimizer = Adam([x], lr=lr)
    for _ in range(steps):
        optimizer.minimize(problem(x))
        x.data = ops.clip(x.detach(), -1, 1).data
    return x.numpy()


def _rgb(images: np.ndarray, judge: Perception, layers: tuple[str, ...]) -> np.ndarray:
    """Images (N, 1 or 3, H, W) as RGB. Raises ShapeError if they are none, or too small for these layers."""
    images = np.asarray(images)
    judge.network.check(images.shape, layers)
    return images if images.shape[1] == 3 else images.repeat(3, 1)
