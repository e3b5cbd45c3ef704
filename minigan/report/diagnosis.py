"""What a run's numbers say, in words: whether the game is balanced, and if not, who wins and what to change.

The means of the last WINDOW steps are judged, because single steps of a GAN say nothing.
"""

from __future__ import annotations

__all__ = ["diagnose"]

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

WINDOW = 200  # steps
JUMP = 0.3  # a change of mean D(x) from one step to the next that an oscillation of D makes; see lesson 8
_Means = Mapping[str, float]

# (metrics it needs, condition, sentence); every sentence ends with what to do
_SIGNS: tuple[tuple[tuple[str, ...], Callable[[_Means], bool], str], ...] = (
    (("g_slope",), lambda m: m["g_slope"] < 1e-6,
     "D wins: the gradient at G's output is {g_slope:.1e}, too small to learn from; "
     "use --loss non_saturating or wasserstein_gp, or a smaller --lr"),
    (("d_real", "d_fake"), lambda m: m["d_real"] > 0.95 and m["d_fake"] < 0.05,
     "D tells nearly all samples apart (D(x) {d_real:.3f}, D(G(z)) {d_fake:.3f}); if the samples are poor, give G more "
     "steps, smooth D's labels (--label-smoothing 0.1), or use hinge_spectral"),
    (("d_real", "d_fake"), lambda m: m["d_real"] - m["d_fake"] < 0.01,
     "D cannot tell real from generated (D(x) {d_real:.3f}, D(G(z)) {d_fake:.3f}): either G is perfect or D learns "
     "nothing; look at the samples, and give D more steps (--n-discriminator) if they are poor"),
    (("jumps",), lambda m: m["jumps"] > 2,
     "D oscillates: D(x) fell by 0.3 or more and rose again at the next step {jumps:.0f} times, since Adam's steps are "
     "too long for the curvature of D's loss (lesson 8); the averaged generator (--ema) suffers little; --loss tuned, "
     "a smaller --lr or a larger --beta1 calm it"),
    (("wasserstein",), lambda m: m["wasserstein"] < 0,
     "the critic ranks generated samples above real ones (estimate {wasserstein:.3g} below 0), so it is no distance; "
     "give it more steps (--n-critic)"),
    (("clipped",), lambda m: m["clipped"] > 0.9,
     "{clipped:.0%} of the critic's weights lie at the clipping bound: it has become too simple a function; "
     "use a gradient penalty (--lipschitz gp)"),
    (("penalty",), lambda m: m["penalty"] > 1.0,
     "the critic's slopes are far from 1 (penalty {penalty:.3g}): the estimate is not a distance yet; "
     "use a smaller --lr or a larger lambda_gp"),
    (("cycle_a", "cycle_b"), lambda m: max(m["cycle_a"], m["cycle_b"]) > 0.3,
     "images translated there and back differ from the originals (on average by {cycle_a:.2f} and {cycle_b:.2f} of at "
     "most 2), so their content is lost; train longer, or use a larger --lambda-cycle"),
    (("cycle_a", "cycle_b", "d_a", "d_b"), lambda m: max(m["cycle_a"], m["cycle_b"]) < 0.15
     and min(m["d_a"], m["d_b"]) >= 0.01 and max(m["d_a"], m["d_b"]) < 0.17,
     "both discriminators tell translations from real images (losses {d_a:.2f} and {d_b:.2f}), although there and back "
     "restores the originals ({cycle_a:.2f} and {cycle_b:.2f}): translations keep what should change, often outlines;"
     " use domains of like shapes, or a smaller --lambda-cycle"),
    (("d_a", "d_b"), lambda m: min(m["d_a"], m["d_b"]) < 0.01,
     "a discriminator recognises all fakes (losses {d_a:.3f} and {d_b:.3f}), so the generators learn little from it; "
     "use a smaller --lr, or train longer if the pictures still improve"),
)
_SHOWN = (("d_real", "D(x) {:.2f}"), ("d_fake", "D(G(z)) {:.2f}"), ("wasserstein", "Wasserstein estimate {:.3g}"),
          ("penalty", "penalty {:.2g}"), ("clipped", "clipped {:.0%}"), ("g_slope", "gradient at G's output {:.2g}"),
          ("l1", "distance to the target {:.3f}"), ("perceptual", "perceptual loss {:.3f}"),
          ("content", "content loss {:.3f}"), ("style", "style loss {:.3f}"),
          *((f"{key}_{domain}", f"{name}_{domain} {{:.2f}}")
            for key, name in (("d", "D"), ("g", "G"), ("cycle", "cycle")) for domain in "ab"))


def diagnose(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines to print: the means of the last steps' metrics, then one sentence for each thing that looks wrong.

    rows  one per step, as in metrics.jsonl; there may be none

    A run shorter than WINDOW steps is described, not judged. A NaN or an infinity is named, with its step.
    """
    if not rows:
        return ["no steps were recorded"]
    keys = [key for key, _ in _SHOWN if key in rows[-1]]
    for number, row in enumerate(rows, 1):
        broken = [key for key, value in row.items() if isinstance(value, float) and not np.isfinite(value)]
        if broken:
            return [f"diverged: {', '.join(broken)} not finite from step {row.get('step', number)} on"]
    last = rows[-WINDOW:]
    means = {key: float(np.mean([row[key] for row in last if key in row])) for key in keys}
    if "d_real" in means:
        means["jumps"] = _jumps([row["d_real"] for row in last if "d_real" in row])
    line = f"last {len(last)} steps: " + ", ".join(text.format(means[key]) for key, text in _SHOWN if key in means)
    if len(last) < WINDOW:
        return [line]
    signs = [sentence.format(**means) for needs, sign, sentence in _SIGNS if set(needs) <= set(means) and sign(means)]
    return [line, *(signs or ["no sign of trouble in them"])]


def _jumps(values: Sequence[float]) -> int:
    """How often a value falls by JUMP at one step and rises by JUMP at the next."""
    change = np.diff(np.asarray(values, float))
    return int(np.sum((change[:-1] < -JUMP) & (change[1:] > JUMP)))
