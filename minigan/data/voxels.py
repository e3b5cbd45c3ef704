"""Landscapes of blocks in perspective, as a game draws them, and the same hills as a photograph would show them.

Both kinds show one height map: as columns of cubes with flat, unevenly lit faces and dark edges, or as a smooth surface
under the same sun. Networks never see such pairs, so what a translator between the kinds learns, colours or also the
blocks, can be measured against the true partner.

A ray from the camera visits the cells of the map one after another (Amanatides & Woo, A fast voxel traversal algorithm
for ray tracing, 1987). It ends at the first cell whose ground is above it where it enters or leaves: a block's wall or
roof, or the smooth surface in between.
"""

from __future__ import annotations

__all__ = ["Voxels", "block_edges", "voxels"]

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minigan.data.images import NO_LABELS, ImageData, channels_last
from minigan.errors import OptionError, ShapeError
from minigan.random import Stream

KINDS = ("blocks", "smooth")
CELLS = 96  # of the map, along each side; the camera stands near the middle of one
FAR = 44.0  # cells: further away there is only haze
WATER = 3.0  # height of the water
VIEW = 1.1  # tangent of half the angle of view, times 2: about 58 degrees
EDGE = 0.07  # width of the dark edges of a face, in blocks
COLOURS = np.array([  # of water, sand, grass, stone, snow
    (0.22, 0.42, 0.75), (0.86, 0.78, 0.55), (0.38, 0.62, 0.25), (0.52, 0.50, 0.48), (0.95, 0.96, 0.98)])
WALLS = np.array([  # below the surface: water, sand, earth under grass, stone, stone under snow
    (0.20, 0.38, 0.68), (0.80, 0.70, 0.48), (0.50, 0.36, 0.23), (0.47, 0.45, 0.43), (0.60, 0.59, 0.58)])


class Landscape(NamedTuple):
    """A height map, what lies on it, and who looks at it.

    heights    (CELLS + 1, CELLS + 1) at the corners of cells     grounds   material of each cell (CELLS, CELLS)
    brightness of each cell's colour (CELLS, CELLS)               sky       colours above and at the horizon (2, 3)
    eye        x, height, z in cells                              turn      direction of view and of the sun, radians
    """

    heights: np.ndarray
    grounds: np.ndarray
    brightness: np.ndarray
    sky: np.ndarray
    eye: np.ndarray
    turn: np.ndarray


@dataclass(frozen=True, eq=False)
class Voxels(ImageData):
    """Landscapes, one per image.

    kind     "blocks" or "smooth"
    origin   seed and name of the random stream that they are made of
    numbers  integers (N,): which landscapes of the stream they are
    """

    kind: str
    origin: tuple[int, str]
    numbers: np.ndarray

    def partner(self) -> Voxels:
        """The same landscapes in the other kind, row for row."""
        kind = KINDS[1 - KINDS.index(self.kind)]
        return _drawn(kind, self.numbers, self.images.shape[2], *self.origin)


def voxels(kind: str = "blocks", count: int = 400, size: int = 64, split: str = "train", seed: int = 0) -> Voxels:
    """Landscapes (count, 3, size, size) seen in perspective; equal arguments, equal bytes. An image takes 40 ms.

    Kinds and splits show different landscapes; `partner()` has the same ones in the other kind.

    Raises:
        OptionError: another kind or split, a count below 1, or a size outside 16 .. 256.

    >>> few = voxels("blocks", count=2, size=16)
    >>> few.images.shape, few.partner().kind
    ((2, 3, 16, 16), 'smooth')
    """
    if kind not in KINDS or split not in ("train", "test"):
        raise OptionError(f"voxels: kind is 'blocks' or 'smooth' and split 'train' or 'test', not {kind!r} and "
                          f"{split!r}")
    if count < 1 or not 16 <= size <= 256:
        raise OptionError(f"voxels: count={count} must be at least 1 and size={size} lie in 16 .. 256")
    return _drawn(kind, np.arange(count), size, seed, f"voxels/{kind}/{split}")


