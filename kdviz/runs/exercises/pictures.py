"""An answer beside the library's, on one image: where do the two differ?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from kdviz.detectors.parts import Pass, logit_maps
from kdviz.methods import GKD
from kdviz.methods.adapters import ConvAdapter, match_levels
from kdviz.methods.fgfi import mask_anchors
from kdviz.methods.gkd_bank import PrototypeBank
from kdviz.methods.gkd_prototypes import box_means
from kdviz.methods.slots import best_of_cells, slot_scores
from kdviz.plots import compare_maps, network_image
from kdviz.plots.exercises import compare_tables
from kdviz.runs.exercises.checking import EXERCISES, told
from kdviz.runs.lessons import batch_of, open_detector, open_lesson
from kdviz.structures import Batch

Answer = Callable[..., Any]

_PROTOTYPES = 2  # of a class

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
            rows=[_class(stage, label) for label in _labels(stage).tolist()],
            columns=[_class(stage, label) for label in stage.bank.labels.tolist()],
            unit=question.unit,
            caption=caption,
        )[0]
    return compare_maps(
        stage.image,
        {"yours": yours, "library": right, "difference": yours - right},
        stage.stride,
        boxes=_boxes(stage),
        unit=question.unit,
        caption=caption,
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
        boxes=_boxes(stage),
        limits=(0.0, 1.0),
        caption="The four maps you will compute, on one image and one scale. Bright cells are those "
        "that a method minds; for Dist2, where the teacher detects with the student's maps.",
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
        lambda: {"anchors": own.clone(), "boxes": _boxes(stage).clone(), "psi": 0.5},
        lambda mask: mask,
        "kept",
    )


def _richness(stage: Stage) -> _Question:
    return _Question(
        lambda: {"logits": _teacher_logits(stage).clone()}, lambda values: values[0, 0], "richness"
    )


def _richness_loss(stage: Stage) -> _Question:
    with torch.no_grad():
        adapted = stage.adapter(stage.student.features).at(stage.stride).map
    weights = EXERCISES["richness"].library(_teacher_logits(stage))
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
            "features": _means(stage.teacher, stage),
            "prototypes": stage.bank.teacher.clone(),
        },
        lambda codes: codes,
        "cosine",
    )


def _reliability(stage: Stage) -> _Question:
    cosine = EXERCISES["projection"].library
    codes = [
        cosine(_means(seen, stage), axes)
        for seen, axes in ((stage.student, stage.bank.student), (stage.teacher, stage.bank.teacher))
    ]

    def inputs() -> dict[str, Any]:
        return {
            "student_codes": codes[0].clone(),
            "teacher_codes": codes[1].clone(),
            "labels": _labels(stage).clone(),
            "prototype_labels": stage.bank.labels.clone(),
        }

    def painted(values: Tensor) -> Tensor:
        canvas = torch.zeros(stage.teacher.features.at(stage.stride).map.shape[-2:])
        for box, value in zip((_boxes(stage) / stage.stride).round().int(), values, strict=True):
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


# --- what the pictures are drawn from -------------------------------------------------------------


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


@torch.no_grad()
def _teacher_logits(stage: Stage) -> Tensor:
    maps = logit_maps(stage.teacher.output, stage.teacher.features)
    return maps[stage.teacher.features.strides.index(stage.stride)]


@torch.no_grad()
def _means(seen: Pass, stage: Stage) -> Tensor:
    return box_means(seen.features.at(stage.stride).map, [_boxes(stage)], stage.stride)


def _boxes(stage: Stage) -> Tensor:
    return stage.batch.targets[0]["boxes"] if stage.batch.targets else torch.zeros(0, 4)


def _labels(stage: Stage) -> Tensor:
    return stage.batch.targets[0]["labels"] if stage.batch.targets else torch.zeros(0).long()


def _class(stage: Stage, label: int) -> str:
    return stage.names[label - 1] if 1 <= label <= len(stage.names) else f"class {label}"
