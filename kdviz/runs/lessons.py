"""What a notebook opens: some images with their boxes, and detectors to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdviz.datasets import DetectionData, DetectionDataset, drop_crowd, open_data
from kdviz.datasets.scenes import SceneConfig, cached_scenes, render
from kdviz.detectors import DetectorParts, build, freeze
from kdviz.detectors.parts import in_eval
from kdviz.engine.coco_eval import evaluate_coco, to_coco_results
from kdviz.engine.coco_metrics import CocoMetrics
from kdviz.methods import Method
from kdviz.runs import embedded
from kdviz.runs.checkpoints import ADAPTERS, load_adapters, load_detector, read_metadata
from kdviz.structures import Batch, Detection, Target


@dataclass(frozen=True)
class Lesson:
    """A few images of a data set, ready to be looked at.

    Attributes:
        data: the images' records, for evaluation.
        images: each (3, h, w) in [0, 1].
        targets: ground truth of each image, crowds left out, boxes in its pixels.
        names: class names, first that of label 1.
    """

    data: DetectionData
    images: list[Tensor]
    targets: list[Target]
    names: list[str]


def open_lesson(path: str | None = None, split: str = "val", count: int = 24) -> Lesson:
    """The first images of a data set; of the embedded scenes without a path.

    Args:
        path: COCO, VOC or YOLO folder, or None.
        split: of the folder.
        count: images, at least 1.

    Raises:
        FileNotFoundError: there is no such folder or split.
        ValueError: the data set cannot be read.
    """
    if path is None:
        # A scene depends on seed, split and index alone: these are the first of the 500 scenes that
        # the embedded checkpoints were scored on.
        path = str(cached_scenes(embedded.FOLDER / "cache", SceneConfig(), 0, count, seed=0))
        split = "val"
    return lesson_of(open_data(Path(path), split, limit=count))


def lesson_of(data: DetectionData) -> Lesson:
    """All images of a data set, or of `DetectionData.first` of it, read at once."""
    dataset = DetectionDataset(data)
    samples = [dataset[index] for index in range(len(dataset))]
    return Lesson(
        data,
        [image for image, _ in samples],
        [drop_crowd(target) for _, target in samples],
        [category.name for category in data.categories],
    )


def open_detector(name: str) -> tuple[DetectorParts, list[str]]:
    """A frozen detector by its embedded name or its file, and its class names in label order.

    Args:
        name: ``teacher``, ``student``, ... as in ``data/checkpoints.yaml``, ``student@150`` for the
            student after so many steps (as in ``data/snapshots``), or a path such as
            ``runs/<run>/student.safetensors``.

    Raises:
        ValueError: neither an embedded detector nor a file that kdviz wrote.
        FileNotFoundError: there is no such file.
    """
    parts, names = load_detector(name) if Path(name).suffix else embedded.load(name)
    return freeze(parts), names


def open_untrained(name: str, seed: int = 0) -> DetectorParts:
    """The architecture of a detector of `open_detector` with random initial weights, frozen.

    A run of the same seed starts from these weights.
    """
    told = _told_by(name)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sizes = {"min_size": told["min_size"], "max_size": told["max_size"]}
        return freeze(build(told["model"], num_classes=len(told["classes"]) + 1, **sizes))


def recorded_ap(name: str) -> float:
    """AP of a detector of `open_detector` on the validation split of its run, in [0, 1]."""
    return float(_told_by(name)["ap"])


def _told_by(name: str) -> dict[str, Any]:
    """What a checkpoint says of itself."""
    path = Path(name) if Path(name).suffix else embedded.FOLDER / embedded.entries()[name]["file"]
    return read_metadata(path)


def open_adapters(
    name: str, *, student: DetectorParts, teacher: DetectorParts
) -> dict[str, Method]:
    """What the methods of a run trained beside its student, by name; empty where nothing was kept.

    Args:
        name: as for `open_detector`; beside a file, ``adapters.safetensors`` is looked for.
        student: the detector of this name.
        teacher: the detector that it learned from.

    Raises:
        ValueError: the files are damaged, or belong to other detectors.
        FileNotFoundError: there are no embedded detectors.
    """
    if not Path(name).suffix:
        return embedded.adapters(name, student=student, teacher=teacher)
    beside = Path(name).with_name(ADAPTERS)
    if not beside.is_file():
        return {}
    return load_adapters(beside, student=student, teacher=teacher)


@torch.no_grad()
def batch_of(parts: DetectorParts, lesson: Lesson, indices: Sequence[int]) -> Batch:
    """Some images of a lesson as this detector takes them, boxes in network pixels."""
    with in_eval(parts.model):
        return parts.preprocess(
            [lesson.images[i] for i in indices], [lesson.targets[i] for i in indices]
        )


@torch.no_grad()
def detections_of(parts: DetectorParts, lesson: Lesson, batch_size: int = 16) -> list[Detection]:
    """What a detector finds on each image of a lesson, low scores kept."""
    found: list[Detection] = []
    with in_eval(parts.model):
        for start in range(0, len(lesson.images), batch_size):
            batch = parts.preprocess(lesson.images[start : start + batch_size])
            found += parts.detections(parts.head(parts.features(batch), batch), batch)
    return found


def score(lesson: Lesson, detections: Sequence[Detection]) -> CocoMetrics:
    """COCO numbers of detections on the images of a lesson, one `Detection` for each."""
    image_ids = [image["id"] for image in lesson.data.record["images"]]
    category_ids = [category.id for category in lesson.data.categories]
    results = to_coco_results(detections, image_ids, category_ids)
    return evaluate_coco(lesson.data.record, results)


def scene_batch(count: int, size: int) -> tuple[list[Tensor], list[Target]]:
    """The first scenes of the training split, rendered to measure on, with nothing on the disk."""
    images, targets = [], []
    for index in range(count):
        pixels, objects = render(SceneConfig(size=size), 0, "train", index)
        images.append(torch.from_numpy(pixels).permute(2, 0, 1).float() / 255)
        boxes = torch.tensor([o.box for o in objects], dtype=torch.float32).reshape(-1, 4)
        labels = torch.tensor([o.label for o in objects], dtype=torch.int64)
        targets.append({"boxes": boxes, "labels": labels, "image_id": torch.tensor(index)})
    return images, targets