def _drawn(kind: str, numbers: np.ndarray, size: int, seed: int, name: str) -> Voxels:
    """The landscapes with these numbers of a stream, row for row."""
    stream, wanted = Stream(seed, name), set(numbers.tolist())
    lands = ((number, _landscape(stream)) for number in range(max(wanted) + 1))  # one after another
    pictures = {number: _picture(land, kind, size) for number, land in lands if number in wanted}
    images = np.stack([pictures[number] for number in numbers.tolist()])  # (N, size, size, 3)
    source = f"{len(images):,} landscapes of {kind} ground, {size} x {size} pixels, drawn from seed {seed} ({name})"
    return Voxels(channels_last(images), NO_LABELS, kind, source, kind, (seed, name), numbers)


def block_edges(images: np.ndarray) -> float:
    """How much of an image is small, sharp edges: the mean squared difference of neighbouring pixels' brightness, of
    what a blur over 3 x 3 pixels takes away. Blocks have several times as much of it as smooth hills.

    Args:
        images: (N, 3, H, W), floats in [-1, 1] or uint8.

    Raises:
        ShapeError: other images, or fewer than 4 pixels along a side.

    >>> stripes = np.tile(np.array([-1.0, 1.0]), (1, 3, 8, 4))
    >>> block_edges(stripes) > block_edges(stripes * 0.5) > block_edges(stripes * 0)
    True
    """
    x = np.asarray(images)
    if x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < 4:
        raise ShapeError(f"block_edges: images are (N, 3, H, W) of at least 4 x 4 pixels, not {x.shape}")
    x = x / 127.5 - 1 if x.dtype == np.uint8 else x.astype(float)
    luma = np.tensordot((0.299, 0.587, 0.114), x, (0, 1))  # (N, H, W)
    windows = np.lib.stride_tricks.sliding_window_view(luma, (3, 3), (1, 2))
    detail = luma[:, 1:-1, 1:-1] - windows.mean((3, 4))
    return float(np.mean([np.mean(np.diff(detail, axis=axis) ** 2) for axis in (1, 2)]))


# ---- the landscape ----
def _landscape(numbers: Stream) -> Landscape:
    """Hills of three sizes, water in the valleys, sand at its edge, stone and snow above."""
    hills = sum(_waves(numbers, CELLS + 1, cells) * high for cells, high in ((4, 8.0), (10, 4.0), (24, 1.2)))
    heights = WATER + 1.0 + hills + 3.0 * numbers.uniform(1, np.float64)
    middle = heights[:-1, :-1]
    border = _waves(numbers, CELLS, 12)  # materials do not change at the same height everywhere
    levels = np.array([WATER, WATER + 0.8, WATER + 4.5, WATER + 7.0])
    grounds = np.searchsorted(levels, (middle + np.where(middle > WATER + 0.8, 1.5 * border, 0)).ravel())
    grounds = np.where(middle <= WATER, 0, np.maximum(grounds.reshape(middle.shape), 1))  # (CELLS, CELLS)
    brightness = 1 + 0.10 * (2 * numbers.uniform(middle.shape, np.float64) - 1)
    light = numbers.uniform(3, np.float64)
    above = np.array([0.30, 0.50, 0.85]) + 0.15 * (light - 0.5)
    sky = np.stack([above, np.array([0.75, 0.83, 0.92]) + 0.08 * (light - 0.5)])
    place = CELLS / 2 + 20 * (numbers.uniform(2, np.float64) - 0.5)
    x, z = place.astype(int)
    ground = max(WATER, heights[x - 2 : x + 4, z - 2 : z + 4].max())
    eye = np.array([place[0], ground + 2.5 + 3.5 * numbers.uniform(1, np.float64)[0], place[1]])
    return Landscape(heights, grounds, brightness, sky, eye, 2 * np.pi * numbers.uniform(2, np.float64))


def _waves(numbers: Stream, size: int, cells: int) -> np.ndarray:
    """Smooth noise (size, size) in about [-1, 1]: numbers on a coarse lattice, blended by smoothstep."""
    lattice = 2 * numbers.uniform((cells + 2, cells + 2), np.float64) - 1
    at = np.arange(size) * cells / size
    whole = at.astype(int)
    share = (at - whole) ** 2 * (3 - 2 * (at - whole))
    rows = lattice[whole] * (1 - share)[:, None] + lattice[whole + 1] * share[:, None]  # (size, cells + 2)
    return rows[:, whole] * (1 - share) + rows[:, whole + 1] * share


