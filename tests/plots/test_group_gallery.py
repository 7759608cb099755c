import numpy as np
import pytest
import torch
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex

from kdviz.plots.groups import group_gallery
from kdviz.plots.theme import INK, PAPER, ROLE_COLOURS
from kdviz.structures import Detection

PAIR = [[40.0, 40, 50, 50], [52, 40, 62, 50]]  # 22 wide: the view is 33 x 33 from (34, 28)
CORNER = (34, 28)


@pytest.fixture
def scene():
    rows, columns = np.mgrid[0:80, 0:120]
    return np.stack([rows * 3, columns * 2, rows + columns], axis=2).astype(np.uint8)


def found(boxes, scores=None):
    boxes = torch.tensor(boxes).reshape(-1, 4)
    scores = torch.full((len(boxes),), 0.9) if scores is None else torch.tensor(scores)
    return Detection(boxes, scores, torch.ones(len(boxes), dtype=torch.int64))


def drawn(axes):
    """(colour, width, x1, y1) of every outlined box that is no halo."""
    return [
        (
            to_hex(kind.get_edgecolor()[0], keep_alpha=False),
            float(kind.get_linewidths()[0]),
            *path.vertices.min(0).tolist(),
        )
        for kind in axes.findobj(PolyCollection)
        for path in kind.get_paths()
        if to_hex(kind.get_edgecolor()[0]) != PAPER
    ]


def test_the_part_around_the_group_is_shown_and_boxes_move_with_it(scene, pixel_at):
    figure, (axes,) = group_gallery([scene], [PAIR], {"student": [found([])]}, {"student": [[]]})
    assert axes.get_xlim() == (0, 33)
    assert axes.get_ylim() == (33, 0)
    for x, y in [(3, 3), (20, 4), (3, 29)]:
        expected = scene[CORNER[1] + y, CORNER[0] + x]
        assert np.abs(pixel_at(figure, axes, x + 0.5, y + 0.5).astype(int) - expected).max() <= 3
    assert [box[2:] for box in drawn(axes)] == [(6, 12), (18, 12)]
    assert {box[0] for box in drawn(axes)} == {INK}


def test_a_box_around_several_is_thick_and_the_others_thin(scene):
    boxes = [[40.0, 40, 62, 50], [52, 40, 62, 51], [0, 0, 30, 30], [40, 40, 49, 49]]
    seen = found(boxes, [0.9, 0.8, 0.7, 0.1])
    _, (axes,) = group_gallery([scene], [PAIR], {"teacher": [seen]}, {"teacher": [np.array([0])]})
    own = [box for box in drawn(axes) if box[0] == ROLE_COLOURS["teacher"].lower()]
    assert [box[2:] for box in own] == [(18, 12), (6, 12)]  # far and faint ones are left out
    assert own[1][1] > 2 * own[0][1]


def test_a_view_stays_inside_the_image(scene):
    corner = [[0.0, 0, 12, 10], [12, 0, 24, 10]]
    _, (axes,) = group_gallery([scene], [corner], {"student": [found([])]}, {"student": [[]]})
    assert [box[2:] for box in drawn(axes)] == [(0, 0), (12, 0)]
    wide = [[0.0, 0, 60, 10], [62, 0, 120, 10]]
    _, (axes,) = group_gallery([scene], [wide], {"student": [found([])]}, {"student": [[]]})
    assert axes.get_xlim() == (0, 80)  # no taller than the image


def test_rows_are_groups_and_columns_detectors_in_their_order(scene, layout_faults):
    names = ["distilled (FGFI)", "teacher", "student"]
    figure, panels = group_gallery(
        [scene, scene],
        [PAIR, PAIR],
        {name: [found(PAIR), found([])] for name in names},
        {name: [[], []] for name in names},
        titles=["first", "second"],
        caption="Black: objects.",
    )
    assert len(panels) == 6
    assert [t.get_text() for t in figure.texts[:4]] == [
        "student\nfirst", "teacher", "distilled (FGFI)", "second"
    ]  # fmt: skip
    assert [len(drawn(axes)) for axes in panels] == [4, 4, 4, 2, 2, 2]
    colours = [drawn(axes)[-1][0] for axes in panels[:3]]
    assert colours == [ROLE_COLOURS[r].lower() for r in ("student", "teacher", "distilled")]
    assert layout_faults(figure) == []


def test_everything_is_given_for_every_row(scene):
    with pytest.raises(ValueError, match="1 detections of student for 2 images"):
        group_gallery([scene] * 2, [PAIR] * 2, {"student": [found([])]}, {"student": [[], []]})
    with pytest.raises(ValueError, match="2 groups for 1 images"):
        group_gallery([scene], [PAIR] * 2, {"student": [found([])]}, {"student": [[]]})
