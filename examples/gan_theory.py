"""The theory of GANs in numbers: exact values, and those that trained networks reach.

    python examples/gan_theory.py                  two minutes on two CPU cores
    python examples/gan_theory.py --seed 1         other weights and samples, the same theory
    python examples/gan_theory.py --device cuda    on a GPU

1  The best discriminator is D* = p_data / (p_data + p_g), and its value -ln 4 + 2 JS      Goodfellow et al., 2014
2  Two parallel lines: KL and JS do not depend on their distance, W does                   Arjovsky et al., 2017
3  The better the discriminator, the less the minimax loss teaches; the log D trick helps  Arjovsky & Bottou, 2017
4  A generator on the lines stays where it is; with noise or a regulariser it arrives      Roth et al., 2017

Prints a table. Output in runs/gan_theory/: gan_theory.png, numbers.json. Of the common options, --steps, --seed, --out,
--overwrite, --device, --precision and --smoke are used.
"""

import math
from typing import Any

from figures.theory import theory_page
from minigan import run
from minigan.run import option
from minigan.teach import theory
from minigan.teach.theory import Claim, Gaussians, Lines

DATA = Gaussians(means=(-1.5, 1.0), stds=(0.5, 0.7), weights=(0.4, 0.6))
MODEL = Gaussians(means=(0.5,), stds=(1.2,))
THETAS = (-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0)
LAMBDA = 10.0  # weight of the gradient penalty


def main() -> None:
    """Options, four experiments; table and figure."""
    options = run.options(__doc__, name="gan_theory", resumable=False,
                          samples=option(1024, "samples of each distribution per step"))
    steps = run.SMOKE_STEPS if options.smoke else options.steps or 1200
    folder = run.begin(options)
    fixed = {"steps": steps, "samples": options.samples, "seed": options.seed}
    apart, equal = (theory.optimum(DATA, model, **fixed) for model in (MODEL, DATA))
    apart["best"], equal["best"] = (theory.value(DATA, model) for model in (MODEL, DATA))
    lines = [theory.parallel_lines(theta, lambda_gp=LAMBDA, **fixed) for theta in THETAS]
    claims = goodfellow(apart, equal) + [claim for line in lines for claim in arjovsky(line)] + vanishing(lines[-1])
    claims += arriving(steps=max(1, steps // 20), start=steps // 12, seed=options.seed)
    print("claim".ljust(70) + "exact".rjust(13) + "measured".rjust(13) + "off by".rjust(9), *claims, sep="\n")
    settings = {**fixed, "lambda_gp": LAMBDA}
    run.write(folder, "numbers.json", lambda path: theory.save_numbers(path, claims, settings, apart, equal, lines))
    print(run.write(folder, "gan_theory.png", lambda path: theory_page(apart, equal, lines, path)))


def goodfellow(apart: dict[str, Any], equal: dict[str, Any]) -> list[Claim]:
    """The optimum of the discriminator, for p_g different from p_data and for p_g equal to p_data."""
    return [
        Claim("mean |D - D*|, in units of the mean D*, 1/2", 0.0, 2 * apart["error"], "absolute"),
        Claim("value of the best discriminator, -ln 4 + 2 JS", apart["best"], apart["value"]),
        Claim("JS(p_data, p_g) by the discriminator", theory.js(DATA, MODEL), apart["js"]),
        Claim("KL(p_data, p_g) by the discriminator", theory.kl(DATA, MODEL), apart["kl"]),
        Claim("value where p_g = p_data, -ln 4", -math.log(4), equal["value"]),
        Claim("mean |D - 1/2| where p_g = p_data, in units of 1/2", 0.0, 2 * equal["error"], "absolute"),
    ]


def arjovsky(line: dict[str, Any]) -> list[Claim]:
    """What discriminator and critic measure between two parallel lines; the error is absolute if the distance is 0."""
    theta, exact, kind = line["theta"], Lines(line["theta"]), "relative" if line["theta"] else "absolute"
    overshoot = exact.wasserstein() * (1 + exact.wasserstein() / (2 * LAMBDA))
    return [
        Claim(f"lines, theta = {theta:g}: JS by the discriminator", exact.js(), line["js"], kind),
        Claim(f"lines, theta = {theta:g}: W by the critic, per unit of slope", exact.wasserstein(),
              line["wasserstein"], kind),
        Claim(f"lines, theta = {theta:g}: E f(x) - E f(G(z)) as trained, W + W^2 / 2 lambda", overshoot,
              line["gap"], kind),
    ]


def vanishing(line: dict[str, Any]) -> list[Claim]:
    """What the generator learns from a discriminator that has won, and from a critic."""
    last, theta = line["trace"][-1], line["theta"]
    undecided, lost = (theory.by_logit(logit) for logit in (0.0, math.log(last["d"] / (1 - last["d"]))))
    return [
        Claim("slope by the logit where D = 1/2: minimax, -D", -0.5, undecided["minimax"]),
        Claim("slope by the logit where D = 1/2: log D trick, D - 1", -0.5, undecided["non_saturating"]),
        Claim("minimax / log D trick where D has won, D / (1 - D)", last["d"] / (1 - last["d"]),
              lost["minimax"] / lost["non_saturating"]),
        Claim("minimax slope by theta: 2 dJS/dtheta for the best D", 0.0, last["minimax"], "absolute"),
        Claim("minimax slope by theta: theorem 2.4, epsilon / (1 - epsilon)", last["bound"], last["minimax"], "bound"),
        Claim("critic's slope by theta, 1 + |theta| / 2 lambda", 1 + abs(theta) / (2 * LAMBDA), last["critic"]),
    ]


def arriving(**settings: int) -> list[Claim]:
    """Where the minimax game on the lines leaves a generator that starts at theta = 1, and where it should be."""
    games = ({}, {"roth": 10.0}, {"instance_noise": 0.5})
    plain, roth, noise = (theory.game_on_lines(1.0, **settings, **regulariser)[-1] for regulariser in games)
    return [Claim("lines: theta after the plain game, which leaves it at 1", 1.0, plain, "absolute"),
            Claim("lines: theta with Roth et al.'s regulariser", 0.0, roth, "absolute"),
            Claim("lines: theta with instance noise", 0.0, noise, "absolute")]


if __name__ == "__main__":
    run.main(main)
