"""Damage the JSON files of a run in hundreds of ways; every command, and --resume, must work or end in one sentence.

    python benchmarks/fuzz_runs.py                 200 of each file, each through all commands: about 20 minutes
    python benchmarks/fuzz_runs.py --each 20

A mutation puts an odd value (null, text, NaN, 1e308, 10^400, a list, deep nesting, ...) in a random place, removes a
key or gives it twice, or damages the bytes. An exception that is not minigan's, or no end within 60 seconds, is a
failure.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minigan import data, models, report, run, trainers
from minigan.__main__ import main as command
from minigan.commands import metrics
from minigan.errors import MiniganError
from minigan.report import compared

FILES = ("config.json", "metrics.jsonl", "scores.jsonl", "events.jsonl", "scores.json")
SECONDS = 60
SLOW = ("metrics", "resume", "overwrite", "compare")
_MARK = "a place for text that is not JSON"
ODD: tuple[Any, ...] = (None, "text", "", "\udcff", float("nan"), float("inf"), -float("inf"), [], [1, [2]], {},
                        {"a": {}}, True, 0, -1, 0.5, 1e308, -1e308, 10**18, 2**63, -(2**70), 10**400, 1e-320, "1e9",
                        "x" * 100_000)
RAW = ("[" * 5000 + "]" * 5000, '{"a":' * 3000 + "1" + "}" * 3000, "1" * 5000, "1e400", "-", "nul", "\\u", "'x'")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def damaged(text: str, chance: random.Random) -> bytes:
    """The contents of a file with one mutation; of a file of lines, in one of its lines."""
    lines = [text] if text.startswith("{\n") else text.splitlines()
    number, way = chance.randrange(len(lines)), chance.randrange(10)
    raw = text.encode()
    if way == 0:
        place = chance.randrange(len(raw))
        return chance.choice((raw[:place], raw[:place] + chance.randbytes(3) + raw[place:], b"\xef\xbb\xbf" + raw,
                              raw.decode().encode("utf-16"), b"", b"\0" * 50, raw[:place] + b"\n" + raw[place:]))
    value = json.loads(lines[number])
    path = chance.choice([*places(value)])
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    odd, raw_text = chance.choice(ODD), ""
    if way == 1:
        del parent[path[-1]]
    elif way == 2:
        raw_text = chance.choice(RAW)
        parent[path[-1]] = _MARK
    elif way == 3:
        value = odd
    elif way == 4 and isinstance(parent, dict):  # the same key again
        raw_text = f'0, "{path[-1]}": 1'
        parent[path[-1]] = _MARK
    else:
        parent[path[-1]] = odd
    sys.set_int_max_str_digits(0)
    lines[number] = json.dumps(value).replace(f'"{_MARK}"', raw_text)
    sys.set_int_max_str_digits(4300)
    return ("\n".join(lines) + "\n").encode()


def small_run(out: Path, *arguments: str) -> None:
    """Train a tiny GAN for 4 steps with scores, or continue it."""
    options = run.options("", ["--out", str(out), *arguments], name="x", scored=True, batch_size=4, size=28,
                          upsample="upconv", latent=4, width=4, norm="auto", loss="non_saturating")
    pixels = np.random.default_rng(0).integers(0, 256, (16, 1, 28, 28), np.uint8)
    images = data.ImageData(pixels, np.zeros(16, np.uint8), "noise", "16 images of noise")
    pair = models.dcgan(1, options.size, options.latent, options.width, options.upsample)
    trainer = trainers.recipe("non_saturating").trainer(*pair, ema=0.0, lr=None)

    def score(folder: Path, step: int) -> None:
        with (folder / "scores.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, "frechet": 1.0 + step, "coverage": 0.5}) + "\n")

    run.fit(trainer, data.Loader(images, options.batch_size, seed=options.seed), options, images,
            reals=np.zeros((2, 2), np.uint8), sheet=lambda: lambda: np.zeros((4, 4), np.uint8), score=score)


class _Scorer:
    """In place of the scorer, which needs MNIST and a minute."""

    source = "none"

    def __init__(self, directory: object) -> None:
        Path(str(directory))

    def __call__(self, images: np.ndarray) -> dict[str, float]:
        return dict.fromkeys(metrics.MEANINGS, 0.5)


def uses(good: Path, bad: Path) -> dict[str, Callable[[], object]]:
    """Everything that reads a run's JSON."""
    return {
        "runs": lambda: command(["runs", str(bad.parent)]),
        "report": lambda: command(["report", str(bad)]),
        "sample": lambda: command(["sample", str(bad), "-n", "1"]),
        "metrics": lambda: command(["metrics", str(bad), "--images", "200"]),
        "resume": lambda: small_run(bad, "--steps", "5", "--resume"),
        "overwrite": lambda: run.new_folder(bad, overwrite=True),
        "compare": lambda: command(["compare", str(good), str(bad), "--out", str(bad / "compared.html")]),
    }


