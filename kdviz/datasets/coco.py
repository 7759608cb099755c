"""COCO folders, and the one in-memory form that every data set takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional

from kdviz.datasets.images import ImageCache, load_image
from kdviz.datasets.record import record_problems, refuse
from kdviz.files import read_json
from kdviz.structures import Target

Transform = Callable[[Tensor, Target], tuple[Tensor, Target]]
"""Maps an image, uint8 (3, h, w), and its target to another such pair."""


@dataclass(frozen=True)
class Category:
    """One class: the label networks use (from 1, without gaps), the id in the file, the name."""

    label: int
    id: int
    name: str


@dataclass(frozen=True)
class DetectionData:
    """Annotations of one split and the folder of its images.

    Attributes:
        record: COCO json, whatever the source: ``images``, ``annotations``, ``categories``. Boxes
            are [x, y, width, height]; ``area`` and ``iscrowd`` are always there, masks never. This
            is what evaluation reads.
        images_dir: ``file_name`` in the record is relative to it.
    """

    record: dict[str, list[dict[str, Any]]] = field(repr=False)
    images_dir: Path

    @cached_property
    def categories(self) -> tuple[Category, ...]:
        """The classes; label k is at position k - 1. Labels follow the order of the ids."""
        ordered = sorted(self.record["categories"], key=lambda category: category["id"])
        return tuple(Category(k, x["id"], x["name"]) for k, x in enumerate(ordered, start=1))

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 over the record and the size of every image file, 64 hex digits.

        Names a data set in results: it follows any change of an annotation and nearly any change
        of an image, and does not read the images.

        Raises:
            FileNotFoundError: an image is missing.
        """
        digest = hashlib.sha256()
        for key in ("images", "annotations", "categories"):
            text = json.dumps(self.record[key], sort_keys=True, separators=(",", ":"))
            digest.update(text.encode())
        for image in self.record["images"]:
            digest.update(b"%d," % (self.images_dir / image["file_name"]).stat().st_size)
        return digest.hexdigest()

    def first(self, count: int) -> DetectionData:
        """The first ``count`` images with their annotations; every category stays.

        Raises:
            ValueError: ``count`` is below 1.
        """
        if count < 1:
            raise ValueError(f"a data set needs at least one image, not {count}")
        images = self.record["images"][:count]
        kept = {image["id"] for image in images}
        annotations = [x for x in self.record["annotations"] if x["image_id"] in kept]
        return replace(self, record={**self.record, "images": images, "annotations": annotations})


def read_coco(annotations_json: str | Path, images_dir: str | Path) -> DetectionData:
    """Read one COCO annotation file.

    Masks are not kept, since nothing here reads them and they are most of the memory of COCO. An
    annotation with id 0 gets the next free id: evaluation takes 0 for "unmatched".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON (with line and column), or a problem of severity ``error`` is in
            it (see `kdviz.datasets.record.record_problems`), an empty data set included.
    """
    path = Path(annotations_json)
    return detection_data(parse_json(path), Path(images_dir), source=path)


def parse_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON, with file, line and column, or not an object.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a COCO object, found a {type(value).__name__}")
    return value


def detection_data(raw: dict[str, Any], images_dir: Path, *, source: Path) -> DetectionData:
    """Complete a COCO-shaped record and refuse it if it cannot be used.

    Raises:
        ValueError: a problem of severity ``error`` is in it; the message names ``source``.
    """
    for problem in record_problems(raw):
        refuse(replace(problem, message=f"{source}: {problem.message}"))
    next_id = 1 + max(annotation["id"] for annotation in raw["annotations"])
    annotations = []
    for entry in raw["annotations"]:
        annotation = {key: value for key, value in entry.items() if key != "segmentation"}
        _, _, width, height = annotation["bbox"]
        if annotation.get("area") is None:
            annotation["area"] = width * height
        annotation["iscrowd"] = int(annotation.get("iscrowd") or 0)
        annotation["id"] = annotation["id"] or next_id
        annotations.append(annotation)
    record = {
        "images": raw["images"],
        "annotations": annotations,
        "categories": raw["categories"],
    }
    return DetectionData(record, images_dir)


