"""Optimisers, exactly as published, and schedules of the learning rate. A step changes parameters in place.

A schedule maps the step count to a factor of the learning rate, so resuming needs only the count. The state of an
optimiser is arrays, numbered by the position of their parameter; `state_dict` holds all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from minigan import kernels
from minigan.engine import Array, Tensor, counter, grad, scalar
from minigan.engine.device import asnumpy, of, put
from minigan.errors import CheckpointError, GraphError, OptionError

Schedule = Callable[[int], float]


def constant(step: int) -> float:
    """Always 1: the learning rate does not change."""
    return 1.0


def linear_decay(start: int, end: int) -> Schedule:
    """1 up to step `start`, then linearly down to 0 at step `end` (CycleGAN's second half).

    Raises OptionError unless 0 <= start < end.

    >>> [linear_decay(2, 4)(step) for step in range(6)]
    [1.0, 1.0, 1.0, 0.5, 0.0, 0.0]
    """
    if not 0 <= start < end:
        raise OptionError(f"linear_decay: needs 0 <= start < end, got start={start}, end={end}")
    return lambda step: min(1.0, max(0.0, (end - step) / (end - start)))


def warmup(steps: int) -> Schedule:
    """Linearly up to 1 over the first `steps` steps."""
    return lambda step: min(1.0, (step + 1) / steps)


def step_decay(every: int, gamma: float = 0.1) -> Schedule:
    """Multiply by gamma after every `every` steps."""
    return lambda step: gamma ** (step // every)


SCHEDULES: dict[str, Callable[[int], Schedule]] = {  # name: schedule of a run of `steps` steps
    "constant": lambda steps: constant,
    "half_linear": lambda steps: linear_decay(steps // 2, steps),  # CycleGAN's: constant, then linearly down to 0
    "linear": lambda steps: linear_decay(0, steps),
    "warmup": lambda steps: warmup(max(1, steps // 20)),
    "step": lambda steps: step_decay(max(1, steps // 3)),
}


def schedule(name: str, steps: int) -> Schedule:
    """The schedule with this name, for a run of `steps` steps.

    Raises:
        OptionError: no schedule has that name; the message lists them all.

    >>> [schedule("half_linear", 4)(step) for step in range(5)]
    [1.0, 1.0, 1.0, 0.5, 0.0]
    """
    if name not in SCHEDULES:
        raise OptionError(f"schedule={name!r} is not one of {', '.join(SCHEDULES)}")
    return SCHEDULES[name](steps)


class Optimizer:
    """Base: the parameters, the learning rate, its schedule and the step count.

    Args:
        parameters: leaves to update.
        lr: learning rate.
        weight_decay: adds weight_decay times the parameter to its gradient (L2, as in torch.optim).
        max_norm: all gradients are scaled by one factor, so that their joint L2 norm is at most this.
        schedule: step count to a factor of the learning rate.

    Raises:
        OptionError: no parameters, or lr < 0. GraphError: a parameter is not a leaf.
    """

    slots: tuple[str, ...] = ()  # names of the per-parameter arrays

    def __init__(self, parameters: Iterable[Tensor], lr: float, weight_decay: float = 0.0,
                 max_norm: float | None = None, schedule: Schedule = constant) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise OptionError(f"{type(self).__name__}: no parameters to update; pass `network.parameters()`")
        if not lr >= 0:
            raise OptionError(f"{type(self).__name__}: lr={lr} must be a number >= 0")
        if any(p.node is not None for p in self.parameters):
            raise GraphError(f"{type(self).__name__}: only leaves can be updated, but a parameter is the "
                             "result of an operation; pass `network.parameters()`")
        self.lr, self.weight_decay, self.max_norm, self.schedule = lr, weight_decay, max_norm, schedule
        self.steps = 0
        self.state: dict[str, list[Array]] = {
            slot: [np.zeros_like(p.data) for p in self.parameters] for slot in self.slots}

    def minimize(self, loss: Tensor, also: Sequence[Tensor] = ()) -> list[Tensor]:
        """One step down the gradient of `loss`. Only these parameters' gradients are computed; `.grad` is not used.

        Returns:
            the gradients of `also`, tensors in the graph of the loss, from the same backward pass.
        """
        gradients = grad(loss, [*self.parameters, *also])
        count = len(self.parameters)
        self._apply(self.parameters, [g.data for g in gradients[:count]], range(count))
        return gradients[count:]

    def step(self) -> None:
        """One step with the gradients in `.grad`, set by `loss.backward()`; parameters without one are skipped."""
        live = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        self._apply([self.parameters[i] for i in live],
                    [self.parameters[i].grad.data for i in live], live)  # type: ignore[union-attr]

    def zero_grad(self) -> None:
        """Set `.grad` of all parameters to None."""
        for p in self.parameters:
            p.grad = None

    def _apply(self, parameters: Sequence[Tensor], gradients: list[Array], positions: Iterable[int]) -> None:
        if self.max_norm is not None and gradients:
            length = np.sqrt(sum(np.sum(g.astype(np.float64) ** 2) for g in gradients))
            shrink = self.max_norm / np.maximum(length, self.max_norm)  # on the device: the host need not wait
            gradients = [g * shrink.astype(g.dtype) for g in gradients]
        state = {slot: [arrays[i] for i in positions] for slot, arrays in self.state.items()}
        lr = scalar(lambda steps: self.lr * self.schedule(steps), self, "steps")
        self.steps += 1
        if parameters:
            self.update([p.writable() for p in parameters], gradients, lr, **state)

    def update(self, parameters: list[Array], gradients: list[Array], lr: float, **state: list[Array]) -> None:
        """Change parameters and state in place; every subclass defines it."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """The step count and copies of all arrays on the host, named slot.position."""
        arrays = {f"{slot}.{i}": np.array(asnumpy(a), order="C")
                  for slot, row in self.state.items() for i, a in enumerate(row)}
        return {"steps": self.steps, **arrays}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state that `state_dict` returned.

        Raises:
            CheckpointError: the state belongs to other parameters or to another optimiser.
        """
        expected = {f"{slot}.{i}": a for slot, row in self.state.items() for i, a in enumerate(row)}
        if set(state) != {"steps", *expected} or any(np.shape(state[k]) != a.shape for k, a in expected.items()):
            raise CheckpointError(f"{type(self).__name__}: this state belongs to another optimiser or model: "
                                  "its arrays have other names or shapes")
        self.steps = int(state["steps"])
        for name, array in expected.items():
            array[...] = put(np.asarray(state[name], array.dtype), of(array))


OptimizerFactory = Callable[[Sequence[Tensor]], Optimizer]  # parameters to an optimiser: a class, or a partial of one


class SGD(Optimizer):
    """b <- momentum b + g;  p <- p - lr b, with nesterov p <- p - lr (g + momentum b). As torch.optim.SGD."""

    slots = ("momenta",)

    def __init__(self, parameters: Iterable[Tensor], lr: float = 1e-2, momentum: float = 0.0, nesterov: bool = False,
                 **options: Any) -> None:
        super().__init__(parameters, lr, **options)
        self.momentum, self.nesterov = momentum, nesterov

    def update(self, parameters: list[Array], gradients: list[Array], lr: float, **state: list[Array]) -> None:
        """The formula of the class."""
        kernels.sgd(parameters, gradients, state["momenta"], lr, self.momentum, self.nesterov, self.weight_decay)


class RMSProp(Optimizer):
    """s <- alpha s + (1 - alpha) g^2;  p <- p - lr g / (s^(1/2) + eps)  (Tieleman & Hinton, 2012). As torch.optim."""

    slots = ("squares",)

    def __init__(self, parameters: Iterable[Tensor], lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
                 **options: Any) -> None:
        super().__init__(parameters, lr, **options)
        self.alpha, self.eps = alpha, eps

    def update(self, parameters: list[Array], gradients: list[Array], lr: float, **state: list[Array]) -> None:
        """The formula of the class."""
        kernels.rmsprop(parameters, gradients, state["squares"], lr, self.alpha, self.eps, self.weight_decay)


class Adam(Optimizer):
    """Adam with bias correction, epsilon outside the root (Kingma & Ba, 2015, algorithm 1; as torch.optim.Adam).

        m <- beta1 m + (1 - beta1) g        v <- beta2 v + (1 - beta2) g^2
        p <- p - lr (m / (1 - beta1^t)) / ((v / (1 - beta2^t))^(1/2) + eps)
    """

    slots = ("means", "squares")

    def __init__(self, parameters: Iterable[Tensor], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, **options: Any) -> None:
        super().__init__(parameters, lr, **options)
        if not all(0 <= beta < 1 for beta in betas):
            raise OptionError(f"Adam: betas={betas} must both be at least 0 and below 1")
        self.betas, self.eps = betas, eps

    def update(self, parameters: list[Array], gradients: list[Array], lr: float, **state: list[Array]) -> None:
        """The formula of the class."""
        kernels.adam(parameters, gradients, state["means"], state["squares"], counter(self, "steps"), lr, *self.betas,
                     self.eps, self.weight_decay)
