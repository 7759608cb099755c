"""Files that are read with the place of the mistake, and written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Write a file so that a reader finds the old content or the new, never a part.

    The content goes to a hidden file beside ``path``, is flushed to the disk and then takes the
    name. When that fails, on a full disk for one, the old file stays and nothing else is left.

    Args:
        path: where; its folder must exist.
        content: text, written as UTF-8 with its line ends unchanged, or bytes.

    Raises:
        OSError: the folder is missing or closed to us, or the disk is full.
    """
    path = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json_atomically(path: str | Path, value: Any, indent: int | None = None) -> None:
    """Write ``value`` as JSON, whole or not at all.

    Args:
        path: where; its folder must exist.
        value: what ``json`` can write; numbers keep every digit, so they read back equal.
        indent: spaces of one level; None writes one line.

    Raises:
        ValueError: a NaN or an infinity is in ``value``; JSON has no word for them.
        OSError: see `write_atomically`.
    """
    text = json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=False)
    write_atomically(path, text + "\n")


@contextmanager
def written_together(folder: str | Path) -> Iterator[Path]:
    """Write several files so that all of them appear, or after an error none.

    Gives a hidden folder to write in. When the block ends well, its files are flushed to the disk
    and move to ``folder``, where they take the place of files of the same name; else they go away
    and what was there stays.

    Args:
        folder: where the files shall lie; made if it is missing.

    Raises:
        OSError: the folder cannot be made or is closed to us, or the disk is full.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{uuid.uuid4().hex[:8]}.partial"
    partial.mkdir()
    try:
        yield partial
        written = sorted(partial.iterdir())
        for path in written:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        for path in written:
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a folder.
        ValueError: the text is not JSON or not UTF-8; the message gives file, line and column.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path} (looked from {Path.cwd()})") from None
    except IsADirectoryError:
        raise IsADirectoryError(f"{path} is a folder; name a file in it") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: byte {error.start} {error.reason}") from error
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{path}, line {error.lineno}, column {error.colno}"
        raise ValueError(f"{place}: not JSON: {_what_is_wrong(text, error)}") from error


def _what_is_wrong(text: str, error: json.JSONDecodeError) -> str:
    if not text.strip():
        return "the file is empty"
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
        return f"{error.msg}; the file breaks off, so write it again"
    if error.msg == "Extra data":
        return "more follows after the first value; is there one record a line?"
    return f"{error.msg}, found {text[error.pos : error.pos + 20]!r}"
