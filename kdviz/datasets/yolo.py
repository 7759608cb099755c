"""YOLO folders: one text file an image, boxes as fractions of its size."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from kdviz.datasets.coco import DetectionData, detection_data
from kdviz.datasets.images import SUFFIXES, displayed_size
from kdviz.datasets.record import Problem, Report, refuse

_SLACK = 1e-3  # exporters round to as little as three decimals


def read_yolo(root: str | Path, split: str) -> DetectionData:
    """Read one split of a YOLO folder.

    The class names stand in ``data.yaml`` (``names`` as a list or as number: name), or one a line
    in ``classes.txt``. The images of a split are where ``data.yaml`` says (a folder, several, or a
    text file of paths), else in ``images/SPLIT`` or ``SPLIT/images``; images that lie directly in
    ``images`` are the split ``train``. Labels lie in the folder whose path has ``labels`` for
    ``images``, or beside the images. An image without a label file is one without objects.
    Polygons become their boxes.

    Class number n is category id n + 1. Sizes come from the image files, EXIF rotation applied,
    because YOLO files do not hold them.

    Args:
        root: holds ``data.yaml``, or ``labels`` and ``classes.txt``.
        split: ``train``, ``val`` or ``test``.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no names, no such split, or a problem of severity ``error`` in it.
    """
    record = yolo_record(Path(root), split, refuse)
    return detection_data(record, Path(root), source=Path(root))


def yolo_record(root: Path, split: str, report: Report) -> dict[str, Any]:
    """The COCO-shaped record of `read_yolo`; sends what it cannot read to ``report``, goes on.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no names, or no such split.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder")
    names = _class_names(root)
    splits = yolo_splits(root)
    if split not in splits:
        found = ", ".join(splits) or "none"
        raise ValueError(f"{root}: no split {split!r}; found: {found}")
    for place in splits[split]:
        if not place.exists():
            message = f"{place}, where data.yaml says that split {split!r} is, does not exist"
            report(Problem("missing-folder", message))
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    paths = [path for place in splits[split] for path in _image_files(place)]
    for path in tqdm(paths, desc="image sizes", delay=2, disable=None):
        image_id = 1 + len(images)
        try:
            width, height = displayed_size(path)
        except FileNotFoundError as error:
            report(Problem("missing-file", str(error), image_id=image_id))
            continue
        except ValueError as error:
            report(Problem("unreadable-file", str(error), image_id=image_id))
            continue
        name = path.relative_to(root) if path.is_relative_to(root) else path
        images.append(
            {"id": image_id, "file_name": name.as_posix(), "width": width, "height": height}
        )
        for number, (x, y, w, h) in _read_labels(_label_file(path), names, image_id, report):
            annotations.append(
                {
                    "id": 1 + len(annotations),
                    "image_id": image_id,
                    "category_id": 1 + number,
                    "bbox": [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height],
                }
            )
    categories = [{"id": 1 + number, "name": name} for number, name in sorted(names.items())]
    return {"images": images, "annotations": annotations, "categories": categories}


def yolo_splits(root: Path) -> dict[str, list[Path]]:
    """Where the images of each split are: folders, or text files that list paths."""
    splits: dict[str, list[Path]] = {}
    config = _config(root)
    for split in ("train", "val", "test"):
        given = config.get(split) or (config.get("valid") if split == "val" else None)
        if given:
            entries = given if isinstance(given, list) else [given]
            splits[split] = [_resolve(root, config, str(entry)) for entry in entries]
            continue
        names = ("val", "valid") if split == "val" else (split,)
        places = [root / x for name in names for x in (f"images/{name}", f"{name}/images")]
        if split == "train" and _image_files(root / "images"):
            places.append(root / "images")
        places = [place for place in places if place.is_dir()]
        if places:
            splits[split] = places[:1]
    return splits


def config_file(root: Path) -> Path | None:
    """``data.yaml``, or whichever YAML file of the folder holds ``names``."""
    files = [*sorted(root.glob("data.y*ml")), *sorted(root.glob("*.y*ml"))]
    return next((path for path in files if "names" in _parse_yaml(path)), None)


def _config(root: Path) -> dict[str, Any]:
    path = config_file(root)
    return {} if path is None else _parse_yaml(path)


def _parse_yaml(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {error}") from error
    return value if isinstance(value, dict) else {}


def _class_names(root: Path) -> dict[int, str]:
    names = _config(root).get("names")
    if names is None:
        files = [root / "classes.txt", root / "labels" / "classes.txt"]
        path = next((path for path in files if path.is_file()), None)
        if path is None:
            raise ValueError(
                f"{root}: no class names; write data.yaml with a list 'names', or classes.txt"
            )
        names = path.read_text().split("\n")
        names = [name.strip() for name in names if name.strip()]
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    try:
        return {int(number): str(name) for number, name in pairs}
    except ValueError as error:
        raise ValueError(
            f"{root}: 'names' must be a list, or numbers with names: {error}"
        ) from error


def _resolve(root: Path, config: dict[str, Any], entry: str) -> Path:
    """The folder or list an entry of data.yaml means; the paths in it are written four ways."""
    base = root / str(config.get("path") or "")
    inside = entry.removeprefix("../")  # Roboflow writes ../train/images for train/images
    candidates = [base / entry, root / entry, base / inside, root / inside]
    return next((path for path in candidates if path.exists()), candidates[0])


def _image_files(place: Path) -> list[Path]:
    if place.suffix == ".txt" and place.is_file():
        lines = [line.strip() for line in place.read_text().split("\n")]
        return [place.parent / line for line in lines if line]
    return sorted(path for path in place.glob("*") if path.suffix.lower() in SUFFIXES)


def _label_file(image: Path) -> Path:
    parts = list(image.parent.parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    usual = Path(*parts) / f"{image.stem}.txt"
    beside = image.with_suffix(".txt")
    return beside if beside.is_file() and not usual.is_file() else usual


def _read_labels(
    path: Path, names: dict[int, str], image_id: int, report: Report
) -> list[tuple[int, list[float]]]:
    """(class number, [cx, cy, w, h]) of each line that can be read."""
    if not path.is_file():
        message = f"{path} is missing; its image counts as one without objects"
        report(Problem("missing-annotation-file", message, "warning", image_id=image_id))
        return []
    labels = []
    for line_number, line in enumerate(path.read_text().split("\n"), start=1):
        if not line.strip():
            continue
        try:
            first, *values = map(float, line.split())
        except ValueError:
            first, values = math.nan, []
        place = f"{path}: line {line_number}"
        if not first.is_integer() or not (len(values) == 4 or _is_polygon(values)):
            kind, message = "malformed-label", f"expected 'class cx cy w h', found {line[:80]!r}"
        elif int(first) not in names:
            kind, message = "unknown-class", f"class {first:g} is not among the names {names}"
        elif not all(-_SLACK <= value <= 1 + _SLACK for value in values):
            kind, message = "value-range", f"a value is outside [0, 1]: {line[:80]!r}"
        else:
            box = _box_of_polygon(values) if _is_polygon(values) else values
            labels.append((int(first), box))
            continue
        report(Problem(kind, f"{place}: {message}", image_id=image_id))
    return labels


def _is_polygon(values: list[float]) -> bool:
    return len(values) >= 6 and len(values) % 2 == 0


def _box_of_polygon(values: list[float]) -> list[float]:
    xs, ys = values[0::2], values[1::2]
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
