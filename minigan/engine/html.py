"""Notebooks: whether this is one, and how it shows a Tensor: a table of facts, and its values or a picture."""

from __future__ import annotations

import base64
import html
import struct
import sys
import zlib
from collections.abc import Iterable

import numpy as np

from minigan.engine import device as devices
from minigan.engine.tensor import Tensor, bind

MOST_VALUES, MOST_IMAGES, SMALLEST, LARGEST = 100, 16, 8, 512  # values, images; pixels of a side


def in_notebook() -> bool:
    """Whether the program runs in a Jupyter kernel: not if ipykernel, or even IPython, was only imported."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


def table(rows: Iterable[Iterable[object]], head: Iterable[object] = ()) -> str:
    """Rows as an HTML table; every cell is text, without markup of its own."""
    def line(cells: Iterable[object], tag: str) -> str:
        return "<tr>" + "".join(f'<{tag} style="text-align: left">{html.escape(str(cell))}</{tag}>'
                                for cell in cells) + "</tr>"

    titles = [*head]
    return "<table>" + (line(titles, "th") if titles else "") + "".join(line(row, "td") for row in rows) + "</table>"


def picture(pixels: np.ndarray) -> str:
    """Pixels, uint8 (H, W) or (H, W, 3), as an HTML image. (A PNG of the smallest kind: rows without filters.)"""
    rows = pixels.reshape(len(pixels), -1)  # (H, W*C)
    header = struct.pack(">2I5B", pixels.shape[1], len(pixels), 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    filtered = np.pad(rows, ((0, 0), (1, 0))).tobytes()
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(body)) + kind + body + struct.pack(
        ">I", zlib.crc32(kind + body)) for kind, body in chunks)
    return (f'<img alt="the images" style="image-rendering: pixelated; min-width: {2 * pixels.shape[1]}px" '
            f'src="data:image/png;base64,{base64.b64encode(png).decode()}">')


def _sheet(images: np.ndarray) -> np.ndarray:
    """The first images of (N, C, H, W), -1 black and 1 white, side by side as uint8 (H, W) or (H, W, 3)."""
    N, C, H, W = images[:MOST_IMAGES].shape
    row = images[:MOST_IMAGES].transpose(2, 0, 3, 1).reshape(H, N * W, C)  # (H, N*W, C)
    pixels: np.ndarray = np.rint((np.clip(row, -1, 1) + 1) * 127.5).astype(np.uint8)
    return pixels[:, :, 0] if C == 1 else pixels


def _repr_html(t: Tensor) -> str:
    """The table, and values or images."""
    array = devices.asnumpy(t.data)
    made = "" if t.node is None else f", made by {t.node.primitive.name}"
    facts: list[tuple[str, object]] = [
        ("shape", t.shape), ("dtype, device", f"{t.dtype}, {t.device}"),
        ("requires_grad", f"{t.requires_grad}{made}"),
        ("grad", "none" if t.grad is None else f"of length {float(np.linalg.norm(devices.asnumpy(t.grad.data))):.4g}")]
    finite = array[np.isfinite(array)]
    if finite.size:
        facts.append(("min, mean, max", f"{finite.min():.4g}, {finite.mean(dtype=np.float64):.4g}, {finite.max():.4g}"))
    if finite.size < array.size:
        facts.append(("not finite", f"{array.size - finite.size:,} of {array.size:,}"))
    shown = ""
    if array.size <= MOST_VALUES:
        shown = f"<pre>{html.escape(np.array2string(array, precision=4, separator=', '))}</pre>"
    elif (array.ndim == 4 and array.shape[1] in (1, 3) and finite.size == array.size
          and all(SMALLEST <= side <= LARGEST for side in array.shape[2:])):
        shown = picture(_sheet(array))
    return f"<div><b>Tensor</b>{table(facts)}{shown}</div>"


bind(_repr_html_=_repr_html)
