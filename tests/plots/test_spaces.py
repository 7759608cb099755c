"""Instances in two spaces: places, rings, codes, and the panels that are clicked."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from kdviz.plots import instance_in_spaces, nearest_point
from kdviz.plots.theme import ROLE_COLOURS, class_colour, to_png

LABELS = np.array([1, 1, 2, 2, 2])
PROTOTYPES = np.array([0, 2, 3])
POINTS = {
    "teacher": np.array([[0.0, 0], [1, 5], [2, 1], [3, 2], [4, 0]]),
    "student": np.array([[0.0, 0], [4, 1], [2, 2], [1, 0], [0, 3]]),
}
CODES = {
    "student": np.array(
        [[1, 0.1, 0.2], [0.9, 0.3, 0.2], [0.1, 1, 0.4], [0.2, 0.4, 1], [0, -0.4, 0.6]]
    ),
    "teacher": np.array(
        [[1, 0.3, 0.1], [0.5, 0.2, 0.1], [0.3, 1, 0.6], [0.1, 0.6, 1], [0.2, 0.9, 0.8]]
    ),
}
CROP = np.full((9, 9, 3), (10, 200, 30), dtype=np.uint8)


def draw(instance, **options):
    return instance_in_spaces(
        CROP,
        instance,
        points=POINTS,
        codes=CODES,
        labels=LABELS,
        prototypes=PROTOTYPES,
        names=["disc", "ring"],
        **options,
    )


def test_student_stands_first_with_its_own_points():
    _, axes = draw(4)
    for panel, role in zip(axes, ("student", "teacher"), strict=False):
        dots, marks, own, ring = (each.get_offsets() for each in panel.collections)
        assert np.array_equal(dots, POINTS[role])
        assert np.array_equal(marks, POINTS[role][PROTOTYPES])
        assert np.array_equal(own, POINTS[role][[4]])
        assert np.array_equal(ring, POINTS[role][[4]])


def test_prototypes_have_the_colour_of_their_class():
    _, axes = draw(0)
    colours = axes[0].collections[1].get_facecolors()
    assert [tuple(c) for c in colours] == [to_rgba(class_colour(label)) for label in (1, 2, 2)]


def test_a_click_finds_the_panel_and_the_nearest_instance():
    figure, axes = draw(0)
    to_png(figure)
    assert figure.axes == axes  # a click counts them in this order
    for panel, role in zip(axes, ("student", "teacher"), strict=False):
        for instance, point in enumerate(POINTS[role]):
            x, y = panel.transData.transform(point) + np.array([2, -2])
            assert [each.bbox.contains(x, y) for each in axes].index(True) == axes.index(panel)
            assert (
                nearest_point(POINTS[role], *panel.transData.inverted().transform((x, y)))
                == instance
            )


def test_codes_of_the_instance_and_the_best_of_its_class():
    figure, axes = draw(4)
    dots = axes[3].collections[1:3]
    by_role = {each.get_label(): each.get_offsets()[:, 1].tolist() for each in dots}
    assert by_role["student"] == pytest.approx(CODES["student"][4])
    assert by_role["teacher"] == pytest.approx(CODES["teacher"][4])
    lines = {line.get_color(): set(line.get_ydata()) for line in axes[3].lines}
    assert lines == {ROLE_COLOURS["student"]: {0.6}, ROLE_COLOURS["teacher"]: {0.9}}
    told = " ".join(text.get_text() for text in figure.texts)
    assert "ring, instance 4" in told
    assert "|0.60 - 0.90| = 0.70" in told


def test_every_instance_has_one_scale_that_holds_all_codes():
    limits = {draw(instance)[1][3].get_ylim() for instance in range(5)}
    assert len(limits) == 1
    low, high = limits.pop()
    assert low < -0.4
    assert high > 1


def test_the_crop_is_shown(pixel_at):
    figure, axes = draw(1)
    assert pixel_at(figure, axes[2], 4.5, 4.5).tolist() == [10, 200, 30]


def test_a_class_without_prototypes_says_so():
    figure, _ = instance_in_spaces(
        CROP, 0, points=POINTS, codes={role: c[:, 1:] for role, c in CODES.items()}, labels=LABELS,
        prototypes=PROTOTYPES[1:], names=["disc", "ring"],
    )  # fmt: skip
    assert any("no prototype" in text.get_text() for text in figure.texts)


def test_many_classes_with_long_names_fit(layout_faults):
    count = 40
    names = [f"a class with the long name {k}" for k in range(count)]
    stream = np.random.default_rng(0)
    points = {role: stream.normal(size=(count, 2)) for role in ("student", "teacher")}
    codes = {role: stream.uniform(-1, 1, (count, count)) for role in points}
    figure, _ = instance_in_spaces(
        CROP, 17, points=points, codes=codes, labels=np.arange(1, count + 1),
        prototypes=np.arange(count), names=names, shares={"student": 0.31, "teacher": 1.0},
        caption="Look at the ring. " * 20,
    )  # fmt: skip
    assert layout_faults(figure) == []
    assert any(text.get_text() == names[17] for text in figure.axes[3].texts)
