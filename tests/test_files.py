"""Replacing files: a reader sees the old file or the new one, never part of one."""

import errno
import os
from pathlib import Path

import pytest

from pix2pix_lib.files import replacing


def test_the_old_file_stays_until_the_block_is_done_and_then_the_new_one_is_there(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_lies_beside_the_path_and_keeps_its_ending(tmp_path):
    with replacing(tmp_path / "x.png") as temporary:
        temporary.touch()
    assert temporary.parent == tmp_path  # os.replace cannot move a file to another disk
    assert temporary.suffix == ".png"
    assert temporary.name.startswith(".")  # listings of images skip it


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_or_is_interrupted_changes_nothing(tmp_path, error):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error_and_changes_nothing(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_text() == "old"


def test_missing_parent_folders_are_made_and_a_string_will_do(tmp_path):
    with replacing(str(tmp_path / "a" / "b" / "x.txt")) as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a" / "b" / "x.txt").read_text() == "new"


def test_missing_folder_that_must_not_be_made_is_named(tmp_path):
    gone = pytest.raises(FileNotFoundError, match="gone: the folder is gone")
    with gone, replacing(tmp_path / "gone" / "x", False):
        pytest.fail("there is nowhere to write to")
    assert list(tmp_path.iterdir()) == []


def test_failed_write_names_the_file(tmp_path):
    full = pytest.raises(OSError, match=r"No space left on device: '.*x\.txt'")
    with full, replacing(tmp_path / "x.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_the_bytes_are_on_the_disk_before_the_name_points_at_them(tmp_path, monkeypatch):
    calls = []

    def record(name):
        function = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *files: (calls.append(name), function(*files)))

    record("fsync")
    record("replace")
    with replacing(tmp_path / "x.txt") as temporary:
        Path(temporary).write_text("new")
    assert calls == ["fsync", "replace"]
