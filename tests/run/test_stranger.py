"""A run's folder may come from a stranger: what is read, written and deleted in it, and what is not."""

import json
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minigan import data, models, report, run, trainers
from minigan.__main__ import main
from minigan.checkpoint import Series, inside, write_atomically
from minigan.errors import CheckpointError, DataError, MiniganError, OptionError
from minigan.run.manifest import LIST

SECRET = b"what is outside stays outside"


@pytest.fixture(scope="module")
def images():
    pixels = np.random.default_rng(0).integers(0, 256, (16, 1, 28, 28), np.uint8)
    return data.ImageData(pixels, np.zeros(16, np.uint8), "noise", "16 images of noise")


class Score:
    """A score that appends rows, as metrics.Watch does."""

    def __call__(self, folder, step):
        with (folder / "scores.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, "frechet": 1.0 + step}) + "\n")


def trained(images, out, *arguments, score=True, **own):
    """Train a tiny GAN for some steps, or continue one."""
    options = run.options("", ["--out", str(out), "--batch-size", "4", *arguments], name="x", scored=True, size=28,
                          upsample="upconv", latent=4, width=4, norm="auto", loss="non_saturating", **own)
    recipe = trainers.recipe("non_saturating")
    trainer = recipe.trainer(*models.dcgan(1, options.size, options.latent, options.width), ema=0.0, lr=None)
    loader = data.Loader(images, options.batch_size, seed=options.seed)
    z = np.ones((4, 4), np.float32)

    def sheet():
        drawn = trainer.sample_later(z)
        return lambda: report.grid(drawn())

    return run.fit(trainer, loader, options, images, reals=np.zeros((2, 2), np.uint8), sheet=sheet,
                   score=Score() if score else None)


@pytest.fixture(scope="module")
def original(images, tmp_path_factory):
    """A run of 4 steps, scored twice, resumed once."""
    folder = tmp_path_factory.mktemp("original") / "run"
    trained(images, folder, "--steps", "3", "--score-every", "2")
    trained(images, folder, "--steps", "4", "--resume")
    return folder


@pytest.fixture
def folder(original, tmp_path):
    shutil.copytree(original, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def outside(tmp_path):
    """A folder with files that must stay as they are; afterwards this is checked."""
    place = tmp_path / "outside"
    (place / "samples").mkdir(parents=True)
    names = ("victim", "config.json", "samples/step_000001.png", "step_00000004.safetensors", "samples/mine.txt",
             "files.txt", "events.out.tfevents.1", "interpolate.png")
    for name in names:
        (place / name).write_bytes(SECRET)
    yield place
    assert sorted(str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()) == sorted(names)
    assert all((place / name).read_bytes() == SECRET for name in names)


def sentence_of(command):
    """The error that a command ends in; any text, if it does its work."""
    try:
        main(command)
    except (MiniganError, OSError) as error:
        return str(error)
    return str(FILES + INNER + ("sample.png", "walk.png", "epoch_0001.png", "step_00000004.safetensors", "files.txt"))


def all_files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


FILES = ("config.json", "metrics.jsonl", "scores.jsonl", "events.jsonl", "generator.safetensors", "report.html",
         "curves.png", "reals.png", "samples/epoch_0001.png", "checkpoints/step_00000004.safetensors", LIST)
INNER = ("samples", "checkpoints", "tensorboard", "latent")


# ---- links and special files ----
@pytest.mark.parametrize("name", [*FILES, *INNER])
def test_a_run_with_a_link_is_not_resumed_and_nothing_changes(images, folder, outside, name):
    path = folder / name
    shutil.rmtree(path, ignore_errors=True)
    path.unlink(missing_ok=True)
    path.symlink_to(outside if name in INNER else outside / "victim")
    before = all_files(folder)
    with pytest.raises((DataError, SystemExit)):
        trained(images, folder, "--steps", "5", "--resume")
    assert all_files(folder) == before and path.is_symlink()


def test_the_sentence_names_the_link_and_where_it_leads(images, folder, outside):
    (folder / "events.jsonl").unlink()
    (folder / "events.jsonl").symlink_to(outside / "victim")
    with pytest.raises(DataError, match=r"events\.jsonl: is a link to .*victim, not a file"):
        trained(images, folder, "--steps", "5", "--resume")


@pytest.mark.long
@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "scores.jsonl", "events.jsonl",
                                  "generator.safetensors", "samples/epoch_0001.png", "reals.png",
                                  "checkpoints/step_00000004.safetensors", LIST])
