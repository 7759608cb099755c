import math
from dataclasses import dataclass

import numpy as np
import pytest
from matplotlib.colors import to_hex

from kdviz.plots import interval_rows
from kdviz.plots.intervals import leaves_out_zero, span
from kdviz.plots.theme import PAPER, ROLE_COLOURS

LONG = "a detector with a remarkably long name"


@dataclass
class Drawn:
    value: float
    ends: tuple[float, float]

    def interval(self):
        return self.ends


SCORES = {
    "distilled": {"AP50": (0.33, 0.29, 0.38), "recall": (0.38, 0.36, 0.42)},
    "student": {"AP50": (0.21, 0.17, 0.25), "recall": (0.26, 0.24, 0.29)},
}


def _dots(axes):
    return [line for line in axes.lines if line.get_marker() == "o"]


def _spans(axes):
    return [
        line.get_xydata()
        for line in axes.lines
        if line.get_marker() == "None" and len(set(line.get_ydata())) == 1
        and line.get_transform() == axes.transData
    ]  # fmt: skip


def test_numbers_in_three_forms():
    assert span((1.0, 0.5, 2.0)) == (1.0, 0.5, 2.0)
    assert span(Drawn(1.0, (0.5, 2.0))) == (1.0, 0.5, 2.0)
    value, low, high = span(3)
    assert value == 3
    assert math.isnan(low)
    assert math.isnan(high)


@pytest.mark.parametrize(
    ("number", "surely"),
    [((1.0, 0.1, 2), True), ((-1.0, -2, -0.1), True), ((1.0, -0.1, 2), False), (1.0, False),
     ((1.0, 0.0, 2), False), (Drawn(math.nan, (math.nan, math.nan)), False)],
)  # fmt: skip
def test_which_intervals_leave_out_zero(number, surely):
    assert leaves_out_zero(number) is surely


def test_dots_stand_at_their_values_in_their_rows():
    _, axes = interval_rows(SCORES, label="score")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["AP50", "recall"]
    dots = {(to_hex(d.get_color()), round(float(d.get_ydata()[0]))): d for d in _dots(axes)}
    student, distilled = (ROLE_COLOURS[r].lower() for r in ("student", "distilled"))
    values = {key: float(dot.get_xdata()[0]) for key, dot in dots.items()}
    assert values == {
        (student, 0): 0.21, (student, 1): 0.26, (distilled, 0): 0.33, (distilled, 1): 0.38
    }  # fmt: skip
    # The student's dot is above, as its name is first, and row 0 is at the top.
    assert dots[student, 0].get_ydata()[0] < 0 < dots[distilled, 0].get_ydata()[0]
    low, high = axes.get_ylim()
    assert low > high
    lines = {round(line[0, 1], 3): tuple(line[:, 0]) for line in _spans(axes)}
    assert lines[round(float(dots[student, 0].get_ydata()[0]), 3)] == (0.17, 0.25)


def test_numbers_stand_beside_their_rows(text_boxes):
    figure, axes = interval_rows(SCORES, label="score")
    places = {
        text: box for text, box in text_boxes(figure) if text.startswith("0.2") or "d" in text
    }
    assert places["0.210"].x1 == pytest.approx(places["student"].x1, abs=1)
    row = axes.transData.transform((0, 0))[1]
    assert (places["0.210"].y0 + places["0.210"].y1) / 2 == pytest.approx(row, abs=3)


def test_a_single_series_has_its_intervals_written():
    _, axes = interval_rows({"distilled": SCORES["distilled"]}, label="score", decimals=2)
    assert "0.33  [0.29, 0.38]" in [text.get_text() for text in axes.texts]


def test_differences_have_zero_signs_and_open_dots():
    rows = {"AP50": Drawn(0.1, (0.05, 0.15)), "recall": Drawn(-0.02, (-0.05, 0.01)), "n": 0.3}
    _, axes = interval_rows({"distilled": rows}, label="difference", signed=True)
    faces = [to_hex(dot.get_markerfacecolor()) for dot in _dots(axes)]
    green = ROLE_COLOURS["distilled"].lower()
    assert faces == [green, PAPER, green]
    texts = [text.get_text() for text in axes.texts]
    assert "+0.100  [+0.050, +0.150]" in texts
    assert "+0.300" in texts
    assert any(np.allclose(line.get_xdata(), 0) for line in axes.lines)
    low, high = axes.get_xlim()
    assert low < -0.05 < 0.3 < high


def test_shares_begin_at_zero():
    _, axes = interval_rows(SCORES, label="score")
    assert axes.get_xlim()[0] == 0


def test_what_is_not_known_leaves_its_place_empty():
    nowhere = Drawn(math.nan, (math.nan, math.nan))
    rows = {"student": {"a": 0.1, "b": nowhere}, "teacher": {"b": 0.2, "a": (0.3, math.nan, 0.4)}}
    _, axes = interval_rows(rows, label="share")
    assert len(_dots(axes)) == 3
    assert not [line for line in _spans(axes) if np.isnan(line).any()]
    assert not any("nan" in text.get_text() for text in axes.texts)


@pytest.mark.parametrize("width", [8.5, 4.6])
@pytest.mark.parametrize("signed", [True, False])
def test_nothing_is_cut_or_covered(width, signed, layout_faults):
    names = ["student", "teacher", "distilled", LONG]
    rows = {LONG: (0.1, -0.1, 0.2), "b": 0.4, "c": (0.5, 0.4, 0.6)}
    figure, _ = interval_rows(dict.fromkeys(names, rows), label="share", signed=signed, width=width)
    assert not layout_faults(figure)
    figure, _ = interval_rows({LONG: rows}, label="share", signed=signed, width=width)
    assert not layout_faults(figure)


@pytest.mark.parametrize("series", [{}, {"student": {}}, {"student": {"a": math.nan}}])
def test_nothing_to_draw_is_refused(series):
    with pytest.raises(ValueError, match="at least one"):
        interval_rows(series, label="share")
