from types import SimpleNamespace

import pytest
from matplotlib.colors import to_hex

from kdviz.plots import error_costs
from kdviz.plots.theme import INK, ROLE_COLOURS

COSTS = {
    "distilled": SimpleNamespace(
        gains={"class": 0.05, "missed": 0.1}, false_positives=0.2, false_negatives=0.3
    ),
    "student": SimpleNamespace(
        gains={"class": 0.15, "missed": 0.02}, false_positives=0.25, false_negatives=0.4
    ),
}


def _bars(axes):
    """(row, colour) and the length of each bar."""
    return {
        (round(bar.get_y() + bar.get_height() / 2), to_hex(bar.get_facecolor())): bar.get_width()
        for bar in axes.patches
    }


def test_each_bar_is_as_long_as_its_cost_the_dearest_kind_first():
    _, axes = error_costs(COSTS)
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == ["wrong class", "missed", "all wrong boxes", "all unfound objects"]
    student, distilled = (ROLE_COLOURS[r].lower() for r in ("student", "distilled"))
    assert _bars(axes) == {
        (0, student): 0.15, (1, student): 0.02, (2, student): 0.25, (3, student): 0.4,
        (0, distilled): 0.05, (1, distilled): 0.1, (2, distilled): 0.2, (3, distilled): 0.3,
    }  # fmt: skip
    assert "0.150" in [text.get_text() for text in axes.texts]
    assert axes.get_xlim()[0] == 0


def test_bars_of_a_row_do_not_touch_and_follow_the_roles():
    _, axes = error_costs(COSTS)
    bars = sorted(axes.patches, key=lambda bar: bar.get_y())
    for upper, lower in zip(bars[::2], bars[1::2], strict=True):
        assert to_hex(upper.get_facecolor()) == ROLE_COLOURS["student"].lower()
        assert upper.get_y() + upper.get_height() < lower.get_y()


def test_the_sums_stand_below_a_line():
    _, axes = error_costs(COSTS)
    (line,) = [line for line in axes.lines if line.get_color() == INK]
    assert list(line.get_ydata()) == [1.5, 1.5]


def test_an_unknown_kind_keeps_its_name():
    odd = SimpleNamespace(gains={"typo": 0.1}, false_positives=0.0, false_negatives=0.0)
    _, axes = error_costs({"mine": odd})
    assert axes.get_yticklabels()[0].get_text() == "typo"


@pytest.mark.parametrize("width", [8.5, 4.6])
def test_nothing_is_cut_or_covered(width, layout_faults):
    costs = {**COSTS, "teacher": COSTS["student"], "a second method of long name": COSTS["student"]}
    figure, _ = error_costs(costs, width=width)
    assert not layout_faults(figure)


def test_no_costs_are_refused():
    with pytest.raises(ValueError, match="at least one detector"):
        error_costs({})
