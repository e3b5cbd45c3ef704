"""Losses of logits, a discriminator's outputs before any sigmoid. Every loss is a mean over the batch by default.

Losses are float32, also of logits and images that are stored as bfloat16: `ops.mean_of` computes so, else `full` casts.

A GAN loss is a pair: the discriminator minimises one loss, the generator the other. With D = sigmoid(logit),
-ln D = softplus(-logit) and -ln(1 - D) = softplus(logit), both safe for any logit: the cross entropies of the targets 1
and 0 in `ops.mean_of`, which has the formulas of all functions whose means are taken here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minigan import kernels, ops
from minigan.engine import Tensor, full, grad, tensor
from minigan.errors import OptionError, ShapeError
from minigan.random import Stream
from minigan.random import default as default_stream


@dataclass(frozen=True)
class GANLoss:
    """A pair of losses: the discriminator's, a sum of two terms, and the generator's; each a mean over a batch.

    name             the key in GAN_LOSSES
    real             (logits of real images, label_smoothing) to the discriminator's first term
    fake             logits of generated images to the discriminator's second term
    generator        logits of generated images to the generator's loss
    label_smoothing  a: the real target is 1 - a (one-sided; Salimans et al., 2016)
    labels           whether the loss has targets, which can be smoothed
    """

    name: str
    real: Callable[[Tensor, float], Tensor]
    fake: Callable[[Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    label_smoothing: float = 0.0
    labels: bool = True

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor, both: Tensor | None = None) -> Tensor:
        """The discriminator's (or critic's) loss, a scalar, from logits of any shape.

        both: these logits, if they are the halves of one tensor: both means are then one operation.
        """
        if both is None or not (isinstance(self.real, Mean) and isinstance(self.fake, Mean)):
            return self.real(real_logits, self.label_smoothing) + self.fake(fake_logits)
        pairs = (self.real, self.label_smoothing), (self.fake, 0.0)
        terms = tuple((float(mean.target - a), mean.of, float(mean.weight)) for mean, a in pairs)
        return ops.means_of_halves(both, terms=terms)

    def __init_subclass__(cls, **options: Any) -> None:
        """A subclass whose discriminator_loss takes both logits only, as in earlier versions, gets no more."""
        super().__init_subclass__(**options)
        own = vars(cls).get("discriminator_loss")
        if own is not None and "both" not in inspect.signature(own).parameters:
            setattr(cls, "discriminator_loss", lambda self, real, fake, both=None: own(self, real, fake))  # noqa: B010

    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        """The generator's loss, a scalar, from logits of any shape."""
        return self.generator(fake_logits)

    def smoothed(self, label_smoothing: float) -> GANLoss:
        """The same pair with label smoothing.

        Raises:
            OptionError: label_smoothing is not in [0, 0.5), or the loss has no labels.
        """
        if not 0 <= label_smoothing < 0.5:
            raise OptionError(f"{self.name}: label_smoothing={label_smoothing} must be at least 0 and below 0.5")
        if label_smoothing and not self.labels:
            raise OptionError(f"{self.name}: has no labels to smooth; use label_smoothing=0")
        return replace(self, label_smoothing=label_smoothing)

    def __reduce__(self) -> Any:
        """Pickled by name, as functions may have none; a pair that GAN_LOSSES does not hold, function by function."""
        if GAN_LOSSES.get(self.name) == replace(self, label_smoothing=0.0):
            return _restored, (self.name, self.label_smoothing)
        return GANLoss, (self.name, self.real, self.fake, self.generator, self.label_smoothing, self.labels)


def _restored(name: str, label_smoothing: float) -> GANLoss:
    return gan_loss(name).smoothed(label_smoothing) if label_smoothing else gan_loss(name)


@dataclass(frozen=True)
class Mean:
    """E f(l, t) over logits l, times weight: f a function of ops.mean_of, t the target, less the label smoothing a."""

    of: str
    target: float
    weight: float = 1.0

    def __call__(self, logits: Tensor, a: float = 0.0) -> Tensor:
        """The mean, a scalar."""
        return ops.mean_of(logits, of=self.of, number=float(self.target - a), weight=float(self.weight))


_real_cross_entropy, _fake_cross_entropy = Mean("cross_entropy", 1), Mean("cross_entropy", 0)  # pickles name them


# Goodfellow et al., 2014, equation 1: V = E ln D(x) + E ln(1 - D(G(z))), maximised by D, minimised by G.
minimax = GANLoss("minimax", Mean("cross_entropy", 1), Mean("cross_entropy", 0), Mean("cross_entropy", 0, weight=-1))
# The "log D trick", ibid., section 3: G maximises E ln D(G(z)), whose gradient does not vanish while D wins.
non_saturating = GANLoss("non_saturating", Mean("cross_entropy", 1), Mean("cross_entropy", 0), Mean("cross_entropy", 1))
# Mao et al., 2017, equation 9 without the halves: E (D - t)^2 with targets 1 for real, 0 for fake, 1 for the generator.
least_squares = GANLoss("least_squares", Mean("square", 1), Mean("square", 0), Mean("square", 1))
# Arjovsky, Chintala & Bottou, 2017: the critic's loss is minus the Wasserstein estimate E f(x) - E f(G(z)).
wasserstein = GANLoss("wasserstein", Mean("product", -1), Mean("product", 1), Mean("product", -1), labels=False)
# Lim & Ye, 2017; Miyato et al., 2018, equations 16 and 17: E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))); G: -E D(G(z)).
hinge = GANLoss("hinge", Mean("hinge", 1), Mean("hinge", -1), Mean("product", -1), labels=False)

