"""`python -m minigan latent RUN TOOL` and `python -m minigan sample RUN`: pictures of what a run has learnt."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigan import data, models
from minigan import random as randoms
from minigan.engine import device
from minigan.errors import OptionError
from minigan.report import film, grid, report_page, save_png, stacked
from minigan.run.latent import classes, guided, maps, paths, units
from minigan.run.loop import scaled
from minigan.run.saved import WEIGHTS, SavedGenerator, load_discriminator, load_generator

FRAMES = 24  # of a film, from one point to the next


class Pictures(NamedTuple):
    """What a tool has drawn: a picture, the frames of a film or none, and what there is to say."""

    picture: np.ndarray
    frames: Sequence[np.ndarray] = ()
    said: str = ""
    scale: int = 1


def interpolate(generator: SavedGenerator, chosen: argparse.Namespace) -> Pictures:
    """Rows from noise to noise, along the line and along the sphere."""
    points = _points(generator, chosen, chosen.rows + 1)
    parts, frames = [], []
    for name, path in (("along the straight line", paths.linear), ("along the sphere", paths.spherical)):
        ways = paths.between(points, chosen.columns, path)  # (rows, columns, latent)
        parts.append((name, _sheet(generator, ways)))
    for way in paths.between(points, FRAMES, paths.spherical).swapaxes(0, 1):  # (rows, latent), moment by moment
        frames.append(grid(generator(way)))
    return Pictures(stacked(parts), [*frames, *frames[::-1]])


def walk(generator: SavedGenerator, chosen: argparse.Namespace) -> Pictures:
    """One coordinate from -3 to 3, the others as they are; by default the one that changes images most."""
    points = _points(generator, chosen, chosen.rows)
    coordinate, said = chosen.coordinate, ""
    if coordinate is None:
        effects = paths.coordinate_effects(generator, generator.noise(16, chosen.seed))
        coordinate = int(effects.argmax())
        said = (f"coordinate {coordinate} changes a pixel by {effects[coordinate]:.3f} on average, the median one by "
                f"{np.median(effects):.3f} (of 2)")
    ways = paths.walk(points, coordinate, chosen.columns)
    fine = paths.walk(points, coordinate, FRAMES).swapaxes(0, 1)
    frames = [grid(generator(way)) for way in fine]
    picture = stacked([(f"coordinate {coordinate} from -3 to 3", _sheet(generator, ways))])
    return Pictures(picture, [*frames, *frames[::-1]], said)


def map_(generator: SavedGenerator, chosen: argparse.Namespace) -> Pictures:
    """Noise vectors as a map whose neighbours look alike."""
    z = generator.noise(chosen.count or 400, chosen.seed)
    images = generator(z)
    return Pictures(maps.scatter(images, maps.layout(images if chosen.by == "images" else z, chosen.seed)))


def arithmetic(generator: SavedGenerator, chosen: argparse.Namespace) -> Pictures:
    """Mean noise of classes, added and subtracted; around the result, what small changes of it draw."""
    z = generator.noise(chosen.count or 3000, chosen.seed)
    terms, result = classes.arithmetic(generator, z, _classifier(generator, chosen), chosen.expression, chosen.average)
    parts = []
    for number, (sign, label, points) in enumerate(terms):
        sign_said = "" if number == 0 and sign > 0 else "+ " if sign > 0 else "- "
        both = np.concatenate([points.mean(0, keepdims=True), points])
        parts.append((f"{sign_said}class {label}: of the mean noise, and of the {len(points)} it is the mean of",
                      grid(generator(both), len(both))))
    near = result + randoms.Stream(chosen.seed, "near").uniform((8, generator.latent)) * 0.5 - 0.25
    around = np.concatenate([result[None], near]).astype(np.float32)
    parts.append(("= : of the sum, and of sums changed by up to 0.25", grid(generator(around), len(around))))
    read = _classifier(generator, chosen)(generator(around))
    said = f"{chosen.expression}: the classifier reads {' '.join(map(str, read.argmax(1)))} in the last row"
    return Pictures(stacked(parts), said=said)


def unit(generator: SavedGenerator, chosen: argparse.Namespace) -> Pictures:
    """Units that a probe ties to a class switched off, and as many others, to see that it matters which."""
    z, classifier = generator.noise(chosen.count or 2000, chosen.seed), _classifier(generator, chosen)
    images, features = units.switched_off(generator.network, z, chosen.layer)
    is_class = classifier(images).argmax(1) == chosen.label
    probe = units.probe_units(features, is_class)
    off, others = probe.units[: chosen.units], randoms.Stream(chosen.seed, "units").permutation(len(probe.units))
    rows = [("as it is", images)]
    for name, which in ((f"without the {len(off)} units of the probe", off),
                        (f"without {len(off)} random units", others[: len(off)])):
        rows.append((name, units.switched_off(generator.network, z, chosen.layer, which)[0]))
    shown, lines = np.flatnonzero(is_class)[:12], [f"the probe tells class {chosen.label} apart in "
                                                   f"{probe.accuracy:.1%} of the images"]
    parts = []
    for name, drawn in rows:
        read = classifier(drawn).argmax(1)
        kept, rest = (read[is_class] == chosen.label).mean(), (read == classifier(images).argmax(1))[~is_class].mean()
        lines.append(f"{name}: {kept:.1%} of class {chosen.label} is still read as it, {rest:.1%} of the others as "
                     "before")
        parts.append((f"{name}: {kept:.0%} still a {chosen.label}", grid(drawn[shown], len(shown))))
    return Pictures(stacked(parts), said="\n".join(lines))


def guided_(generator: SavedGenerator, chosen: argparse.Namespace) -> Pictures:
    """The discriminator's strongest features on real images, beside those of one that has learnt nothing."""
    options = generator.options
    images = data.mnist(size=options["size"], split="test", directory=chosen.data or options.get("data")).images
    some = scaled(images[np.linspace(0, len(images) - 1, min(600, len(images))).astype(int)])
    trained = load_discriminator(Path(chosen.run), options).eval()
    _, untrained = models.dcgan(1, options["size"], options["latent"], options["width"])
    parts = []
    for name, network in (("trained discriminator: images, and what in them excites a feature (a row)", trained),
                          ("the same of a discriminator with random weights", untrained.eval())):
        features, numbers = guided.strongest(network, some, chosen.rows, 6)  # (rows,), (rows, 6)
        reals = some[numbers.ravel()]
        gradients = guided.guided_gradients(network, reals, np.repeat(features, numbers.shape[1]))
        size = np.abs(gradients).max((1, 2, 3), keepdims=True)
        shown = np.clip(gradients / np.where(size > 0, size, 1), -1, 1)
        pairs = np.concatenate([reals.reshape(*numbers.shape, *reals.shape[1:]),
                                shown.reshape(*numbers.shape, *reals.shape[1:])], 1)  # (rows, 12, C, H, W)
        parts.append((name, grid(pairs.reshape(-1, *reals.shape[1:]), pairs.shape[1])))
    return Pictures(stacked(parts))


