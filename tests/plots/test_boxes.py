import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from kdviz.plots import compare_detections, draw_boxes, gallery, match_boxes
from kdviz.plots.labels import Labels
from kdviz.plots.matching import box_iou
from kdviz.plots.theme import MISSED, ROLE_COLOURS
from kdviz.structures import Detection


def detection(boxes, scores, labels):
    return Detection(
        torch.tensor(boxes).float().reshape(-1, 4), torch.tensor(scores), torch.tensor(labels)
    )


def target(boxes, labels, iscrowd=None):
    crowd = torch.tensor(iscrowd or [0] * len(labels))
    return {
        "boxes": torch.tensor(boxes).float().reshape(-1, 4),
        "labels": torch.tensor(labels),
        "iscrowd": crowd,
    }


def outlines(axes, colour):
    """(boxes, is dashed) of all outlines in this colour."""
    found = []
    for collection in axes.collections:
        edges = collection.get_edgecolor()
        if len(edges) and np.allclose(edges[0][:3], to_rgb(colour)):
            dashed = collection.get_linestyle()[0][1] is not None
            for path in collection.get_paths():
                low, high = path.vertices.min(0), path.vertices.max(0)
                found.append(((*low, *high), dashed))
    return found


def written(axes):
    return [label.text for child in axes.findobj(Labels) for label in child.labels]


def is_red(pixel):
    return pixel[0] > 200 and pixel[1] < 90


def test_box_lies_on_the_pixels_it_names(image, pixel_at):
    figure, axes = draw_boxes(image, [[40, 20, 120, 70]], colour="#ff0000", names=[""])
    for x, y in [(40, 45), (120, 45), (80, 20), (80, 70)]:
        assert is_red(pixel_at(figure, axes, x, y)), (x, y)
    for x, y in [(36, 45), (124, 45), (20, 40), (70, 120 - 40), (80, 45)]:
        assert not is_red(pixel_at(figure, axes, x, y)), (x, y)


def test_image_pixels_stand_where_axes_say(pixel_at):
    marked = np.zeros((48, 80, 3), np.uint8)
    marked[10:12, 60:62] = 255
    figure, axes = draw_boxes(marked, [])
    assert pixel_at(figure, axes, 61, 11).min() > 200
    for x, y in [(58.5, 11), (63.5, 11), (61, 8.5), (61, 13.5), (11, 61 - 20)]:
        assert pixel_at(figure, axes, x, y).max() < 60


