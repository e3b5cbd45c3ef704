"""Translate your own pictures with the generators of a CycleGAN, pix2pix or ComboGAN run.

    python examples/translate.py runs/cyclegan_digits seven.png photo.jpg     writes seven_ab.png, photo_ab.png
    python examples/translate.py runs/cyclegan_digits --way ba *.png          from the second domain to the first
    python examples/translate.py runs/combogan_digits --way 0-2 *.png         from domain 0 to domain 2
    python examples/translate.py runs/pix2pix_edges --out painted/ *.png      into a folder
    python examples/translate.py latest_net_G_A.pth *.png                     weights of the CycleGAN authors' code

Pictures of any size; grey, RGB, palette, transparent (on white) and 16-bit files are converted to the channels that the
run was trained on. Files that cannot be translated are listed and skipped, and the exit status is 1; with --strict, the
first ends the program. Two pictures that would be written to one file (x.jpg and x.png, or a/y.png and b/y.png with
--out) are refused before anything is written. A file that is there is kept: seven_ab-2.png is then written.
"""

import argparse
import inspect
import os
import sys

import numpy as np

import minigan as mg
from minigan import data, models, report, run
from minigan.checkpoint import inside, load_weights
from minigan.data.paths import first_free, same_name, user_path
from minigan.data.pictures import read_picture
from minigan.errors import DataError, MiniganError, OptionError


def generator_in(folder, way):
    """The generator of a run for this way, with averaged weights if there are any; or that of a file of weights."""
    if folder.is_file():
        return models.generator_of(load_weights(folder))
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such run folder or file of weights")
    if (folder / "encoder0.safetensors").exists():
        source, _, target = way.partition("-")
        parts = [folder / f"{kind}{number}.safetensors" for kind, number in (("encoder", source), ("decoder", target))]
        count = len(list(folder.glob("encoder*.safetensors")))
        if not all(part.exists() for part in parts):
            raise OptionError(f"--way {way}: this is a ComboGAN of {count} domains; give two of their numbers, such as "
                              f"0-{count - 1}")
        for part in parts:
            inside.check(folder, part.name)  # no link out of the run's folder
        return models.combined(*map(load_weights, parts))
    names = ("generator",) if way == "ab" else ()
    files = [folder / f"{name}.safetensors" for name in (f"averaged_{way}", f"g_{way}", *names)]
    files += [folder / f"latest_net_{name}.pth" for name in {"ab": ("G_A", "G"), "ba": ("G_B",)}.get(way, ())]
    weights = next((file for file in files if file.exists()), None)
    if weights is None:
        raise DataError(f"{folder}: holds no generator for --way {way}; a CycleGAN has ab and ba, pix2pix only ab")
    inside.check(folder, weights.name)
    return models.generator_of(load_weights(weights))


def translated(generator, path):
    """The picture in a file, translated: uint8 (H, W) or (H, W, 3)."""
    pixels = read_picture(path, generator.in_channels).transpose(2, 0, 1)[None]  # (1, C, H, W)
    with mg.no_grad():
        image = generator(mg.tensor(data.scaled(pixels))).numpy()
    return report.grid(np.asarray(image), 1, pad=0)


def targets(pictures, out, way):
    """Pairs of a picture and the file for its translation; a picture that is named twice is translated once.

    Raises OptionError if a file would be written twice, or is itself to be translated; also where names that differ in
    case are one file, as on macOS and Windows.
    """
    pairs, owners, sources = [], {}, {same_name(path): path for path in pictures}
    for path in pictures:
        target = (out or path.parent) / f"{path.stem}_{way}.png"
        key = same_name(target)
        if key in sources:
            raise OptionError(f"{target}: it is to be translated, and the translation of {path} would overwrite it; "
                              "leave it out, or name another folder with --out")
        if key not in owners:
            pairs.append((path, target))
        elif os.path.realpath(owners[key]) != os.path.realpath(path):
            raise OptionError(f"{owners[key]} and {path} would both be written to {target}; rename one, or translate "
                              "them in two calls with different --out")
        owners.setdefault(key, path)
    return pairs


def main() -> None:
    """Options, generator; translate one picture after another."""
    parser = argparse.ArgumentParser(description=inspect.cleandoc(__doc__),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=user_path, help="folder of a run, or a file of weights: .safetensors, .pth, .pt")
    parser.add_argument("pictures", type=user_path, nargs="+", help="files to translate")
    parser.add_argument("--way", default="ab", help="ab, ba, or for ComboGAN domains as 0-1 (default: %(default)s)")
    parser.add_argument("--out", type=user_path, help="folder to write to (default: that of each picture)")
    parser.add_argument("--strict", action="store_true", help="end at the first file that cannot be translated")
    parser.add_argument("--device", default="auto", help="as in the other examples (default: %(default)s)")
    options = parser.parse_args()
    pairs = targets(options.pictures, options.out, options.way)
    mg.set_device(options.device)
    generator, skipped = generator_in(options.run, options.way), 0
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    for path, target in pairs:
        try:
            image = translated(generator, path)
            target = first_free(target, lambda file: not os.path.lexists(file), ".png")
            report.save_png(image, target)
        except MiniganError as error:
            if options.strict:
                raise
            skipped += 1
            print(f"skipped: {path}: {str(error).removeprefix(f'{path}: ')}", file=sys.stderr)
        else:
            print(target)
    sys.exit(1 if skipped else 0)


if __name__ == "__main__":
    run.main(main)

# ci: runs/cyclegan_digits runs/pix2pix_edges/reals.png --out translated
