"""Where methods look, on scenes: at the objects, not at the same scene transposed or shifted."""

import pytest
import torch

from kdviz.detectors.parts import Pass
from kdviz.diagnosis.richness import box_cells
from kdviz.diagnosis.where import attention_of
from kdviz.methods import (
    AT,
    CWD,
    FBKD,
    FGD,
    FGFI,
    FRS,
    GID,
    GKD,
    PKD,
    CrossKD,
    DeFeat,
    Dist2,
)
from kdviz.runs.lessons import batch_of, open_detector, open_lesson

IMAGES = 24
SIDES = [(0, 1), (0, -1), (1, 0), (-1, 0)]
"""Rows and columns that a map may be shifted by, in cells."""


@pytest.fixture(scope="module")
def seen():
    """Both embedded detectors, their passes over some scenes, and the scenes as a batch."""
    lesson = open_lesson(count=IMAGES)
    student, teacher = (open_detector(name)[0] for name in ("student", "teacher"))
    batch = batch_of(student, lesson, range(IMAGES))
    return student, teacher, Pass(student, batch), Pass(teacher, batch), batch


# GKD and DeFeat weigh the background, too, not much less than objects, and round the edges of a box
# to whole cells, so that one cell more or less makes no difference.
@pytest.mark.parametrize(
    ("method", "times", "cells"),
    [(kind, 3, 1) for kind in (AT, CWD, FBKD, FGD, FGFI, FRS, GID, PKD, CrossKD, Dist2)]
    + [(kind, 1.1, 2) for kind in (GKD, DeFeat)],
)
def test_a_method_looks_at_the_objects_where_they_are(method, times, cells, seen):
    student, teacher, ours, theirs, batch = seen
    torch.manual_seed(0)
    method = method(student, teacher)
    if method.refresh_every:
        method.refresh([(ours, theirs, batch)])
    with torch.no_grad():
        told = method(ours, theirs, batch)
    level = attention_of(method, told, ours.features)[1].levels[0]
    boxes = [target["boxes"] for target in batch.targets]
    turned = [each[:, [1, 0, 3, 2]] for each in boxes]
    here, there = (box_cells(ours.features, x).at(level.stride).map for x in (boxes, turned))
    assert level.map[here & ~there].mean() > times * level.map[there & ~here].mean()
    for side in SIDES:
        shifted = level.map.roll([cells * step for step in side], dims=(2, 3))
        assert level.map[here].mean() > shifted[here].mean(), side
