"""What the page of a run needs to draw by itself: programs, numbers, directions; kept in RUN/latent/play.json.

    write_play("runs/dcgan_mnist")        from now on report.html has a live part
    play_page("runs/dcgan_mnist")         a page with the live part alone, as text
"""

from __future__ import annotations

import contextlib
import json
import re
import warnings
from pathlib import Path
from typing import Any

from minigan import models
from minigan.checkpoint import inside, load_weights
from minigan.data.paths import user_path
from minigan.errors import DataError, MiniganError, OptionError
from minigan.nn import Module
from minigan.report import live_page, live_reals, report_page
from minigan.report.live import FILE, MOST_BYTES, MOST_INSIDE
from minigan.run.folder import read_config
from minigan.run.manifest import record
from minigan.run.play.looks import directions, effects
from minigan.run.play.program import Numbers, Program
from minigan.run.saved import draws, load_generator

BYTES = 8 / 3  # of a weight in the page: float16 as base64


def play_data(run: str | Path, which: str = "last", most: int = MOST_BYTES) -> dict[str, Any]:
    """The networks of a run as programs, with all that the page shows of them; see minigan/report/live.py.

    Args:
        run: the folder of a run whose generator draws from noise, or that translates pictures.
        which: "last" or "best", as for load_generator.

    Raises:
        DataError: the weights are missing, or are of another program. OptionError: a layer has no JavaScript, or the
            weights would take more than `most` bytes. CheckpointError: weights are damaged.
    """
    folder = user_path(run)
    options = read_config(folder)["options"]
    if draws(options):
        return _drawing(folder, which, most)
    return _translating(folder, options, most)


def _drawing(folder: Path, which: str, most: int) -> dict[str, Any]:
    """Of a generator that draws from noise."""
    generator, numbers = load_generator(folder, which), Numbers()
    _check_size(folder, [generator.network], most)
    program = Program(numbers)
    program.write(generator.network)
    place = numbers.vector(directions(generator))
    return {"latent": generator.latent, "classes": generator.classes, "seed": 0, "weights": generator.weights,
            "networks": {"noise": program.steps}, "directions": place, "effects": effects(generator),
            **numbers.encoded()}


def _translating(folder: Path, options: dict[str, Any], most: int) -> dict[str, Any]:
    """Of generators that translate, for square pictures of the run's size."""
    networks = translators(folder)
    if not networks:
        raise DataError(f"{folder}: holds no generator, neither of pictures from noise nor of translations; weights "
                        "are written at the end of the first epoch")
    size = options.get("size", 32)
    if not isinstance(size, int) or not 4 <= size <= 1024:
        raise DataError(f"{folder / 'config.json'}: options.size is {str(size)[:40]}; play needs a whole number from 4 "
                        "to 1,024")
    _check_size(folder, [*networks.values()], most)
    numbers, programs, channels = Numbers(), {}, {}
    for way, network in networks.items():
        channels[way] = int(network.in_channels)  # type: ignore[attr-defined]
        program = Program(numbers, (channels[way], size, size))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that borders are mirrored: the page does the same
            program.write(network)
        programs[way] = program.steps
    names = {way: " to ".join(way.split("-") if "-" in way else way.upper()) for way in networks}
    return {"size": size, "channels": channels, "names": names, "networks": programs, **numbers.encoded()}


def translators(folder: Path) -> dict[str, Module]:
    """The generators of a run that translates, by their way: ab, ba; of a ComboGAN 0-1, 0-2, ...; {} of other runs.

    Averaged weights are taken where there are any.

    Raises:
        CheckpointError: weights are damaged, or fit no generator. DataError: a file is a link.
    """
    files = {name.removesuffix(".safetensors") for name in inside.names(folder) if name.endswith(".safetensors")}
    for name in files:
        inside.check(folder, f"{name}.safetensors")

    def weights(name: str) -> Any:
        return load_weights(folder / f"{name}.safetensors")

    domains = sorted(int(match[1]) for name in files if (match := re.fullmatch(r"encoder(\d{1,3})", name)))
    if domains:
        return {f"{i}-{j}": models.combined(weights(f"encoder{i}"), weights(f"decoder{j}"))
                for i in domains for j in domains if i != j and f"decoder{j}" in files}
    choices = {"ab": ("averaged_ab", "g_ab", "generator"), "ba": ("averaged_ba", "g_ba")}
    named = {way: next((name for name in names if name in files), None) for way, names in choices.items()}
    return {way: models.generator_of(weights(name)) for way, name in named.items() if name is not None}


def _check_size(folder: Path, networks: list[Module], most: int) -> None:
    count = sum(p.size for network in networks for p in network.parameters())
    if count * BYTES > most:
        remedy = ("name a file with --out, for a page without pictures" if count * BYTES < MOST_BYTES else
                  "train with a smaller --width")
        raise OptionError(f"{folder}: {count:,} weights would take {count * BYTES / 1e6:,.0f} MB of the page; at most "
                          f"{most / 1e6:,.0f} MB are written: {remedy}")


def write_play(run: str | Path, which: str = "last", most: int = MOST_INSIDE) -> Path:
    """Write latent/play.json into a run's folder and bring report.html up to date, which has the live part from now on.

    Returns report.html's path. Raises as `play_data` and `report_page`; OSError.
    """
    folder = user_path(run)
    text = json.dumps(play_data(folder, which, most), separators=(",", ":"), allow_nan=False)
    record(folder, FILE)
    inside.write(folder, FILE, text.encode())
    return report_page(folder)


def offer_play(folder: Path) -> None:
    """`write_play` for a run that has just ended, unless its networks cannot run in a page or are too large for one.

    Raises OSError.
    """
    with contextlib.suppress(MiniganError):
        write_play(folder, most=MOST_INSIDE)


def play_page(run: str | Path, which: str = "last") -> str:
    """A page with the live part alone, as text. Raises as `play_data`."""
    folder = user_path(run)
    return live_page(folder.resolve().name, play_data(folder, which), live_reals(folder))