def tried(use: Callable[[], object], name: str, failures: dict[str, str]) -> str:
    """Done, refused or failed; `failures` gets the first failure of each exception at each line."""
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            use()
    except (MiniganError, OSError, SystemExit):  # the last one from the parser of options
        return "refused"
    except BaseException as error:
        kind = f"{type(error).__name__} {traceback.extract_tb(error.__traceback__)[-1]}"
        failures.setdefault(kind, f"{name}: {''.join(traceback.format_exception(error))}")
        return "failed"
    finally:
        signal.alarm(0)
    return "done"


def fuzz(folder: Path, each: int, seed: int, slow_every: int = 1) -> Counter[tuple[str, str, str]]:
    """Mutate each file `each` times; of the uses in SLOW, try one in `slow_every`.

    Returns the number of outcomes by file, use and outcome. Raises AssertionError, with all kinds of failures.
    """
    good, bad = folder / "good" / "run", folder / "bad" / "run"
    small_run(good, "--steps", "3", "--score-every", "1")
    small_run(good, "--steps", "4", "--resume")
    scores = {"weights": "generator.safetensors", "images": 200, "scores": {"frechet": 2.5, "coverage": 0.5}}
    (good / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    counts: Counter[tuple[str, str, str]] = Counter()
    failures: dict[str, str] = {}
    scorer, metrics.Scorer = metrics.Scorer, _Scorer  # type: ignore[misc, assignment]
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("it does not end")))
    curves = report.loss_curves, compared.drawn_curves
    report.loss_curves, compared.drawn_curves = lambda *_: None, lambda *_: b""  # slow, and none of the test
    try:
        for file in FILES:
            chance = random.Random(f"{seed} {file}")
            for number in range(each):
                raw = damaged((good / file).read_text(), chance)
                shutil.rmtree(bad, ignore_errors=True)
                shutil.copytree(good, bad)
                for name, use in uses(good, bad).items():
                    is_slow = name in SLOW or (name == "sample" and file != "config.json")  # it reads no other file
                    if is_slow and number % slow_every:
                        continue
                    if name == "compare":  # what comes before has changed the folder
                        shutil.rmtree(bad)
                        shutil.copytree(good, bad)
                    (bad / file).write_bytes(raw)
                    counts[file, name, tried(use, f"{file} {number}, {name}: {raw[:300]!r}", failures)] += 1
    finally:
        metrics.Scorer = scorer  # type: ignore[misc]
        report.loss_curves, compared.drawn_curves = curves
    assert not failures, f"{len(failures)} kinds of failures:\n" + "\n".join(failures.values())
    return counts


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=200, help="mutations of each file (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    warnings.simplefilter("error")  # an overflow, for instance
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        counts = fuzz(Path(folder), options.each, options.seed)
    for (file, name, outcome), number in sorted(counts.items()):
        print(f"{file:15} {name:10} {outcome:8} {number:6}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
