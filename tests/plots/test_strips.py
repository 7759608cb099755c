import numpy as np
import pytest
from matplotlib.colors import to_hex

from kdviz.plots.labels import Labels
from kdviz.plots.strip_layout import lay_out
from kdviz.plots.strips import CloseUp, Mark, Strip, draw_strips
from kdviz.plots.theme import INK, MISSED

RED, BLUE = "#D55E00", "#0072B2"


@pytest.fixture
def scene():
    """80 high and 120 wide: red tells the column, green the row."""
    rows, columns = np.mgrid[0:80, 0:120]
    return np.stack([columns * 2, rows * 3, np.full_like(rows, 90)], axis=2).astype(np.uint8)


def rgb(colour):
    return [int(to_hex(colour)[i : i + 2], 16) for i in (1, 3, 5)]


def is_near(pixel, colour, slack=40):
    return np.abs(pixel.astype(int) - rgb(colour)).max() <= slack


def test_every_panel_shows_its_part_of_its_image(pixels_of):
    rows, columns = np.mgrid[0:80, 0:120]
    # No pixel is like the one beside it, so that a shift by one is seen.
    hues = [columns * 37 % 256, rows * 53 % 256, columns * 0]
    scene = np.stack(hues, axis=2).astype(np.uint8)
    views = [(30, 10, 70, 50), (88, 48, 120, 80)]
    strips = [Strip(scene, view, "", [CloseUp([]), CloseUp([])]) for view in views]
    figure, axes = draw_strips(strips, ["one", "two"], [RED, BLUE])
    drawn = pixels_of(figure)
    layout = lay_out([[0, 0], [0, 0]])
    for strip, view in enumerate(views):
        for panel in range(2):
            for across, down in [(3, 5), (30, 4), (6, 28)]:
                x, y = layout.place(strip, panel, view, [view[0] + across, view[1] + down] * 2)[:2]
                unit = layout.side / (view[2] - view[0])
                column, row = axes.transData.transform((x + unit / 2, y + unit / 2))
                expected = scene[view[1] + down, view[0] + across].astype(int)
                found = drawn[len(drawn) - 1 - int(row), int(column)]
                assert np.abs(found - expected).max() <= 6  # fewer bits a colour


def test_beyond_the_image_there_is_grey(scene, pixel_at):
    figure, axes = draw_strips([Strip(scene, (0, -20, 120, 100), "", [CloseUp([])])], ["a"], [RED])
    layout = lay_out([[0]])
    x, y, _, below = layout.place(0, 0, (0, -20, 120, 100), [60, -10, 60, 90])
    for at in (y, below):
        grey = pixel_at(figure, axes, x, at).astype(int)
        assert grey.min() > 180
        assert np.ptp(grey) < 20


def test_a_box_is_drawn_where_it_lies(scene, pixel_at):
    view, box = (30, 10, 70, 50), [34, 20, 60, 28]
    figure, axes = draw_strips([Strip(scene, view, "", [CloseUp([Mark(box, BLUE)])])], ["a"], [RED])
    x1, y1, x2, y2 = lay_out([[0]]).place(0, 0, view, box)
    for x, y in [((x1 + x2) / 2, y1), ((x1 + x2) / 2, y2), (x1, (y1 + y2) / 2)]:
        assert is_near(pixel_at(figure, axes, x, y), BLUE)
    for x, y in [((x1 + x2) / 2, (y1 + y2) / 2), (x1 - 12, y1), (x1, y2 + 12), (x2, y2 + 20)]:
        assert not is_near(pixel_at(figure, axes, x, y), BLUE)


def test_a_box_that_goes_on_outside_has_no_side_at_the_edge(scene, pixel_at):
    view, box = (30, 10, 70, 50), [0, 20, 50, 30]
    figure, axes = draw_strips([Strip(scene, view, "", [CloseUp([Mark(box, BLUE)])])], ["a"], [RED])
    layout = lay_out([[0]])
    left = layout.corners[0, 0, 0]
    _, y1, x2, y2 = layout.place(0, 0, view, box)
    assert is_near(pixel_at(figure, axes, left + 20, y1), BLUE)
    assert is_near(pixel_at(figure, axes, x2, (y1 + y2) / 2), BLUE)
    assert not is_near(pixel_at(figure, axes, left + 1, (y1 + y2) / 2), BLUE)


def test_a_box_outside_the_view_leaves_nothing(scene, pixels_of):
    strips = [Strip(scene, (30, 10, 70, 50), "", [CloseUp([Mark([90, 60, 99, 70], BLUE, "far")])])]
    bare = [Strip(scene, (30, 10, 70, 50), "", [CloseUp([])])]
    drawn, empty = (pixels_of(draw_strips(each, ["a"], [RED])[0]) for each in (strips, bare))
    assert (drawn == empty).all()


