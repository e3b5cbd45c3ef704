"""Variants of the problem set, one per seed: other sizes, strides and paddings, other numbers; and their solutions.

A lecturer gives every student a seed: `python docs/teaching/variants.py --seed 7`. Seed 0 has the sizes of the problem
set as it stands (docs/lessons/problem_set.md). The numbers of the solutions come from the loops of by_hand.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minigan.engine import Array
from minigan.random import Stream
from minigan.teach.theory import by_hand
from minigan.teach.theory.by_hand import AS_STATED, Geometry

__all__ = ["Variant", "variant"]

NOISE = 2  # z is 2x2, so that paper is enough
SIZES = [(K, Geometry(S, P, P_F)) for K in (2, 3, 4, 5) for S in (1, 2, 3) for P in range(K) for P_F in (0, 1)
         if 3 <= (NOISE - 1) * S - 2 * P + K <= 5 and S <= K]


@dataclass(frozen=True)
class Variant:
    """One student's problem set: the generator's kernel size K and geometry, the discriminator's number of filters."""

    seed: int
    K: int
    at: Geometry
    filters: int

    @property
    def image(self) -> int:
        """Height and width of an image."""
        return (NOISE - 1) * self.at.S - 2 * self.at.P + self.K

    @property
    def K_F(self) -> int:  # noqa: N802
        """Kernel size of F: the one that leads from an image back to the noise's size."""
        return self.image + 2 * self.at.P_F - NOISE + 1

    @cached_property
    def numbers(self) -> dict[str, Array]:
        """The given arrays by name, in units of a half: small enough to compute with on paper.

        Drawn until D is neither nearly 0 nor nearly 1, for its error to be seen, and no error of the cycle is 0.
        """
        H, stream = self.image, Stream(self.seed, "variants of the problem set")
        shapes = {"x": (H, H), "z": (NOISE, NOISE), "K_D": (self.filters, H, H), "W_D": (self.filters,), "b_D": (),
                  "K_G": (self.K, self.K), "K_F": (self.K_F, self.K_F)}
        while True:
            numbers = {name: np.asarray(np.round(4 * stream.uniform(shape, np.float64) - 2) / 2)
                       for name, shape in shapes.items()}
            y = by_hand.generate(numbers["z"], numbers["K_G"], self.at)
            K_D, W_D, b_D = (numbers[name] for name in ("K_D", "W_D", "b_D"))
            logits = [by_hand.logit(image, K_D, W_D, b_D) for image in (numbers["x"], y)]
            errors = by_hand.back_again(y, numbers["K_F"], self.at) - numbers["z"]
            if (np.all(np.abs(logits) < 3) and np.all(W_D) and np.ptp(W_D) and np.all(errors)
                    and np.count_nonzero(numbers["K_G"]) > self.K):
                return numbers

    def given(self, names: str) -> dict[str, Array]:
        """Some of the numbers: `given("z K_G K_F")`."""
        return {name: self.numbers[name] for name in names.split()}

    @cached_property
    def answers(self) -> dict[str, Array]:
        """Every gradient that is asked for, by the problem and the name of the argument."""
        first = by_hand.discriminator_gradients(**self.given("x z K_D W_D b_D K_G"), at=self.at)
        second = by_hand.generator_gradients(**self.given("z K_D W_D b_D K_G"), at=self.at)
        third = by_hand.cycle_subgradients(**self.given("z K_G K_F"), at=self.at)
        return {**{f"1(a) {name}": g for name, g in first.items()}, "1(b) K_G": second["K_G"],
                "2(a) K_F": third["K_F"], "2(b) K_G": third["K_G"]}

    def sheet(self) -> str:
        """The problems, as Markdown."""
        H, (S, P, P_F), K_F = self.image, self.at, self.K_F
        numbers = "\n".join(f"    {name:4} = {_written(array)}" for name, array in self.numbers.items())
        return f"""# Problem set, variant {self.seed}

Images are {H} x {H} pixels, noise z is {NOISE} x {NOISE}.

- Discriminator: {self.filters} filters K_D[m] of {H} x {H}, A_m = sum_kl x[k,l] K_D[m,k,l], s = b_D + sum_m W_D[m] A_m,
  D = sigmoid(s).
- Generator G: a transposed convolution with a {self.K} x {self.K} kernel K_G, stride {S} and padding {P}.
- F, the way back: a convolution with a {K_F} x {K_F} kernel K_F, stride 1 and padding {P_F}.

0. Derive the size of G(z) and of F(G(z)) from these numbers.
1. The discriminator minimises -ln D(x) - ln(1 - D(G(z))), the generator ln(1 - D(G(z))).
   (a) Derive the gradients with respect to K_D, W_D and b_D, index by index, and write one line of update for each.
   (b) Derive the gradient with respect to K_G. Which noise values reach its weight [0,0]?
2. L = sum_ij |F(G(z)) - z|_ij. Derive a subgradient with respect to (a) K_F and (b) K_G. When is it not the only one?
3. Put in the numbers, to three digits.

{numbers}
"""

    def solutions(self) -> str:
        """What `sheet` asks for, as Markdown: sizes, formulas, numbers."""
        S, P, P_F = self.at
        y = by_hand.generate(self.numbers["z"], self.numbers["K_G"], self.at)
        u = by_hand.back_again(y, self.numbers["K_F"], self.at)
        D = [by_hand.sigmoid(by_hand.logit(image, **self.given("K_D W_D b_D"))) for image in (self.numbers["x"], y)]
        i, j = (_index(f"{S}i" if S > 1 else "i", -P, "k"), _index(f"{S}j" if S > 1 else "j", -P, "l"))
        reach = [f"z[{a},{c}]" for a in range(NOISE) for c in range(NOISE)
                 if 0 <= S * a - P < self.image and 0 <= S * c - P < self.image]
        numbers = "\n".join(f"    {name:9} = {_written(g)}" for name, g in self.answers.items())
        return f"""# Problem set, variant {self.seed}: solutions

0. ({NOISE} - 1) {S} - 2 * {P} + {self.K} = {self.image}; {self.image} + 2 * {P_F} - {self.K_F} + 1 = {NOISE}.
1. e = D(x) - 1 = {D[0] - 1:.3g} for the real image, e' = D(y) = {D[1]:.3g} for y = G(z).
   (a) gK_D[m] = W_D[m] (e x + e' y), gW_D[m] = e A_m(x) + e' A_m(y), gb_D = e + e'; subtract eta times each.
   (b) gy[a,c] = -D(y) sum_m W_D[m] K_D[m,a,c], gK_G[k,l] = sum_ij z[i,j] gy[{i}, {j}], inside the image only.
   [0,0] is reached by {', '.join(reach) or 'none'}.
2. t = sign(u - z), 0 where they are equal; there any number from -1 to 1 is right.
   (a) gK_F[k,l] = sum_ij t[i,j] y[{_index("i", -P_F, "k")}, {_index("j", -P_F, "l")}].
   (b) gy[a,c] = sum_ij t[i,j] K_F[{_index("a-i", P_F)}, {_index("c-j", P_F)}], then gK_G as in 1(b).
3. In numbers:

    y = G(z)  = {_written(y)}
    u = F(y)  = {_written(u)}
{numbers}
"""


def variant(seed: int) -> Variant:
    """The problem set for a seed; 0 has the original's sizes, with numbers for paper."""
    if seed == 0:
        return Variant(0, 3, AS_STATED, 5)
    stream = Stream(seed, "sizes of the problem set")
    place, filters = (int(n) for n in stream.uniform((2,), np.float64) * (len(SIZES), 3))
    return Variant(seed, *SIZES[place], filters + 2)


def _index(place: str, shift: int, tap: str = "") -> str:
    """An index such as 2i-1+k; a shift of 0 is left out."""
    return place + (f"{shift:+d}" if shift else "") + (f"+{tap}" if tap else "")


def _written(array: Array) -> str:
    """Numbers to three digits, nested as in Python, on one line."""
    return " ".join(np.array2string(np.asarray(array, np.float64), separator=", ", max_line_width=10**6,
                                    formatter={"float_kind": lambda v: f"{v + 0.0:.3g}"}).split())
