"""Each number stands in its cell, with its colour and its name."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from kdviz.plots import number_table, similarity_triangle, spread_rows
from kdviz.plots.theme import DIVERGING, INK

NAMES = ["FGFI", "FRS", "CrossKD"]
LONG = "a method with a remarkably long name, longer than any paper would give"
SERIES = {"first step": {"a": [0.1, 0.3], "b": [-0.2, np.nan]}, "trained": {"a": [0.5, 0.5]}}
CAPTION = "The brighter a cell, the more two methods agree about where to look. " * 3


def numbers(axes):
    """(row, column): text, of all numbers drawn."""
    found = {}
    for text in axes.texts:
        x, y = text.get_position()
        if text.get_ha() == "center":
            found[y, x] = text.get_text()
    return found


class TestTriangle:
    SIMILARITY = np.array([[1, 0.25, np.nan], [0.25, 1, -0.5], [np.nan, -0.5, 1]])

    def test_each_pair_once_below_the_diagonal(self):
        _, axes = similarity_triangle(self.SIMILARITY, NAMES, limits=(-1, 1), unit="rank")
        assert numbers(axes) == {(1, 0): ".25", (2, 1): "-.50"}
        drawn = axes.images[0].get_array()
        assert drawn[1, 0] == 0.25
        assert np.ma.getmaskarray(drawn).sum() == 7  # NaN, the diagonal and what is above it

    def test_names_stand_at_the_rows_and_end_the_columns(self):
        _, axes = similarity_triangle(self.SIMILARITY, NAMES, limits=(-1, 1), unit="rank")
        rows = [label.get_text() for label in axes.get_yticklabels()]
        assert rows == ["", "FRS", "CrossKD"]
        assert axes.get_ylim() == (2.5, -0.5)
        ends = [(t.get_text(), t.get_position()[1]) for t in axes.texts if t.get_ha() == "left"]
        assert ends == [("FGFI", 0), ("FRS", 1)]

    def test_sizes_must_fit(self):
        with pytest.raises(ValueError, match=r"2 names need \(2, 2\)"):
            similarity_triangle(self.SIMILARITY, NAMES[:2], limits=(0, 1), unit="IoU")

    def test_text_is_whole_and_apart(self, layout_faults):
        names = [*NAMES, LONG, *(f"method {i}" for i in range(10))]
        values = np.random.default_rng(0).uniform(-1, 1, (14, 14))
        figure, _ = similarity_triangle(values, names, limits=(-1, 1), unit="rank correlation",
                                        caption=CAPTION)  # fmt: skip
        assert not layout_faults(figure)


class TestTable:
    def test_numbers_and_colours(self):
        values = np.array([[0.5, np.nan], [-0.001, -10.0]])
        _, axes = number_table(values, NAMES[:2], ["p3", "p4"], limits=(-0.5, 0.5), unit="cosine")
        assert numbers(axes) == {(0, 0): ".50", (1, 0): ".00", (1, 1): "-10.00"}
        picture = axes.images[0]
        colours = picture.cmap(picture.norm(picture.get_array()))
        assert to_hex(colours[0, 0]) == to_hex(DIVERGING(1.0))
        assert to_hex(colours[1, 1]) == to_hex(DIVERGING(0.0))  # beyond the end of the scale
        assert [x.get_text() for x in axes.get_xticklabels()] == ["p3", "p4"]
        assert [x.get_text() for x in axes.get_yticklabels()] == NAMES[:2]
        assert axes.get_ylim() == (1.5, -0.5)

    def test_sizes_must_fit(self):
        with pytest.raises(ValueError, match=r"3 rows and 1 columns are named.*\(1, 3\)"):
            number_table(np.ones((1, 3)), NAMES, ["p3"], limits=(0, 1), unit="IoU")

    @pytest.mark.parametrize("lines", ["p3", "p3\n99.9 %"])
    def test_text_is_whole_and_apart(self, lines, layout_faults):
        figure, _ = number_table(
            np.random.default_rng(0).uniform(-1, 1, (16, 5)), [*NAMES, LONG, *("abcdefghijkl")],
            [lines] * 5, limits=(-1, 1), unit="cosine", title="a title", caption=CAPTION,
        )  # fmt: skip
        assert not layout_faults(figure)


class TestSpreadRows:
    def dots(self, axes):
        found = []
        for line in axes.lines:
            if line.get_marker() == "o" and len(line.get_xdata()) == 1:
                found.append((float(line.get_xdata()[0]), float(line.get_ydata()[0]), line))
        return found

    def test_means_rows_and_signs(self):
        _, axes = spread_rows(SERIES, label="cosine", band=0.05)
        (fresh, low, trained) = self.dots(axes)
        assert fresh[0] == pytest.approx(0.2)
        assert low[0] == pytest.approx(-0.2)
        assert trained[0] == pytest.approx(0.5)
        assert round(fresh[1]) == round(trained[1]) == 0
        assert fresh[1] < trained[1]
        assert round(low[1]) == 1
        assert fresh[2].get_color() == to_hex(DIVERGING(0.85))
        assert low[2].get_color() == to_hex(DIVERGING(0.15))
        assert fresh[2].get_markerfacecolor() == "white"
        assert trained[2].get_markerfacecolor() == trained[2].get_color()

    def test_a_mean_within_the_band_takes_no_side(self):
        _, axes = spread_rows({"only": {"a": [0.1], "b": [-0.1], "c": [0.2]}}, label="x", band=0.15)
        colours = [line.get_color() for _, _, line in self.dots(axes)]
        assert colours == [INK, INK, to_hex(DIVERGING(0.85))]

    def test_lines_span_one_deviation_to_each_side(self):
        _, axes = spread_rows({"only": {"a": [0.1, 0.3, 0.5]}}, label="cosine")
        spans = [line.get_xdata() for line in axes.lines if line.get_linewidth() == 1.2]
        assert np.allclose(spans, [[0.1, 0.5]])

    def test_nothing_to_draw_is_refused(self):
        with pytest.raises(ValueError, match="at least one series"):
            spread_rows({"empty": {}}, label="cosine")

    def test_text_is_whole_and_apart(self, layout_faults):
        rows = {f"{name} {i}": [0.1, -0.3] for i in range(8) for name in ("term", LONG)}
        figure, _ = spread_rows({"at the first step": rows, LONG: rows}, label="cosine",
                                caption=CAPTION)  # fmt: skip
        assert not layout_faults(figure)
