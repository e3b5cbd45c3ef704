"""What a step does, and the update rules, exactly as published; PyTorch's formulas, so published settings hold here."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minigan import kernels
from minigan.engine import Array, Tensor, counter, scalar
from minigan.engine.autodiff import walk
from minigan.engine.distributed import joint
from minigan.errors import GraphError
from minigan.optim.options import Shared, check_shared
from minigan.optim.parameters import Group, Parameters


class Optimizer(Parameters):
    """Base: the parameters, the learning rate, its schedule and the step count.

    Args:
        parameters: leaves to update: tensors, or groups of them as in PyTorch: dicts with `params`, one or several
            tensors, and any of the options below except max_norm and schedule, which hold for all groups.
        lr: learning rate.
        weight_decay: adds weight_decay times the parameter to its gradient (L2, as in torch.optim).
        max_norm: all gradients are scaled by one factor, so that their joint L2 norm is at most this.
        schedule: step count to a factor of the learning rates of all groups.

    Attributes:
        parameters: all of them, in the order of the groups.
        param_groups: one dict per group: `params` and every option. A change holds from the next step on.
        lr: that of the first group; setting it scales those of all groups by one factor.
        steps: how often it has stepped, which the schedule counts.

    Raises:
        OptionError: no parameters, one that is no tensor or comes twice, or an option outside its range.
        GraphError: a parameter is not a leaf.
    """

    def minimize(self, loss: Tensor, also: Sequence[Tensor] = ()) -> list[Tensor]:
        """One step down the gradient of `loss`. Only these parameters' gradients are computed; `.grad` is not used.

        Parameters that the loss does not depend on are skipped, as in `step` after `loss.backward()`.

        Returns:
            the gradients of `also`, tensors in the graph of the loss, from the same backward pass.
        """
        inputs = [*self.parameters, *also]
        if any(not x.requires_grad for x in inputs):
            raise GraphError(f"{type(self).__name__}: a parameter of shape "
                             f"{next(x.shape for x in inputs if not x.requires_grad)} does not require a gradient; "
                             "make it with requires_grad=True before computing the loss")
        gradients = walk([(loss, None)], inputs)
        live = [i for i, p in enumerate(self.parameters) if p in gradients]
        self._apply([gradients[self.parameters[i]].data for i in live], live)
        return [gradients[x.place] if x.place in gradients else Tensor(np.zeros_like(x.data)) for x in also]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step with the gradients in `.grad`, set by `loss.backward()`; parameters without one are skipped.

        A closure, as in PyTorch, sets the gradients and returns the loss, which `step` returns.
        """
        loss = None if closure is None else closure()
        live = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        self._apply([self.parameters[i].grad.data for i in live], live)  # type: ignore[union-attr]
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set `.grad` of all parameters to None, or to zeros: these step, moved by momentum and decay alone."""
        for p in self.parameters:
            p.grad = None if set_to_none or p.grad is None else Tensor(np.zeros_like(p.data))

    def _apply(self, gradients: list[Array], live: Sequence[int]) -> None:
        """One step of the parameters at these positions: one call of the rule per group and step count."""
        check_shared(type(self).__name__, self.max_norm, self.schedule)
        self._check_groups()
        gradients = joint().mean(gradients, reuse=True)  # of one process, its own
        if self.max_norm not in (None, np.inf) and gradients:
            length = np.sqrt(sum(np.sum(g.astype(np.float64) ** 2) for g in gradients))
            shrink = self.max_norm / np.maximum(length, self.max_norm)  # on the device: the host need not wait
            gradients = [g * shrink.astype(g.dtype) for g in gradients]
        self._allocate()
        if self.counts:
            self.clocks.tick(live)
        gradient = dict(zip(live, gradients, strict=True))
        rates = [self._rate(group) for group in self.param_groups]
        self.steps += 1
        for number, members in self._calls(live):
            group, clock = self.param_groups[number], self.clocks.of[members[0]]
            state = {slot: [row[i] for i in members] for slot, row in self.state.items()}
            self.update([self.parameters[i].writable() for i in members], [gradient[i] for i in members],
                        rates[number], group, counter(clock, "steps") if self.counts else None, **state)

    def _rate(self, g: Group) -> Any:
        """The learning rate of a group in this step; in a captured one, a number that is computed anew every time."""
        return scalar(lambda steps: g["lr"] * self.schedule(steps), self, "steps")

    def _calls(self, live: Sequence[int]) -> list[tuple[int, list[int]]]:
        """Groups, each with the positions of those of its parameters that one call updates."""
        calls: dict[tuple[int, int], list[int]] = {}
        ends = list(itertools.accumulate(len(group["params"]) for group in self.param_groups))
        for i in live:
            number = bisect.bisect_right(ends, i)
            calls.setdefault((number, id(self.clocks.of[i]) if self.counts else 0), []).append(i)
        return [(number, members) for (number, _), members in calls.items()]

    def update(self, parameters: list[Array], gradients: list[Array], lr: float, group: Group, step: Any,
               **state: list[Array]) -> None:
        """Change parameters and state in place; every subclass defines it.

        Args:
            parameters, gradients: of one group, and with `counts` of one step count.
            lr: the group's learning rate times the schedule's factor.
            group: the group's options.
            step: with `counts`, the number of this step for these parameters, from 1.
            state: the rows of the slots.
        """
        raise NotImplementedError


OptimizerFactory = Callable[[Sequence[Tensor]], Optimizer]  # parameters to an optimiser: a class, or a partial of one


class SGD(Optimizer):
    """b <- momentum b + g;  p <- p - lr b, with nesterov p <- p - lr (g + momentum b). As torch.optim.SGD."""

    slots, options = ("momenta",), ("momentum", "nesterov")
    momentum: Any = Shared()
    nesterov: Any = Shared()

    def __init__(self, parameters: Iterable[Any], lr: float = 1e-2, momentum: float = 0.0, *, nesterov: bool = False,
                 **options: Any) -> None:
        super().__init__(parameters, lr, momentum=momentum, nesterov=nesterov, **options)

    def update(self, parameters: list[Array], gradients: list[Array], lr: float, group: Group, step: Any,
               **state: list[Array]) -> None:
        """The formula of the class."""
        kernels.sgd(parameters, gradients, state["momenta"], lr, group["momentum"], group["nesterov"],
                    group["weight_decay"])


class RMSProp(Optimizer):
    """s <- alpha s + (1 - alpha) g^2;  p <- p - lr g / (s^(1/2) + eps)  (Tieleman & Hinton, 2012). As torch.optim.

        centered   a <- alpha a + (1 - alpha) g, and s - a^2, an estimate of the variance, takes the place of s
                   (Graves, Generating sequences with recurrent neural networks, 2013, equations 38 to 41)
        momentum   b <- momentum b + g / (s^(1/2) + eps);  p <- p - lr b
    """

    slots, options = ("squares",), ("alpha", "eps", "momentum", "centered")
    alpha: Any = Shared()
    eps: Any = Shared()
    momentum: Any = Shared()
    centered: Any = Shared()

    def __init__(self, parameters: Iterable[Any], lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
                 weight_decay: float = 0.0, momentum: float = 0.0, centered: bool = False, **options: Any) -> None:
        super().__init__(parameters, lr, weight_decay, alpha=alpha, eps=eps, momentum=momentum, centered=centered,
                         **options)

    def slots_of(self, groups: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Averages of gradients only if a group is centred, momenta only if one has momentum."""
        return (*self.slots, *(("means",) if any(group["centered"] for group in groups) else ()),
                *(("momenta",) if any(group["momentum"] for group in groups) else ()))

    def update(self, parameters: list[Array], gradients: list[Array], lr: float, group: Group, step: Any,
               **state: list[Array]) -> None:
        """The formula of the class."""
        kernels.rmsprop(parameters, gradients, state["squares"], lr, group["alpha"], group["eps"],
                        group["weight_decay"], state["means"] if group["centered"] else None,
                        state["momenta"] if group["momentum"] else None, group["momentum"])


