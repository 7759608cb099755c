"""Hidden cases of Dist2's path through the teacher's head."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from kdviz.detectors import DetectorParts, build, freeze
from kdviz.detectors.parts import Pass
from kdviz.methods.adapters import ConvAdapter, match_levels
from kdviz.methods.dist2 import detection_loss
from kdviz.runs.exercises.case import Case, Exercise, Inputs, as_tensor, uniform
from kdviz.structures import HeadOutput, Pyramid


def teacher_loss(
    student: Pass, teacher: Pass, f_trans: Callable[[Pyramid], Pyramid]
) -> tuple[HeadOutput, Tensor]:
    """The frozen teacher's head on the student's maps, and the detection loss of what it says."""
    freeze(teacher.parts)
    output = teacher.parts.head(f_trans(student.features), teacher.batch)
    return output, detection_loss(output, teacher)


@cache
def _pair() -> tuple[DetectorParts, DetectorParts, ConvAdapter]:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        student, teacher = (
            build(name, 4, min_size=64, max_size=64)
            for name in ("fcos-shufflenetv2x0.5-c64", "fcos-mobilenetv2-c128")
        )
        pairs = match_levels(student=student.levels, teacher=teacher.levels)
        return student, teacher, ConvAdapter(pairs, kernel_size=1)


def _passes(*boxes: list[list[float]]) -> Inputs:
    """A small pair that nobody froze, over images with these boxes."""
    student, teacher, f_trans = _pair()
    for parts in (student, teacher):
        parts.model.eval().requires_grad_(True).zero_grad()
    f_trans.zero_grad()
    images = [uniform(30 + i, 3, 64, 64) for i in range(len(boxes))]
    targets = []
    for own in boxes:
        corners = torch.tensor(own, dtype=torch.float32).reshape(-1, 4)
        targets.append({"boxes": corners, "labels": torch.arange(len(own)) % 3 + 1})
    batch = student.preprocess(images, targets)
    seen, taught = Pass(student, batch), Pass(teacher, batch)
    with torch.no_grad():
        maps = seen.features
        taught.features  # noqa: B018  a learner may read it; it must not carry a gradient
    seen.features = maps.apply(lambda values: values.detach().requires_grad_())
    teacher.model.train()
    return {"student": seen, "teacher": taught, "f_trans": f_trans}


def _reached(inputs: Inputs) -> dict[str, Tensor]:
    weight = inputs["f_trans"].convs["p3"].weight
    return {"the student's map p3": inputs["student"].features.maps[0], "f_trans": weight}


def _still_frozen(inputs: Inputs) -> str | None:
    model = inputs["teacher"].parts.model
    if model.training:
        return "the teacher is in train mode afterwards; put it in eval mode: freeze(teacher.parts)"
    open_ones = sum(parameter.requires_grad for parameter in model.parameters())
    if open_ones:
        return (
            f"{open_ones} parameters of the teacher still want a gradient; a teacher that learns "
            "is no teacher: freeze(teacher.parts)"
        )
    return None


def read_head(answer: Any) -> dict[str, Tensor]:
    """The tensors of (output, loss).

    Raises:
        TypeError: the answer is something else; says what.
    """
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], HeadOutput)):
        if answer is None:
            raise TypeError("it returns nothing; is the `return` missing?")
        raise TypeError(f"it returns a {type(answer).__name__}, expected a pair (output, loss)")
    output, loss = answer
    return {"output.logits": output.logits, "output.boxes": output.boxes, "loss": as_tensor(loss)}


def _path_case(title: str, hint: str, *boxes: list[list[float]]) -> Case:
    return Case(title, hint, lambda: _passes(*boxes), _reached, _still_frozen)


_ONE = [[8.0, 8, 40, 48]]

TEACHER_LOSS = Exercise(
    teacher_loss,
    (
        _path_case(
            "one object",
            "f_trans makes the teacher's channels of the student's maps; the *teacher's* head "
            "reads them, and the teacher's own detection losses are summed",
            _ONE,
        ),
        _path_case(
            "two images",
            "the losses of `teacher.parts.losses` are means already: sum the terms, nothing else",
            _ONE,
            [[20.0, 4, 60, 30], [4.0, 40, 20, 60]],
        ),
        _path_case("an image without objects", "nothing special: focal loss alone", _ONE, []),
    ),
    read=read_head,
)