@pytest.mark.parametrize("size", [(2000, 3000), (31, 17)])
def test_resizing_keeps_the_coordinates(size, pixel_at):
    height, width = size
    marked = np.zeros((height, width, 3), np.uint8)
    marked[: height // 4, -width // 4 :] = 255
    figure, axes = draw_boxes(marked, [])
    assert pixel_at(figure, axes, width * 0.9, height * 0.1).min() > 200
    assert pixel_at(figure, axes, width * 0.1, height * 0.9).max() < 60


def test_names_and_scores_are_written_best_first(image):
    found = detection([[0, 30, 40, 60], [80, 30, 150, 80]], [0.4, 0.9], [2, 1])
    _, axes = draw_boxes(image, found, ["disc", "ring"])
    assert written(axes) == ["disc 0.90", "ring 0.40"]


def test_names_may_be_a_mapping_or_be_missing(image):
    found = detection([[0, 30, 40, 60], [80, 30, 150, 80]], [0.9, 0.4], [3, 9])
    assert written(draw_boxes(image, found, {3: "disc"})[1]) == ["disc 0.90", "9 0.40"]
    assert written(draw_boxes(image, found)[1]) == ["3 0.90", "9 0.40"]


def test_threshold_hides_detections_but_not_ground_truth(image):
    boxes = [[0, 30, 40, 60], [80, 30, 150, 80]]
    _, axes = draw_boxes(image, detection(boxes, [0.4, 0.9], [1, 1]), score_threshold=0.5)
    assert len(written(axes)) == 1
    _, axes = draw_boxes(image, target(boxes, [1, 1]), score_threshold=0.5)
    assert len(written(axes)) == 2


def test_labels_neither_touch_nor_leave_the_image(image):
    generator = torch.Generator().manual_seed(3)
    corners = torch.rand(60, 2, generator=generator) * torch.tensor([150.0, 90.0])
    sizes = 5 + torch.rand(60, 2, generator=generator) * 50
    found = Detection(
        torch.cat([corners, corners + sizes], 1), torch.linspace(0.99, 0.3, 60), torch.ones(60)
    )
    figure, axes = draw_boxes(image, found, ["a class with a name far too long for a label"])
    labels = axes.findobj(Labels)[0]
    assert 5 < len(labels.labels) < 60
    assert all(text.endswith(f"{0.3 + 0:.2f}"[:2]) or text[-4:-2] == "0." for text in written(axes))
    places = labels.extents()
    panel = axes.get_window_extent()
    for index, place in enumerate(places):
        assert panel.x0 - 0.5 <= place.x0 <= place.x1 <= panel.x1 + 0.5
        assert panel.y0 - 0.5 <= place.y0 <= place.y1 <= panel.y1 + 0.5
        for other in places[index + 1 :]:
            width = min(place.x1, other.x1) - max(place.x0, other.x0)
            height = min(place.y1, other.y1) - max(place.y0, other.y0)
            assert min(width, height) < 0.5
    assert figure.canvas.get_width_height()[0] < 1100


def test_a_label_is_drawn_in_its_place(image, pixel_at):
    figure, axes = draw_boxes(image, target([[60, 40, 100, 80]], [1]), ["ring"], colour="#ff0000")
    place = axes.findobj(Labels)[0].extents()[0]
    to_data = axes.transData.inverted()
    x, y = to_data.transform((place.x0 + 1.5, place.y0 + 2))
    assert np.array_equal(pixel_at(figure, axes, x, y), [255, 0, 0])
    assert y < 40 < to_data.transform((place.x0, place.y0 - 2))[1]


def test_a_box_outside_the_image_gets_no_label(image):
    assert written(draw_boxes(image, target([[200, 10, 230, 40]], [1]))[1]) == []


def test_dollars_are_letters(image):
    figure, axes = draw_boxes(image, target([[5, 30, 90, 80]], [1]), ["$x_1$"], title="$5 and $6")
    assert written(axes) == ["$x_1$"]
    assert figure.texts[0].get_text() == "$5 and $6"


def test_given_axes_are_drawn_into(image):
    figure, panels = plt.subplots(1, 2)
    plt.close(figure)
    same, axes = draw_boxes(image, [[1, 2, 30, 40]], axes=panels[1], title="t", caption="c")
    assert same is figure
    assert axes is panels[1]
    assert axes.get_title(loc="left") == "t"
    assert [text.get_text() for text in axes.texts] == ["c"]
    assert not panels[0].images


def test_panels_keep_their_order_and_colours(image):
    some = detection([[20, 20, 60, 60]], [0.9], [1])
    truth = target([[20, 20, 60, 60]], [1])
    figure, panels = compare_detections(
        image, {"distilled": some, "mine": some, "student": some, "teacher": some}, truth
    )
    assert isinstance(figure, Figure)
    titles = [text.get_text().split("\n")[0] for text in figure.texts[:5]]
    assert titles == ["ground truth", "student", "teacher", "distilled", "mine"]
    for axes, role in zip(panels, titles[:4], strict=False):
        assert outlines(axes, ROLE_COLOURS[role]) == [((20, 20, 60, 60), False)]


def test_right_wrong_and_missed_can_be_told_apart(image):
    truth = target([[20, 20, 60, 60], [100, 20, 140, 60]], [1, 2])
    found = detection(
        [[22, 20, 60, 60], [20, 22, 60, 60], [100, 20, 140, 60]], [0.9, 0.8, 0.7], [1, 1, 1]
    )
    figure, panels = compare_detections(image, {"student": found}, truth, ["disc", "ring"])
    assert outlines(panels[1], ROLE_COLOURS["student"]) == [
        ((20, 22, 60, 60), True),  # its ground truth is taken
        ((100, 20, 140, 60), True),  # wrong class
        ((22, 20, 60, 60), False),
    ]
    assert outlines(panels[1], MISSED) == [((100, 20, 140, 60), True)]
    assert panels[1].lines[0].get_xydata().tolist() == [[120, 40]]
    assert "student\n1 right, 2 wrong, 1 missed" in [text.get_text() for text in figure.texts]
    assert set(written(panels[1])) == {"0.90", "disc 0.80", "disc 0.70"}


def test_without_ground_truth_nothing_is_judged(image):
    found = detection([[22, 20, 60, 60]], [0.9], [1])
    figure, panels = compare_detections(image, {"teacher": found}, names=["disc"])
    assert len(panels) == 1
    assert outlines(panels[0], ROLE_COLOURS["teacher"]) == [((22, 20, 60, 60), False)]
    assert [text.get_text() for text in figure.texts] == ["teacher\n1 box"]


def test_nothing_found_and_nothing_to_find(image):
    _, panels = compare_detections(image, {"student": detection([], [], [])}, target([], []))
    assert len(panels) == 2


def test_a_crowd_counts_neither_way():
    truth = target([[0, 0, 100, 100], [10, 10, 20, 20]], [1, 1], iscrowd=[1, 0])
    found = detection(
        [[30, 30, 50, 50], [60, 60, 70, 70], [10, 10, 20, 20], [90, 90, 190, 190]],
        [0.9, 0.8, 0.7, 0.6],
        [1, 2, 1, 1],
    )
    matches = match_boxes(found, truth)
    assert matches.ignored.tolist() == [True, False, False, False]
    assert matches.right.tolist() == [False, False, True, False]
    assert matches.missed.tolist() == [False, False]


def test_the_best_score_takes_the_ground_truth_it_fits_best():
    truth = target([[0, 0, 10, 10], [0, 0, 10, 8]], [1, 1])
    found = detection([[0, 0, 10, 8], [0, 0, 10, 10]], [0.5, 0.9], [1, 1])
    matches = match_boxes(found, truth)
    assert matches.right.all()
    assert not match_boxes(found, truth, iou_threshold=0.9).missed.any()


def test_overlap_by_hand():
    boxes = np.array([[0.0, 0, 10, 10], [5, 5, 5, 9]])
    others = np.array([[5.0, 0, 15, 10], [20, 20, 30, 30]])
    assert np.allclose(box_iou(boxes, others), [[1 / 3, 0], [0, 0]])
    assert np.allclose(box_iou(boxes, others, np.array([True, False]))[0], [0.5, 0])


def test_gallery_shows_every_image_in_equal_cells(image):
    pictures = [image, image[:, :, :96], image[:, :40]]
    truth = [target([[5, 5, 30, 30]], [2])] * 3
    _, panels = gallery(pictures, truth, titles=["a", "b", "c"], columns=2)
    assert len(panels) == 3
    assert [axes.get_xlim()[1] for axes in panels] == [160, 96, 160]
    assert all(len(axes.collections) == 2 for axes in panels)


@pytest.mark.parametrize("extra", [{"boxes": []}, {"titles": ["a", "b"]}])
def test_gallery_wants_one_of_each(image, extra):
    with pytest.raises(ValueError, match="one per image"):
        gallery([image], **extra)


def test_an_empty_gallery_says_so():
    with pytest.raises(ValueError, match="nothing to draw"):
        gallery([])