GAN_LOSSES = {pair.name: pair for pair in tuple(globals().values()) if isinstance(pair, GANLoss)}  # those above


def gan_loss(name: str | GANLoss) -> GANLoss:
    """The pair with this name; a GANLoss is returned unchanged.

    Raises:
        OptionError: no pair has that name; the message lists them all.
    """
    if isinstance(name, GANLoss):
        return name
    if name not in GAN_LOSSES:
        raise OptionError(f"loss={name!r} is not one of {', '.join(GAN_LOSSES)}")
    return GAN_LOSSES[name]


def _same_shape(loss: str, x: Any, target: Any, x_name: str = "x", name: str = "target", number: bool = True) -> None:
    """Raise ShapeError unless the shapes are equal, or the target is one number (if that has a meaning)."""
    if np.shape(x) == np.shape(target) or (number and np.ndim(target) == 0):
        return
    or_number = f"; a number as {name} stands for all elements" if number else ""
    raise ShapeError(f"{loss}: {x_name} {np.shape(x)} and {name} {np.shape(target)} must have one shape, as each "
                     f"element is compared with its own; reshape one{or_number}")


REDUCTIONS = ("mean", "sum", "none")


def check_reduction(loss: str, reduction: Any) -> None:
    """Raise OptionError unless the reduction is one of REDUCTIONS."""
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise OptionError(f"{loss}: reduction={reduction!r:.60} is not one of {', '.join(REDUCTIONS)}")


def _compared(loss: str, of: str, x: Tensor, target: Any, reduction: str, terms: Callable[[], Tensor]) -> Tensor:
    """The mean or the sum of a function of ops.mean_of, a scalar, or its terms."""
    check_reduction(loss, reduction)
    if reduction == "none":
        return terms()
    is_number = isinstance(target, int | float | np.integer | np.floating)
    if not np.size(x) or not (is_number or np.shape(target) == np.shape(x)):  # nothing, a Tensor of one number, or else
        return ops.sum(terms()) if reduction == "sum" else ops.mean(terms())
    weight = np.size(x) if reduction == "sum" else 1.0
    if is_number:
        return ops.mean_of(x, of=of, number=float(target), weight=weight)
    return ops.mean_of(x, target, of=of, weight=weight)


def mse(x: Tensor, target: Any, *, reduction: str = "mean") -> Tensor:
    """Mean squared difference; target has x's shape, or is one number for all elements.

    reduction: "mean", "sum", or "none" for the squared differences themselves, of x's shape.

    Raises:
        ShapeError: the shapes differ.
        OptionError: another reduction.
    """
    _same_shape("mse", x, target)
    return _compared("mse", "square", x, target, reduction, lambda: ops.square(full(x) - full(target)))


def l1(x: Tensor, target: Any, *, reduction: str = "mean") -> Tensor:
    """Mean absolute difference; target has x's shape, or is one number for all elements.

    reduction: "mean", "sum", or "none" for the absolute differences themselves, of x's shape.

    Raises:
        ShapeError: the shapes differ.
        OptionError: another reduction.
    """
    _same_shape("l1", x, target)
    return _compared("l1", "absolute", x, target, reduction, lambda: ops.abs(full(x) - full(target)))


def cycle_consistency(x: Tensor, there_and_back: Tensor) -> Tensor:
    """Mean |G_YX(G_XY(x)) - x| (Zhu et al., CycleGAN, 2017, equation 2); both have one shape.

    Raises:
        ShapeError: the shapes differ.
    """
    _same_shape("cycle_consistency", x, there_and_back, name="there_and_back", number=False)
    return l1(there_and_back, x)


def bce_with_logits(logits: Tensor, targets: Any, *, reduction: str = "mean") -> Tensor:
    """Mean binary cross entropy -t ln D - (1-t) ln(1-D) with D = sigmoid(logits), targets t in [0, 1].

    The targets have the logits' shape, or are one number for all (such as 0.9, a smoothed label). Computed as
    softplus(logits) - t logits, which overflows for no logit.

    reduction: "mean", "sum", or "none" for one number per logit.

    Raises:
        ShapeError: the shapes differ.
        OptionError: another reduction.
    """
    _same_shape("bce_with_logits", logits, targets, "logits", "targets")
    return _compared("bce_with_logits", "cross_entropy", logits, targets, reduction,
                     lambda: ops.softplus(logits) - full(logits) * full(targets))