TOOLS: dict[str, Callable[[SavedGenerator, argparse.Namespace], Pictures]] = {
    "interpolate": interpolate, "map": map_, "arithmetic": arithmetic, "walk": walk, "unit": unit, "guided": guided_}


def _points(generator: SavedGenerator, chosen: argparse.Namespace, count: int) -> np.ndarray:
    """The first noise vectors of a seed, or those chosen by their numbers in `sample`'s sheet."""
    if not chosen.points:
        return generator.noise(count, chosen.seed)
    if min(chosen.points) < 0:
        raise OptionError(f"--points {min(chosen.points)}: images are numbered from 0")
    return generator.noise(max(chosen.points) + 1, chosen.seed)[chosen.points]


def _sheet(generator: SavedGenerator, ways: np.ndarray) -> np.ndarray:
    """Images of (rows, columns, latent), as one picture."""
    return grid(generator(ways.reshape(-1, ways.shape[-1])), ways.shape[1])


def _classifier(generator: SavedGenerator, chosen: argparse.Namespace) -> Any:
    """The metrics' classifier of digits, from the cache or trained now."""
    from minigan.metrics.classifier import digit_classifier  # brings SciPy and scikit-learn

    return digit_classifier(chosen.data or generator.options.get("data"))[1]


def _parser(name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m minigan {name}", description=description)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of the run, such as runs/dcgan_mnist")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default: %(default)s)")
    parser.add_argument("--weights", choices=tuple(WEIGHTS), default="last", help="those the run ended with, or the "
                        "best of --score-every (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="where images are drawn (default: %(default)s)")
    return parser


def _generator(chosen: argparse.Namespace) -> SavedGenerator:
    if not 0 <= chosen.seed < 1 << 64:
        raise OptionError(f"--seed {chosen.seed} must lie in [0, 2^64)")
    return load_generator(chosen.run, chosen.weights)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of the tools."""
    parser = _parser("latent", "Look into what a run has learnt: " + " ".join(
        f"{name}: {(tool.__doc__ or '').strip()}" for name, tool in TOOLS.items()))
    parser.add_argument("tool", choices=tuple(TOOLS))
    parser.add_argument("--rows", type=int, default=6, help="of the picture (default: %(default)s)")
    parser.add_argument("--columns", type=int, default=11, help="interpolate, walk: images from one end to the other "
                        "(default: %(default)s)")
    parser.add_argument("--points", type=int, nargs="+", metavar="N", help="interpolate, walk: noise by its number in "
                        "the sheet of `python -m minigan sample RUN --seed SEED`, instead of the first")
    parser.add_argument("--coordinate", type=int, help="walk: which (default: the one that changes images most)")
    parser.add_argument("--by", choices=("images", "noise"), default="images", help="map: what is compared "
                        "(default: %(default)s)")
    parser.add_argument("--count", type=int, help="map, arithmetic, unit: images drawn (default: 400, 3000, 2000)")
    parser.add_argument("--expression", default="8-3+5", help="arithmetic (default: %(default)s)")
    parser.add_argument("--average", type=int, default=8, help="arithmetic: vectors in a mean (default: %(default)s)")
    parser.add_argument("--label", type=int, choices=range(10), default=8, help="unit: class (default: %(default)s)")
    parser.add_argument("--units", type=int, default=8, help="unit: how many (default: %(default)s)")
    parser.add_argument("--layer", type=int, default=1, help="unit: behind which rectifier of the generator "
                        "(default: %(default)s)")
    parser.add_argument("--data", type=Path, help="folder with MNIST (default: the run's, then as for training)")
    parser.add_argument("--out", type=Path, help="the picture, *.png (default: RUN/latent/TOOL.png, and report.html)")
    chosen = parser.parse_args(arguments)
    for name in ("rows", "columns", "average", "units"):
        if getattr(chosen, name) < 1:
            raise OptionError(f"--{name} {getattr(chosen, name)} must be at least 1")
    return chosen


def main(arguments: Sequence[str] | None = None) -> None:
    """The tools."""
    chosen = _options(arguments)
    device.set_device(chosen.device)
    drawn, written = _write(_generator(chosen), chosen)
    if chosen.out is None:
        written.append(report_page(chosen.run))
    print(*filter(None, [drawn.said]), f"written: {', '.join(map(str, written))}", sep="\n")


def leave(folder: Path, seed: int) -> None:
    """What a run leaves by itself in latent/: an interpolation, and, with scikit-learn, a map. For report.html."""
    tools = ["interpolate", *(["map"] if importlib.util.find_spec("sklearn") else [])]
    generator = load_generator(folder)
    for tool in tools:
        _write(generator, _options([str(folder), tool, "--seed", str(seed)]))
    report_page(folder)


def _write(generator: SavedGenerator, chosen: argparse.Namespace) -> tuple[Pictures, list[Path]]:
    """Draw, and write the picture and the film; what was drawn, and the files."""
    drawn = TOOLS[chosen.tool](generator, chosen)
    out = _picture_path(chosen.out or chosen.run / "latent" / f"{chosen.tool}.png")
    (chosen.run / "latent").mkdir(exist_ok=True)
    save_png(drawn.picture, out, drawn.scale)
    written = [out]
    if drawn.frames:
        written.append(out.with_suffix(".gif"))
        film(drawn.frames, written[-1])
    return drawn, written


def sample(arguments: Sequence[str] | None = None) -> None:
    """A sheet of images, drawn from a seed."""
    parser = _parser("sample", "Draw images from a run's generator, as a sheet or as one file each.")
    parser.add_argument("-n", "--images", type=int, default=64, help="how many (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="the sheet, *.png, or a folder for one file an image "
                        "(default: RUN/sample.png)")
    chosen = parser.parse_args(arguments)
    if chosen.images < 1:
        raise OptionError(f"-n {chosen.images} must be at least 1")
    device.set_device(chosen.device)
    drawn, out = _generator(chosen).draw(chosen.images, chosen.seed), chosen.out or chosen.run / "sample.png"
    if out.suffix == ".png":
        save_png(grid(drawn), out, 2)
    else:
        out.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(drawn):
            save_png(grid(image[None], pad=0), out / f"{number:06d}.png")
    print(f"{chosen.images:,} images of seed {chosen.seed}: {out}")


def _picture_path(path: Path) -> Path:
    if path.suffix != ".png":
        raise OptionError(f"--out {path}: the picture is a PNG, so name it *.png")
    return path


def page(arguments: Sequence[str] | None = None) -> None:
    """Make report.html anew."""
    parser = argparse.ArgumentParser(prog="python -m minigan report", description="Make a run's report.html anew: one "
                                     "page with its samples, curves, scores and options.")
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of the run")
    path = report_page(parser.parse_args(arguments).run)
    print(f"{path}: {path.stat().st_size:,} bytes")
