import pytest

from kdviz.plots.panels import text_size
from kdviz.plots.rows import ROW_SIZE, number_rows, row_room
from kdviz.plots.theme import ROLE_COLOURS, theme

TEXTS = {"student": {"a": "1.00", "b": "2.00"}, "teacher": {"b": "3.00"}}


def test_room_follows_the_longest_name_up_to_a_limit():
    longest = text_size("a longer name", ROW_SIZE)[0] / 72
    assert longest < row_room(["a", "a longer name"], 5.0) < longest + 0.3
    assert row_room(["a longer name"], 0.4) == 0.4
    assert row_room([], 1.0) < 0.3


@theme()
def _chart():
    return number_rows(["a", "b"], TEXTS, label="x", caption=None, width=6.0)


def test_marks_of_a_row_stand_apart_inside_it():
    chart = _chart()
    assert chart.y("student", "a") < 0 < chart.y("teacher", "a")
    assert chart.y("student", "b") - chart.y("student", "a") == pytest.approx(1)
    assert -0.5 < chart.y("student", "a") < chart.y("teacher", "a") < 0.5
    assert chart.y("teacher", "a") - chart.y("student", "a") == pytest.approx(chart.step)


def test_numbers_stand_at_their_rows_under_their_names():
    chart = _chart()
    written = {text.get_text(): text for text in chart.axes.texts}
    assert set(written) == {"student", "teacher", "1.00", "2.00", "3.00"}
    assert [written[n].xy[1] for n in ("1.00", "2.00", "3.00")] == [0, 1, 1]
    assert written["1.00"].xyann[0] == written["student"].xyann[0] < written["3.00"].xyann[0]
    assert written["teacher"].get_color() == ROLE_COLOURS["teacher"]
    assert written["student"].xy[1] < -0.5
