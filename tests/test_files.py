from __future__ import annotations

import errno
import os

import pytest

from kdviz.files import read_json, write_atomically, write_json_atomically, written_together


def test_text_and_bytes_arrive_unchanged(tmp_path):
    write_atomically(tmp_path / "text", "grün\r\n")
    write_atomically(tmp_path / "bytes", b"\x00\xff")
    assert (tmp_path / "text").read_bytes() == "grün\r\n".encode()
    assert (tmp_path / "bytes").read_bytes() == b"\x00\xff"


def test_new_files_are_as_open_to_others_as_any(tmp_path):
    write_atomically(tmp_path / "ours", "x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "result.json"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"):
        write_json_atomically(path, {"AP": 0.5})
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_numbers_read_back_equal(tmp_path):
    value = {"third": 1 / 3, "name": "café", "none": None}
    write_json_atomically(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


def test_nan_is_refused_and_the_old_file_stays(tmp_path):
    write_json_atomically(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json_atomically(tmp_path / "a.json", float("nan"))
    assert read_json(tmp_path / "a.json") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1, column 1: not JSON: the file is empty"),
        (b'{"a": 1,\n "b" 2}', "line 2, column 6: not JSON: Expecting ':' delimiter, found '2}'"),
        (b"<html></html>", "line 1, column 1: not JSON: Expecting value, found '<html></html>'"),
        (b'[{"a": 1},\n', "line 2, column 1: not JSON: Expecting value; the file breaks off"),
        (b'[{"a": 1, "b', "column 11: not JSON: Unterminated string .*; the file breaks off"),
        (b'{"a": 1}\n{"a": 2}\n', "line 2, column 1: not JSON: more follows .* one record a line"),
        (b'{"a": "\xff"}', "is not UTF-8 text: byte 7"),
    ],
)
def test_the_place_of_a_mistake_is_told(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_json(path)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_json(tmp_path / "a.json")


def test_files_written_together_replace_older_ones(tmp_path):
    folder = tmp_path / "new" / "folder"
    for content in ("old", "new"):
        with written_together(folder) as partial:
            (partial / "a").write_text(content)
            (partial / "b").write_bytes(b"\xff")
            assert not (folder / "a").exists() or (folder / "a").read_text() == "old"
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]
    assert (folder / "a").read_text() == "new"


@pytest.mark.parametrize("step", ["fsync", "block"])
def test_of_files_written_together_none_appears_after_an_error(tmp_path, monkeypatch, step):
    (tmp_path / "a").write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", full)

    def write() -> None:
        with written_together(tmp_path) as partial:
            (partial / "a").write_text("new")
            (partial / "b").write_text("new")
            if step == "block":
                full()

    with pytest.raises(OSError, match="No space left"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder; name a file in it"):
        read_json(tmp_path)
