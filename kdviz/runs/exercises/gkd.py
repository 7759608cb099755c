"""Hidden cases of GKD's projection and reliability."""

from __future__ import annotations

import torch
from torch import Tensor

from kdviz.methods.gkd import projection, reliability
from kdviz.runs.exercises.case import Case, Exercise, Inputs, normal, uniform


def _features(inputs: Inputs) -> dict[str, Tensor]:
    return {"features": inputs["features"]}


def _projection_case(title: str, hint: str, features: Tensor, prototypes: Tensor) -> Case:
    def inputs() -> Inputs:
        return {"features": features.clone().requires_grad_(), "prototypes": prototypes.clone()}

    return Case(title, hint, inputs, _features)


PROJECTION = Exercise(
    projection,
    (
        _projection_case(
            "five instances, three prototypes",
            "entry (i, k) is the cosine of instance i to prototype k",
            normal(12, 5, 8),
            normal(13, 3, 8),
        ),
        _projection_case(
            "vectors of very different length",
            "bring both to unit length; only directions count",
            normal(14, 4, 8) * torch.tensor([[100.0], [1.0], [0.05], [7.0]]),
            normal(15, 2, 8) * 30,
        ),
        _projection_case(
            "one prototype",
            "the answer keeps both axes: (n, 1)",
            normal(16, 4, 8),
            normal(17, 1, 8),
        ),
        _projection_case(
            "no instance",
            "an image without objects gives (0, P), not an error",
            torch.zeros(0, 8),
            normal(18, 3, 8),
        ),
        Case(
            "an instance of zeros",
            "0 / 0 is NaN: torch.nn.functional.normalize divides by at least a small number",
            lambda: {"features": torch.zeros(1, 8), "prototypes": normal(19, 3, 8)},
        ),
    ),
)


def _reliability_case(
    title: str, hint: str, student: Tensor, teacher: Tensor, labels: list[int], own: list[int]
) -> Case:
    def inputs() -> Inputs:
        return {
            "student_codes": student.clone().requires_grad_(),
            "teacher_codes": teacher.clone(),
            "labels": torch.tensor(labels, dtype=torch.int64),
            "prototype_labels": torch.tensor(own, dtype=torch.int64),
        }

    return Case(title, hint, inputs)


def _codes(seed: int, n: int, p: int) -> Tensor:
    return 2 * uniform(seed, n, p) - 1


RELIABILITY = Exercise(
    reliability,
    (
        _reliability_case(
            "one instance by hand",
            "best cosines to its class are 1 and 0.707, so 1 - |1 - 0.707| = 0.707; and it is a "
            "weight, so it carries no gradient",
            torch.tensor([[1.0, 0.0]]),
            torch.tensor([[0.7071068, 0.7071068]]),
            [1],
            [1, 1],
        ),
        _reliability_case(
            "prototypes of several classes",
            "for each instance, take the largest cosine among the prototypes of its own class only",
            _codes(20, 6, 6),
            _codes(21, 6, 6),
            [1, 2, 3, 3, 2, 1],
            [1, 1, 2, 2, 3, 3],
        ),
        _reliability_case(
            "all cosines below zero",
            "leave other classes out with a number below -1; a 0 would win the maximum",
            -uniform(22, 3, 4) - 0.0,
            -uniform(23, 3, 4),
            [1, 2, 2],
            [1, 1, 2, 2],
        ),
        _reliability_case(
            "one prototype a class",
            "a maximum of one value is that value",
            _codes(24, 4, 2),
            _codes(25, 4, 2),
            [1, 2, 2, 1],
            [1, 2],
        ),
        _reliability_case(
            "a class without a prototype",
            "nothing speaks against such an instance: its reliability is 1",
            _codes(26, 3, 2),
            _codes(27, 3, 2),
            [1, 5, 1],
            [1, 1],
        ),
        _reliability_case(
            "no instance",
            "an image without objects gives (0,), not an error",
            torch.zeros(0, 2),
            torch.zeros(0, 2),
            [],
            [1, 2],
        ),
    ),
    is_detached=True,
)
