"""What the pictures of the exercises are drawn on: one image, seen by two detectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from kdviz.detectors.parts import Pass, logit_maps
from kdviz.methods import GKD
from kdviz.methods.adapters import ConvAdapter, match_levels
from kdviz.methods.gkd_bank import PrototypeBank
from kdviz.methods.gkd_prototypes import box_means
from kdviz.plots import network_image
from kdviz.runs.lessons import batch_of, open_detector, open_lesson
from kdviz.structures import Batch

_PROTOTYPES = 2  # of a class


@dataclass(frozen=True)
class Stage:
    """One image and what two detectors make of it, on their finest shared level.

    Attributes:
        image: as the networks see it, (3, h, w) in [0, 1].
        batch: that image alone, with its boxes.
        student: pass of the student over it.
        teacher: pass of the teacher over it.
        stride: of the level that is shown.
        names: of the classes, first that of label 1.
        adapter: student's channels to the teacher's, untrained.
        f_trans: the same by least squares, so that the teacher's head can read the student's maps.
        bank: prototypes of that level, from all images of the lesson.
    """

    image: NDArray[Any]
    batch: Batch
    student: Pass
    teacher: Pass
    stride: int
    names: list[str]
    adapter: ConvAdapter
    f_trans: ConvAdapter
    bank: PrototypeBank

    @property
    def boxes(self) -> Tensor:
        """Ground truth of the image, (G, 4) xyxy in network pixels."""
        return self.batch.targets[0]["boxes"] if self.batch.targets else torch.zeros(0, 4)

    @property
    def labels(self) -> Tensor:
        """Classes of the ground truth, (G,)."""
        return self.batch.targets[0]["labels"] if self.batch.targets else torch.zeros(0).long()

    @property
    @torch.no_grad()
    def teacher_logits(self) -> Tensor:
        """Class logits of the teacher on the level, (1, A*K, H, W)."""
        maps = logit_maps(self.teacher.output, self.teacher.features)
        return maps[self.teacher.features.strides.index(self.stride)]

    @torch.no_grad()
    def means(self, seen: Pass) -> Tensor:
        """Mean of a pass over each box of the image, (G, C)."""
        return box_means(seen.features.at(self.stride).map, [self.boxes], self.stride)

    def class_name(self, label: int) -> str:
        """Name of a class, by its label from 1."""
        known = 1 <= label <= len(self.names)
        return self.names[label - 1] if known else f"class {label}"


@torch.no_grad()
def open_stage(
    path: str | None = None,
    split: str = "val",
    count: int = 12,
    index: int = 0,
    *,
    student: str = "student",
    teacher: str = "teacher",
) -> Stage:
    """What the pictures of the exercises are drawn on.

    Args:
        path: COCO, VOC or YOLO folder; None takes the embedded scenes.
        split: of the folder.
        count: images that prototypes are chosen from.
        index: the image that is shown.
        student: embedded detector or a file that kdviz wrote.
        teacher: likewise.

    Raises:
        ValueError: the detectors cannot be paired, or there is no object in any of the images.
        FileNotFoundError: there is no such folder or file.
    """
    lesson = open_lesson(path, split, count)
    learner, _ = open_detector(student)
    master, _ = open_detector(teacher)
    pairs = match_levels(student=learner.levels, teacher=master.levels)
    torch.manual_seed(0)
    method = GKD(learner, master, prototypes=_PROTOTYPES, soft_labels=False, min_size=0.0)
    every = batch_of(learner, lesson, range(len(lesson.images)))
    passes = Pass(learner, every), Pass(master, every)
    method.refresh([(*passes, every)])
    stride = pairs[0][0].stride
    bank = method.banks[pairs[0][0].name]
    assert isinstance(bank, PrototypeBank)
    batch = batch_of(learner, lesson, [index])
    return Stage(
        network_image(batch),
        batch,
        Pass(learner, batch),
        Pass(master, batch),
        stride,
        lesson.names,
        ConvAdapter(pairs, kernel_size=1),
        _fitted(ConvAdapter(pairs, kernel_size=1), passes),
        bank,
    )


def _fitted(adapter: ConvAdapter, passes: tuple[Pass, Pass]) -> ConvAdapter:
    """The 1x1 convolutions that come closest to the teacher's maps, level by level."""
    student, teacher = (seen.features for seen in passes)
    for stride, conv in zip(adapter.strides, adapter.convs.values(), strict=True):
        mine, theirs = (
            x.at(stride).map.permute(0, 2, 3, 1).flatten(0, 2).double() for x in (student, teacher)
        )
        known = torch.cat([mine, torch.ones_like(mine[:, :1])], dim=1)
        # A ridge, since the coarse levels have fewer cells than channels.
        gram = known.T @ known + 1e-3 * len(known) * torch.eye(known.shape[1], dtype=known.dtype)
        weights = torch.linalg.solve(gram, known.T @ theirs).float()
        assert isinstance(conv, torch.nn.Conv2d)
        assert conv.bias is not None
        conv.weight.copy_(weights[:-1].T[:, :, None, None])
        conv.bias.copy_(weights[-1])
    return adapter
