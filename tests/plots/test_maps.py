import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from kdviz.plots import compare_maps, draw_anchors, mask_grid, overlay, pyramid_row, shared_scale
from kdviz.plots.cells import KEPT
from kdviz.plots.theme import DIVERGING, SEQUENTIAL
from kdviz.structures import Level, Pyramid


def hot_cell(row, column, shape=(6, 10)):
    values = np.zeros(shape, np.float32)
    values[row, column] = 1.0
    return values


def hot_area(figure, axes, pixels_of):
    """(x1, y1, x2, y2) in data, of where the figure is as bright yellow as the top of the map."""
    drawn = pixels_of(figure)[::-1].astype(int)
    panel = axes.get_window_extent()
    yellow = drawn[..., 1] - drawn[..., 2] > 60
    rows, columns = np.nonzero(yellow)
    inside = (columns >= panel.x0) & (columns < panel.x1)
    rows, columns = rows[inside], columns[inside]
    corners = [(columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)]
    (x1, y2), (x2, y1) = axes.transData.inverted().transform(corners)
    return x1, y1, x2, y2


@pytest.mark.parametrize(("row", "column"), [(1, 4), (0, 0), (5, 9), (4, 1)])
def test_a_cell_covers_its_own_pixels(image, pixels_of, row, column):
    figure, axes = overlay(image, hot_cell(row, column), 16)
    expected = (16 * column, 16 * row, 16 * column + 16, 16 * row + 16)
    assert np.allclose(hot_area(figure, axes, pixels_of), expected, atol=1.0)


def test_cell_and_box_agree(image, pixels_of, pixel_at):
    box = [[64, 16, 80, 32]]
    figure, axes = overlay(image, hot_cell(1, 4), 16, boxes=box)
    assert np.allclose(hot_area(figure, axes, pixels_of), box[0], atol=1.5)
    for x, y in [(64, 24), (80, 24), (72, 16), (72, 32)]:
        assert pixel_at(figure, axes, x, y).max() < 110  # the outline is dark, the map is not


def test_the_drawn_array_is_the_map(image):
    values = np.arange(60.0).reshape(6, 10)
    _, axes = overlay(image, torch.from_numpy(values)[None, None], 16)
    assert np.array_equal(axes.images[1].get_array(), values)
    assert axes.images[1].get_extent() == [0, 160, 96, 0]


def test_padding_is_cut_at_the_edge_of_the_image(image):
    _, axes = overlay(image, np.ones((4, 6)), 32)
    assert axes.images[1].get_extent() == [0, 192, 128, 0]
    assert axes.get_xlim() == (0, 160)
    assert axes.get_ylim() == (96, 0)


def test_the_image_of_the_batch_is_chosen(image):
    batch = torch.stack([torch.zeros(1, 6, 10), torch.ones(1, 6, 10)])
    assert overlay(image, batch, 16, index=1)[1].images[1].get_array().min() == 1


def test_positive_maps_start_at_zero_and_signed_ones_are_centred():
    scale = shared_scale([np.array([0.2, 0.4]), np.array([3.0])])
    assert (scale.colours, scale.norm.vmin, scale.norm.vmax) == (SEQUENTIAL, 0, 3)
    scale = shared_scale([np.array([-0.5, np.nan]), torch.tensor([0.1])])
    assert (scale.colours, scale.norm.vmin, scale.norm.vmax) == (DIVERGING, -0.5, 0.5)


@pytest.mark.parametrize("maps", [[], [np.zeros((2, 2))], [np.full((2, 2), np.nan)]])
def test_empty_and_constant_maps_have_a_scale(maps):
    scale = shared_scale(maps)
    assert (scale.norm.vmin, scale.norm.vmax) == (0, 1)


def test_limits_must_rise():
    with pytest.raises(ValueError, match="rise"):
        shared_scale([], (1.0, 1.0))


