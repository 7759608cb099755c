"""One line to open a data set, whatever its format."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from kdviz.datasets.coco import DetectionData, detection_data, parse_json
from kdviz.datasets.voc import read_voc, voc_folders, voc_image_sets
from kdviz.datasets.yolo import config_file, read_yolo, yolo_splits

Format = Literal["coco", "voc", "yolo"]

_SAMPLE = 20  # file names tried to find out which folder holds the images


def open_data(path: str | Path, split: str, limit: int | None = None) -> DetectionData:
    """Read one split of a COCO, VOC or YOLO folder.

    - COCO: ``annotations/instances_SPLIT.json`` (also ``..._SPLIT2017.json``), images in
      ``images``, ``images/SPLIT``, ``SPLIT2017`` and the like; or ``SPLIT/_annotations.coco.json``
      beside its images;
    - VOC: ``Annotations``, ``JPEGImages`` and ``ImageSets/Main/SPLIT.txt``, or a VOCdevkit of such;
    - YOLO: ``data.yaml``, or ``labels`` with ``classes.txt``.

    Args:
        path: the folder, or the ``data.yaml`` of a YOLO folder.
        split: such as ``train`` or ``val``.
        limit: keep only the first so many images.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: no known format, no such split, or data that cannot be used; the message says
            what was looked for and what was found.
    """
    root = data_root(path)
    form = data_format(root)
    if form == "coco":
        json_file = coco_file(root, split)
        raw = parse_json(json_file)
        data = detection_data(raw, coco_images_dir(root, json_file, split, raw), source=json_file)
    elif form == "voc":
        data = read_voc(root, split)
    else:
        data = read_yolo(root, split)
    return data if limit is None else data.first(limit)


def data_root(path: str | Path) -> Path:
    """The folder of a data set, given it or its YAML file.

    Raises:
        FileNotFoundError: there is none.
    """
    root = Path(path)
    if root.suffix in {".yaml", ".yml"}:
        root = root.parent
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder; expected one that holds a data set")
    return root


def data_format(root: Path) -> Format:
    """Which of the three formats a folder has.

    Raises:
        ValueError: none; the message says what was looked for and what was found.
    """
    if coco_files(root):
        return "coco"
    if voc_folders(root):
        return "voc"
    if (root / "labels").is_dir() or config_file(root):
        return "yolo"
    found = ", ".join(sorted(entry.name for entry in root.iterdir())[:20]) or "nothing"
    raise ValueError(
        f"{root}: no detection data set. Looked for annotations/instances_*.json or "
        "*/_annotations.coco.json (COCO), Annotations/ with JPEGImages/ (VOC), data.yaml or "
        f"labels/ (YOLO); found: {found}"
    )


def data_splits(root: Path) -> list[str]:
    """The splits of a folder; VOC's ``trainval`` is left out where its two halves are there."""
    form = data_format(root)
    if form == "coco":
        return sorted(coco_files(root))
    if form == "yolo":
        return list(yolo_splits(root))
    names = set(voc_image_sets(root))
    return sorted(names - {"trainval"} if {"train", "val"} <= names else names)


def coco_files(root: Path) -> dict[str, Path]:
    """The annotation file of each split of a COCO folder."""
    files: dict[str, Path] = {}
    for path in sorted(root.glob("annotations/instances_*.json")):
        files.setdefault(path.stem.removeprefix("instances_").removesuffix("2017"), path)
    for path in sorted(root.glob("*/_annotations.coco.json")):
        name = path.parent.name
        files.setdefault("val" if name == "valid" else name, path)
    return files


def coco_file(root: Path, split: str) -> Path:
    """The annotation file of one split.

    Raises:
        ValueError: there is none; the message lists the splits.
    """
    files = coco_files(root)
    if split.removesuffix("2017") not in files:
        raise ValueError(f"{root}: no split {split!r}; found: {', '.join(sorted(files))}")
    return files[split.removesuffix("2017")]


def coco_images_dir(root: Path, json_file: Path, split: str, raw: dict[str, Any]) -> Path:
    """The folder that has most of the first images of a COCO record, from the usual ones."""
    places = [
        root / "images" / split,
        root / "images" / f"{split}2017",
        root / "images",
        root / f"{split}2017",
        root / split,
        root,
    ]
    if json_file.name.startswith("_"):
        places = [json_file.parent]
    places = [place for place in places if place.is_dir()]
    images = raw.get("images")
    entries = images[:_SAMPLE] if isinstance(images, list) else []
    names = [str(x["file_name"]) for x in entries if isinstance(x, dict) and "file_name" in x]
    # max keeps the first of equals, so without any image the most specific folder is named.
    return max(places, key=lambda place: sum((place / name).is_file() for name in names))
