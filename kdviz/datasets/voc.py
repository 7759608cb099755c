"""Pascal VOC folders: one XML file an image, one list of images a split."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from kdviz.datasets.coco import DetectionData, detection_data
from kdviz.datasets.images import SUFFIXES
from kdviz.datasets.record import Problem, Report, refuse


def read_voc(root: str | Path, image_set: str) -> DetectionData:
    """Read one image set of a VOC folder, or of every year in a VOCdevkit together.

    The categories are the names in all XML files of the folder, whatever the split, in alphabetical
    order with ids from 1: for the official sets that is the usual order. VOC counts pixels from 1
    and includes the last one, so box (xmin, ymin, xmax, ymax) covers [xmin - 1, xmax] here.

    A *difficult* object stays in the record with ``difficult`` and ``iscrowd`` 1. VOC scores
    neither finding nor missing it, and ``iscrowd`` is the only way to tell COCO evaluation so; one
    difference remains: it also forgives further detections inside such a box. As a crowd it is
    no training target.

    Args:
        root: holds ``Annotations``, ``JPEGImages`` and ``ImageSets/Main``, or folders that do
            (``VOC2007``, ``VOCdevkit/VOC2012``).
        image_set: ``train``, ``val``, ``trainval``, ``test`` or another list in ``ImageSets/Main``.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no such image set, or a problem of severity ``error`` in it.
    """
    record = voc_record(Path(root), image_set, refuse)
    return detection_data(record, Path(root), source=Path(root))


def voc_record(root: Path, image_set: str, report: Report) -> dict[str, Any]:
    """The COCO-shaped record of `read_voc`; sends what it cannot read to ``report``, goes on.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no such image set.
    """
    if not voc_folders(root):
        raise FileNotFoundError(f"{root}: found no Annotations/ with JPEGImages/, here or in VOC*/")
    lists = voc_image_sets(root)
    if image_set not in lists:
        found = ", ".join(sorted(lists)) or "none"
        raise ValueError(f"{root}: no image set {image_set!r} in ImageSets/Main; found: {found}")
    names = sorted({name for folder in voc_folders(root) for name in _class_names(folder)})
    ids = {name: number for number, name in enumerate(names, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for listing in lists[image_set]:
        folder = listing.parents[2]
        for stem in listing.read_text().split():
            image_id = 1 + len(images)
            parsed = _read_xml(folder, stem, image_id, report)
            if parsed is None:
                continue
            image, objects = parsed
            path = (folder / "JPEGImages" / image["file_name"]).relative_to(root)
            images.append({**image, "file_name": path.as_posix()})
            for entry in objects:
                entry["category_id"] = ids[entry.pop("name")]
                annotations.append({"id": 1 + len(annotations), **entry})
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def voc_folders(root: Path) -> list[Path]:
    """The folders at or below ``root`` that hold a VOC set, oldest year first."""
    candidates = [root, *sorted(root.glob("VOC*")), *sorted(root.glob("VOCdevkit/VOC*"))]
    return [x for x in candidates if (x / "Annotations").is_dir() and (x / "JPEGImages").is_dir()]


def voc_image_sets(root: Path) -> dict[str, list[Path]]:
    """The lists of images in ``ImageSets/Main`` by name, one path a year."""
    lists: dict[str, list[Path]] = {}
    for folder in voc_folders(root):
        for path in sorted((folder / "ImageSets" / "Main").glob("*.txt")):
            # The lists of a single class (aeroplane_train.txt) have a second column.
            with path.open() as lines:
                columns = next(lines, "").split()
            if len(columns) < 2:
                lists.setdefault(path.stem, []).append(path)
    return lists


def _class_names(folder: Path) -> Iterator[str]:
    for path in (folder / "Annotations").glob("*.xml"):
        try:
            root = ElementTree.parse(path).getroot()
        except ElementTree.ParseError:
            continue  # reported when its image set is read
        yield from filter(None, (_text(entry, "name") for entry in root.findall("object")))


def _read_xml(
    folder: Path, stem: str, image_id: int, report: Report
) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    path = folder / "Annotations" / f"{stem}.xml"
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        report(Problem("missing-annotation-file", f"{path} is missing", image_id=image_id))
        return None
    except ElementTree.ParseError as error:
        report(Problem("malformed-xml", f"{path}: not XML: {error}", image_id=image_id))
        return None
    width, height = (_number(root, f"size/{key}") for key in ("width", "height"))
    if not (1 <= width < math.inf and 1 <= height < math.inf):
        message = f"{path}: no width and height in <size>"
        report(Problem("malformed-xml", message, image_id=image_id))
        return None
    image = {
        "id": image_id,
        "file_name": _image_name(folder, stem),
        "width": int(width),
        "height": int(height),
    }
    objects = []
    for number, entry in enumerate(root.findall("object"), start=1):
        corners = [_number(entry, f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax")]
        if not _text(entry, "name") or not all(map(math.isfinite, corners)):
            message = f"{path}: object {number} lacks a name or four numbers in <bndbox>"
            report(Problem("malformed-xml", message, image_id=image_id))
            continue
        if min(corners[:2]) < 1:
            message = f"{path}: object {number} starts at {min(corners[:2]):g}; VOC counts from 1"
            report(Problem("voc-counts-from-1", message, "warning", image_id=image_id))
        left, top = (max(value - 1, 0.0) for value in corners[:2])
        objects.append(
            {
                "image_id": image_id,
                "name": _text(entry, "name"),
                "bbox": [left, top, corners[2] - left, corners[3] - top],
                "iscrowd": _flag(entry, "difficult"),
                **{key: _flag(entry, key) for key in ("difficult", "truncated", "occluded")},
            }
        )
    return image, objects


def _image_name(folder: Path, stem: str) -> str:
    """File name of an image; ``<filename>`` in the XML is not asked, since copies falsify it."""
    usual = f"{stem}.jpg"
    if (folder / "JPEGImages" / usual).is_file():
        return usual
    others = (folder / "JPEGImages").glob(f"{stem}.*")
    return next((x.name for x in sorted(others) if x.suffix.lower() in SUFFIXES), usual)


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _number(element: ElementTree.Element, path: str) -> float:
    try:
        return float(_text(element, path))
    except ValueError:
        return math.nan


def _flag(element: ElementTree.Element, path: str) -> int:
    return int(_number(element, path) == 1)