def pyramid():
    return Pyramid(
        tuple(
            Level(f"p{k}", 2**k, torch.full((2, 1, 96 // 2**k, 160 // 2**k), float(k)))
            for k in (3, 4, 5)
        )
    )


def test_levels_share_one_scale_and_one_bar(image):
    figure, panels = pyramid_row(image, pyramid(), unit="richness", title="teacher")
    assert len(panels) == 3
    norms = [axes.images[1].norm for axes in panels]
    assert all(norm is norms[0] for norm in norms)
    assert norms[0].vmax == 5
    assert len(figure.axes) == 4
    assert figure.axes[-1].get_ylabel() == "richness"
    assert [text.get_text() for text in figure.texts] == [
        f"teacher p{k}, stride {2**k}" for k in (3, 4, 5)
    ]


def test_levels_cover_the_same_image(image):
    _, panels = pyramid_row(image, pyramid().levels, columns=2)
    assert all(axes.images[1].get_extent() == [0, 160, 96, 0] for axes in panels)
    assert len({round(axes.get_position().x0, 3) for axes in panels}) == 2


def test_student_and_teacher_share_a_scale_the_difference_has_its_own(image):
    student, teacher = np.full((6, 10), 0.2), np.full((6, 10), 0.8)
    figure, panels = compare_maps(image, {"teacher": teacher, "student": student}, 16)
    drawn = [axes.images[1] for axes in panels]
    assert [float(image.get_array()[0, 0]) for image in drawn] == pytest.approx([0.2, 0.8, -0.6])
    assert drawn[0].norm is drawn[1].norm
    assert (drawn[0].norm.vmin, drawn[0].norm.vmax) == (0, pytest.approx(0.8))
    assert (drawn[2].norm.vmin, drawn[2].norm.vmax) == pytest.approx((-0.6, 0.6))
    assert drawn[2].cmap is DIVERGING
    assert len(figure.axes) == 5
    titles = [text.get_text() for text in figure.texts]
    assert titles == ["student", "teacher", "student minus teacher"]


def test_a_given_difference_is_drawn_as_it_is(image):
    maps = {"difference": hot_cell(1, 1), "student": hot_cell(0, 0)}
    figure, panels = compare_maps(image, maps, 16)
    assert [text.get_text() for text in figure.texts] == ["student", "difference"]
    assert panels[1].images[1].norm.vmin == -1


def test_masks_can_be_subtracted(image):
    masks = {"student": hot_cell(0, 0) > 0, "teacher": hot_cell(1, 1) > 0}
    _, panels = compare_maps(image, masks, 16)
    assert panels[2].images[1].get_array().min() == -1


def test_maps_of_different_strides_have_no_difference(image):
    levels = {"student": Level("p4", 16, torch.rand(1, 1, 6, 10)),
              "teacher": Level("p3", 8, torch.rand(1, 1, 12, 20))}  # fmt: skip
    assert len(compare_maps(image, levels)[1]) == 2


def test_a_difference_alone_is_refused(image):
    with pytest.raises(ValueError, match="besides the difference"):
        compare_maps(image, {"difference": hot_cell(0, 0)}, 16)


def test_kept_cells_are_tinted_and_others_are_not(image, pixel_at):
    figure, axes = mask_grid(image, torch.from_numpy(hot_cell(1, 4) > 0), 16, boxes=[[0, 0, 9, 9]])
    tint = axes.images[1].get_array()
    assert np.count_nonzero(tint[..., 3]) == 1
    assert tint[1, 4, 3] > 0
    kept = pixel_at(figure, axes, 72, 24).astype(int)
    assert kept[0] - kept[2] > 60
    for x, y in [(24, 72), (56, 24), (88, 24), (72, 8), (72, 40)]:
        grey = pixel_at(figure, axes, x, y).astype(int)
        assert np.ptp(grey) < 10
    assert figure.texts[0].get_text() == "1 of 60 cells kept"
    assert KEPT.startswith("#")


def anchors():
    """Two square anchors, of 16 and 32 pixels, at each cell of a level of stride 16."""
    rows, columns = np.mgrid[0:6, 0:10] * 16.0 + 8
    sizes = [np.stack([columns - h, rows - h, columns + h, rows + h], -1) for h in (8, 16)]
    return np.stack(sizes, 2)


def test_anchors_of_the_best_cell_are_coloured_by_overlap(image):
    figure, axes = draw_anchors(image, anchors(), [[0, 0, 8, 8], [64, 16, 80, 32]], chosen=1)
    assert figure.texts[0].get_text() == "cell (1, 4): greatest IoU 1.00"
    drawn = {
        tuple(path.vertices.min(0)): tuple(edge)
        for collection in axes.collections
        for path, edge in zip(collection.get_paths(), collection.get_edgecolor(), strict=False)
        if len(collection.get_paths()) == 2 and len(collection.get_edgecolor()) == 2
    }
    assert drawn == {(64, 16): SEQUENTIAL(1.0), (56, 8): SEQUENTIAL(0.25)}


def test_the_view_grows_with_the_anchors(image):
    _, axes = draw_anchors(image, anchors(), [[0, 0, 16, 16]], cell=(0, 0))
    assert axes.get_xlim()[0] == -9
    assert axes.get_ylim() == (97, -9)


def test_cells_and_boxes_that_do_not_exist_are_refused(image):
    with pytest.raises(ValueError, match="lies outside"):
        draw_anchors(image, anchors(), [[0, 0, 16, 16]], cell=(6, 0))
    with pytest.raises(ValueError, match="1 boxes, from 0"):
        draw_anchors(image, anchors(), [[0, 0, 16, 16]], chosen=1)
    with pytest.raises(ValueError, match=r"\(H, W, A, 4\)"):
        draw_anchors(image, anchors()[0], [[0, 0, 16, 16]])


@pytest.mark.parametrize(
    "draw",
    [
        lambda image, axes: overlay(image, hot_cell(1, 4), 16, axes=axes),
        lambda image, axes: mask_grid(image, hot_cell(1, 4), 16, axes=axes),
        lambda image, axes: draw_anchors(image, anchors(), [[0, 0, 16, 16]], axes=axes),
    ],
)
def test_given_axes_of_a_map_are_drawn_into(image, draw, pixels_of):
    figure, panels = plt.subplots(1, 2)
    plt.close(figure)
    same, axes = draw(image, panels[0])
    assert same is figure
    assert axes is panels[0]
    pixels_of(figure)