def test_a_box_that_goes_on_below_is_not_closed_below(scene, pixel_at):
    view, box = (30, 10, 70, 50), [34, 20, 60, 54]
    panels = [CloseUp([Mark(box, BLUE)], "a note\nof two lines")]
    figure, axes = draw_strips([Strip(scene, view, "", panels)], ["a"], [RED])
    x1, y1, x2, y2 = lay_out([[2]]).place(0, 0, view, box)
    assert is_near(pixel_at(figure, axes, x1, y1 + 40), BLUE)
    for y in (y2, lay_out([[2]]).corners[0, 0, 1] + lay_out([[2]]).side - 1):
        assert not is_near(pixel_at(figure, axes, (x1 + x2) / 2, y), BLUE)


def test_a_dotted_line_has_gaps_and_a_solid_one_has_none(scene, pixels_of):
    view, box = (30, 10, 70, 50), [34, 20, 66, 40]

    def share(line):
        mark = Mark(box, BLUE, line=line)
        figure, axes = draw_strips([Strip(scene, view, "", [CloseUp([mark])])], ["a"], [RED])
        x1, y1, x2, _ = lay_out([[0]]).place(0, 0, view, box)
        drawn = pixels_of(figure)
        columns = [axes.transData.transform((x, y1)) for x in np.arange(x1 + 4, x2 - 4)]
        hits = [is_near(drawn[len(drawn) - 1 - int(row), int(x)], BLUE, 60) for x, row in columns]
        return np.mean(hits)

    assert share("solid") == 1
    assert 0.3 < share("dotted") < 0.8


def test_names_and_scores_stand_inside_their_panel(scene):
    marks = [Mark([30, 10, 44, 20], BLUE, "cat", 0.914), Mark([60, 40, 70, 50], RED, "a" * 60, 0.5)]
    panels = [CloseUp([]), CloseUp(marks)]
    figure, _ = draw_strips([Strip(scene, (30, 10, 70, 50), "", panels)], ["a", "b"], [RED] * 2)
    (labels,) = figure.findobj(Labels)
    first, second = labels.labels
    assert first.text == "cat .91"
    assert second.text.endswith("… .50")
    layout = lay_out([[0, 0]])
    left, top = layout.corners[0, 1] * 0.72
    for label in labels.labels:
        assert left <= label.x <= label.x + label.width <= left + layout.side * 0.72 + 0.01
        assert top <= label.y <= label.y + label.height <= top + layout.side * 0.72 + 0.01


def test_titles_heads_and_notes(scene, layout_faults):
    panels = [CloseUp([], "fine"), CloseUp([], "missed\n.31 is below .50", is_wrong=True)]
    strips = [Strip(scene, (30, 10, 70, 50), f"object {i} " + "long " * 40 * i, panels)
              for i in range(5)]  # fmt: skip
    figure, axes = draw_strips(strips, ["left", "right"], [RED, BLUE], caption="Read it so.")
    words = {text.get_text(): text for text in axes.texts}
    assert words["left"].get_color() == RED
    assert words["right"].get_color() == BLUE
    assert words["fine"].get_color() == INK
    assert words["missed\n.31 is below .50"].get_color() == MISSED
    assert sum(word.startswith("object") for word in words) == 5
    assert [text.get_text() for text in figure.texts] == ["Read it so."]
    assert layout_faults(figure) == []


def test_a_bar_of_its_colour_stands_above_every_panel(scene, pixel_at):
    panels = [CloseUp([]), CloseUp([])]
    strips = [Strip(scene, (30, 10, 70, 50), "", panels)] * 5
    figure, axes = draw_strips(strips, ["a", "b"], [RED, BLUE])
    for corners in lay_out([[0, 0]] * 5).corners:
        for (x, y), colour in zip(corners, (RED, BLUE), strict=True):
            assert is_near(pixel_at(figure, axes, x + 20, y - 3), colour, 3)


def test_a_figure_of_another_resolution_looks_the_same(scene, pixels_of):
    strips = [Strip(scene, (30, 10, 70, 50), "", [CloseUp([])])]
    figure, _ = draw_strips(strips, ["a"], [RED])
    once = pixels_of(figure).copy()
    figure.set_dpi(200)
    twice = pixels_of(figure)
    assert twice.shape[0] >= 2 * once.shape[0] - 1
    smaller = twice[::2, ::2][: len(once), : once.shape[1]]
    same = np.abs(smaller.astype(int) - once[: len(smaller), : smaller.shape[1]]).max(axis=2) < 20
    assert same.mean() > 0.95


def test_wrong_input_is_named(scene):
    with pytest.raises(ValueError, match="at least one object"):
        draw_strips([], ["a"], [RED])
    with pytest.raises(ValueError, match="1 panels of 'x' for"):
        draw_strips([Strip(scene, (0, 0, 9, 9), "x", [CloseUp([])])], ["a", "b"], [RED, RED])