@pytest.mark.parametrize("kind", ["pipe", "socket", "folder"])
def test_what_is_no_file_is_refused_at_once(images, folder, name, kind, capsys, monkeypatch):
    """A pipe would be waited for; the commands end in time, with a sentence, or leave the file out."""
    (folder / name).unlink()
    if kind == "pipe":
        os.mkfifo(folder / name)
    elif kind == "folder":
        (folder / name).mkdir()
    else:
        monkeypatch.chdir((folder / name).parent)  # the path of a socket is short
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(Path(name).name)
    start = time.monotonic()
    for command in (["runs", str(folder.parent)], ["report", str(folder)], ["sample", str(folder), "-n", "2"]):
        assert Path(name).name in sentence_of(command)
    with pytest.raises((DataError, SystemExit)):
        trained(images, folder, "--steps", "5", "--resume")
    assert time.monotonic() - start < 30


def test_a_second_name_of_a_file_is_not_written_through(images, folder, tmp_path):
    """Hard links: the run goes on with copies; the other names keep their bytes."""
    (tmp_path / "victims").mkdir()
    files = [p for p in folder.rglob("*") if p.is_file()]
    for number, path in enumerate(files):
        os.link(path, tmp_path / "victims" / str(number))
    before = all_files(tmp_path / "victims")
    trained(images, folder, "--steps", "6", "--resume")
    assert all_files(tmp_path / "victims") == before
    assert [row["step"] for row in report.read_rows(folder / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in report.read_rows(folder / "scores.jsonl")] == [2, 3, 4, 6]


def test_the_name_of_an_unfinished_file_may_be_a_link(tmp_path, outside):
    (tmp_path / f".x.{os.getpid()}.tmp").symlink_to(outside / "victim")
    write_atomically(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new" and not (tmp_path / "x").is_symlink()


@pytest.mark.parametrize("name", ["../victim", "/etc/passwd", "a//b", "a/../../b", "", ".", "a\0b"])
def test_names_that_lead_out_of_a_folder(tmp_path, name):
    with pytest.raises(DataError, match="not a name inside the folder"):
        inside.read(tmp_path, name, 100)


def test_the_folder_itself_may_be_a_link(images, original, folder, tmp_path):
    (tmp_path / "short").symlink_to(folder)
    trained(images, tmp_path / "short", "--steps", "5", "--resume")
    assert report.read_rows(folder / "metrics.jsonl")[-1]["step"] == 5


@pytest.mark.parametrize("command", [["report"], ["sample", "-n", "2"], ["latent", "walk", "--rows", "1"]])
@pytest.mark.parametrize("name", ["report.html", "sample.png", "latent", "latent/walk.png", "samples", "reals.png",
                                  "generator.safetensors", "metrics.jsonl", "config.json"])
def test_commands_read_and_write_nothing_through_links(folder, outside, command, name):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    shutil.rmtree(path, ignore_errors=True)
    path.unlink(missing_ok=True)
    path.symlink_to(outside if name in ("latent", "samples") else outside / "victim")
    assert Path(name).name in sentence_of([command[0], str(folder), *command[1:]])
    if not (folder / "report.html").is_symlink():
        assert SECRET not in (folder / "report.html").read_bytes()


# ---- overwriting ----
MINE = ("my_figure.png", "analysis.html", "notes.json", "external.safetensors", "latent/mine/a.png", "notes.txt",
        "checkpoints/backup/step_00000003.safetensors", "samples/mine.png", "samples/step_1.png", "latent/mine.png",
        ".notes.tmp", ".notes.12.tmp", ".writable", "samples/.mine.tmp", "checkpoints/.mine.png.12.tmp",
        ".mine.safetensors.12.tmp", "checkpoints/step_00000003.safetensors.bak",
        "samples/old/step_000000.png", "tensorboard/mine.txt")


@pytest.mark.parametrize("listed", [True, False])
def test_overwrite_removes_what_the_run_wrote_and_nothing_else(folder, listed):
    for name in MINE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    if not listed:  # a run of an earlier version
        (folder / LIST).unlink()
    assert run.new_folder(folder, overwrite=True) == folder
    assert all_files(folder) == {name: name.encode() for name in MINE}


def test_a_run_leaves_no_file_that_is_not_listed(images, folder, tmp_path):
    main(["sample", str(folder), "-n", "2"])
    main(["latent", str(folder), "walk", "--rows", "1"])
    assert {*all_files(folder)} <= {*(folder / LIST).read_text().splitlines()}
    run.new_folder(folder, overwrite=True)
    assert all_files(folder) == {}


def test_a_program_s_own_files_are_the_run_s_until_somebody_changes_them(folder):
    """Names of all kinds, contents as bytes and from a function; a list that has other contents is not believed."""
    run.write(folder, "table.md", b"old")
    run.write(folder, "table.md", b"new")
    run.write(folder, "labels_only.png", lambda path: report.save_png(np.zeros((2, 2), np.uint8), path))
    run.write_json(folder, "a name with sha256 in it.txt", {"a": 1})
    run.write(folder, "edited.md", b"theirs")
    assert (folder / "table.md").read_bytes() == b"new" and (folder / "labels_only.png").read_bytes()[1:4] == b"PNG"
    (folder / "edited.md").write_text("mine now")
    (folder / "thesis.tex").write_text("mine")
    with (folder / LIST).open("a") as file:
        file.write(f"thesis.tex\nthesis.tex sha256 {'0' * 64}\n../outside sha256 {'0' * 64}\n")
    (folder / ".table.md.12.tmp").write_text("unfinished")
    run.new_folder(folder, overwrite=True)
    assert all_files(folder) == {"edited.md": b"mine now", "thesis.tex": b"mine"}


@pytest.mark.parametrize("name", ["../a", "/a", "samples/a.txt", "a\nb", ".hidden", "", "."])
def test_names_that_a_program_cannot_give(folder, name):
    before = all_files(folder)
    with pytest.raises(DataError, match="a run writes no file of the name"):
        run.write(folder, name, b"x")
    assert all_files(folder) == before


def test_a_resumed_run_removes_its_unfinished_files_and_nobody_else_s(images, folder):
    own = (".report.html.12.tmp", "samples/.epoch_0001.png.12.tmp", "checkpoints/.step_00000004.safetensors.12.tmp")
    mine = tuple(name for name in MINE if name.rpartition("/")[2].startswith("."))
    for name in (*own, *mine):
        (folder / name).write_text(name)
    trained(images, folder, "--steps", "5", "--resume")
    after = all_files(folder)
    assert not {*own} & {*after} and {name: after[name] for name in mine} == {name: name.encode() for name in mine}


def test_a_series_of_checkpoints_keeps_other_people_s_unfinished_files(tmp_path):
    series = Series(tmp_path)
    series.save(3, {"a": 1})
    for name in (".notes.tmp", ".notes.12.tmp", ".step_00000003.safetensors.12.tmp", ".best.safetensors.7.tmp"):
        (tmp_path / name).write_text("")
    assert series.newest()[0] == {"a": 1}
    assert {*all_files(tmp_path)} == {".notes.tmp", ".notes.12.tmp", "step_00000003.safetensors"}


def test_files_like_a_run_s_that_it_did_not_write_stay(folder):
    for name in ("samples/step_000999.png", "classifier.safetensors", "latent/map.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine")
    run.new_folder(folder, overwrite=True)
    assert {*all_files(folder)} == {"samples/step_000999.png", "classifier.safetensors", "latent/map.png"}


def test_a_list_from_a_stranger_deletes_nothing_of_mine(folder, outside):
    for name in MINE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    names = [name for name in MINE if name != "external.safetensors"]  # networks may have any name
    with (folder / LIST).open("a") as file:
        file.write("".join(f"{name}\n" for name in (*names, "../outside/victim", str(outside / "victim"), "samples",
                                                    ".", "", "samples/../../outside/victim", "latent/mine")))
    run.new_folder(folder, overwrite=True)
    assert all_files(folder).items() >= {name: name.encode() for name in names}.items()


@pytest.mark.parametrize("name", [*INNER, "scores.jsonl", "generator.safetensors", "metrics.jsonl", "report.html"])
def test_overwrite_removes_a_link_and_not_what_it_points_to(folder, outside, capsys, name):
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(outside if name in INNER else outside / "victim")
    run.new_folder(folder, overwrite=True)
    assert not (folder / name).is_symlink()
    assert f"{folder / name}: the link was removed, not {outside}" in capsys.readouterr().out


@pytest.mark.parametrize("config", [
    {"options": {"theme": "dark"}}, {"options": {}, "steps": 3}, {"options": {"seed": 1}, "steps": 3, "data": [],
     "device": "x", "versions": {"node": "20"}}, {"compilerOptions": {}}])
def test_a_folder_of_another_program_is_no_run(tmp_path, config):
    files = {"config.json": json.dumps(config), "package.json": "{}", "index.html": "<p>", "metrics.jsonl": ""}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=r"config\.json.*(not one that minigan wrote|options is missing)"):
        run.new_folder(tmp_path, overwrite=True)
    assert all_files(tmp_path) == {name: text.encode() for name, text in files.items()}


def test_a_killed_run_leaves_no_file_that_is_not_listed(original, tmp_path):
    """Killed before each of its renames, that is with each file half written."""
    program = """
import os, sys
replace, left = os.replace, [0]
def counted(*names):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), 9)
    replace(*names)
os.replace = counted
sys.path.insert(0, sys.argv[1])
from test_stranger import trained, data, np
pixels = np.zeros((16, 1, 28, 28), np.uint8)
codes = []
for out in sys.argv[2:]:
    process = os.fork()
    if not process:
        left[0] = int(os.path.basename(out))
        trained(data.ImageData(pixels, np.zeros(16, np.uint8), "noise", "x"), out, "--steps", "3",
                "--checkpoint-every", "1")
        os._exit(0)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
print(*codes)
"""
    folders = [tmp_path / str(number) for number in (2, 4, 7, 11)]
    done = subprocess.run([sys.executable, "-c", program, str(Path(__file__).parent), *map(str, folders)],
                          capture_output=True, text=True, timeout=120)
    assert done.stdout.split()[-4:] == ["-9"] * 4, done.stderr
    for out in folders:
        if (out / "config.json").exists():
            run.new_folder(out, overwrite=True)
            assert all_files(out) == {}


# ---- where a run may go ----
def test_out_says_what_is_there(tmp_path, capsys, monkeypatch, original):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    (tmp_path / "file").write_text("")
    for name, words in (("other", "holds other files than those of a run"), ("file", "is a file, which is kept")):
        assert run.new_folder(tmp_path / name) == tmp_path / f"{name}-2"
        assert words in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    for place in (".", "..", "/dev/null", "a\0b", "file/run", "x" * 300):
        with pytest.raises(DataError, match="--out"):
            run.new_folder(Path(place))
    with pytest.raises(DataError, match="is a device, not a folder"):
        run.new_folder(Path("/dev/null"))
    with pytest.raises(DataError, match="not empty, and its files are kept"):
        run.new_folder(Path("."))


# ---- pictures in the page ----
def png_with(*chunks):
    import struct
    import zlib
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(body)) + kind + body +
                                            struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks)


