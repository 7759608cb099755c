"""Guards: what is checked before the first step and while a run goes on.

The commonest complaint about distillation code is a silent one: a teacher whose weights were never
loaded, a student that was not initialised, a term that is always zero. Each of these stops a run
here, with the cause named.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kdviz.detectors.parts import DetectorParts
from kdviz.engine.trainee import Images, Targets, term_of

Losses = Callable[[Images, Targets], Mapping[str, Tensor]]
"""Unweighted losses of a batch, as `kdviz.engine.trainee.Trainee` gives them."""


@dataclass
class TermGuard:
    """Watches the unweighted terms of each step.

    Attributes:
        patience: checked steps in a row after which a term that is always zero is an error.
        zeros: how many checked steps each term has been zero so far, without a break.
    """

    patience: int
    zeros: dict[str, int] = field(default_factory=dict)

    def check(
        self,
        step: int,
        losses: Mapping[str, Tensor],
        replay: Losses,
        images: Images,
        targets: Targets,
    ) -> None:
        """Raise if a loss is not finite, or a term has been zero for too long.

        Args:
            step: number of the step, for the message.
            losses: of this step, keyed ``term`` or ``term/level``.
            replay: computes the losses anew, to find the image that breaks them.
            images: the batch.
            targets: its ground truth, with ``image_id``.

        Raises:
            FloatingPointError: names loss, level, step and the images that cause it.
            ValueError: names the term.
        """
        values = dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))
        broken = [key for key, value in values.items() if not math.isfinite(value)]
        if broken:
            culprits = _culprits(broken[0], replay, images, targets)
            raise FloatingPointError(
                f"step {step}: loss {broken[0]!r} is {values[broken[0]]}"
                + (f" (and {', '.join(broken[1:])})" if broken[1:] else "")
                + f"; images with ids {culprits} cause it. Look at their boxes with "
                "'kdviz data check', or lower train.lr or the weight of the term"
            )
        totals: dict[str, float] = {}
        for key, value in values.items():
            term = term_of(key)
            totals[term] = totals.get(term, 0.0) + abs(value)
        for term, total in totals.items():
            self.zeros[term] = self.zeros.get(term, 0) + 1 if total == 0 else 0
            if self.zeros[term] >= self.patience:
                raise ValueError(
                    f"step {step}: term {term!r} has been exactly 0 for {self.patience} steps, on "
                    "every level; the run would train without it. Look at its maps in a notebook: "
                    "a mask that is always empty, or a teacher equal to the student, does this"
                )

    def check_gradient(self, step: int, norm: Tensor) -> None:
        """Raise if the gradient is not finite though every loss is.

        Raises:
            FloatingPointError: names the step.
        """
        if not norm.isfinite():
            raise FloatingPointError(
                f"step {step}: every loss is finite but the norm of the gradient is {norm.item()}; "
                "train with train.precision=32-true, or a lower train.lr"
            )


@torch.no_grad()
def _culprits(
    key: str,
    replay: Losses,
    images: Images,
    targets: Targets,
) -> list[int]:
    """Ids of the images that make a loss non-finite on their own; all of them if none does."""
    ids = [int(target["image_id"]) for target in targets]
    alone = [
        image_id
        for image_id, image, target in zip(ids, images, targets, strict=True)
        if not replay([image], [target])[key].isfinite()
    ]
    return alone or ids


@torch.no_grad()
def moved_tensors(before: nn.Module, after: nn.Module) -> dict[str, float]:
    """Parameters and buffers that differ between two copies of a network.

    Returns:
        By name, the largest change relative to the largest value before; empty for equal copies.
    """
    moved = {}
    old = before.state_dict()
    for key, value in after.state_dict().items():
        was, now = old[key].double().cpu(), value.double().cpu()
        if not torch.equal(was, now):
            scale = was.abs().max().clamp_min(1e-12)
            moved[key] = float((now - was).abs().max() / scale)
    return moved


def check_pair(student: DetectorParts, teacher: DetectorParts) -> None:
    """Raise unless teacher and student read the same pixels and count the same classes.

    Raises:
        ValueError: names both values and what to change.
    """
    if student.num_classes != teacher.num_classes:
        raise ValueError(
            f"the student has {student.num_classes} classes and the teacher {teacher.num_classes} "
            "(background included); train the teacher on this data first"
        )
    ours, theirs = student.input_format, teacher.input_format
    if ours is None or theirs is None:
        return
    if (ours.mean, ours.std) != (theirs.mean, theirs.std):
        raise ValueError(
            f"the student normalises with mean {ours.mean} and std {ours.std}, the teacher with "
            f"mean {theirs.mean} and std {theirs.std}; both see the same batch, so build the "
            "student with the teacher's image_mean and image_std"
        )


def check_classes(parts: DetectorParts, names: Sequence[str], role: str) -> None:
    """Raise unless a detector counts as many classes as the data has.

    Raises:
        ValueError: names both counts and the classes of the data.
    """
    if parts.num_classes != len(names) + 1:
        raise ValueError(
            f"the {role} has {parts.num_classes - 1} classes, the data {len(names)} "
            f"({', '.join(names)}); build or train the {role} for this data"
        )


def check_label_map(metadata: Mapping[str, Any], names: Sequence[str], path: object) -> None:
    """Raise if a checkpoint says that it was trained for other classes, or another order of them.

    Args:
        metadata: what the checkpoint says of itself; without ``classes`` nothing is compared.
        names: classes of the data, in label order.
        path: the checkpoint, for the message.

    Raises:
        ValueError: names both lists.
    """
    theirs = metadata.get("classes")
    if theirs is not None and list(theirs) != list(names):
        raise ValueError(
            f"{path} was trained for the classes {list(theirs)}, the data has {list(names)}; "
            "label numbers would mean different things. Train a teacher on this data"
        )
