import numpy as np
import pytest
from matplotlib.colors import to_hex

from kdviz.plots import compare_ap, precision_recall
from kdviz.plots.results import t_interval
from kdviz.plots.theme import ROLE_COLOURS


def test_interval_of_the_mean_by_hand():
    # Mean 2, standard deviation 1, t(2) = 4.303: 4.303 / sqrt(3) = 2.484.
    assert t_interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 2.4843, 2 + 2.4843), abs=1e-3)
    assert t_interval([0.3]) == (0.3, 0.3)
    low, high = t_interval(np.tile([0.0, 1.0], 500))
    assert (high - low) / 2 == pytest.approx(1.96 * 0.5 / 1000**0.5, rel=1e-3)


def test_one_row_a_name_in_the_fixed_order():
    results = {"distilled": [0.2, 0.22, 0.21], "student": [0.14, 0.15], "teacher": [0.37]}
    _, axes = compare_ap(results)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["student", "teacher", "distilled"]
    assert axes.get_ylim() == (2.5, -0.5)
    dots = [line.get_xydata() for line in axes.lines if line.get_marker() == "o"]
    assert [len(points) for points in dots] == [2, 1, 3]
    means = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "D"]
    assert means == pytest.approx([0.145, 0.37, 0.21])
    written = [text.get_text() for text in axes.texts]
    assert written[1] == "0.370, 1 seed"
    assert written[2] == "0.210 ± 0.025, 3 seeds"


def test_given_intervals_replace_those_of_t():
    _, axes = compare_ap({"student": [0.1, 0.2]}, intervals={"student": (0.12, 0.18)})
    spans = [line.get_xdata() for line in axes.lines if line.get_marker() == "|"]
    assert np.allclose(spans, [[0.12, 0.18]])


def test_intervals_stay_inside_what_ap_can_be():
    _, axes = compare_ap({"student": [0.05, 0.3]})
    spans = [line.get_xdata() for line in axes.lines if line.get_marker() == "|"]
    assert spans[0][0] == 0
    assert spans[0][1] == 1


def test_a_name_without_values_is_refused():
    with pytest.raises(ValueError, match="a value for each name"):
        compare_ap({"student": []})


def test_absent_precision_is_left_out():
    recall = np.linspace(0, 1, 5)
    _, axes = precision_recall({"teacher": (recall, [1, 0.9, 0.5, -1, -1])}, title="disc")
    (line,) = axes.lines
    assert np.array_equal(line.get_ydata(), [1, 0.9, 0.5, np.nan, np.nan], equal_nan=True)
    assert to_hex(line.get_color()) == ROLE_COLOURS["teacher"].lower()
    assert axes.get_legend().get_texts()[0].get_text() == "teacher"


RECALL = np.array([0.0, 0.5, 1.0])
CLASSES = np.array([[1.0, 0.8, 0.0], [np.nan] * 3, [0.6, 0.4, 0.2]])


def _lines(axes):
    return {line.get_marker(): line.get_xydata() for line in axes.lines}


def test_curves_of_classes_are_averaged_over_those_with_objects():
    _, axes = precision_recall({"teacher": (RECALL, CLASSES)})
    (line,) = axes.lines
    assert np.allclose(line.get_ydata(), [0.8, 0.6, 0.1])
    _, axes = precision_recall({"teacher": (RECALL, CLASSES)}, of=2)
    assert np.allclose(axes.lines[0].get_ydata(), [0.6, 0.4, 0.2])


def test_the_threshold_is_marked_on_the_line():
    curves, reached = {"teacher": (RECALL, CLASSES)}, {"teacher": [0.5, np.nan, 0.1]}
    _, axes = precision_recall(curves, reached=reached)
    assert np.allclose(_lines(axes)["D"], [[0.3, 0.8 - 0.2 * 0.6]])
    _, axes = precision_recall(curves, reached=reached, of=2)
    assert np.allclose(_lines(axes)["D"], [[0.1, 0.56]])
    _, axes = precision_recall(curves, reached={"teacher": 0.25}, of=0)
    assert np.allclose(_lines(axes)["D"], [[0.25, 0.9]])


def test_a_threshold_behind_the_last_box_stands_where_the_line_ends():
    _, axes = precision_recall({"a": (RECALL, CLASSES[0])}, reached={"a": 0.7})
    assert np.allclose(_lines(axes)["D"], [[0.7, 0.8]])


def test_a_class_without_objects_has_neither_line_nor_mark():
    reached = {"teacher": [0.5, np.nan, 0.1], "student": np.nan}
    curves = {"teacher": (RECALL, CLASSES), "student": (RECALL, CLASSES)}
    _, axes = precision_recall(curves, reached=reached, of=1)
    assert "D" not in _lines(axes)
    assert all(np.isnan(line.get_ydata()).all() for line in axes.lines)