@pytest.mark.parametrize("place", ["samples/epoch_0001.png", "reals.png", "latent/map.png", "latent/walk.gif"])
def test_the_page_holds_no_bytes_but_those_of_pictures(folder, place):
    import base64
    good = (folder / "samples/epoch_0001.png").read_bytes()
    (folder / place).parent.mkdir(exist_ok=True)
    secret = b"SECRET" * 3  # a multiple of 3 bytes, so that base64 can be searched
    for raw in (secret, good + secret, good[:8] + secret,
                good[:-12] + png_with((b"tEXt", 2000 * secret))[8:] + good[-12:],
                good[:-12] + png_with((b"zzZz", secret))[8:] + good[-12:], good[:100], b"GIF89a" + secret * 9):
        (folder / place).write_bytes(raw)
        page = report.report_page(folder).read_text()
        assert base64.b64encode(raw).decode() not in page
        assert f"left out: {folder / place}".replace("'", "&#x27;") in page
    shown = base64.b64encode((folder / "samples/step_000000.png").read_bytes()).decode()
    assert shown in report.report_page(folder).read_text()


@pytest.mark.parametrize("name", ["reals.png", "samples/epoch_0001.png", "latent/map.png"])
@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt", "eXIf", "pHYs", "iCCP", "PLTE", "tRNS"])
def test_texts_in_a_valid_picture_stay_out_of_the_page(folder, kind, name):
    """PNG specification, sections 11.2 and 11.3: none of these chunks is needed to show a grey picture."""
    import base64
    good = (folder / "samples/epoch_0001.png").read_bytes()
    (folder / name).parent.mkdir(exist_ok=True)
    secret = b"SECRET" * 3
    (folder / name).write_bytes(good[:33] + png_with((kind.encode(), secret))[8:] + good[33:])  # behind IHDR
    assert b"SECRET" in (folder / name).read_bytes()
    page = report.report_page(folder).read_text()
    pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    assert pictures and not any(b"SECRET" in base64.b64decode(picture) for picture in pictures)
    if kind in ("tEXt", "pHYs"):  # matplotlib writes these: left out, and the picture is shown
        assert base64.b64encode(good).decode() in pictures


