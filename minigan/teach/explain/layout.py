"""Where the boxes of a graph go on a page: rows by depth, crossings reduced by barycentres, long edges in lanes.

Sugiyama's method. Boxes that an edge passes by make room for it: an edge over several rows has a point in each.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

ROW, GAP, LANE = 96.0, 28.0, 26.0  # pixels from row to row; between boxes; a long edge's width in the rows it passes
SWEEPS = 12
LANES = 4000  # in a drawing of more, long edges get none and pass behind boxes: room for all would take minutes


@dataclass
class Drawing:
    """Centres of boxes and corners of edges, in pixels; the size of the whole."""

    centre: dict[Hashable, tuple[float, float]] = field(default_factory=dict)
    edges: list[tuple[Hashable, Hashable, list[tuple[float, float]]]] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


def layout(widths: Mapping[Hashable, float], edges: Sequence[tuple[Hashable, Hashable]]) -> Drawing:
    """Place boxes of the given widths so that every edge runs downwards. Boxes come in topological order."""
    rank = _ranks(list(widths), edges)
    rows: list[list[Hashable]] = [[] for _ in range(max(rank.values(), default=0) + 1)]
    wide = dict(widths)
    for box in widths:
        rows[rank[box]].append(box)
    room = sum(rank[end] - rank[start] for start, end in edges) <= LANES
    chains = []
    for start, end in edges:
        lanes = [(start, end, r) for r in range(rank[start] + 1, rank[end]) if room]
        for lane in lanes:
            rows[lane[2]].append(lane)
            wide[lane] = LANE
        chains.append([start, *lanes, end])
    above: dict[Hashable, list[Hashable]] = {}
    below: dict[Hashable, list[Hashable]] = {}
    for chain in chains:
        for a, b in pairwise(chain):
            above.setdefault(b, []).append(a)
            below.setdefault(a, []).append(b)
    x = _spread(rows, wide)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else rows[::-1]:
            _settle(row, above if down else below, x, wide, reorder=sweep < SWEEPS - 4)
    left = min((x[b] - wide[b] / 2 for row in rows for b in row), default=0.0)
    right = max((x[b] + wide[b] / 2 for row in rows for b in row), default=0.0)
    height = {box: ROW * (r + 0.5) for r, row in enumerate(rows) for box in row}
    point = {box: (x[box] - left, height[box]) for box in x}
    return Drawing({box: point[box] for box in widths}, [(c[0], c[-1], [point[b] for b in c]) for c in chains],
                   right - left, ROW * len(rows))


def curve(points: Sequence[tuple[float, float]], box: float) -> str:
    """An edge as the path of an SVG: it leaves a box of this height downwards, and arrives at the other from above."""
    path = f"M{points[0][0] + 2:.0f} {points[0][1] + box / 2:.0f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        middle, top = (y0 + y1) / 2, y1 - box / 2
        path += f"C{x0 + 2:.0f} {middle:.0f} {x1 + 2:.0f} {middle:.0f} {x1 + 2:.0f} {top:.0f}"
        path += f"V{y1 + box / 2:.0f}" if (x1, y1) != points[-1] else ""
    return path


def _ranks(boxes: Sequence[Hashable], edges: Sequence[tuple[Hashable, Hashable]]) -> dict[Hashable, int]:
    """Rows: below everything a box comes from, and as far down as that makes no edges longer in all."""
    sources: dict[Hashable, list[Hashable]] = {box: [] for box in boxes}
    targets: dict[Hashable, list[Hashable]] = {box: [] for box in boxes}
    for start, end in edges:
        sources[end].append(start)
        targets[start].append(end)
    rank: dict[Hashable, int] = {}
    for box in boxes:
        rank[box] = 1 + max((rank[s] for s in sources[box]), default=-1)
    for box in reversed(boxes):
        if targets[box] and len(sources[box]) <= len(targets[box]):
            rank[box] = min(rank[t] for t in targets[box]) - 1
    return rank


def _spread(rows: Sequence[Sequence[Hashable]], wide: Mapping[Hashable, float]) -> dict[Hashable, float]:
    """A first place for everything: each row side by side, centred."""
    x: dict[Hashable, float] = {}
    for row in rows:
        at = -sum(wide[b] + GAP for b in row) / 2
        for box in row:
            x[box] = at + (wide[box] + GAP) / 2
            at += wide[box] + GAP
    return x


def _settle(row: list[Hashable], neighbours: Mapping[Hashable, Sequence[Hashable]], x: dict[Hashable, float],
            wide: Mapping[Hashable, float], reorder: bool) -> None:
    """Move a row's boxes under (or over) the middle of their neighbours, keeping them apart."""
    wish = {b: sum(x[n] for n in near) / len(near) if (near := neighbours.get(b)) else x[b] for b in row}
    if reorder:
        row.sort(key=lambda b: wish[b])
    blocks: list[list[float]] = []  # [sum of wishes, boxes, width so far]: boxes that touch, and move as one
    members: list[list[Hashable]] = []
    for b in row:
        blocks.append([wish[b] - wide[b] / 2, 1, wide[b] + GAP])
        members.append([b])
        while len(blocks) > 1 and _end(blocks[-2]) > _start(blocks[-1]):
            total, count, width = blocks.pop()
            blocks[-1][0] += total - count * blocks[-1][2]
            blocks[-1][1] += count
            blocks[-1][2] += width
            members[-2:] = [members[-2] + members[-1]]
    for block, boxes in zip(blocks, members, strict=True):
        at = _start(block)
        for b in boxes:
            x[b] = at + wide[b] / 2
            at += wide[b] + GAP


def _start(block: Sequence[float]) -> float:
    return block[0] / block[1]


def _end(block: Sequence[float]) -> float:
    return _start(block) + block[2]
