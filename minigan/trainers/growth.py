"""The phases of progressive growing: which side of images, for how many steps, and whether a block is faded in."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from minigan.errors import OptionError


class Phase(NamedTuple):
    """A number of steps at one side.

    depth    number of the side       fading   whether the block of this side is faded in
    side     of the images            first    number of the first step, from 0
    steps    how many                 batches  batches of real data per discriminator step
    """

    depth: int
    side: int
    fading: bool
    first: int
    steps: int
    batches: int

    @property
    def name(self) -> str:
        """Such as "8x8 fade"."""
        return f"{self.side}x{self.side}{' fade' if self.fading else ''}"


class Lengths(NamedTuple):
    """How many images the discriminator is shown in each phase, and in each of its steps.

    fade, stable  images while a block is faded in, and after it
    batch_size    images of a batch
    minibatch     images per step at some sides, multiples of batch_size; elsewhere batch_size
    n_critic      discriminator steps per step
    """

    fade: int
    stable: int
    batch_size: int
    minibatch: Mapping[int, int]
    n_critic: int


def phases(sides: Sequence[int], lengths: Lengths, growing: bool = True) -> list[Phase]:
    """4x4, then for each further side a fade and a phase without, of as many steps as show the images.

    If not growing, one phase at the last side that shows the images of them all.

    Raises:
        OptionError: a number below 1, a side that is not there, or a minibatch that is no multiple of the batch size.
    """
    numbers = {"fade_images": lengths.fade, "stable_images": lengths.stable, "batch_size": lengths.batch_size}
    if wrong := [f"{name}={number}" for name, number in numbers.items() if number < 1]:
        raise OptionError(f"Progressive: {', '.join(wrong)} must be at least 1")
    for side, images in lengths.minibatch.items():
        if side not in sides or images < 1 or images % lengths.batch_size:
            raise OptionError(f"Progressive: minibatch={{{side}: {images}}}: the sides are "
                              f"{', '.join(map(str, sides))}, and a minibatch is made of whole batches of "
                              f"{lengths.batch_size} images")
    last = len(sides) - 1
    plan = [(0, False, lengths.stable)]
    for depth in range(1, len(sides)):
        plan += [(depth, True, lengths.fade), (depth, False, lengths.stable)]
    rows: list[Phase] = []
    for depth, fading, images in plan if growing else [(last, False, sum(images for *_, images in plan))]:
        batches = lengths.minibatch.get(sides[depth], lengths.batch_size) // lengths.batch_size
        shown = batches * lengths.batch_size * lengths.n_critic  # per step
        first = rows[-1].first + rows[-1].steps if rows else 0
        rows.append(Phase(depth, sides[depth], fading, first, -(-images // shown), batches))
    return rows


def phase_at(rows: Sequence[Phase], step: int) -> Phase:
    """The phase of a step, counted from 0; the last one goes on for ever."""
    return rows[bisect_right([phase.first for phase in rows], step) - 1]
