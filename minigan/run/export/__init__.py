"""A trained network as one file for use elsewhere: ONNX, PyTorch, or its weights alone, each with a model card.

    trace.py        what the network computes, as a list of primitives
    graph.py        the same as an ONNX graph, in the forms that the primitives declare
    onnx_file.py    the file, checked
    torch_source.py the same network in torch.nn, as a Python file
    card.py         data, licence, settings, scores
    source.py       the network of a run
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigan.checkpoint import save_weights, write_atomically
from minigan.data.paths import user_path
from minigan.errors import OptionError
from minigan.nn import Module
from minigan.run import manifest
from minigan.run.export.card import card
from minigan.run.export.onnx_file import OPSET, onnx_bytes
from minigan.run.export.source import EXPORTED, Source, of_run, shapes_of
from minigan.run.export.torch_source import torch_files

__all__ = ["FORMATS", "export", "export_source"]

FORMATS = {"onnx": ".onnx", "pytorch": ".py", "safetensors": ".safetensors", "npz": ".npz"}  # and the files' endings


def export(source: str | os.PathLike[str] | Module, path: str | os.PathLike[str] | None = None,
           format: str | None = None, *, network: str | None = None, which: str = "last",
           shape: Sequence[int] | None = None, batch: int | None = None, fold: bool = False,
           check: bool = True) -> Path:
    """Write a network for use elsewhere, with a model card in the file's metadata; returns where it is.

        mg.export("runs/dcgan_mnist", "generator.onnx")          mg.export(net, "net.py", shape=(3, 64, 64))

    Args:
        source: a run's folder, or a module.
        path: the file; by default RUN/exported_NAME with the format's ending, NAME that of the run's weights.
        format: "onnx" (opset 18), "pytorch" (NAME.py, and NAME.safetensors beside it), "safetensors" or "npz" (weights
            under PyTorch's names); by default what the path's ending says, else "onnx".
        network: of a run, the name of a file of weights, such as "discriminator" or "g_ba"; "0-1" of a ComboGAN.
        which: of a run that draws from noise, "last" or "best" weights.
        shape: of the input without the batch, where the network does not say it; networks for images of any size are
            exported to ONNX for one.
        batch: ONNX: the size of every batch; by default it is open.
        fold: ONNX: multiply batch norm's scales and shifts into the convolutions before it.
        check: ONNX: run the file with ONNX Runtime and compare the results.

    Raises:
        OptionError: an unknown format or network. DataError: no run, or one without weights. GraphError: an operation
            without a form in ONNX. CheckpointError: damaged weights, or a file that cannot be written.
            ModuleNotFoundError: onnx or onnxruntime is missing.
    """
    format = format or next((f for f, end in FORMATS.items() if path and Path(path).suffix.lower() == end), "onnx")
    check_format(format)
    if isinstance(source, Module):
        if path is None:
            raise OptionError("export: of a module, give the path of the file, such as mg.export(net, 'net.onnx')")
        needs = format == "onnx" or shape is not None or hasattr(source, "latent")
        origin = Source(source, shapes_of(source, shape) if needs else {}, "", None)
    else:
        origin = of_run(user_path(source), network, which, shape)
    return export_source(origin, None if path is None else user_path(path), format, batch=batch, fold=fold, check=check)


def check_format(format: str) -> None:
    """Raise OptionError unless there is such a format."""
    if format not in FORMATS:
        raise OptionError(f"export: format {format!r} is not one of {', '.join(FORMATS)}")


def export_source(source: Source, path: Path | None, format: str, **options: Any) -> Path:
    """Write a network in a format; without a path into its run's folder. Arguments and errors as in `export`."""
    target = path or Path(f"{EXPORTED}{source.weights.partition('.')[0] or 'network'}{FORMATS[format]}")
    notes = card(source.network, source.shapes, source.folder, source.weights)
    files = _WRITERS[format](source, target, notes, **options)
    for name, contents in files.items():
        if path is None and source.folder is not None:
            manifest.write(source.folder, name, contents)
        elif callable(contents):
            contents(target.with_name(name))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target.with_name(name), contents)
    return target if path is not None or source.folder is None else source.folder / target.name


Files = dict[str, bytes | Callable[[Path], object]]  # contents, or what writes them, by name


def _onnx(source: Source, target: Path, notes: Mapping[str, str], **options: Any) -> Files:
    notes = {**notes, "opset": str(OPSET)}
    return {target.name: onnx_bytes(source.network, source.shapes, notes, **options)}


def _safetensors(source: Source, target: Path, notes: Mapping[str, str], **_: Any) -> Files:
    return {target.name: lambda path: save_weights(path, source.network.state_dict(), notes)}


def _npz(source: Source, target: Path, notes: Mapping[str, str], **_: Any) -> Files:
    """NumPy's archive; the card is in arrays of text, card.NAME."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = source.network.state_dict()
    np.savez(buffer, **arrays, **{f"card.{name}": np.array(text) for name, text in notes.items()})  # type: ignore
    return {target.name: buffer.getvalue()}


def _pytorch(source: Source, target: Path, notes: Mapping[str, str], **_: Any) -> Files:
    text, weights = torch_files(source.network, target.stem, source.shapes, notes)
    return {target.name: text.encode(),
            f"{target.stem}.safetensors": lambda path: save_weights(path, weights, notes)}


_WRITERS: dict[str, Callable[..., Files]] = {
    "onnx": _onnx, "pytorch": _pytorch, "safetensors": _safetensors, "npz": _npz}
