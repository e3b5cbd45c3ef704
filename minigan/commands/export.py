"""Write a run's network as one file for use elsewhere: ONNX, PyTorch, safetensors, npz."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from minigan.data.paths import printable, user_path
from minigan.run.export import FORMATS, export
from minigan.run.saved import WEIGHTS


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the file, and print where it is and its size."""
    parser = argparse.ArgumentParser(prog="python -m minigan export", description=__doc__)
    parser.add_argument("run", type=user_path, metavar="RUN", help="folder of the run, such as runs/dcgan_mnist")
    parser.add_argument("--format", metavar="|".join(FORMATS), help="what to write (default: by the ending of --out, "
                        "else onnx); pytorch is a Python file with the weights beside it")
    parser.add_argument("--out", type=user_path, metavar="FILE", help="the file (default: RUN/exported_NAME)")
    parser.add_argument("--network", metavar="NAME", help="a file of weights in RUN, such as discriminator or g_ba; of "
                        "a ComboGAN also 0-1, from domain 0 to 1 (default: the generator)")
    parser.add_argument("--weights", choices=tuple(WEIGHTS), default="last", help="the weights the run ended with, or "
                        "those that scored best under --score-every (default: %(default)s)")
    parser.add_argument("--shape", type=int, nargs=3, metavar=("C", "H", "W"), help="onnx: the images that a "
                        "translator takes (default: the run's)")
    parser.add_argument("--batch", type=int, metavar="N", help="onnx: the size of every batch (default: any)")
    parser.add_argument("--fold", action="store_true", help="onnx: multiply batch norm into the convolutions")
    parser.add_argument("--no-check", dest="check", action="store_false", help="onnx: do not compare the file's "
                        "results, by ONNX Runtime, with the network's")
    options = parser.parse_args(arguments)
    path = export(options.run, options.out, options.format, network=options.network, which=options.weights,
                  shape=options.shape, batch=options.batch, fold=options.fold, check=options.check)
    print(printable(f"{path}: {path.stat().st_size:,} bytes"))