def test_texts_in_a_film_stay_out_of_the_page(folder):
    """GIF 89a, sections 24 and 26: a comment, and extensions of programs; that of Netscape repeats the film."""
    pytest.importorskip("PIL")
    report.film([np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)], folder / "film.gif")
    good = (folder / "film.gif").read_bytes()
    assert b"NETSCAPE2.0" in good
    (folder / "latent").mkdir(exist_ok=True)
    block = lambda label, *parts: b"!" + label + b"".join(bytes([len(p)]) + p for p in parts) + b"\0"
    at = good.index(b"!")
    secret = b"SECRET" * 3
    for extra in (b"", block(b"\xfe", secret), block(b"\xff", b"XMP DataXMP", secret), block(b"\x01", secret),
                  block(b"\xff", b"NETSCAPE2.0", secret)):
        (folder / "latent" / "walk.gif").write_bytes(good[:at] + extra + good[at:])
        page = report.report_page(folder).read_text()
        assert ("data:image/gif;base64," in page) == (not extra)


# ---- other versions, missing folders, names ----
def test_an_option_that_is_new_or_gone_is_named_and_the_run_goes_on(images, folder, capsys):
    config = json.loads((folder / "config.json").read_text())
    del config["options"]["check_finite"], config["options"]["norm"]
    config["options"]["momentum_of_old"] = 0.5
    (folder / "config.json").write_text(json.dumps(config))
    trained(images, folder, "--steps", "5", "--resume")
    output = capsys.readouterr().out
    assert "--check-finite is new since the run started; it goes on with the default, False" in output
    assert "--norm is new" in output and "--momentum-of-old was 0.5; this version has no such option" in output
    with pytest.raises(OptionError, match="--seed was 0, now 1: another run"):
        trained(images, folder, "--steps", "5", "--resume", "--seed", "1")


