"""A health check of a data set: everything that is wrong, before a run finds it one by one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kdviz.datasets.coco import DetectionData, parse_json
from kdviz.datasets.folder import (
    coco_file,
    coco_images_dir,
    data_format,
    data_root,
    data_splits,
)
from kdviz.datasets.images import ImageSizeError, check_image
from kdviz.datasets.record import Problem, record_problems, sound_images
from kdviz.datasets.voc import voc_record
from kdviz.datasets.yolo import yolo_record


def check(data: DetectionData, *, decode: bool = False) -> list[Problem]:
    """Every problem of a data set that could be read: of its record and of its image files.

    Args:
        data: one split.
        decode: decode every image, which also finds truncated files; else read the headers only.
    """
    problems = list(record_problems(data.record))
    return problems + list(_file_problems(data.record, data.images_dir, decode))


def check_path(
    path: str | Path, split: str | None = None, *, decode: bool = False
) -> list[Problem]:
    """Every problem of a data set on disk, also of one too broken to be read.

    Besides the splits themselves, two splits that share an image file are reported (``leak``).

    Args:
        path: a COCO, VOC or YOLO folder, as for `open_data`.
        split: look at this one only; None for all.
        decode: decode every image, which also finds truncated files; else read the headers only.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no data set, or not this split.
    """
    root = data_root(path)
    problems: list[Problem] = []
    files: dict[str, set[Path]] = {}
    splits = data_splits(root) if split is None else [split]
    if not splits:
        problems.append(Problem("no-splits", f"{root}: found no list or folder of any split"))
    for name in splits:
        found: list[Problem] = []
        record, images_dir = _raw_record(root, name, found)
        if record is not None:
            found.extend(record_problems(record))
            found.extend(_file_problems(record, images_dir, decode))
            files[name] = {images_dir / image["file_name"] for image in sound_images(record)}
        problems.extend(replace(problem, split=name) for problem in found)
    return problems + list(_leaks(files))


def _raw_record(root: Path, split: str, found: list[Problem]) -> tuple[dict[str, Any] | None, Path]:
    """The record of a split with its errors still in it; None if not even that can be had."""
    form = data_format(root)
    if form == "voc":
        return voc_record(root, split, found.append), root
    if form == "yolo":
        return yolo_record(root, split, found.append), root
    json_file = coco_file(root, split)
    try:
        raw = parse_json(json_file)
    except ValueError as error:
        found.append(Problem("malformed-json", str(error)))
        return None, root
    return raw, coco_images_dir(root, json_file, split, raw)


def _file_problems(record: dict[str, Any], images_dir: Path, decode: bool) -> Iterator[Problem]:
    def look(entry: dict[str, Any]) -> Problem | None:
        try:
            check_image(entry, images_dir, decode=decode)
        except FileNotFoundError as error:
            kind, message = "missing-file", str(error)
        except ImageSizeError as error:
            kind, message = "image-size", str(error)
        except ValueError as error:
            kind, message = "unreadable-file", str(error)
        else:
            return None
        return Problem(kind, message, image_id=entry["id"])

    entries = sound_images(record)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding lets go of the interpreter lock
        results = pool.map(look, entries)
        for problem in tqdm(results, desc="images", total=len(entries), delay=2, disable=None):
            if problem is not None:
                yield problem


def _leaks(files: dict[str, set[Path]]) -> Iterator[Problem]:
    names = list(files)
    for k, one in enumerate(names):
        for other in names[k + 1 :]:
            shared = files[one] & files[other]
            if shared:
                message = (
                    f"{len(shared)} images are in {one} and in {other}, such as {min(shared)}; "
                    "what is trained on cannot be a test"
                )
                yield Problem("leak", message, "warning", split=f"{one}, {other}")
