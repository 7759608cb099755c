import numpy as np
import pytest

from kdviz.plots import roofline

POINTS = {"student's step": (10.0, 9e9), "teacher's forward": (2.0, 1.5e10)}


def test_the_roof_breaks_where_both_limits_meet():
    _, axes = roofline(POINTS, arithmetic=6e10, memory=1e10)
    x, y = (np.asarray(values) for values in axes.lines[0].get_data())
    assert x[1] == pytest.approx(6.0)
    np.testing.assert_allclose(y, np.minimum(6e10, 1e10 * x))
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_a_point_tells_its_share_of_the_limit_above_it():
    _, axes = roofline(POINTS, arithmetic=6e10, memory=1e10)
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["student's step: 15%", "teacher's forward: 75%"]  # of the roof, of the slope
    dots = [line.get_data() for line in axes.lines if line.get_marker() == "o"]
    assert [(x[0], y[0]) for x, y in dots] == list(POINTS.values())


@pytest.mark.parametrize("machine", [(6e10, 1e10), (9e14, 3e12), (5e9, 4e9)])
def test_nothing_is_cut_or_covered(machine, layout_faults):
    points = {f"step with {x}": (10.0 + k, machine[0] / (3 + k)) for k, x in enumerate("ABCDEF")}
    figure, axes = roofline(points, arithmetic=machine[0], memory=machine[1])
    assert not layout_faults(figure)
    low, high = axes.get_ylim()
    assert all(low < rate < high for _, rate in points.values())


@pytest.mark.parametrize("points", [{}, {"a": (0.0, 1.0)}, {"a": (1.0, -1.0)}])
def test_numbers_that_no_logarithm_has_are_refused(points):
    with pytest.raises(ValueError, match="lies above 0"):
        roofline(points, arithmetic=1e9, memory=1e9)
