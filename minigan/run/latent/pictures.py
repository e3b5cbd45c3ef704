"""Pictures of what a run has learnt: each tool draws one from a generator, `write` puts it into a file.

    pictures = interpolate(mg.load_generator("runs/dcgan_mnist"), rows=4, seed=3)
    write(pictures, Path("between.png"))
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigan import data, models
from minigan.checkpoint import inside
from minigan.errors import OptionError
from minigan.random import Stream
from minigan.report import film, grid, labelled, report_page, save_png, stacked
from minigan.run.latent import classes, guided, maps, paths, units
from minigan.run.manifest import record
from minigan.run.saved import SavedGenerator, load_discriminator, load_generator

ROWS, COLUMNS = 6, 11  # of a picture
AVERAGE = 8  # noise vectors whose mean stands for a class
UNITS = 8  # units that are switched off
FRAMES = 24  # of a film, from one point to the next
EXCITING = 6  # real images shown for each feature of a discriminator
Folder = str | os.PathLike[str] | None


class Pictures(NamedTuple):
    """What a tool has drawn.

    picture  uint8 (H, W) or (H, W, 3)
    frames   of a film, each as picture, with a line of text; none if there is no film
    note     what the picture does not show, in words; may be empty
    """

    picture: np.ndarray
    frames: Sequence[np.ndarray] = ()
    note: str = ""


def interpolate(generator: SavedGenerator, *, rows: int = ROWS, columns: int = COLUMNS,
                points: Sequence[int] | None = None, seed: int = 0) -> Pictures:
    """Rows from one noise vector to the next, along the straight line and along the sphere; as a film, too.

    Args:
        rows, columns: pairs of noise vectors, and images from one end to the other.
        points: numbers of noise vectors in `generator.noise(..., seed)`, instead of the first rows + 1.

    Raises:
        OptionError: fewer than two points or columns, or a negative point.
    """
    ends = _points(generator, points, rows + 1, seed)
    parts = []
    for name, path in (("along the straight line", paths.linear), ("along the sphere", paths.spherical)):
        ways = paths.between(ends, columns, path)  # (rows, columns, latent)
        parts.append((name, _sheet(generator, ways)))
    moments = paths.between(ends, FRAMES, paths.spherical).swapaxes(0, 1)  # (FRAMES, rows, latent)
    words = [f"on the sphere: {share:.0%}" for share in np.linspace(0, 1, FRAMES)]
    note = "the film: each image goes from one noise vector to the next along the sphere, and back"
    return Pictures(stacked(parts), _film(generator, moments, words), note)


def walk(generator: SavedGenerator, *, rows: int = ROWS, columns: int = COLUMNS, points: Sequence[int] | None = None,
         coordinate: int | None = None, seed: int = 0) -> Pictures:
    """One coordinate of the noise goes from -3 to 3, the others stay; as a film, too.

    Args:
        rows, columns: noise vectors, and images from one end to the other.
        points: numbers of noise vectors in `generator.noise(..., seed)`, instead of the first ones.
        coordinate: by default the one that changes images most.

    Raises:
        ShapeError: there is no such coordinate. OptionError: a negative point.
    """
    starts = _points(generator, points, rows, seed)
    note = ""
    if coordinate is None:
        effects = paths.coordinate_effects(generator, generator.noise(16, seed))
        coordinate = int(effects.argmax())
        note = (f"coordinate {coordinate} changes a pixel by {effects[coordinate]:.3f} on average, the median "
                f"coordinate by {np.median(effects):.3f} (of 2)")
    picture = stacked([(f"coordinate {coordinate} from -3 to 3",
                        _sheet(generator, paths.walk(starts, coordinate, columns)))])
    moments = paths.walk(starts, coordinate, FRAMES).swapaxes(0, 1)  # (FRAMES, rows, latent)
    words = [f"coordinate {coordinate}: {value:+.1f}" for value in np.linspace(-3, 3, FRAMES)]
    return Pictures(picture, _film(generator, moments, words), note)


def map_of_noise(generator: SavedGenerator, *, count: int = 400, by: str = "images", seed: int = 0) -> Pictures:
    """`count` images on a map whose neighbours look alike; with by="noise", whose noise vectors are near."""
    z = generator.noise(count, seed)
    images = generator(z)
    return Pictures(maps.scatter(images, maps.layout(images if by == "images" else z, seed)))


def arithmetic(generator: SavedGenerator, *, expression: str = "8-3+5", count: int = 3000, average: int = AVERAGE,
               directory: Folder = None, seed: int = 0) -> Pictures:
    """Mean noise vectors of digits, added and subtracted; and what small changes of the result draw.

    Args:
        expression: a sum of digits.
        count: images drawn, among which the digits are looked for.
        average: noise vectors in a mean.
        directory: where MNIST is, for the classifier; as in data.mnist.

    Raises:
        OptionError: the expression is no sum of digits, or the run is conditional. DataError: too few images of a
            digit.
    """
    _check_noise_decides(generator, "arithmetic")
    z, classifier = generator.noise(count, seed), _classifier(generator, directory)
    terms, result = classes.arithmetic(generator, z, classifier, expression, average)
    parts = []
    for number, (sign, label, points) in enumerate(terms):
        prefix = "" if number == 0 and sign > 0 else "+ " if sign > 0 else "- "
        mean_and_members = np.concatenate([points.mean(0, keepdims=True), points])  # (1 + average, latent)
        parts.append((f"{prefix}class {label}: drawn from the mean noise, then from the {len(points)} vectors in it",
                      grid(generator(mean_and_members), len(mean_and_members))))
    near = result + Stream(seed, "near").uniform((8, generator.latent)) * 0.5 - 0.25
    around = np.concatenate([result[None], near]).astype(np.float32)  # (9, latent)
    parts.append(("= : drawn from the sum, then from sums changed by up to 0.25",
                  grid(generator(around), len(around))))
    labels = classifier(generator(around)).argmax(1)
    return Pictures(stacked(parts), note=f"{expression}: the classifier reads {' '.join(map(str, labels))} in the "
                                         "last row")


def unit(generator: SavedGenerator, *, label: int = 8, units_off: int = UNITS, layer: int = 1, count: int = 2000,
         directory: Folder = None, seed: int = 0) -> Pictures:
    """Images of a digit without the units that a probe ties to it, and without as many random units.

    Below each image is what the classifier reads in it, underlined where that is still the digit.

    Args:
        label: the digit.
        units_off: how many units are switched off.
        layer: behind which rectifier of the generator, from 0, the nearest to the noise.
        count: images drawn.
        directory: where MNIST is, for the classifier; as in data.mnist.

    Raises:
        OptionError: there is no such layer, or the run is conditional. DataError: all images show the digit, or none
            does.
    """
    _check_noise_decides(generator, "unit")
    z, classifier = generator.noise(count, seed), _classifier(generator, directory)
    images, features = units.switched_off(generator.network, z, layer)
    labels = classifier(images).argmax(1)
    is_class = labels == label
    probe = units.probe_units(features, is_class)
    tied, random = probe.units[:units_off], Stream(seed, "units").permutation(len(probe.units))[:units_off]
    versions = [("unchanged", images)]
    for name, off in ((f"without the {len(tied)} units of the probe", tied),
                      (f"without {len(tied)} random units", random)):
        versions.append((name, units.switched_off(generator.network, z, layer, off)[0]))
    shown = np.flatnonzero(is_class)[:12]
    notes, parts = [f"the probe tells class {label} apart in {probe.accuracy:.1%} of the images"], []
    for name, drawn in versions:
        labels_now = classifier(drawn).argmax(1)
        kept, rest = (labels_now[is_class] == label).mean(), (labels_now == labels)[~is_class].mean()
        notes.append(f"{name}: the classifier still reads {kept:.1%} of class {label} as {label}, and {rest:.1%} of "
                     "the others as before")
        parts.append((f"{name}: {kept:.0%} are still read as {label}; of these, those underlined",
                      labelled(grid(drawn[shown], len(shown)), [str(read) for read in labels_now[shown]],
                               labels_now[shown] == label)))
    return Pictures(stacked(parts, scale=1), note="\n".join(notes))


def guided_features(generator: SavedGenerator, *, rows: int = ROWS, directory: Folder = None) -> Pictures:
    """What excites the discriminator's strongest features in real digits, beside those of random weights.

    Args:
        rows: features shown of each discriminator.
        directory: where MNIST is; by default where the run had it.

    Raises:
        CheckpointError: the run's discriminator cannot be read. DataError: there is no MNIST.
    """
    options = generator.options
    images = data.mnist(size=options["size"], split="test", directory=directory or options.get("data")).images
    reals = data.scaled(images[np.linspace(0, len(images) - 1, min(600, len(images))).astype(int)])  # of every digit
    trained = load_discriminator(generator.folder, options).eval()
    _, untrained = models.dcgan(1, options["size"], options["latent"], options["width"])
    parts = []
    for name, network in (("trained discriminator: a row is a feature, images and what in them excites it", trained),
                          ("the same for a discriminator with random weights", untrained.eval())):
        features, numbers = guided.strongest(network, reals, rows, EXCITING)  # (rows,), (rows, EXCITING)
        exciting = reals[numbers.ravel()]
        gradients = guided.guided_gradients(network, exciting, np.repeat(features, numbers.shape[1]))
        size = np.abs(gradients).max((1, 2, 3), keepdims=True)
        shown = np.clip(gradients / np.where(size > 0, size, 1), -1, 1)
        pairs = np.concatenate([exciting.reshape(*numbers.shape, *reals.shape[1:]),
                                shown.reshape(*numbers.shape, *reals.shape[1:])], 1)  # (rows, 2 EXCITING, C, H, W)
        parts.append((name, grid(pairs.reshape(-1, *reals.shape[1:]), pairs.shape[1])))  # (rows * 2 EXCITING, C, H, W)
    return Pictures(stacked(parts))


def _check_noise_decides(generator: SavedGenerator, tool: str) -> None:
    """Raise OptionError for a conditional generator, whose digit is decided by a label."""
    if generator.classes:
        raise OptionError(f"{tool}: the label decides which digit this run draws, not the noise; take a run without "
                          "--conditional, or the tools interpolate, walk and map")


def write(pictures: Pictures, path: Path) -> list[Path]:
    """Write the picture to `path`, *.png, and the film, if there is one, beside it as *.gif; returns the files.

    Raises:
        OptionError: another ending. OSError: a file cannot be written.
    """
    if path.suffix != ".png":
        raise OptionError(f"--out {path}: the picture is a PNG, so name it *.png")
    path.parent.mkdir(exist_ok=True)
    save_png(pictures.picture, path)
    if not pictures.frames:
        return [path]
    film(pictures.frames, path.with_suffix(".gif"), scale=1)
    return [path, path.with_suffix(".gif")]


def write_inside(pictures: Pictures, folder: Path, tool: str) -> list[Path]:
    """Write the files TOOL.png and TOOL.gif into latent/ of a run's folder. Raises as `write`; DataError for a link."""
    record(folder, f"latent/{tool}.png", *([f"latent/{tool}.gif"] if pictures.frames else []))
    return write(pictures, inside.make_folder(folder, "latent") / f"{tool}.png")


