"""Look into what a run has learnt: interpolate, walk, map, arithmetic, units switched off, guided gradients."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from minigan.commands._shared import generator_of, run_parser
from minigan.data.paths import printable, user_path
from minigan.errors import OptionError
from minigan.report import report_page
from minigan.run.latent import pictures
from minigan.run.latent.pictures import Pictures
from minigan.run.saved import SavedGenerator

TOOLS = {
    "interpolate": "from one noise vector to the next, along the line and along the sphere",
    "walk": "one coordinate of the noise goes from -3 to 3, the others stay",
    "map": "images on a map whose neighbours look alike (t-SNE)",
    "arithmetic": "mean noise vectors of digits, added and subtracted",
    "unit": "the same images without the units that a probe ties to a digit, --label (default: 8)",
    "guided": "what excites the discriminator's features in real digits (guided backpropagation)",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw a picture with a tool, and print which files were written."""
    options = _parser().parse_args(arguments)
    for name in ("rows", "columns", "average", "units"):
        if getattr(options, name) < 1:
            raise OptionError(f"--{name} {getattr(options, name)} must be at least 1")
    drawn = _draw(generator_of(options), options)
    files = (pictures.write(drawn, options.out) if options.out else
             pictures.write_inside(drawn, options.run, options.tool))
    if options.out is None:
        files.append(report_page(options.run))
    print(*filter(None, [drawn.note]), printable(f"written: {', '.join(map(str, files))}"), sep="\n")


def _draw(generator: SavedGenerator, options: argparse.Namespace) -> Pictures:
    """What the tool makes of the generator, with those options that it has."""
    size = {"rows": options.rows, "columns": options.columns, "points": options.points}
    count = {} if options.count is None else {"count": options.count}
    match options.tool:
        case "interpolate":
            return pictures.interpolate(generator, **size, seed=options.seed)
        case "walk":
            return pictures.walk(generator, **size, coordinate=options.coordinate, seed=options.seed)
        case "map":
            return pictures.map_of_noise(generator, **count, by=options.by, seed=options.seed)
        case "arithmetic":
            return pictures.arithmetic(generator, **count, expression=options.expression, average=options.average,
                                       directory=options.data, seed=options.seed)
        case "unit":
            return pictures.unit(generator, **count, label=_digit(options.label), units_off=options.units,
                                 layer=options.layer, directory=options.data, seed=options.seed)
        case _:
            return pictures.guided_features(generator, rows=options.rows, directory=options.data)


def _digit(label: int | None) -> int:
    """The digit of the tool unit. Raises OptionError for another number."""
    if label is not None and not 0 <= label < 10:
        raise OptionError(f"--label {label}: unit's is a digit, 0 to 9")
    return 8 if label is None else label


def _parser() -> argparse.ArgumentParser:
    parser = run_parser("latent", "Look into what a run has learnt.\n\ntools:\n" + "\n".join(
        f"  {name:<12} {purpose}" for name, purpose in TOOLS.items()))
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("tool", choices=tuple(TOOLS), metavar="TOOL", help="one of the tools above")
    parser.add_argument("--rows", type=int, default=pictures.ROWS, help="rows of the picture (default: %(default)s)")
    parser.add_argument("--columns", type=int, default=pictures.COLUMNS, help="interpolate, walk: images from one end "
                        "to the other (default: %(default)s)")
    parser.add_argument("--points", type=int, nargs="+", metavar="N", help="interpolate, walk: numbers of the noise "
                        "vectors, as `python -m minigan sample RUN --seed SEED` draws them (default: the first ones)")
    parser.add_argument("--coordinate", type=int, help="walk: which coordinate (default: the one that changes images "
                        "most)")
    parser.add_argument("--by", choices=("images", "noise"), default="images", help="map: what is compared "
                        "(default: %(default)s)")
    parser.add_argument("--count", type=int, help="map, arithmetic, unit: images drawn (default: 400, 3000, 2000)")
    parser.add_argument("--expression", default="8-3+5", help="arithmetic: a sum of digits (default: %(default)s)")
    parser.add_argument("--average", type=int, default=pictures.AVERAGE, help="arithmetic: noise vectors in a mean "
                        "(default: %(default)s)")
    # --label is every command's; for unit, it is the digit
    parser.add_argument("--units", type=int, default=pictures.UNITS, help="unit: how many units are switched off "
                        "(default: %(default)s)")
    parser.add_argument("--layer", type=int, default=1, help="unit: number of the generator's rectifier behind which "
                        "they lie, from 0 (default: %(default)s)")
    parser.add_argument("--data", type=user_path, help="folder with MNIST (default: the run's, then as for training)")
    parser.add_argument("--out", type=user_path, help="the picture, a file *.png (default: RUN/latent/TOOL.png, which "
                        "report.html then shows)")
    return parser
