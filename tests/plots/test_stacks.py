import pytest
from matplotlib.colors import to_hex

from kdviz.plots import stacked_rows
from kdviz.plots.theme import ROLE_COLOURS

PARTS = {
    "FGFI": {"student": 120.0, "teacher": 80.0, "method": 4.0},
    "GKD": {"student": 120.0, "teacher": 95.0, "method": 30.0},
}


def _bars(axes):
    """(row, start, end) of each bar by colour, in drawing order."""
    bars = {}
    for bar in axes.patches:
        row = round(bar.get_y() + bar.get_height() / 2)
        start = bar.get_x()
        bars.setdefault(to_hex(bar.get_facecolor()), []).append(
            (row, start, start + bar.get_width())
        )
    return bars


def test_parts_stand_behind_one_another_in_the_colours_of_their_roles():
    _, axes = stacked_rows(PARTS, label="ms")
    bars = _bars(axes)
    assert bars[ROLE_COLOURS["student"].lower()] == [(0, 0, 120), (1, 0, 120)]
    assert bars[ROLE_COLOURS["teacher"].lower()] == [(0, 120, 200), (1, 120, 215)]
    (method,) = [bars[c] for c in bars if c not in (x.lower() for x in ROLE_COLOURS.values())]
    assert method == [(0, 200, 204), (1, 215, 245)]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(PARTS["FGFI"])


def test_numbers_stand_where_there_is_room():
    _, axes = stacked_rows(PARTS, label="ms")
    texts = [text.get_text() for text in axes.texts]
    assert sorted(texts) == sorted(["120", "120", "80", "95", "30"])


def test_a_mark_crosses_its_row():
    _, axes = stacked_rows(PARTS, label="ms", marks={"GKD": 250.0})
    (line,) = axes.lines
    assert list(line.get_xdata()) == [250, 250]
    assert line.get_ydata()[0] < 1 < line.get_ydata()[1]
    assert axes.get_xlim()[1] > 250


def test_a_row_without_a_part_closes_the_gap():
    _, axes = stacked_rows(
        {"a": {"x": 1.0, "z": 2.0}, "b": {"x": 1.0, "y": 5.0, "z": 2.0}}, label=""
    )
    starts = [
        (row, start) for each in _bars(axes).values() for row, start, end in each if end > start
    ]
    assert (0, 1.0) in starts
    assert (1, 6.0) in starts


@pytest.mark.parametrize("width", [8.5, 4.6])
def test_nothing_is_cut_or_covered(width, layout_faults):
    kinds = ["convolution", "normalisation", "resizing", "choosing", "copies", "arithmetic", "rest"]
    shares = {"student's step": dict.fromkeys(kinds, 1 / 7), "step with Dist2": {"rest": 1.0}}
    figure, _ = stacked_rows(
        shares, label="share of the time", written="{:.0%}".format, caption="How.", width=width
    )
    assert not layout_faults(figure)


@pytest.mark.parametrize("parts", [{}, {"a": {}}, {"a": {"x": -1.0}}])
def test_what_is_no_part_is_refused(parts):
    with pytest.raises(ValueError, match=r"at least one row|at least 0"):
        stacked_rows(parts, label="")