def cross_entropy(logits: Tensor, labels: Any, *, reduction: str = "mean") -> Tensor:
    """Mean -ln softmax(logits)[label]; logits (N, K), labels (N,) integers from 0 to K-1.

    reduction: "mean" or "sum" over the batch, or "none" for one number per sample, (N,).

    Raises:
        ShapeError: sizes do not fit, or a label is out of range.
        OptionError: another reduction.
    """
    labels = np.asarray(labels)
    n, k = logits.shape if logits.ndim == 2 else (-1, 0)
    if labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer):
        raise ShapeError(f"cross_entropy: logits {logits.shape} must be (N, K), and labels, {labels.dtype} "
                         f"{labels.shape}, (N,) integers")
    if n and not (labels.min() >= 0 and labels.max() < k):
        raise ShapeError(f"cross_entropy: labels run from {labels.min()} to {labels.max()}, but there are K={k} "
                         f"classes, numbered from 0 to {k - 1}")
    check_reduction("cross_entropy", reduction)
    terms = ops.getitem(ops.log_softmax(full(logits), 1), (np.arange(n), labels))  # (N,)
    return -(terms if reduction == "none" else ops.sum(terms) if reduction == "sum" else ops.mean(terms))


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Any, fake: Any,
                     stream: Stream | None = None) -> Tensor:
    """E (|grad_u f(u)| - 1)^2 at u = e x + (1-e) G(z), one e per sample, uniform in [0, 1); multiply by lambda_gp = 10.

    The norm is taken over all axes except the first; where the gradient is 0, the derivative of the norm is 0, not NaN.
    Neither real nor fake, both (N, ...), receives a gradient.
    Source: Gulrajani et al., Improved training of Wasserstein GANs, 2017, equation 3.

    Raises:
        ShapeError: real and fake differ in shape.
    """
    x, g = (full(t.detach() if isinstance(t, Tensor) else tensor(t)) for t in (real, fake))
    if x.shape != g.shape:
        raise ShapeError(f"gradient_penalty: real {x.shape} and fake {g.shape} must have one shape; use "
                         "batches of equal size")
    e = (stream or default_stream).uniform((len(x), *(1,) * (x.ndim - 1)), x.dtype, x.device, 0)  # (N, 1, ...)
    u = Tensor(kernels.mix(x.data, g.data, e), requires_grad=True)
    slope, = grad(ops.sum(critic(u)), [u], create_graph=True)
    return mse(ops.norm(slope, axis=tuple(range(1, u.ndim))), 1.0)


def r1(discriminator: Callable[[Tensor], Tensor], real: Any) -> Tensor:
    """E |grad D(x)|^2 over real samples x (N, ...), D the logit; multiply by gamma / 2, gamma from 0.1 to 10.

    Where generated samples equal real ones, the best D is flat: the penalty pulls it there, and so training converges
    near that point. The squared length has a derivative everywhere. `real` receives no gradient.
    Source: Mescheder, Geiger & Nowozin, Which training methods for GANs do actually converge?, 2018, section 4.1.
    """
    return ops.mean(_slopes(discriminator, real)[1])


def roth(discriminator: Callable[[Tensor], Tensor], real: Any, fake: Any) -> Tensor:
    """E_p (1 - D)^2 |grad l|^2 + E_q D^2 |grad l|^2 with the logit l, D = sigmoid(l); multiply by gamma / 2.

    To first order, it is what noise of variance gamma, added to real (N, ...) and generated samples, does to the loss
    of the GAN of 2014: both distributions are smoothed, so that they overlap. Neither real nor fake receives a
    gradient.
    Source: Roth, Lucchi, Nowozin & Hofmann, Stabilizing training of generative adversarial networks through
    regularization, 2017: the Jensen-Shannon regulariser.
    """
    (on_real, real_lengths), (on_fake, fake_lengths) = (_slopes(discriminator, x) for x in (real, fake))
    p, q = ops.sigmoid(-on_real), ops.sigmoid(on_fake)  # 1 - D(x) and D(G(z))
    weights = [ops.square(p).reshape(len(p)), ops.square(q).reshape(len(q))]  # (N, 1, 1, 1) or (N, 1) to (N,)
    return ops.mean(weights[0] * real_lengths) + ops.mean(weights[1] * fake_lengths)


def _slopes(discriminator: Callable[[Tensor], Tensor], samples: Any) -> tuple[Tensor, Tensor]:
    """Logits of samples (N, ...), and their squared gradients |grad l|^2 with respect to the samples, (N,)."""
    x = Tensor(full((samples if isinstance(samples, Tensor) else tensor(samples)).detach()).data, requires_grad=True)
    logits = full(discriminator(x))
    slope, = grad(ops.sum(logits), [x], create_graph=True)
    return logits, ops.sum(ops.square(slope), axis=tuple(range(1, x.ndim)))


def instance_noise(x: Tensor, std: float | Tensor, stream: Stream | None = None) -> Tensor:
    """Samples x (N, ...) with Gaussian noise of this deviation, for real and generated ones alike.

    Distributions that do not overlap then do, and no discriminator tells them apart without error.
    Source: Arjovsky & Bottou, Towards principled methods for training GANs, 2017, section 3; Sonderby et al., 2017.
    """
    x = full(x)
    return x + Tensor((stream or default_stream).normal(x.shape, x.dtype, x.device, samples=0)) * std
