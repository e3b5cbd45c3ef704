"""A problem set on GANs and CycleGANs, solved by hand, by the engine and by differences; compares the gradients.

    python examples/problem_set.py             a table of gradients; exit status 0 if all agree
    python examples/problem_set.py --seed 1    other numbers, the same agreement

The problems, their derivations and the answer to problem 3 are in docs/lessons/problem_set.md. The formulas derived
there are written as loops over indices in minigan/teach/theory/by_hand.py.
"""

import argparse
import sys
from collections.abc import Callable

import numpy as np

import minigan as mg
from minigan import losses, ops, run
from minigan.teach.theory import by_hand

BOUND = 1e-10  # largest difference allowed between hand, engine and differences
Numbers = dict[str, np.ndarray]


def main() -> None:
    """Draw random numbers, solve each problem in three ways, print the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, image and noise (default: %(default)s)")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    shapes = {"x": (3, 3), "z": (2, 2), "K_D": (5, 3, 3), "W_D": (5,), "b_D": (), "K_G": (3, 3), "K_F": (4, 4)}
    numbers = {name: np.asarray(rng.normal(size=shape)) for name, shape in shapes.items()}
    worst = 0.0
    print(f"{'problem':9}{'gradient':10}{'shape':11}{'hand - engine':>15}{'hand - differences':>20}")
    for problem, hand, tensors, differences in problems(numbers):
        engine = dict(zip(hand, mg.grad(tensors["loss"], [tensors[name] for name in hand]), strict=True))
        for name, gradient in hand.items():
            gaps = [float(np.abs(gradient - other).max()) for other in (engine[name].data, differences(name))]
            worst = max(worst, *gaps)
            print(f"{problem:9}{name:10}{gradient.shape!s:11}{gaps[0]:15.1e}{gaps[1]:20.1e}")
    if not worst <= BOUND:
        sys.exit(f"the gradients differ by {worst:.1e}, more than {BOUND:g}")
    print(f"all agree to {worst:.1e}; differences are steps along the imaginary axis, exact except for rounding")


Solved = tuple[str, Numbers, dict[str, mg.Tensor], Callable[[str], np.ndarray]]


def problems(given: Numbers) -> list[Solved]:
    """For each problem: its name, gradients by hand, a graph of the engine, a function from names to differences."""
    d = {name: given[name] for name in ("x", "z", "K_D", "W_D", "b_D", "K_G")}
    g = {name: given[name] for name in ("z", "K_D", "W_D", "b_D", "K_G")}
    c = {name: given[name] for name in ("z", "K_G", "K_F")}
    return [
        ("1(a)", by_hand.discriminator_gradients(**d), engine_graph(given, "discriminator"),
         lambda name: imaginary_step(by_hand.discriminator_loss, d, name)),
        ("1(b)", by_hand.generator_gradients(**g), engine_graph(given, "generator"),
         lambda name: imaginary_step(by_hand.generator_loss, g, name)),
        ("2", by_hand.cycle_subgradients(**c), engine_graph(given, "cycle"),
         lambda name: imaginary_step(by_hand.cycle_loss, c, name)),
    ]


def engine_graph(given: Numbers, which: str) -> dict[str, mg.Tensor]:
    """The same networks as a graph: tensors by name, among them the loss."""
    t = {name: mg.tensor(array, requires_grad=True) for name, array in given.items()}
    fake = ops.conv_transpose2d(t["z"].reshape(1, 1, 2, 2), t["K_G"].reshape(1, 1, 3, 3), stride=2, padding=1)
    # z (1, 1, 2, 2) and K_G (1, 1, 3, 3) to fake (1, 1, 3, 3)

    def discriminate(image: mg.Tensor) -> mg.Tensor:  # the logit
        A = ops.conv2d(image.reshape(1, 1, 3, 3), t["K_D"].reshape(5, 1, 3, 3)).reshape(5)  # (5,)
        return ops.sum(t["W_D"] * A) + t["b_D"]

    if which == "discriminator":
        t["loss"] = losses.minimax.discriminator_loss(discriminate(t["x"]), discriminate(fake))
    elif which == "generator":
        t["loss"] = losses.minimax.generator_loss(discriminate(fake))
    else:
        back = ops.conv2d(fake, t["K_F"].reshape(1, 1, 4, 4), padding=1)  # (1, 1, 2, 2)
        t["loss"] = ops.sum(ops.abs(back - t["z"].reshape(1, 1, 2, 2)))  # (1, 1, 2, 2) to ()
    return t


def imaginary_step(f: Callable[..., complex], given: Numbers, name: str) -> np.ndarray:
    """df/d(given[name]) as Im f(... + ih) / h: nothing is subtracted, so nothing cancels and h may be 1e-30."""
    array = given[name]
    slopes = [f(**{**given, name: array + 1e-30j * row.reshape(array.shape)}).imag / 1e-30
              for row in np.eye(array.size)]
    return np.reshape(slopes, array.shape)  # the argument's shape


if __name__ == "__main__":
    run.main(main)

# ci:
