import io
import re

import numpy as np
import pytest
from PIL import Image

from kdviz.plots import confusion_matrix, to_png
from kdviz.runs import pages


def test_texts_are_no_markup():
    told = [
        pages.paragraph("a < b & c"),
        pages.table(["<i>"], [["<b>"]]),
        pages.details("<u>", ""),
        pages.page("<x>", ""),
    ]
    for text in told:
        assert not re.search("<[ibux]>", text)
    assert "a &lt; b &amp; c" in told[0]


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 2), (2, 1)])
def test_a_cell_of_a_figure_is_where_its_area_says(row, column):
    matrix = np.zeros((3, 3), dtype=int)
    matrix[row, column] = 9
    figure, axes = confusion_matrix(matrix, ["cat", "dog"])
    left, top, right, bottom = pages.cell_area(axes, column, row)
    pixels = np.asarray(Image.open(io.BytesIO(to_png(figure))).convert("RGB")).astype(int)
    inside = pixels[round(top) + 3 : round(bottom) - 3, round(left) + 3 : round(right) - 3]
    assert (inside.max(axis=2) < 200).mean() > 0.7  # painted in a deep colour
    beside = pixels[round(top) + 3 : round(bottom) - 3, round(left) - 12 : round(left) - 4]
    assert not (beside.max(axis=2) < 100).all()


def test_parts_of_a_picture_lead_to_their_anchors():
    figure, _ = confusion_matrix(np.eye(3, dtype=int), ["cat", "dog"])
    text = pages.picture_with_links(figure, "cells", "map", {"here": (1.4, 2.0, 10.6, 20.0)})
    assert 'usemap="#map"' in text
    assert '<area shape="rect" coords="1,2,11,20" href="#here"' in text
    assert 'id="here"' in pages.shown_on_click("here", "")
