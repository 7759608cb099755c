import pytest
from matplotlib.colors import to_hex

from kdviz.plots import gain_rows

GAINS = {"FCOS": {"fused": 1.1, "all": 2.5}, "RetinaNet": {"fused": 0.8, "all": 2.0}}


def test_bars_run_from_one_to_the_gain():
    _, axes = gain_rows(GAINS, label="x")
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == ["fused", "all"]
    bars = {}
    for bar in axes.patches:
        row = rows[round(bar.get_y() + bar.get_height() / 2)]
        ends = sorted((bar.get_x(), bar.get_x() + bar.get_width()))
        bars.setdefault(to_hex(bar.get_facecolor()), {})[row] = ends
    first, second = bars.values()
    assert first == {"fused": [1, pytest.approx(1.1)], "all": [1, pytest.approx(2.5)]}
    assert second == {"fused": [pytest.approx(0.8), 1], "all": [1, pytest.approx(2.0)]}
    assert axes.get_xscale() == "log"
    assert {"1.10", "2.50", "0.80", "2.00"} <= {text.get_text() for text in axes.texts}


def test_a_missing_row_stays_empty():
    _, axes = gain_rows({"a": {"x": 2.0, "y": 3.0}, "b": {"y": 4.0}}, label="x")
    assert len(axes.patches) == 3


@pytest.mark.parametrize("gains", [GAINS, {"a": {"far": 60.0, "near": 1.01}}, {"a": {"x": 1.0}}])
@pytest.mark.parametrize("width", [8.5, 4.6])
def test_nothing_is_cut_or_covered(gains, width, layout_faults):
    figure, _ = gain_rows(gains, label="images a second", width=width)
    assert not layout_faults(figure)


@pytest.mark.parametrize("gains", [{}, {"a": {"x": 0.0}}])
def test_what_is_no_ratio_is_refused(gains):
    with pytest.raises(ValueError, match=r"at least one series|above 0"):
        gain_rows(gains, label="x")
