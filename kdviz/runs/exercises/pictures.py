"""An answer beside the library's, on one image: where do the two differ?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from kdviz.methods.fgfi import mask_anchors
from kdviz.methods.slots import best_of_cells, slot_scores
from kdviz.plots import compare_maps
from kdviz.plots.exercises import compare_tables
from kdviz.runs.exercises.checking import EXERCISES, told
from kdviz.runs.exercises.stage import Stage

Answer = Callable[..., Any]

_WIDTH = 8.6  # inches

_CAPTIONS = {
    "imitation_mask": "1 is a cell that is imitated. In the right panel, 1 is a cell too many and "
    "-1 a missing one.",
    "richness": "Richness is high where the teacher sees an object of any class, inside a box or "
    "outside.",
    "richness_loss": "How hard the loss pulls at each cell of the student's map: the length of its "
    "gradient. A wrong factor leaves the pattern as it is; wrong weights change it.",
    "projection": "A row is an object of the image, a column a prototype, the colour their cosine. "
    "Where the features tell classes apart, an object is most like prototypes of its own.",
    "reliability": "Each object is painted with its reliability: 1 where both detectors agree how "
    "typical of its class it is.",
    "teacher_loss": "The best score of each cell when the teacher's head reads the student's maps, "
    "through an f_trans that was fitted by least squares.",
}
"""How to read each picture."""


def show(name: str, answer: Answer, stage: Stage) -> Figure:
    """Yours, the library's, and the difference, for one exercise; never raises because of yours.

    Args:
        name: of the exercise.
        answer: the learner's function.
        stage: see `open_stage`.
    """
    question = _QUESTIONS[name](stage)
    right = question.asked_of(EXERCISES[name].library)
    yours, words = _tried(answer, question, right)
    caption = words or _CAPTIONS[name]
    if name == "projection":
        return compare_tables(
            yours,
            right,
            rows=[stage.class_name(label) for label in stage.labels.tolist()],
            columns=[stage.class_name(label) for label in stage.bank.labels.tolist()],
            unit=question.unit,
            caption=caption,
            width=_WIDTH,
        )[0]
    return compare_maps(
        stage.image,
        {"yours": yours, "library": right, "difference": yours - right},
        stage.stride,
        boxes=stage.boxes,
        unit=question.unit,
        caption=caption,
        width=_WIDTH,
    )[0]


def overview(stage: Stage) -> Figure:
    """What the four methods make of one image, on one scale from 0 to 1."""
    shown = {
        "FGFI: mask": "imitation_mask",
        "FRS: richness": "richness",
        "GKD: reliability": "reliability",
        "Dist2: teacher's score": "teacher_loss",
    }
    maps = {
        title: _QUESTIONS[name](stage).asked_of(EXERCISES[name].library)
        for title, name in shown.items()
    }
    return compare_maps(
        stage.image,
        maps,
        stage.stride,
        boxes=stage.boxes,
        limits=(0.0, 1.0),
        caption="The four maps you will compute, on one image and one scale. Bright cells are "
        "those a method minds; for Dist2, where the teacher detects with the student's maps.",
        width=_WIDTH,
    )[0]


# --- one picture for each exercise ----------------------------------------------------------------


@dataclass(frozen=True)
class _Question:
    """What a function is given for a picture, and how its answer becomes one.

    Attributes:
        inputs: the arguments, anew at each call.
        to_map: from an answer to what is drawn.
        unit: written along the bar.
    """

    inputs: Callable[[], dict[str, Any]]
    to_map: Callable[[Any], Tensor]
    unit: str

    def asked_of(self, function: Answer) -> Tensor:
        return self.to_map(function(**self.inputs())).detach().float()


def _mask(stage: Stage) -> _Question:
    anchors = mask_anchors(stage.student.parts, stage.student.features, stage.batch)
    own = anchors[stage.student.features.strides.index(stage.stride)]
    return _Question(
        lambda: {"anchors": own.clone(), "boxes": stage.boxes.clone(), "psi": 0.5},
        lambda mask: mask,
        "kept",
    )


def _richness(stage: Stage) -> _Question:
    return _Question(
        lambda: {"logits": stage.teacher_logits.clone()}, lambda values: values[0, 0], "richness"
    )


def _richness_loss(stage: Stage) -> _Question:
    with torch.no_grad():
        adapted = stage.adapter(stage.student.features).at(stage.stride).map
    weights = EXERCISES["richness"].library(stage.teacher_logits)
    teacher = stage.teacher.features.at(stage.stride).map.detach()
    leaf: list[Tensor] = []

    def inputs() -> dict[str, Any]:
        leaf[:] = [adapted.clone().requires_grad_()]
        return {"student": leaf[0], "teacher": teacher.clone(), "richness": weights.clone()}

    def pull(loss: Tensor) -> Tensor:
        (slope,) = torch.autograd.grad(loss, leaf)
        return slope[0].norm(dim=0)

    return _Question(inputs, pull, "length of the gradient")


def _projection(stage: Stage) -> _Question:
    return _Question(
        lambda: {
            "features": stage.means(stage.teacher),
            "prototypes": stage.bank.teacher.clone(),
        },
        lambda codes: codes,
        "cosine",
    )


def _reliability(stage: Stage) -> _Question:
    cosine = EXERCISES["projection"].library
    codes = [
        cosine(stage.means(seen), axes)
        for seen, axes in ((stage.student, stage.bank.student), (stage.teacher, stage.bank.teacher))
    ]

    def inputs() -> dict[str, Any]:
        return {
            "student_codes": codes[0].clone(),
            "teacher_codes": codes[1].clone(),
            "labels": stage.labels.clone(),
            "prototype_labels": stage.bank.labels.clone(),
        }

    def painted(values: Tensor) -> Tensor:
        canvas = torch.zeros(stage.teacher.features.at(stage.stride).map.shape[-2:])
        for box, value in zip((stage.boxes / stage.stride).round().int(), values, strict=True):
            x1, y1, x2, y2 = box.clamp(min=0).tolist()
            canvas[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)] = value
        return canvas

    return _Question(inputs, painted, "reliability")


def _teacher_loss(stage: Stage) -> _Question:
    def best(answer: Any) -> Tensor:
        with torch.no_grad():
            scores = slot_scores(answer[0]).amax(dim=2)
            maps = best_of_cells(scores, answer[0], stage.teacher.features)
        return maps.at(stage.stride).map[0, 0]

    return _Question(
        lambda: {"student": stage.student, "teacher": stage.teacher, "f_trans": stage.f_trans},
        best,
        "best score",
    )


_QUESTIONS: dict[str, Callable[[Stage], _Question]] = {
    "imitation_mask": _mask,
    "richness": _richness,
    "richness_loss": _richness_loss,
    "projection": _projection,
    "reliability": _reliability,
    "teacher_loss": _teacher_loss,
}


def _tried(answer: Answer, question: _Question, right: Tensor) -> tuple[Tensor, str]:
    """What came of a learner's function; NaN and a sentence where it cannot be drawn."""
    try:
        found = question.asked_of(answer)
    except Exception as error:
        words = told(error, answer)
    else:
        if found.shape == right.shape:
            return found, ""
        words = f"it has shape {tuple(found.shape)}, expected {tuple(right.shape)}"
    return torch.full_like(right, torch.nan), f"Yours cannot be drawn: {words}."