RMSprop = RMSProp  # PyTorch's spelling


class Adam(Optimizer):
    """Adam with bias correction, epsilon outside the root (Kingma & Ba, 2015, algorithm 1; as torch.optim.Adam).

        m <- beta1 m + (1 - beta1) g        v <- beta2 v + (1 - beta2) g^2
        p <- p - lr (m / (1 - beta1^t)) / ((v / (1 - beta2^t))^(1/2) + eps)

    t counts the steps of each parameter, so the first gradient of any of them moves it by lr.
    """

    slots, options, counts = ("means", "squares"), ("betas", "eps"), True
    decoupled = False  # whether weight_decay acts on the parameter itself, not through the gradient
    betas: Any = Shared()
    eps: Any = Shared()

    def __init__(self, parameters: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.0, **options: Any) -> None:
        super().__init__(parameters, lr, weight_decay, betas=betas, eps=eps, **options)

    def update(self, parameters: list[Array], gradients: list[Array], lr: float, group: Group, step: Any,
               **state: list[Array]) -> None:
        """The formula of the class."""
        beta1, beta2 = group["betas"]
        kernels.adam(parameters, gradients, state["means"], state["squares"], step, lr, beta1, beta2, group["eps"],
                     group["weight_decay"], self.decoupled)


class AdamW(Adam):
    """Adam with decoupled weight decay: p <- p - lr weight_decay p first, then Adam's step with the loss's gradient.

    Loshchilov & Hutter, Decoupled weight decay regularization, 2019, algorithm 2, with PyTorch's convention that the
    decay is multiplied by the learning rate; as torch.optim.AdamW.
    """

    decoupled = True

    def __init__(self, parameters: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 1e-2, **options: Any) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, **options)
