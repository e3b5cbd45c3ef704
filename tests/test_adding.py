"""CONTRIBUTING's walk-throughs are followed literally, in a copy of the project: each addition is discovered.

A code block names its file in its first line, and, if the file exists already, the line above which it goes.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
BLOCK = re.compile(r"^( *)```python\n\1# ([\w/.]+)(?:, above ([^\n]+))?\n(.*?)^\1```", re.M | re.S)
SECTION = re.compile(r"^## Add an? (operation|loss|data set|trainer|example)\n(.*?)(?=^## )", re.M | re.S)
MOST_FILES = {"operation": 1, "loss": 1, "data set": 2, "trainer": 2, "example": 1}  # besides an operation's own test


def blocks(section):
    """[(file, the line it goes above or "", code)] of a section of the guide."""
    return [(file, above, re.sub(rf"^{indent}", "", code, flags=re.M))
            for indent, file, above, code in BLOCK.findall(section)]


SECTIONS = {name: blocks(text) for name, text in SECTION.findall(GUIDE)}


class Copy:
    """A copy of the project in another folder, where files are added and programs run."""

    def __init__(self, folder):
        self.folder = folder
        for source, target in (("minigan", "minigan"), ("kernels", "minigan/kernels"), ("examples", "examples"),
                               ("docs/ext", "docs/ext"), ("docs/reference", "docs/reference"), (".ci", ".ci")):
            shutil.copytree(ROOT / source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))

    def follow(self, section):
        """Follow a section; returns the files that it touches."""
        for file, above, code in SECTIONS[section]:
            path = self.folder / file
            if above:
                text = path.read_text("utf-8")
                head, line, tail = re.split(rf"^( *{re.escape(above)}\b)", text, maxsplit=1, flags=re.M)
                path.write_text(head + code + ("\n\n" if above == "__all__" else "") + line + tail)
            else:
                assert not path.exists(), f"{file} exists: the block must say which line it goes above"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(code)
            if above == "__all__":  # "put its name into __all__"
                name = re.search(r"^def (\w+)", code, re.M)[1]
                path.write_text(path.read_text("utf-8").replace("__all__ = [", f'__all__ = ["{name}", ', 1))
        return {file for file, _, _ in SECTIONS[section]}

    def run(self, *command):
        """The output of a command that must succeed; imports come from the copy."""
        done = subprocess.run([sys.executable, *map(str, command)], cwd=self.folder, capture_output=True, text=True,
                              timeout=120, env={**os.environ, "PYTHONPATH": str(self.folder), "MPLBACKEND": "Agg"})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def python(self, program):
        """The output of a program that imports the copy as `minigan`."""
        program = f"import minigan as mg, numpy as np; print(mg.__file__)\n{program}"
        where, result = self.run("-c", program).split("\n", 1)
        assert where.startswith(str(self.folder))
        return result


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """The copy with all additions of the guide, and the files that each section touched."""
    copy = Copy(tmp_path_factory.mktemp("house"))
    copy.touched = {section: copy.follow(section) for section in SECTIONS}
    return copy


def test_the_guide_shows_how_to_add_each_kind(house):
    assert SECTIONS.keys() == MOST_FILES.keys()


@pytest.mark.parametrize("section", MOST_FILES)
def test_few_files_are_touched(house, section):
    own = {file for file in house.touched[section] if not file.startswith("tests/")}
    assert 1 <= len(own) <= MOST_FILES[section]
    assert len(house.touched[section]) <= MOST_FILES[section] + (section == "operation")


def test_an_operation_is_public_checked_and_documented(house):
    assert house.python('''if True:
        from minigan.gradcheck import check_operation
        print(mg.ops.softsign(mg.tensor([-3.0, 1.0])).data.tolist())
        print(mg.ops.softsign is mg.OPERATIONS["softsign"] is mg.PRIMITIVES["softsign"])
        print(repr(check_operation(mg.OPERATIONS["softsign"]).failure))
    ''').splitlines() == ["[-0.75, 0.5]", "True", "''"]
    assert "softsign" in house.run("-m", "minigan.gradcheck", "softsign")
    page = house.python("import sys; sys.path.insert(0, 'docs/ext'); import derivations; print(derivations.page())")
    entry = page.split("\nsoftsign\n--------\n")[1].split("\n.. _")[0]
    assert "gx = gy / (1 + |x|)^2" in entry and "softsign.defvjp(" in entry


def test_the_trap_of_the_guide_passes_first_order_and_fails_second(house):
    """`abs(x.data)` in the rule is a constant to the second derivative."""
    assert "Try `abs(x.data)`" in GUIDE
    first, failure = house.python('''if True:
        from minigan.gradcheck import check_operation
        op = mg.PRIMITIVES["softsign"]
        op.rules = {"x": lambda gy, y, x: gy / (1 + abs(x.data)) ** 2}
        row = check_operation(op)
        print(row.first < 1e-6, row.failure, sep="\\n")
    ''').split("\n", 1)
    assert first == "True"
    assert "GradientError" in failure


def test_the_operations_own_test_passes(house):
    test, = (file for file in house.touched["operation"] if file.startswith("tests/"))
    assert "1 passed" in house.run("-m", "pytest", "-q", "-p", "no:cacheprovider", test)


def test_a_loss_is_offered_and_trains(house):
    assert house.python('''if True:
        loss = mg.losses.GAN_LOSSES["pearson"]
        logits = mg.tensor([1.0, 3.0])
        print(loss.discriminator_loss(logits, logits).item(), loss.generator_loss(logits).item())
        print("pearson" in mg.trainers.RECIPES)
    ''').splitlines() == ["12.0 5.0", "True"]  # (0 + 4)/2 + (4 + 16)/2;  (1 + 9)/2
    assert "pearson" in house.run("examples/dcgan_mnist.py", "--help")
    house.run("examples/dcgan_mnist.py", "--smoke", "--loss", "pearson", "--width", "4", "--no-blas-tuning")


def test_a_data_set_is_in_data_and_in_the_reference(house):
    assert house.python('''if True:
        images = mg.data.stripes(5)
        print(len(images), images.images.shape, images.images.dtype, np.ptp(images.images) > 200)
        print(np.array_equal(images.images, mg.data.stripes(5).images), np.ptp(images.images, axis=2).max())
    ''').splitlines() == ["5 (5, 1, 32, 32) uint8 True", "True 0"]
    assert ".. automodule:: minigan.data.stripes\n" in reference(house)


def test_a_trainer_is_in_trainers_learns_and_resumes(house):
    assert house.python('''if True:
        from minigan import nn
        def made():
            mg.seed(0)
            network = nn.Sequential(nn.Conv2d(1, 8, 4, 4), nn.ReLU(), nn.ConvTranspose2d(8, 1, 4, 4))
            return mg.trainers.Autoencoder(network, lr=1e-2)
        def losses(trainer, batches, steps):
            rows = []
            trainer.fit(batches, steps, on_step=lambda progress: rows.append(progress.metrics["loss"]))
            return rows
        whole, parts = (mg.data.Loader(mg.data.stripes(64), 16) for _ in range(2))
        first, again = made(), made()
        rows = losses(first, whole, 30)
        before = losses(again, parts, 20)
        resumed = made()
        resumed.load_state_dict(again.state_dict())
        print(rows[-1] < 0.7 * rows[0], rows == before + losses(resumed, parts, 10))
    ''') == "True True\n"
    assert ".. automodule:: minigan.trainers.autoencoder\n" in reference(house)


def reference(house):
    """The text of the page of modules on the site."""
    return house.python("import sys; sys.path.insert(0, 'docs/ext'); import modules\n"
                        "print(modules.completed(open('docs/reference/api.rst').read()))")


def test_an_example_is_found_by_the_ci_and_runs(house):
    loop = re.search(r"^for example in (.+); do$", (house.folder / ".ci" / "run").read_text("utf-8"), re.M)[1]
    result = subprocess.run(["bash", "-c", f'root="$PWD"; printf "%s\\n" {loop}'], cwd=house.folder, text=True,
                           capture_output=True, check=True).stdout
    assert str(house.folder / "examples" / "dcgan_stripes.py") in result.splitlines()
    house.run("examples/dcgan_stripes.py", "--smoke", "--no-blas-tuning")
    assert (house.folder / "runs" / "dcgan_stripes" / "metrics.jsonl").exists()


def test_the_map_names_every_room_and_no_other():
    named = rooms_on_the_map()
    assert [name for name in named if not (ROOT / name).exists()] == []
    rooms = {f"minigan/{path.name}" for path in (ROOT / "minigan").iterdir()
             if (path.suffix == ".py" and path.stem.strip("_") == path.stem) or (path / "__init__.py").exists()}
    rooms |= {f"kernels/{path.name}" for path in (ROOT / "kernels").iterdir() if (path / "__init__.py").exists()}
    assert rooms <= named
    assert {"examples", "tests", "docs", "benchmarks"} <= named


def rooms_on_the_map():
    """The folders and files of the map: names at the start of its lines, each below the folder it is indented under."""
    text = re.search(r"^## Where things are\n\n```\n(.*?)^```", GUIDE, re.M | re.S)[1]
    named, folder = set(), ""
    for line in text.splitlines():
        words = re.match(r"(?:\s*[\w]+(?:/|\.py)(?=\s|$))+", line)[0].split()
        if not line.startswith(" "):
            folder, = words
            named.add(folder.rstrip("/"))
        else:
            named |= {folder + word.rstrip("/") for word in words}
    return named