def test_samples_were_deleted(images, folder, capsys):
    shutil.rmtree(folder / "samples")
    trained(images, folder, "--steps", "5", "--resume")
    assert "samples/ is missing; it is made anew" in capsys.readouterr().out
    assert (folder / "samples" / "step_000005.png").exists()


@pytest.mark.parametrize(("number", "words"), [(5, "Input/output error); the checkpoints so far are intact: mend that"),
                                               (28, "make room"), (13, "change the permissions")])
def test_only_a_full_disk_is_answered_with_make_room(images, tmp_path, monkeypatch, number, words):
    def broken(*_):
        raise OSError(number, os.strerror(number), "a file")

    monkeypatch.setattr(report, "save_png", lambda pixels, path, scale: "epoch" in path.name and broken())
    with pytest.raises(DataError) as caught:
        trained(images, tmp_path / "run", "--steps", "12")
    assert words in str(caught.value) and ("make room" in str(caught.value)) == (number == 28)


def test_names_that_are_not_utf_8(images, tmp_path, capsys):
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    source = data.ImageData(images.images, images.labels, "noise", os.fsdecode(b"from caf\xe9"))
    trained(source, odd, "--steps", "2", "--data", str(odd))
    trained(source, odd, "--steps", "3", "--resume")
    program = """
import sys
from minigan import run
from minigan.__main__ import main

def commands():
    for command in (["runs", sys.argv[1]], ["report", sys.argv[2]], ["sample", sys.argv[2], "-n", "1"]):
        main(command)
        print("-" * 80)

run.main(commands)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path), str(odd)], capture_output=True, timeout=120,
                          env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"})
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split(b"-" * 80)[:3]
    assert len(printed) == 3 and all(b"caf\\udce9" in output for output in printed)
    assert b"caf\\udce9" in (odd / "report.html").read_bytes()


# ---- sizes ----
@pytest.mark.parametrize(("key", "value"), [("width", 10**7), ("latent", 10**9), ("size", 2**29), ("width", 10**30)])
def test_a_config_that_asks_for_much_is_refused_before_anything_is_built(images, folder, key, value, capsys):
    config = json.loads((folder / "config.json").read_text())
    config["options"][key] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match=r"GiB|digits"):
        main(["sample", str(folder)])
    with pytest.raises((OptionError, SystemExit)) as caught:
        trained(images, folder, "--steps", "5", "--resume")
    assert "GiB" in str(caught.value) or "digits" in capsys.readouterr().err


def test_weights_that_are_smaller_than_the_options(folder):
    """Below the bound for all networks, but not what the weights' file holds."""
    config = json.loads((folder / "config.json").read_text())
    config["options"]["latent"] = 10**6
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match=r"weights would take .* GiB, but generator\.safetensors holds"):
        main(["sample", str(folder)])


