"""The plain recipe that kdviz's loop is compared with: what one writes after torchvision's docs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from kdviz.files import read_json
from kdviz.structures import Target


class PlainImages(Dataset[tuple[Tensor, Target]]):
    """Images of a COCO folder as floats in [0, 1], half of them mirrored.

    Args:
        folder: with ``images`` and ``annotations/instances_train.json``.
    """

    def __init__(self, folder: Path) -> None:
        record = read_json(folder / "annotations" / "instances_train.json")
        self.folder = folder / "images"
        self.entries = record["images"]
        self.boxes: dict[int, list[dict]] = {entry["id"]: [] for entry in self.entries}
        for annotation in record["annotations"]:
            self.boxes[annotation["image_id"]].append(annotation)
        self.transform = v2.Compose(
            [v2.PILToTensor(), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True)]
        )

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        entry = self.entries[index]
        image = Image.open(self.folder / entry["file_name"]).convert("RGB")
        found = self.boxes[entry["id"]]
        xywh = torch.tensor([x["bbox"] for x in found], dtype=torch.float32).reshape(-1, 4)
        xyxy = torch.cat([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], dim=1)
        size = (entry["height"], entry["width"])
        target = {
            "boxes": tv_tensors.BoundingBoxes(xyxy, format="XYXY", canvas_size=size),
            "labels": torch.tensor([x["category_id"] for x in found], dtype=torch.int64),
        }
        return self.transform(image, target)


def train_plainly(
    model: nn.Module,
    folder: Path,
    *,
    batch: int,
    steps: int,
    lr: float,
    on_step: Callable[[], None],
) -> None:
    """Train in float32 as the documents have it: no lever, a loader of default settings.

    Args:
        model: a torchvision detector, on its device.
        folder: a COCO folder.
        batch: images a step.
        steps: optimiser steps, at most those of an epoch.
        lr: learning rate of SGD.
        on_step: called when the batch of a step is there.
    """
    device = next(model.parameters()).device
    loader = DataLoader(
        PlainImages(folder),
        batch_size=batch,
        shuffle=True,
        collate_fn=lambda batch: tuple(zip(*batch, strict=True)),
    )
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(weights, lr=lr, momentum=0.9, weight_decay=1e-4)
    model.train()
    for _, (images, targets) in zip(range(steps), loader, strict=False):
        on_step()
        moved = [image.to(device) for image in images]
        boxes = [{key: values.to(device) for key, values in x.items()} for x in targets]
        loss = sum(model(moved, boxes).values())
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"the loss of the plain recipe is {loss.item()}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
