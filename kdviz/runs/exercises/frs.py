"""Hidden cases of FRS's richness and of the loss that it weighs."""

from __future__ import annotations

import torch
from torch import Tensor

from kdviz.methods.frs import frs_feature_loss, richness
from kdviz.runs.exercises.case import Case, Exercise, Inputs, normal, uniform


def _richness_case(title: str, hint: str, logits: Tensor) -> Case:
    return Case(title, hint, lambda: {"logits": logits.clone()})


RICHNESS = Exercise(
    richness,
    (
        _richness_case(
            "three classes",
            "the sigmoid of the largest logit of each cell, with the channel axis kept",
            normal(0, 1, 3, 4, 5),
        ),
        _richness_case(
            "three anchors of four classes",
            "the maximum runs over all channels: classes and anchors alike",
            normal(1, 2, 12, 4, 5) - 3,
        ),
        _richness_case(
            "very sure and very unsure",
            "torch.sigmoid is exact for logits of -100 and 100",
            100 * normal(2, 1, 2, 3, 3).sign(),
        ),
        Case(
            "logits with a gradient",
            "the richness is a weight and no path for gradients: detach the logits",
            lambda: {"logits": normal(3, 1, 3, 4, 5).requires_grad_()},
        ),
    ),
    is_detached=True,
)


def _student(inputs: Inputs) -> dict[str, Tensor]:
    return {"student": inputs["student"]}


def _loss_case(title: str, hint: str, student: Tensor, teacher: Tensor, weights: Tensor) -> Case:
    def inputs() -> Inputs:
        mine = student.clone().requires_grad_()
        return {"student": mine, "teacher": teacher.clone(), "richness": weights.clone()}

    return Case(title, hint, inputs, _student)


def _one_level(*, student: Tensor, teacher: Tensor, richness: Tensor) -> Tensor:
    return frs_feature_loss(student=[student], teacher=[teacher], richness=[richness])


RICH_LOSS = Exercise(
    _one_level,
    (
        _loss_case(
            "two cells, one channel",
            "(0.9 * 1 + 0.1 * 4) / (0.9 + 0.1) = 1.3",
            torch.tensor([0.0, 3.0]).view(1, 1, 1, 2),
            torch.ones(1, 1, 1, 2),
            torch.tensor([0.9, 0.1]).view(1, 1, 1, 2),
        ),
        _loss_case(
            "several channels",
            "the squared errors of a cell are summed over its channels, not averaged; there is no "
            "factor 1/2",
            normal(4, 1, 6, 4, 5),
            normal(5, 1, 6, 4, 5),
            uniform(6, 1, 1, 4, 5),
        ),
        _loss_case(
            "two images, one of them poor",
            "divide once, by the richness of the whole batch, not image by image",
            normal(7, 2, 3, 4, 5),
            normal(8, 2, 3, 4, 5),
            uniform(9, 2, 1, 4, 5) * torch.tensor([1.0, 0.01]).view(2, 1, 1, 1),
        ),
        _loss_case(
            "no richness anywhere",
            "the sum of the richness may be 0; divide by at least 1e-6",
            normal(10, 1, 3, 2, 2),
            normal(11, 1, 3, 2, 2),
            torch.zeros(1, 1, 2, 2),
        ),
    ),
)
