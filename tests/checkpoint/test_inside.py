"""The doors to files of a folder that may be a stranger's, one by one; see `minigan.checkpoint.inside`."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from minigan.checkpoint import inside
from minigan.errors import DataError

posix = pytest.mark.skipif(os.name != "posix", reason="links and pipes as POSIX has them")


def test_a_file_may_be_as_long_as_the_bound(tmp_path):
    (tmp_path / "x").write_bytes(b"12345")
    assert inside.read(tmp_path, "x", 5) == b"12345"
    with pytest.raises(DataError, match="it has 5 bytes, and at most 4 are expected"):
        inside.read(tmp_path, "x", 4)


@posix
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_takes_the_place_of_a_file_is_neither_followed_nor_waited_for(tmp_path, monkeypatch, kind):
    (tmp_path / "secret").write_bytes(b"secret")
    if kind == "link":
        (tmp_path / "x").symlink_to(tmp_path / "secret")
    else:
        os.mkfifo(tmp_path / "x")
    monkeypatch.setattr(inside, "check", lambda *names: True)
    errors = []

    def read():
        with pytest.raises(DataError) as caught:
            inside.read(tmp_path, "x", 100)
        errors.append(str(caught.value))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(20)
    waited = reader.is_alive()
    if waited:
        os.close(os.open(tmp_path / "x", os.O_WRONLY | os.O_NONBLOCK))  # it waits for a writer: let it go
    reader.join()
    assert not waited and len(errors) == 1 and str(tmp_path / "x") in errors[0]
    assert ("not a regular file" in errors[0]) == (kind == "pipe")


def test_what_is_at_a_path(tmp_path):
    (tmp_path / "x").write_bytes(b"")
    assert [inside.kind(tmp_path / name) for name in ("", "x", "x/y", "y", "y/z", "a\0b")] == [
        "folder", "file", None, None, None, None]


def test_a_folder_that_cannot_be_searched_is_named(tmp_path, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "lstat", refused)
    with pytest.raises(DataError, match=r"x: cannot be looked at \(Permission denied\)"):
        inside.check(tmp_path, "x")


@pytest.mark.parametrize("length", [0, (1 << 20) - 1, 1 << 20, (2 << 20) + 1])
def test_the_digest_is_that_of_the_whole_file(tmp_path, length):
    (tmp_path / "x").write_bytes(b"x" * length)
    assert inside.digest(tmp_path, "x") == hashlib.sha256(b"x" * length).hexdigest()


@posix
def test_a_file_with_a_second_name_is_cut_and_appended_to_as_a_copy(tmp_path):
    (tmp_path / "x").write_bytes(b"12345")
    os.link(tmp_path / "x", tmp_path / "other")
    inside.cut(tmp_path, "x", 3)
    assert (tmp_path / "x").read_bytes() == b"123" and (tmp_path / "other").read_bytes() == b"12345"
    (tmp_path / "other").unlink()
    os.link(tmp_path / "x", tmp_path / "other")
    locked = []
    with inside.open_to_append(tmp_path, "x", lambda file: locked.append(os.fstat(file.fileno()).st_ino)) as file:
        file.write("4")
        assert locked == [os.stat(tmp_path / "other").st_ino, os.fstat(file.fileno()).st_ino]  # both, in this order
    assert (tmp_path / "x").read_bytes() == b"1234" and (tmp_path / "other").read_bytes() == b"123"


@posix
def test_a_file_that_another_process_has_locked_is_not_touched_and_not_kept_open(tmp_path):
    (tmp_path / "x").write_bytes(b"12345")
    os.link(tmp_path / "x", tmp_path / "other")
    files = []

    def locked(file):
        files.append(file)
        raise DataError("in use")

    with pytest.raises(DataError, match="in use"):
        inside.open_to_append(tmp_path, "x", locked)
    assert [file.closed for file in files] == [True] and os.path.samefile(tmp_path / "x", tmp_path / "other")


@posix
def test_nothing_is_written_or_removed_below_a_link(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_bytes(b"stays")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "link").symlink_to(tmp_path / "outside")
    for door in (lambda: inside.write(tmp_path / "run", "link/x", b""), lambda: inside.names(tmp_path / "run", "link"),
                 lambda: inside.make_folder(tmp_path / "run", "link"), lambda: inside.size(tmp_path / "run", "link/x")):
        with pytest.raises(DataError, match="link: is a link to .*outside, not a folder"):
            door()
    assert inside.remove(tmp_path / "run", "link/x") is None and inside.digest(tmp_path / "run", "link/x") is None
    assert inside.remove(tmp_path, "outside") is None  # a folder stays, whatever is in it
    assert (tmp_path / "outside" / "x").read_bytes() == b"stays"
