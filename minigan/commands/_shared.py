"""What commands that look at one run have in common: the run, its weights, the seed of the noise, the device."""

from __future__ import annotations

import argparse

from minigan.data.paths import user_path
from minigan.engine import device
from minigan.errors import OptionError
from minigan.run.saved import WEIGHTS, SavedGenerator, load_generator


def run_parser(name: str, description: str, default_device: str = "cpu") -> argparse.ArgumentParser:
    """A parser for `python -m minigan NAME RUN` with --seed, --weights and --device."""
    parser = argparse.ArgumentParser(prog=f"python -m minigan {name}", description=description)
    parser.add_argument("run", type=user_path, metavar="RUN", help="folder of the run, such as runs/dcgan_mnist")
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise (default: %(default)s)")
    parser.add_argument("--weights", choices=tuple(WEIGHTS), default="last", help="the weights the run ended with, or "
                        "those that scored best under --score-every (default: %(default)s)")
    parser.add_argument("--label", type=int, metavar="K", help="of a conditional run: the label that all images "
                        "are drawn for (default: every label, as often as in the data)")
    parser.add_argument("--device", default=default_device, help="where images are drawn: cpu, cuda, emulated or auto "
                        "(default: %(default)s)")
    return parser


def generator_of(options: argparse.Namespace) -> SavedGenerator:
    """The generator of the run that a `run_parser`'s options name, on their device.

    Raises:
        OptionError: the seed is out of range, or the label, or the run is not conditional. DeviceError: no such device.
            And as load_generator.
    """
    if not 0 <= options.seed < 1 << 64:
        raise OptionError(f"--seed {options.seed} must lie in [0, 2^64)")
    device.set_device(options.device)
    generator = load_generator(options.run, options.weights)
    if options.label is not None and getattr(options, "tool", "") != "unit":  # there, it is what a classifier reads
        if not 0 <= options.label < generator.classes:
            raise OptionError(f"--label {options.label}: {options.run} " + (
                f"draws the labels 0 to {generator.classes - 1}" if generator.classes else
                "is not conditional; train with --conditional labels or clusters"))
        generator.label = options.label
    return generator
