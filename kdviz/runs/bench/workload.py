"""What is measured on: detectors, images and boxes that suit the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from kdviz.datasets.scenes import SceneConfig, render
from kdviz.detectors import DetectorParts, build, freeze
from kdviz.files import write_json_atomically
from kdviz.structures import Target

CLASSES = SceneConfig().classes


@dataclass(frozen=True)
class Workload:
    """Detectors and images: those of the papers on a GPU, small ones on a CPU.

    Attributes:
        device: where everything runs.
        trained: backbone and width of the detector whose training is timed.
        student: backbone and width of the student of a pair.
        teacher: backbone and width of the teacher of a pair.
        file_size: (height, width) of the images as files, pixels.
        network_size: (shorter, longer) side that networks see, pixels.
        batch: images of a training step.
        pair_batch: images of a step with a teacher.
        workers: processes that load images where that is a lever.
        threads: of PyTorch on the CPU. Where that does the work it is one: a second one gains
            little at this size, and whatever else runs holds up both.
        rounds: of short measurements.
    """

    device: torch.device
    trained: str
    student: str
    teacher: str
    file_size: tuple[int, int]
    network_size: tuple[int, int]
    batch: int
    pair_batch: int
    workers: int
    threads: int
    rounds: int = 9

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU does the work."""
        return self.device.type == "cuda"

    @property
    def sides(self) -> dict[str, Any]:
        """``min_size`` and ``max_size`` of the detectors."""
        return dict(zip(("min_size", "max_size"), self.network_size, strict=True))

    def pair(self, family: str = "fcos") -> tuple[DetectorParts, DetectorParts]:
        """A student and a frozen teacher of random weights."""
        torch.manual_seed(0)
        student, teacher = (
            build(f"{family}-{body}", len(CLASSES) + 1, **self.sides)
            for body in (self.student, self.teacher)
        )
        for parts in (student, teacher):
            parts.model.to(self.device)
        return student, freeze(teacher)

    def images(self, count: int) -> tuple[list[Tensor], list[Target]]:
        """Images in [0, 1] and their targets, on the device."""
        images, targets = [], []
        for index, (pixels, boxes, labels) in enumerate(_pictures(count, self.file_size)):
            image = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
            images.append(image.to(self.device))
            target = {
                "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
                "labels": torch.tensor(labels, dtype=torch.int64),
                "image_id": torch.tensor(index + 1),
                "flipped": torch.tensor(False),
            }
            targets.append({key: values.to(self.device) for key, values in target.items()})
        return images, targets

    def told(self) -> dict[str, Any]:
        """The workload for the record."""
        return {
            "device": self.device.type,
            "trained": self.trained,
            "student": self.student,
            "teacher": self.teacher,
            "file_size": list(self.file_size),
            "network_size": list(self.network_size),
            "batch": self.batch,
            "pair_batch": self.pair_batch,
            "threads": self.threads,
        }


def workload(device: str | None = None) -> Workload:
    """What suits this machine.

    Args:
        device: ``cpu`` or ``cuda``; None takes a GPU if there is one.
    """
    cores = os.cpu_count() or 1
    if device == "cuda" or (device is None and torch.cuda.is_available()):
        return Workload(
            device=torch.device("cuda"),
            trained="resnet50",
            student="resnet18",
            teacher="resnet50",
            file_size=(384, 640),  # 800 x 1333 after the detector's resize
            network_size=(800, 1333),
            batch=4,
            pair_batch=4,
            workers=min(8, cores),
            threads=torch.get_num_threads(),
        )
    return Workload(
        device=torch.device("cpu"),
        trained="shufflenetv2x0.5-c64",
        student="shufflenetv2x0.5-c64",
        teacher="resnet18-c64",
        file_size=(128, 128),
        network_size=(128, 128),
        batch=8,
        pair_batch=8,
        workers=min(2, cores),
        threads=1,
        rounds=15,
    )


def write_folder(folder: Path, count: int, size: tuple[int, int]) -> Path:
    """A COCO folder of JPEG images, of which ``train`` and ``val`` are the same.

    Args:
        folder: is made.
        count: images.
        size: (height, width), pixels.
    """
    height, width = size
    for part in ("images", "annotations"):
        (folder / part).mkdir(parents=True)
    record: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": k, "name": name} for k, name in enumerate(CLASSES, start=1)],
    }
    for number, (pixels, boxes, labels) in enumerate(_pictures(count, size), start=1):
        name = f"{number:06d}.jpg"
        Image.fromarray(pixels).save(folder / "images" / name, quality=90)
        entry = {"id": number, "file_name": name, "width": width, "height": height}
        record["images"].append(entry)
        for (x0, y0, x1, y1), label in zip(boxes, labels, strict=True):
            record["annotations"].append(
                {
                    "id": len(record["annotations"]) + 1,
                    "image_id": number,
                    "category_id": label,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                }
            )
    for split in ("train", "val"):
        write_json_atomically(folder / "annotations" / f"instances_{split}.json", record)
    return folder


def _pictures(
    count: int, size: tuple[int, int]
) -> Iterator[tuple[NDArray[np.uint8], list[list[int]], list[int]]]:
    """Scenes cut to a size, with the boxes that keep some height and their labels."""
    height, width = size
    above = (max(size) - height) // 2
    for index in range(count):
        pixels, objects = render(SceneConfig(size=max(size)), 0, "train", index)
        boxes, labels = [], []
        for one in objects:
            x0, y0, x1, y1 = one.box
            y0, y1 = (min(max(y - above, 0), height) for y in (y0, y1))
            if y1 - y0 > 1 and x0 < width:
                boxes.append([x0, y0, min(x1, width), y1])
                labels.append(one.label)
        yield np.ascontiguousarray(pixels[above : above + height, :width]), boxes, labels