# ---- the picture ----
class Paths(NamedTuple):
    """The cells that the rays of each column of pixels visit in turn, arrays (columns, cells).

    All rays of a column go over the same cells, for the camera does not tilt sideways: they only differ in height.

    x, z          of the cells             entry, leave  distances at which rays enter and leave them
    axis          of the wall through which they enter, 0 or 1; of the first cell, -1
    """

    x: np.ndarray
    z: np.ndarray
    entry: np.ndarray
    leave: np.ndarray
    axis: np.ndarray


def _picture(land: Landscape, kind: str, size: int) -> np.ndarray:
    """uint8 (size, size, 3): each pixel is the mean of four rays."""
    fine, view = 2 * size, land.turn[0]
    across = VIEW * ((np.arange(fine) + 0.5) / fine - 0.5)
    right, up = across, -across - 0.2  # the camera looks a little downwards
    flat = np.stack([np.cos(view) - np.sin(view) * right, np.sin(view) + np.cos(view) * right])  # (2, columns)
    high = np.clip(1.6 * up[:, None] / np.sqrt(1 + right**2 + up[:, None] ** 2), 0, 1)[..., None]  # 0 at the horizon
    sky = land.sky[0] * high + land.sky[1] * (1 - high)  # (rows, columns, 3)
    distance, ground = (_blocks if kind == "blocks" else _smooth)(land, _paths(land, flat), flat, up)
    haze = np.clip(distance / FAR, 0, 1)[..., None] ** 2
    colours = np.where(np.isfinite(distance)[..., None], ground * (1 - haze) + land.sky[1] * haze, sky)
    pixels = colours.reshape(size, 2, size, 2, 3).mean((1, 3))  # (size, size, 3)
    return np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)


def _paths(land: Landscape, flat: np.ndarray) -> Paths:
    """The cells under rays with horizontal directions (2, columns), up to the distance FAR."""
    start, sign = land.eye[[0, 2]], np.where(flat < 0, -1, 1)
    flat = np.where(np.abs(flat) < 1e-9, 1e-9 * sign, flat)
    first = (start.astype(int)[:, None] + (sign > 0) - start[:, None]) / flat  # distance of the first border
    borders = first[..., None] + np.arange(int(FAR * 1.3)) / np.abs(flat)[..., None]  # (2, columns, crossings)
    every = np.concatenate(borders, -1)  # (columns, 2 crossings)
    order = np.argsort(every, -1, kind="stable")[:, : int(FAR * 1.6)]
    leave, axis = np.take_along_axis(every, order, -1), (order >= borders.shape[-1]).astype(int)
    crossed = [np.cumsum(axis == way, -1) for way in (0, 1)]
    x, z = (int(start[way]) + sign[way][:, None] * np.pad(crossed[way][:, :-1], ((0, 0), (1, 0))) for way in (0, 1))
    entry = np.pad(leave[:, :-1], ((0, 0), (1, 0)))
    return Paths(x, z, entry, leave, np.pad(axis[:, :-1], ((0, 0), (1, 0)), constant_values=-1))


def _first(land: Landscape, paths: Paths, up: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, ...]:
    """The first cell on each ray's way whose ground is above the ray where it leaves, and the distance of the crossing.

    Args:
        low, high: height of the ground where rays enter and leave each cell, (columns, cells).

    Returns:
        number of the cell on the way, and distance, infinite where there is none; and whether the ray is below the
        ground where it enters, (rows, columns) each.
    """
    inside = (paths.x >= 0) & (paths.x < CELLS) & (paths.z >= 0) & (paths.z < CELLS) & (paths.entry < FAR)
    slope = up[:, None, None]
    hit = (land.eye[1] + slope * paths.leave < high) | (land.eye[1] + slope * paths.entry < low)
    hit &= np.logical_and.accumulate(inside, -1)  # (rows, columns, cells)
    number = hit.argmax(-1)
    entry, leave, before, after = (_on_the_way(part, number) for part in (paths.entry, paths.leave, low, high))
    before, after = (land.eye[1] + up[:, None] * at - ground for at, ground in ((entry, before), (leave, after)))
    share = np.clip(before / np.where(before == after, 1, before - after), 0, 1)
    distance = np.where(before < 0, entry, entry + share * (leave - entry))
    return number, np.where(hit.any(-1), distance, np.inf), before < 0


