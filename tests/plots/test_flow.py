from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from kdviz.plots import flow_at, flow_diagram
from kdviz.plots.flow import VERDICT_COLOURS
from kdviz.plots.strata import layout

NAMES = ["right", "wrong class", "badly localised", "both wrong", "missed"]
ROLES = ["teacher", "student", "distilled"]


@pytest.fixture
def flow():
    """Two of the five states are nearly empty, one is in no column."""
    counts = np.zeros((5, 5, 5), np.int64)
    counts[0, 0, 0], counts[0, 4, 0], counts[4, 4, 4] = 400, 150, 300
    counts[0, 4, 4], counts[1, 0, 4], counts[2, 2, 0], counts[0, 1, 1] = 90, 1, 2, 1
    return counts


def _ribbons(flow):
    return layout(flow, 3.6)[1]


def test_boxes_hold_what_is_in_each_column(flow):
    strata, _ = layout(flow, 3.6)
    scale = strata[0].height / strata[0].count
    for column in range(3):
        of_column = [one for one in strata if one.column == column]
        counts = np.zeros(5, int)
        for path in np.ndindex(flow.shape):
            counts[path[column]] += flow[path]
        assert {one.state: one.count for one in of_column} == {
            state: count for state, count in enumerate(counts) if count
        }
        assert [one.height for one in of_column] == pytest.approx(
            [one.count * scale for one in of_column]
        )
        assert of_column[-1].top + of_column[-1].height <= 3.6 + 1e-9
        for upper, lower in pairwise(of_column):
            assert lower.above >= upper.top + upper.height + 0.05


def test_ribbons_fill_both_ends_and_hold_the_pairs(flow):
    strata, ribbons = layout(flow, 3.6)
    assert sum(r.count for r in ribbons if r.column == 0) == flow.sum()
    for ribbon in ribbons:
        pairs = flow.sum(axis=2 if ribbon.column == 0 else 0)
        assert ribbon.count == pairs[ribbon.state, ribbon.after]
    for one in strata:
        leaving = sorted(
            (r.top, r.height) for r in ribbons if (r.column, r.state) == (one.column, one.state)
        )
        arriving = sorted(
            (r.top_after, r.height)
            for r in ribbons
            if (r.column + 1, r.after) == (one.column, one.state)
        )
        for edge in [edge for edge in (leaving, arriving) if edge]:
            assert edge[0][0] == pytest.approx(one.top)
            assert sum(edge[-1]) == pytest.approx(one.top + one.height)
            tops = np.array(edge)
            assert np.allclose(tops[1:, 0], tops[:-1].sum(axis=1))


def test_counts_and_shares_are_written(flow):
    _, axes = flow_diagram(flow, ROLES, NAMES)
    written = [text.get_text() for text in axes.texts]
    assert "641 · 68 %" in written  # 400 + 150 + 90 + 1 of 944, right in the teacher
    assert "1 · <1 %" in written
    assert "both wrong" not in written
    assert written.count("badly localised") == 2  # teacher and student


def test_boxes_and_ribbons_have_the_colour_of_what_they_leave(flow, pixel_at):
    figure, axes = flow_diagram(flow, ROLES, NAMES)
    right, missed = (np.array(to_rgb(VERDICT_COLOURS[i])) * 255 for i in (0, 4))
    assert np.abs(pixel_at(figure, axes, 0.05, 0.02) - right).max() < 3
    assert np.abs(pixel_at(figure, axes, 0.05, 3.55) - missed).max() < 3
    # Half way from missed in the student to right in the distilled: paler, and no longer grey.
    _, ribbons = layout(flow, 3.6)
    (won,) = [r for r in ribbons if (r.column, r.state, r.after) == (1, 4, 0)]
    boxes = [patch for patch in axes.patches if hasattr(patch, "get_x")]
    lefts = sorted({round(box.get_x(), 6) for box in boxes})
    x = (lefts[1] + boxes[0].get_width() + lefts[2]) / 2
    y = (won.top + won.top_after + won.height) / 2
    assert np.abs(pixel_at(figure, axes, x, y) - (missed + 255) / 2).max() < 6


def test_a_place_gives_the_states_that_are_drawn_there(flow):
    _, axes = flow_diagram(flow, ROLES, NAMES)
    boxes = [patch for patch in axes.patches if hasattr(patch, "get_x")]
    lefts = sorted({round(box.get_x(), 6) for box in boxes})
    node = boxes[0].get_width()

    def at(x, y):
        return flow_at(flow, ROLES, NAMES, x, y)

    assert at(lefts[0] + 0.1, 0.5) == (0, None, None)
    assert at(lefts[1] + 0.1, 3.5) == (None, 4, None)
    assert at(lefts[2] + 0.1, 0.5) == (None, None, 0)
    assert at(lefts[0] + 0.1, -0.2) is None
    for ribbon in [r for r in _ribbons(flow) if r.count > 50]:
        start, end = lefts[ribbon.column] + node, lefts[ribbon.column + 1]
        found = at(start + 0.05, ribbon.top + ribbon.height / 2)
        assert found[ribbon.column : ribbon.column + 2] == (ribbon.state, ribbon.after)
        assert found.count(None) == 1
        found = at((start + end) / 2, (ribbon.top + ribbon.top_after + ribbon.height) / 2)
        assert found is not None
    # The path that is drawn: its middle is the middle of the curve.
    (won,) = [r for r in _ribbons(flow) if (r.column, r.state, r.after) == (1, 4, 0)]
    middle = (lefts[1] + node + lefts[2]) / 2, (won.top + won.top_after + won.height) / 2
    assert at(*middle) == (None, 4, 0)


@pytest.mark.parametrize("axes_summed", [(), (0,), (0, 1)])
@pytest.mark.parametrize("width", [10.0, 6.5])
def test_nothing_is_cut_or_covered(flow, axes_summed, width, layout_faults):
    roles = ROLES[len(axes_summed) :]
    figure, _ = flow_diagram(flow.sum(axis=axes_summed), roles, NAMES, width=width)
    assert not layout_faults(figure)


def test_tiny_states_in_a_low_diagram_stay_apart(layout_faults):
    rng = np.random.default_rng(0)
    for _ in range(10):
        flow = rng.integers(0, 2, (5, 5, 5)) * 10 ** rng.integers(0, 5, (5, 5, 5))
        figure, _ = flow_diagram(flow, ROLES, NAMES, height=2.5)
        assert not layout_faults(figure)


def test_what_cannot_be_drawn_is_refused(flow):
    with pytest.raises(ValueError, match=r"2 columns of 5 states need a flow of shape \(5, 5\)"):
        flow_diagram(flow, ROLES[:2], NAMES)
    with pytest.raises(ValueError, match="some above"):
        flow_diagram(np.zeros((5, 5)), ROLES[:2], NAMES)
