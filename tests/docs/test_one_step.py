"""docs/one_step.md agrees with a real step: its files, their order, the functions in them, its excerpts.

The page reads the NumPy wing, which a process without the C kernels runs; with them, the way differs in kernels/ only.

    python test_one_step.py FILE        writes the way of this process to a file
"""

import os
import pickle
import re
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from lessons import run

import minigan as mg
from minigan.kernels.native.library import LIBRARY, WING
from minigan.teach.reading import follow, source
from minigan.trainers import GAN

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "ext"))
import one_step

ROOT = one_step.ROOT
PAGE = one_step.PAGE.read_text("utf-8")
ALGORITHM, END_TO_END = one_step.algorithm(PAGE), one_step.end_to_end(PAGE)
INCLUDE = re.compile(r"^```\{literalinclude\} (\S+)\n((?:^:.*\n)+)```", re.M)


def way_of_this_process():
    """The calls from the example's main() to the end of GAN.update in the second step; on one thread, to trace all."""
    main = runpy.run_path(str(ROOT / "examples" / "dcgan_mnist.py"))["main"]
    threads = mg.get_threads()
    mg.set_threads(1)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(sys, "argv", ["dcgan_mnist.py", "--smoke", "--no-blas-tuning", "--device", "cpu",
                                    "--loss", "non_saturating", "--out", f"{folder}/run"])
        followed = follow(main, GAN.draw, GAN.update)
    mg.set_threads(threads)
    return followed


@pytest.fixture(scope="module")
def way(tmp_path_factory):
    """The way without the C kernels, which is the page's."""
    if LIBRARY is None:
        return way_of_this_process()
    file = tmp_path_factory.mktemp("way") / "way"
    tests = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "examples")])
    subprocess.run([sys.executable, __file__, file], env={**os.environ, "MINIGAN_NATIVE": "0", "PYTHONPATH": tests},
                   capture_output=True, check=True, timeout=300)  # fmt: skip
    return pickle.loads(file.read_bytes())


@pytest.mark.skipif(LIBRARY is None, reason=WING)
def test_with_the_c_kernels_only_kernels_differ(way):
    """Outside kernels/, files and their order are the same."""
    native = way_of_this_process()
    files = [[stop.file for stop in followed.stops] for followed in (native, way)]
    assert native.frames == way.frames
    outside = [[file for file in part if not file.startswith("kernels/")] for part in files]
    assert outside[0] == outside[1]
    ran = [Path(file).name for file in files[0] if file.startswith("kernels/native/")]
    assert {"conv.py", "norm.py", "optim.py"} <= set(ran)


def test_the_page_lists_the_files_that_run_in_the_order_of_first_call(way):
    assert [stop.file for stop in END_TO_END] == [stop.file for stop in way.stops]


def test_the_functions_that_the_page_names_run(way):
    ran = {stop.file: stop.functions for stop in way.stops}
    assert [(stop.file, name) for stop in END_TO_END for name in stop.functions if name not in ran[stop.file]] == []
    assert all(stop.functions for stop in END_TO_END)


def test_the_algorithm_is_in_the_rooms_of_algorithms(way):
    """Part 1 names every file of trainers, networks, optimisers and losses that the step passes through."""
    rooms = re.compile(r"minigan/(trainers|models)/|minigan/(losses|optim/rules)\.py")
    assert {stop.file for stop in ALGORITHM} == {stop.file for stop in way.stops if rooms.match(stop.file)}
    for stop in ALGORITHM:
        for name in stop.functions:
            assert source(ROOT / stop.file, name)  # raises if there is none


def test_five_frames_at_most_stand_between_main_and_the_algorithm(way):
    paragraph = next(part for part in PAGE.split("\n\n") if "stand between the example and the algorithm" in part)
    assert list(dict.fromkeys(one_step.CODE.findall(paragraph))) == way.frames
    assert (way.frames[0], way.frames[-1]) == ("main", "GAN.update")
    assert len(way.frames[1:-1]) <= 5


@pytest.mark.parametrize("stops, files, most", [(ALGORITHM, 5, 350), (END_TO_END, 20, 2300)])
def test_the_sizes_are_as_told(stops, files, most):
    counted, lines = one_step.size(stops)
    words = re.search({5: "five", 20: "twenty"}[files] + r"\s+files(?:\s+to\s+read)?,\s+about\s+(\d+)\s+lines", PAGE)[1]
    assert counted == files
    assert lines <= most
    assert int(words) == pytest.approx(lines, rel=0.1)


def test_the_files_to_read_are_numbered():
    numbers = [int(number) for number, _, _ in one_step.ROW.findall(PAGE) if number]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_excerpts_are_in_the_files():
    """Excerpts that a build of the site would warn of."""
    includes = INCLUDE.findall(PAGE)
    assert len(includes) == PAGE.count("{literalinclude}")
    for file, given in includes:
        options = {name: text.strip().strip('"') for name, text in re.findall(r"^:([\w-]+):(.*)$", given, re.M)}
        path = (one_step.PAGE.parent / file).resolve()
        text = source(path, options["pyobject"]) if "pyobject" in options else path.read_text("utf-8")
        for marker in ("start-at", "end-at", "end-before"):
            assert text.count(options.get(marker, text)) == 1, (file, marker)


@pytest.mark.parametrize("file, function, line", [
    ("minigan/trainers/base.py", "Trainer.fit", "self.update(self.draw(batches))"),
    ("minigan/run/session.py", "Session.run", "self.trainer.fit("),
    ("minigan/optim/rules.py", "Optimizer.minimize", "walk([(loss, None)], "),
    ("minigan/optim/rules.py", "Optimizer._rate", 'g["lr"] * self.schedule(steps)'),
    ("minigan/trainers/gan.py", "GAN.generator_step", "self.loss.generator_loss("),
    ("minigan/trainers/gan.py", "GAN.generator_step", "self.g_optimizer.minimize("),
    ("minigan/trainers/gan.py", "GAN.update", "fake.detach()"),
    ("minigan/models/dcgan.py", "Discriminator", 'wrap = nn.SpectralNorm if norm == "spectral"'),
    ("minigan/data/loader.py", "Loader._take", "self._table"),
    ("minigan/ops/norm.py", "batch_norm", "kernels.Running("),
    ("kernels/cpu/gather.py", "correlate", "np.matmul(columns, matrix, out=product)"),
    ("kernels/cpu/optim.py", "adam", "p -= change"),
])
def test_an_answer_of_the_page_is_in_the_code(file, function, line):
    assert line in source(ROOT / file, function)


def test_the_cells_run(capsys):
    run(one_step.PAGE)
    assert "generator: 1 forward pass, discriminator: 2, over [128, 64] images\n" in capsys.readouterr().out


def test_a_way_is_that_of_one_step_only():
    """The tracer itself: calls before or after the traced step are not recorded."""
    ran = []

    def early():
        ran.append("early")

    def first():
        ran.append("first")
        if len(ran) == 3:  # the second time
            mg.optim.step_decay(2)

    def last():
        first()
        mg.optim.warmup(2)

    def program():
        early()
        last()
        last()
        mg.optim.linear_decay(1, 2)

    stops = {stop.file: stop for stop in follow(program, first, last).stops}
    assert ran == ["early", "first", "first"]
    assert [*stops["minigan/optim/schedules.py"].functions] == ["step_decay", "warmup"]
    with pytest.raises(mg.errors.OptionError, match="called the first 2 times"):
        follow(program, first, last, time=3)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(pickle.dumps(way_of_this_process()))