def write_default_pictures(folder: Path, seed: int) -> None:
    """The pictures that a run leaves at its end, in folder/latent/: an interpolation and, with scikit-learn, a map.

    Brings report.html up to date, which shows them.
    """
    generator = load_generator(folder)
    write_inside(interpolate(generator, seed=seed), folder, "interpolate")
    if importlib.util.find_spec("sklearn"):
        write_inside(map_of_noise(generator, seed=seed), folder, "map")
    report_page(folder)


def _points(generator: SavedGenerator, numbers: Sequence[int] | None, count: int, seed: int) -> np.ndarray:
    """The noise vectors (P, latent) with these numbers, or the first `count`."""
    if not numbers:
        return generator.noise(count, seed)
    if min(numbers) < 0:
        raise OptionError(f"--points {min(numbers)}: images are numbered from 0")
    return generator.noise(max(numbers) + 1, seed)[list(numbers)]


def _sheet(generator: SavedGenerator, ways: np.ndarray) -> np.ndarray:
    """Images of noise (rows, columns, latent), as one picture; of a conditional generator, a row has one label."""
    rows, columns, latent = ways.shape
    return grid(generator(ways.reshape(-1, latent), generator.labels(rows).repeat(columns)), columns)  # (rows*columns,)


def _film(generator: SavedGenerator, moments: np.ndarray, words: Sequence[str]) -> list[np.ndarray]:
    """Frames of noise (moments, rows, latent), enlarged, each below its words; forwards and back."""
    sheets = [grid(generator(moment)) for moment in moments]
    frames = [stacked([(text, sheet)]) for text, sheet in zip(words, sheets, strict=True)]
    width = max(frame.shape[1] for frame in frames)
    frames = [np.pad(frame, ((0, 0), (0, width - frame.shape[1]), (0, 0))) for frame in frames]
    if sheets[0].ndim == 2:  # grey frames make a smaller film
        frames = [frame[:, :, 0] for frame in frames]
    return [*frames, *frames[::-1]]


def _classifier(generator: SavedGenerator, directory: Folder) -> Any:
    """The digit classifier of the metrics, from the cache or trained now."""
    from minigan.metrics.classifier import digit_classifier  # imports SciPy and scikit-learn

    return digit_classifier(directory or generator.options.get("data"))[1]
