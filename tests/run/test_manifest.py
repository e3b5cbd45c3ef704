"""The list of a run's own files: what is on it when, and what of it is believed."""

import pytest

from minigan import run
from minigan.checkpoint import inside
from minigan.run import folder as folders
from minigan.run.manifest import LIST, Manifest


@pytest.fixture
def folder(tmp_path):
    """A run's, with a config.json and a list, as if it had been killed after a step."""
    Manifest(tmp_path).add("config.json", "checkpoints/step_00000001.safetensors")
    run.write_config(tmp_path, folders.make_config({"seed": 0}, [], 3))
    (tmp_path / "checkpoints" / "step_00000001.safetensors").write_bytes(b"a state")
    return tmp_path


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_name_is_listed_before_its_file_is_there(folder, monkeypatch):
    """Whenever a run is killed, the list has the names of all its files."""
    listed = []
    monkeypatch.setattr(inside, "write", lambda place, name, contents: listed.append((place / LIST).read_text()))
    run.write(folder, "table.md", b"x")
    assert len(listed) == 1 and "table.md sha256 " in listed[0]


def test_a_checkpoint_that_was_set_aside_is_the_run_s(folder):
    path = folder / "checkpoints" / "step_00000001.safetensors"
    path.rename(path.with_suffix(".damaged"))  # as `Series.newest` does
    run.new_folder(folder, overwrite=True)
    assert files(folder) == set()


def test_a_name_that_was_cut_off_in_the_middle_is_not_believed(folder):
    """A killed process has begun the line of another file: thesis.safetensors.md, say."""
    (folder / "thesis.safetensors").write_text("mine")
    with (folder / LIST).open("a") as file:
        file.write("thesis.safetensors")
    run.new_folder(folder, overwrite=True)
    assert files(folder) == {"thesis.safetensors"}


def test_a_name_is_listed_once(folder):
    for _ in range(3):
        Manifest(folder).add("report.html", "report.html")
    manifest = Manifest(folder)
    manifest.add("curves.png")
    manifest.add("curves.png")
    lines = (folder / LIST).read_text().splitlines()
    assert len(lines) == len({*lines}) and {LIST, "report.html", "curves.png"} <= {*lines}


def test_lines_that_a_run_appends_to_are_its_own_whatever_the_list_says(folder):
    """A list from a stranger may leave them out: the next run would be appended to theirs."""
    for name in ("metrics.jsonl", "scores.jsonl", "events.jsonl"):
        (folder / name).write_text("{}\n")
    run.new_folder(folder, overwrite=True)
    assert files(folder) == set()


def test_a_file_in_a_folder_that_is_no_run_makes_none_of_it(tmp_path):
    run.write(tmp_path, "table.md", b"x")
    assert files(tmp_path) == {"table.md"} and not (tmp_path / "checkpoints").exists()
