"""The memory of GKD: instances of a data set in both feature spaces, and the prototypes kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdviz.detectors.parts import Pass
from kdviz.methods.gkd_prototypes import box_means, select_prototypes
from kdviz.structures import Batch


@dataclass(frozen=True)
class InstanceTable:
    """Instances of all classes, as both detectors see them, on the CPU.

    Attributes:
        student: features by stride, (n, C_s) each.
        teacher: features by stride, (n, C_t) each.
        labels: (n,), from 1.
        large: whether both sides are longer than asked for, (n,).
        image_ids: (n,), -1 where the target names none.
        boxes: (n, 4), xyxy in pixels of the original image.
    """

    student: dict[int, Tensor]
    teacher: dict[int, Tensor]
    labels: Tensor
    large: Tensor
    image_ids: Tensor
    boxes: Tensor

    def of_class(self, label: int) -> Tensor:
        """Rows of a class: its large instances, or all of them where none is large."""
        rows = self.labels == label
        large = rows & self.large
        return (large if large.any() else rows).nonzero().squeeze(1)


@torch.no_grad()
def collect_instances(
    passes: Iterable[tuple[Pass, Pass, Batch]],
    strides: Sequence[int],
    *,
    min_size: float,
    limit: int,
) -> InstanceTable:
    """Features of every ground-truth box of some passes, on every level.

    Each detector runs in the mode it is in: a student in training is compared with its prototypes
    under the BatchNorm of training, so that is what must make them. The statistics that such a run
    moves are put back. A class is full once it has ``limit`` instances; later ones are skipped, so
    the order of the passes decides.

    Args:
        passes: the student's and the teacher's pass over each batch, with targets.
        strides: of the levels.
        min_size: length in network pixels that both sides of a large box exceed.
        limit: instances of a class that are kept, large and small ones apart.

    Raises:
        ValueError: there is not one box in all passes.
    """
    counts: Counter[tuple[int, bool]] = Counter()
    kept: list[list[Tensor]] = []
    for student, teacher, batch in passes:
        boxes, labels, image_ids, original = _boxes_of(batch)
        large = (torch.cat(boxes)[:, 2:] - torch.cat(boxes)[:, :2] > min_size).all(dim=1).cpu()
        chosen = []
        for index, kind in enumerate(zip(labels.tolist(), large.tolist(), strict=True)):
            if counts[kind] < limit:
                counts[kind] += 1
                chosen.append(index)
        if not chosen:
            continue
        rows = [labels, large, image_ids, original]
        for seen in (student, teacher):
            with _statistics_kept(seen.parts.model):
                maps = [seen.features.at(stride).map for stride in strides]
            rows += [box_means(x, boxes, s).cpu() for x, s in zip(maps, strides, strict=True)]
        kept.append([values[chosen] for values in rows])
    if not kept:
        raise ValueError("no ground-truth box in any of the passes: there is nothing to prototype")
    labels, large, image_ids, original, *features = map(torch.cat, zip(*kept, strict=True))
    return InstanceTable(
        student=dict(zip(strides, features[: len(strides)], strict=True)),
        teacher=dict(zip(strides, features[len(strides) :], strict=True)),
        labels=labels,
        large=large,
        image_ids=image_ids,
        boxes=original,
    )


@contextmanager
def _statistics_kept(model: nn.Module) -> Iterator[None]:
    before = [values.clone() for values in model.buffers()] if model.training else []
    try:
        yield
    finally:
        for values, kept in zip(model.buffers(), before, strict=False):
            values.copy_(kept)


def _boxes_of(batch: Batch) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
    """Boxes by image, and of all images the labels, image ids and boxes in original pixels."""
    targets = batch.targets or ()
    ids, original = [], []
    for target, size, before in zip(targets, batch.sizes, batch.original_sizes, strict=True):
        boxes = target["boxes"]
        scale = [before[1] / size[1], before[0] / size[0]] * 2
        original.append(boxes * boxes.new_tensor(scale))
        ids.append(target.get("image_id", torch.tensor(-1)).expand(len(boxes)).cpu())
    labels = torch.cat([target["labels"] for target in targets])
    boxes_by_image = [target["boxes"] for target in targets]
    return boxes_by_image, labels.cpu(), torch.cat(ids), torch.cat(original).cpu()


class PrototypeBank(nn.Module):
    """The prototypes of one level, saved and restored with the method.

    Attributes:
        student: student features, un-normalised, (P, C_s).
        teacher: teacher features of the same instances, (P, C_t).
        labels: classes, rising, (P,).
        image_ids: where each was seen, (P,).
        boxes: (P, 4), xyxy in pixels of the original image.
    """

    student: Tensor
    teacher: Tensor
    labels: Tensor
    image_ids: Tensor
    boxes: Tensor

    def __init__(self, *, student_channels: int, teacher_channels: int) -> None:
        super().__init__()
        self.register_buffer("student", torch.zeros(0, student_channels))
        self.register_buffer("teacher", torch.zeros(0, teacher_channels))
        self.register_buffer("labels", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("image_ids", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("boxes", torch.zeros(0, 4))

    def __len__(self) -> int:
        return len(self.labels)

    def fill(
        self, instances: InstanceTable, stride: int, *, count: int, alpha: float, unique: bool
    ) -> None:
        """Choose the prototypes of every class anew; see `select_prototypes`.

        A class with fewer than ``count`` instances gives as many prototypes as it has instances.
        """
        device = self.labels.device
        chosen = []
        for label in instances.labels.unique().tolist():
            rows = instances.of_class(label)
            student, teacher = (
                x[stride][rows].to(device) for x in (instances.student, instances.teacher)
            )
            taken = select_prototypes(
                student, teacher, min(count, len(rows)), alpha=alpha, unique=unique
            )
            chosen.append(rows[taken.cpu()])
        picked = torch.cat(chosen)
        self.student = instances.student[stride][picked].to(self.student)
        self.teacher = instances.teacher[stride][picked].to(self.teacher)
        self.labels = instances.labels[picked].to(device)
        self.image_ids = instances.image_ids[picked].to(device)
        self.boxes = instances.boxes[picked].to(self.boxes)

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: object
    ) -> None:
        # Their number varies from refresh to refresh, and load_state_dict only copies into place.
        for name, values in list(self.named_buffers()):
            saved = state_dict.get(prefix + name)
            if saved is not None and saved.shape[1:] == values.shape[1:]:
                setattr(self, name, values.new_empty(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *args)
