"""Near objects of a diagnosis close up: which groups are drawn as one, before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kdviz.diagnosis.diagnose import Diagnosis
from kdviz.diagnosis.groups import GroupedBoxes
from kdviz.diagnosis.overlaps import Integers
from kdviz.plots import group_gallery
from kdviz.plots.theme import in_role_order
from kdviz.runs.diagnosis.answers import corners, found_on
from kdviz.runs.diagnosis.galleries import Gallery, take, told
from kdviz.runs.diagnosis.image_files import ImageFiles

_READING = "Black: objects. Thick and dashed: one box around several. Thin: all others on them."


def group_outcomes(groups: Mapping[str, GroupedBoxes]) -> dict[str, list[int]]:
    """Numbers of the near groups that a detector draws as one, by what distillation did.

    Small groups, which are read at a glance, come first. Without student and distilled student all
    are of the one outcome ``drawn as one``.

    Args:
        groups: the grouped boxes of each set by its name.
    """
    drawn = {name: set(_group_of_box(one).tolist()) for name, one in groups.items()}
    if {"student", "distilled"} <= drawn.keys():
        before, after = drawn["student"], drawn["distilled"]
        sets = {"parted": before - after, "still one": before & after, "now one": after - before}
    else:
        sets = {"drawn as one": set().union(*drawn.values())}
    members = np.bincount(np.concatenate([one.group[one.group >= 0] for one in groups.values()]))
    return {name: sorted(numbers, key=lambda g: (members[g], g)) for name, numbers in sets.items()}


def group_pictures(
    diagnosis: Diagnosis, groups: Mapping[str, GroupedBoxes], images: ImageFiles, count: int = 2
) -> Gallery:
    """Near groups that some detector draws as one, a figure for each outcome.

    Args:
        diagnosis: of one to four sets.
        groups: the grouped boxes of each set by its name.
        images: see `kdviz.runs.diagnosis.image_files.find_images`.
        count: groups of each outcome at most.
    """
    outcomes = group_outcomes(groups)
    tally = ", ".join(f"{len(numbers)} {name}" for name, numbers in outcomes.items())
    shown = {
        name: take(numbers, partial(_view, diagnosis, groups, images), count)
        for name, numbers in outcomes.items()
    }
    drawn = sum(len(views) for views, _ in shown.values())
    unseen = [reason for _, reasons in shown.values() for reason in reasons]
    total = sum(map(len, outcomes.values()))
    drawn_as = f"of near objects is drawn as one by some detector: {tally}"
    noun = f"group {drawn_as}", f"groups {drawn_as.replace(' is ', ' are ', 1)}"
    text = told(total, drawn, noun, "of fewest members", 0, unseen, images)
    figures = [
        _figure(diagnosis, groups, views, f"{len(outcomes[name])} {name}. {_READING}")
        for name, (views, _) in shown.items()
        if views
    ]
    return Gallery(text, tuple(figures), total, drawn)


def _view(
    diagnosis: Diagnosis, groups: Mapping[str, GroupedBoxes], images: ImageFiles, number: int
) -> tuple[Integers, NDArray[np.uint8]]:
    """The members of a group and the pixels of their image."""
    members = np.flatnonzero(next(iter(groups.values())).group == number)
    return members, images[int(diagnosis.inputs.truth.image[members[0]])]


def _figure(
    diagnosis: Diagnosis,
    groups: Mapping[str, GroupedBoxes],
    views: Sequence[tuple[Integers, NDArray[np.uint8]]],
    caption: str,
) -> Figure:
    truth, names = diagnosis.inputs.truth, in_role_order(groups)
    numbers = [int(truth.image[members[0]]) for members, _ in views]
    found = {
        name: [found_on(diagnosis.sets[name].verdicts, image) for image in numbers]
        for name in names
    }
    return group_gallery(
        [pixels for _, pixels in views],
        [corners(truth.boxes[members]) for members, _ in views],
        {name: [detection for detection, _ in found[name]] for name in names},
        {
            name: [np.flatnonzero(np.isin(boxes, groups[name].box)) for _, boxes in found[name]]
            for name in names
        },
        score_threshold=0.0,
        caption=caption,
        width=2.4 * len(names),
    )[0]


def _group_of_box(one: GroupedBoxes) -> Integers:
    return np.array([one.group[covered[0]] for covered in one.covered], np.int64)
