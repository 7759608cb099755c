"""Points with the distances they predict, and the anchors of a cell beside them."""

import numpy as np
import pytest

from kdviz.plots import points_and_anchors
from kdviz.plots.theme import SEQUENTIAL

BOXES = [[0.0, 0.0, 8.0, 8.0], [60.0, 10.0, 90.0, 40.0]]
ROWS, COLUMNS = np.mgrid[0:6, 0:10] * 16.0
POINTS = np.stack([COLUMNS, ROWS], -1)
POSITIVE = np.zeros((6, 10), bool)
POSITIVE[1:3, 4:6] = True  # (64, 16), (80, 16), (64, 32), (80, 32)
# Two anchors round each point, of 16 and 32 pixels.
ANCHORS = np.stack(
    [np.concatenate([POINTS - half, POINTS + half], axis=-1) for half in (8, 16)], axis=2
)


def draw(image, **options):
    given = {"points": POINTS, "anchors": ANCHORS, "positive": POSITIVE, "chosen": 1} | options
    return points_and_anchors(image, boxes=BOXES, **given)


def test_positive_points_are_dark_and_the_nearest_reaches_for_the_sides(image):
    _, (axes, _) = draw(image)
    others, own, nearest = (line.get_xydata() for line in axes.lines)
    assert len(others) == 56
    assert own.tolist() == [[64, 16], [80, 16], [64, 32], [80, 32]]
    # From the centre (75, 25): 11, 9, 11 and 7 pixels along the farther axis.
    assert nearest.tolist() == [[80, 32]]
    arrows = [(text.xyann, text.xy) for text in axes.texts]
    assert {start for start, _ in arrows} == {(80, 32)}
    assert {end for _, end in arrows} == {(60, 32), (80, 10), (90, 32), (80, 40)}


def test_points_lie_on_their_pixels(image, pixel_at):
    figure, (axes, _) = draw(image)
    assert pixel_at(figure, axes, 64, 16).max() < 90
    assert pixel_at(figure, axes, 16, 64).min() > pixel_at(figure, axes, 64, 16).max()


def test_anchors_of_the_best_cell_are_coloured_by_overlap(image):
    figure, (_, axes) = draw(image)
    # Among all anchors of 32 pixels the one round (80, 32) shares 26 x 24 pixels with the box.
    shared = {(x, y): (min(90, x + 16) - max(60, x - 16)) * (min(40, y + 16) - max(10, y - 16))
              for x in (64, 80) for y in (16, 32)}  # fmt: skip
    (x, y), overlap = max(shared.items(), key=lambda item: item[1])
    best = overlap / (32 * 32 + 30 * 30 - overlap)
    assert figure.texts[1].get_text() == f"2 anchors, best IoU {best:.2f}"
    drawn = {
        tuple(path.vertices.min(0)): tuple(edge)
        for collection in axes.collections
        for path, edge in zip(collection.get_paths(), collection.get_edgecolor(), strict=False)
        if len(collection.get_edgecolor()) == 2
    }
    assert drawn[x - 16, y - 16] == SEQUENTIAL(best)


def test_both_panels_show_the_same_pixels(image):
    wide = ANCHORS + np.array([-60, 0, 60, 0])
    _, (left, right) = draw(image, anchors=wide)
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    assert left.get_xlim()[0] < 0


def test_a_box_without_points_has_no_arrows(image, layout_faults):
    figure, (axes, _) = draw(image, positive=np.zeros((6, 10), bool), caption="How to read. " * 20)
    assert not axes.texts
    assert figure.texts[0].get_text() == "60 points, 0 for this box"
    assert not layout_faults(figure)


def test_what_does_not_fit_is_refused(image):
    with pytest.raises(ValueError, match=r"\(6, 10\)"):
        draw(image, positive=np.zeros((10, 6), bool))
    with pytest.raises(ValueError, match="2 boxes, from 0"):
        draw(image, chosen=2)
    with pytest.raises(ValueError, match=r"\(H, W, A, 4\)"):
        draw(image, anchors=ANCHORS[0])