def test_checkpoint_errors_stay_checkpoint_errors(images, folder):
    (folder / "checkpoints" / "step_00000004.safetensors").unlink()
    (folder / "checkpoints" / "step_00000003.safetensors").unlink()
    with pytest.raises(CheckpointError, match="there is none"):
        trained(images, folder, "--steps", "5", "--resume")


# ---- what it can do ----
class _Payload:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_a_pickle_is_refused_unread(images, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (folder / "generator.safetensors", *(folder / "checkpoints").glob("*.safetensors")):
        path.write_bytes(pickle.dumps(_Payload()))
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        main(["sample", str(folder)])
    with pytest.raises(CheckpointError, match="all are damaged"):
        trained(images, folder, "--steps", "5", "--resume")
    assert not (tmp_path / "executed").exists()
    pickle.loads((folder / "generator.safetensors").read_bytes())  # the trap works
    assert (tmp_path / "executed").exists()


def test_the_steps_of_a_config_are_done(images, folder):
    config = json.loads((folder / "config.json").read_text())
    config["steps"] = 7
    (folder / "config.json").write_text(json.dumps(config))
    trained(images, folder, "--resume")
    assert report.read_rows(folder / "metrics.jsonl")[-1]["step"] == 7


@pytest.mark.parametrize("number", [10**12, 10**18, 10**30])
def test_no_run_has_so_many_steps(images, tmp_path, folder, number):
    with pytest.raises(OptionError, match=r"steps are more than 999,999,999,999"):
        trained(images, tmp_path / "new", "--steps", str(number))
    assert not (tmp_path / "new").exists()
    with pytest.raises(OptionError, match=r"steps are more than 999,999,999,999"):
        trained(images, folder, "--resume", "--steps", str(number))


def test_a_config_names_the_data_and_the_command_line_another(folder):
    config = json.loads((folder / "config.json").read_text())
    config["options"]["data"] = "/theirs"
    (folder / "config.json").write_text(json.dumps(config))
    arguments = ["--out", str(folder), "--resume"]
    assert run.options("", arguments, name="x").data == Path("/theirs")
    assert run.options("", [*arguments, "--data", "mine"], name="x").data == Path("mine")