def _on_the_way(part: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Values (columns, cells) at the cells of these numbers (rows, columns)."""
    return np.take_along_axis(part, number.T, -1).T


def _blocks(land: Landscape, paths: Paths, flat: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances (rows, columns) and colours (rows, columns, 3) of blocks."""
    tops = np.maximum(np.floor(land.heights[:-1, :-1]) + 1, WATER)
    top = tops[np.clip(paths.x, 0, CELLS - 1), np.clip(paths.z, 0, CELLS - 1)]
    number, distance, wall = _first(land, paths, up, top, top)
    x, z, axis = (_on_the_way(part, number) for part in (paths.x, paths.z, paths.axis))
    cell = np.clip(x, 0, CELLS - 1), np.clip(z, 0, CELLS - 1)
    at = np.where(np.isfinite(distance), distance, 0.0)
    px, py, pz = land.eye[0] + flat[0] * at, land.eye[1] + up[:, None] * at, land.eye[2] + flat[1] * at
    along, across = np.where(wall & (axis == 0), pz, px), np.where(wall, py, pz)  # on the face, in blocks
    inside = np.minimum(np.abs(along - np.rint(along)), np.abs(across - np.rint(across)))
    sun = land.turn[1]
    light = np.where(~wall, 1.0, np.where(axis == 0, 0.62 + 0.14 * np.cos(sun), 0.62 + 0.14 * np.sin(sun)))
    material = land.grounds[cell]
    bare = wall & ((py < tops[cell] - 1) | (material == 2))  # earth shows on the walls of grass, too
    colours = np.where(bare[..., None], WALLS[material], COLOURS[material])
    edge = np.where((inside < EDGE) & (material > 0), 0.72, 1.0)
    return distance, colours * (light * edge * land.brightness[cell])[..., None]


def _smooth(land: Landscape, paths: Paths, flat: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances and colours of the surface between the corners' heights."""
    surface = np.maximum(land.heights, WATER)
    low, high = (_between(surface, land.eye[0] + flat[0][:, None] * at, land.eye[2] + flat[1][:, None] * at)
                 for at in (paths.entry, paths.leave))
    _, distance, _ = _first(land, paths, up, low, high)
    at = np.where(np.isfinite(distance), distance, 0.0)
    x, z = land.eye[0] + flat[0] * at, land.eye[2] + flat[1] * at
    slopes = [_between(np.gradient(surface, axis=axis), x, z) for axis in (0, 1)]
    sun = land.turn[1]
    facing = 1 - 0.8 * (slopes[0] * np.cos(sun) + slopes[1] * np.sin(sun))
    light = np.clip(facing / np.sqrt(1 + slopes[0] ** 2 + slopes[1] ** 2), 0.4, 1.15)
    corners = np.pad(COLOURS[land.grounds], ((0, 1), (0, 1), (0, 0)), mode="edge")  # (CELLS + 1, CELLS + 1, 3)
    return distance, _between(corners, x, z) * light[..., None]


def _between(corners: np.ndarray, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """A map known at the corners of cells, (CELLS + 1, CELLS + 1, ...), at points: bilinear."""
    x, z = (np.clip(part, 0, CELLS - 1e-6) for part in (x, z))
    i, k = x.astype(int), z.astype(int)
    u, v = ((part - part.astype(int)).reshape(*x.shape, *[1] * (corners.ndim - 2)) for part in (x, z))
    near = corners[i, k] * (1 - u) + corners[i + 1, k] * u
    return near * (1 - v) + (corners[i, k + 1] * (1 - u) + corners[i + 1, k + 1] * u) * v
