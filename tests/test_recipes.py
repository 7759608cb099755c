"""Every recipe can be read, and names detectors, methods and terms that there are."""

from pathlib import Path

import pytest
import torch

from kdviz.detectors import build
from kdviz.methods import method_named
from kdviz.runs.spec import load_spec

FOLDER = Path(__file__).parent.parent / "notebooks" / "recipes"
OTHER = {"claims", "matrices", "papers"}  # not runs, or tested by themselves
RECIPES = sorted(
    path for path in FOLDER.glob("*/**/*.yaml") if path.relative_to(FOLDER).parts[0] not in OTHER
)


@pytest.mark.parametrize(
    "path", RECIPES, ids=lambda path: "-".join(path.relative_to(FOLDER).with_suffix("").parts)
)
def test_recipe(path):
    spec = load_spec(path)
    sizes = {"min_size": spec.data.min_size, "max_size": spec.data.max_size}
    student = build(spec.student.name, 4, **sizes)
    if spec.teacher is not None:
        teacher = build(spec.teacher.name, 4, **sizes)
        for entry in spec.methods:
            torch.manual_seed(0)
            method = method_named(entry.name)(student, teacher, **entry.options)
            schedule = entry.schedule(method.weights)
            assert schedule.keys() == method.weights.keys()


def test_there_are_recipes():
    assert {path.parent.name for path in RECIPES} >= {"scenes", "bccd"}
