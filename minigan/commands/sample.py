"""Draw images from a run's generator, as one sheet or as one file per image."""

from __future__ import annotations

from collections.abc import Sequence

from minigan.commands._shared import generator_of, run_parser
from minigan.data.paths import printable, user_path
from minigan.data.pictures import SUFFIXES
from minigan.errors import OptionError
from minigan.report import grid, save_png
from minigan.run.manifest import record


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, and print where the images are."""
    parser = run_parser("sample", __doc__)
    parser.add_argument("-n", "--images", type=int, default=64, help="number of images (default: %(default)s)")
    parser.add_argument("--out", type=user_path, help="a file *.png for a sheet of all images, or a folder for one "
                        "file per image (default: RUN/sample.png)")
    options = parser.parse_args(arguments)
    if options.images < 1:
        raise OptionError(f"-n {options.images} must be at least 1")
    if options.out and options.out.suffix.lower() in {*SUFFIXES} - {".png"}:
        raise OptionError(f"--out {options.out}: the sheet is a PNG, so name it *.png")
    images = generator_of(options).draw(options.images, options.seed)
    if options.out is None:
        record(options.run, "sample.png")
    out = options.out or options.run / "sample.png"
    if out.suffix == ".png":
        save_png(grid(images), out, 2)
    else:
        out.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(images):
            save_png(grid(image[None], pad=0), out / f"{number:06d}.png")
    print(printable(f"{options.images:,} images of seed {options.seed}: {out}"))