class DetectionDataset(Dataset[tuple[Tensor, Target]]):
    """The images and targets of a `DetectionData`, as detectors take them.

    An item is an image, (3, h, w) in [0, 1], and a target: ``boxes`` (G, 4) xyxy in pixels,
    ``labels`` (G,) from 1, ``image_id`` scalar, ``iscrowd`` (G,), ``area`` (G,) as annotated,
    ``annotation_ids`` (G,). Boxes are clipped to the image and those without area left out; the
    record keeps them for evaluation. Crowd boxes are in the target: the training presets drop them.

    Grey, palette, CMYK and transparent images become RGB. An image that carries an EXIF rotation
    is turned, unless only the unturned one has the size in the record.

    Args:
        data: what `read_coco`, `read_voc`, `read_yolo` or `open_data` returned.
        transform: torchvision v2 transform of (image, target), given ``tv_tensors`` with uint8
            images; None for no change.
        cache: keep decoded images in memory, width * height * 3 bytes each, filled as they are
            asked for. Forked workers share it; spawned ones fill one each.
        dtype: of the images; uint8 leaves them in [0, 255], a quarter of the bytes to move.
    """

    def __init__(
        self,
        data: DetectionData,
        transform: Transform | None = None,
        cache: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.data = data
        self.transform = transform
        self.dtype = dtype
        entries = data.record["images"]
        self._cached = ImageCache(entries, data.images_dir) if cache else None
        positions = {image["id"]: k for k, image in enumerate(entries)}
        labels = {category.id: category.label for category in data.categories}
        # Flat tensors instead of dicts: forked workers do not copy them page by page.
        annotations = sorted(data.record["annotations"], key=lambda x: positions[x["image_id"]])
        rows = torch.tensor([positions[x["image_id"]] for x in annotations], dtype=torch.int64)
        self._ends = torch.bincount(rows, minlength=len(entries)).cumsum(0)
        boxes = torch.tensor([x["bbox"] for x in annotations], dtype=torch.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        self._fields = {
            "boxes": boxes,
            "labels": torch.tensor(
                [labels[x["category_id"]] for x in annotations], dtype=torch.int64
            ),
            "iscrowd": torch.tensor([x["iscrowd"] for x in annotations], dtype=torch.int64),
            "area": torch.tensor([x["area"] for x in annotations], dtype=torch.float32),
            "annotation_ids": torch.tensor([x["id"] for x in annotations], dtype=torch.int64),
        }

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        entry = self.data.record["images"][index]
        if self._cached is None:
            pixels = load_image(entry, self.data.images_dir)
        else:
            pixels = self._cached[index]
        image: Tensor = tv_tensors.Image(pixels)
        target = self._target(index, entry)
        if self.transform is not None:
            image, target = self.transform(image, target)
        pixels = functional.to_dtype(image.as_subclass(Tensor), self.dtype, scale=True)
        return pixels, {key: value.as_subclass(Tensor) for key, value in target.items()}

    def _target(self, index: int, entry: dict[str, Any]) -> Target:
        end = int(self._ends[index])
        start = int(self._ends[index - 1]) if index % len(self) else 0
        target = {key: values[start:end] for key, values in self._fields.items()}
        boxes = target["boxes"].clone()
        boxes[:, 0::2].clamp_(0, entry["width"])
        boxes[:, 1::2].clamp_(0, entry["height"])
        target["boxes"] = boxes
        kept = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        target = {key: values[kept] for key, values in target.items()}
        target["boxes"] = tv_tensors.BoundingBoxes(
            target["boxes"], format="XYXY", canvas_size=(entry["height"], entry["width"])
        )
        target["image_id"] = torch.tensor(entry["id"])
        return target
