from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from kdviz.plots.objects import Answer
from kdviz.plots.strip_layout import lay_out, view_around
from kdviz.plots.theme import INK, MISSED, ROLE_COLOURS
from kdviz.plots.traces import CAUSES, MissView, Sight, cause_bars, miss_gallery

BOX = [40.0, 30, 60, 42]
NEAR = [41.0, 31, 61, 43]


@pytest.fixture
def miss():
    return MissView(
        image=np.full((80, 120, 3), 245, np.uint8),
        title="cat, 20x12 px, a",
        cause="head",
        box=BOX,
        student=Answer("missed\n.30 is below .50", False, NEAR, counts=False),
        candidates=Sight(0.304, 0.5, NEAR, [[38.0, 28, 60, 44]]),
        crossed=Sight(0.7, 0.45, NEAR),
        teacher=Sight(0.0, 0.5),
        distance=0.4321,
    )


def told(axes):
    return {text.get_text(): text.get_color() for text in axes.texts}


def test_every_place_tells_its_score_and_what_it_needs(miss, layout_faults):
    figure, axes = miss_gallery([miss], "distilled", caption="From the end to the beginning.")
    words = told(axes)
    assert words["distilled"] == ROLE_COLOURS["distilled"]
    assert words["teacher"] == ROLE_COLOURS["teacher"]
    assert words["missed\n.30 is below .50"] == MISSED
    assert words[".30, needs .50"] == MISSED
    assert words[".70, needs .45\nmaps .43 apart"] == INK
    assert words["no box, needs .50"] == MISSED
    assert any(word.startswith(f"head: {CAUSES['head']}") for word in words)
    assert layout_faults(figure) == []
    order = ["distilled", "before NMS", "teacher's head", "teacher"]
    heads = [t for t in axes.texts if t.get_text() in order]
    assert [t.get_text() for t in sorted(heads, key=lambda t: t.get_position())] == order


def test_the_box_that_shows_it_is_drawn_at_each_place(miss, pixel_at):
    figure, axes = miss_gallery([miss])
    layout = lay_out([[2, 2, 2, 2]])
    view = view_around(BOX, [NEAR], size=(80, 120))
    x1, _, x2, y2 = layout.place(0, 2, view, NEAR)
    found = pixel_at(figure, axes, (x1 + x2) / 2, y2).astype(int)
    assert found[2] - found[0] > 60  # a paler blue of the teacher
    x1, _, x2, y2 = layout.place(0, 3, view, NEAR)
    assert pixel_at(figure, axes, (x1 + x2) / 2, y2).min() > 200  # the teacher has no box
    x1, y1, _, y2 = layout.place(0, 1, view, [38.0, 28, 60, 44])
    others = [pixel_at(figure, axes, x1 + d, (y1 + y2) / 2).astype(int) for d in (-1, 0, 1)]
    assert max(other[0] - other[2] for other in others) > 60  # in the colour of the student


def test_maps_may_be_unknown(miss):
    _, axes = miss_gallery([replace(miss, distance=None)])
    assert ".70, needs .45" in told(axes)


def test_an_unknown_cause_is_named(miss):
    with pytest.raises(ValueError, match=r"'nms' is no cause.*suppressed"):
        miss_gallery([replace(miss, cause="nms")])
    with pytest.raises(ValueError, match="at least one object"):
        miss_gallery([])


COUNTS = {
    "distilled": {"threshold": 3, "neck": 1, "teacher": 0},
    "student": {"neck": 6, "threshold": 2},
}


def bars(axes):
    """(role's colour, row, count) of every bar."""
    return sorted(
        (to_hex(bar.get_facecolor()), round(bar.get_y() + bar.get_height() / 2), bar.get_width())
        for bar in axes.patches
    )


def test_bars_are_as_long_as_the_counts(layout_faults):
    figure, axes = cause_bars(COUNTS, caption="Where they were lost.")
    student, distilled = (ROLE_COLOURS[name].lower() for name in ("student", "distilled"))
    assert bars(axes) == sorted(
        [(student, 0, 2), (student, 1, 6), (distilled, 0, 3), (distilled, 1, 1)]
    )
    names = [tick.get_text().split("\n")[0] for tick in axes.get_yticklabels()]
    assert names == ["threshold", "neck"]  # causes without objects are left out
    assert axes.yaxis_inverted()
    told = {(round(text.xy[1]), text.xy[0]): text.get_text() for text in axes.texts}
    assert told == {
        (0, 2): "2 (25 %)", (1, 6): "6 (75 %)", (0, 3): "3 (75 %)", (1, 1): "1 (25 %)"
    }  # fmt: skip
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["student", "distilled"]
    assert layout_faults(figure) == []


def test_nothing_to_count_is_said():
    with pytest.raises(ValueError, match="no object is counted"):
        cause_bars({"student": {"neck": 0}})
    with pytest.raises(ValueError, match=r"\['nms'\] are no causes"):
        cause_bars({"student": {"nms": 2}})
