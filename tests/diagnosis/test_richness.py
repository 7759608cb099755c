import numpy as np
import pytest
import torch
from torch import Tensor

from kdviz.datasets import DetectionDataset, open_data
from kdviz.datasets.scenes import SceneConfig, cached_scenes
from kdviz.detectors import build
from kdviz.detectors.assembly import anchors_of
from kdviz.detectors.assignment import assigned_cells
from kdviz.detectors.parts import Pass, in_eval
from kdviz.diagnosis.richness import (
    InsideOutside,
    box_cells,
    changed_cells,
    point_offset,
    rendered_again,
    sum_by_region,
)
from kdviz.methods.heads import dense_output
from kdviz.structures import Level, Pyramid


def grid(*maps, first=8):
    return Pyramid(
        tuple(
            Level(f"p{k}", 2**k, values if isinstance(values, Tensor) else torch.zeros(*values))
            for k, values in enumerate(maps, start=first.bit_length() - 1)
        )
    )


# --- cells and boxes ------------------------------------------------------------------------------


def test_a_cell_is_inside_when_its_point_is():
    # Points at 0, 8, 16, 24 in each direction.
    (mask,) = box_cells(grid((1, 1, 4, 4)), [torch.tensor([[7.0, 15.0, 17.0, 24.0]])]).maps
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[2, 1:3] = True  # y: 16 alone, as 24 lies on the edge; x: 8 and 16
    assert torch.equal(mask[0, 0], expected)
    (mask,) = box_cells(grid((1, 1, 4, 4)), [torch.tensor([[7.0, 15.0, 17.0, 24.0]])], 0.5).maps
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[2, 1] = True  # points at 4, 12, 20, 28
    assert torch.equal(mask[0, 0], expected)


def test_boxes_join_images_keep_apart_and_none_is_allowed():
    boxes = [torch.tensor([[1.0, 1, 9, 9], [15, 15, 25, 25]]), torch.zeros(0, 4)]
    fine, coarse = box_cells(grid((2, 3, 4, 4), (2, 3, 2, 2)), boxes).maps
    assert fine.shape == (2, 1, 4, 4)
    assert fine[0, 0].nonzero().tolist() == [[1, 1], [2, 2], [2, 3], [3, 2], [3, 3]]
    assert coarse[0, 0].nonzero().tolist() == [[1, 1]]
    assert not fine[1].any()


def test_agrees_with_loops():
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(5, 2, generator=generator) * 60
    boxes = torch.cat([low, low + torch.rand(5, 2, generator=generator) * 40], dim=1)
    (mask,) = box_cells(grid((1, 1, 7, 9)), [boxes], 0.25).maps
    for row in range(7):
        for column in range(9):
            x, y = 8 * (column + 0.25), 8 * (row + 0.25)
            held = any(x1 < x < x2 and y1 < y < y2 for x1, y1, x2, y2 in boxes.tolist())
            assert bool(mask[0, 0, row, column]) is held


@pytest.mark.parametrize(
    "name",
    [
        "fcos-resnet18h-c64",
        "retinanet-resnet18h-c64",
        "fasterrcnn-resnet18h-c64",
        "ssdlite-mobilenetv3",
    ],
)
def test_the_point_of_a_cell_is_the_centre_of_its_anchors(name):
    parts = build(name, num_classes=3)
    with in_eval(parts.model), torch.no_grad():
        batch = parts.preprocess([torch.rand(3, 128, 128)])
        seen = Pass(parts, batch)
        output = dense_output(seen)
    level = seen.features.levels[0]
    cells = level.map.shape[-2] * level.map.shape[-1]
    anchors = anchors_of(output)[0][: output.slots[0]].view(cells, -1, 4)
    centre = ((anchors[..., :2] + anchors[..., 2:]) / 2).mean(1).view(*level.map.shape[-2:], 2)
    place = torch.tensor([1.0, 2.0]) + point_offset(parts)  # of row 2, column 1
    assert torch.allclose(centre[2, 1] / level.stride, place, atol=0.05)


def test_what_fcos_may_learn_is_inside():
    parts = build("fcos-resnet18h-c64", num_classes=3)
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(6, 2, generator=generator) * 90
    boxes = torch.cat([low, low + 10 + torch.rand(6, 2, generator=generator) * 25], dim=1)
    target = {"boxes": boxes, "labels": torch.ones(6, dtype=torch.int64)}
    with in_eval(parts.model), torch.no_grad():
        batch = parts.preprocess([torch.rand(3, 128, 128)], [target])
        seen = Pass(parts, batch)
        positive = assigned_cells(seen).levels[0].map >= 0
        inside = box_cells(seen.features, [batch.targets[0]["boxes"]]).levels[0].map
    assert positive.sum() > 6
    assert not (positive & ~inside).any()


def test_boxes_of_every_image_are_needed():
    with pytest.raises(ValueError, match="1 sets of boxes for 2 images"):
        box_cells(grid((2, 1, 4, 4)), [torch.zeros(0, 4)])


def test_sums_by_hand():
    weights = grid(torch.tensor([[[[0.1, 0.2], [0.3, 0.4]]], [[[1.0, 1.0], [0.0, 0.0]]]]))
    inside = grid(torch.tensor([[[[True, False], [False, True]]], [[[False, False]] * 2]]))
    sums = sum_by_region(weights, inside)
    assert torch.allclose(sums.inside, torch.tensor([[0.5], [0.0]]))
    assert torch.allclose(sums.outside, torch.tensor([[0.5], [2.0]]))
    assert torch.allclose(sums.outside_share, torch.tensor([2.5 / 3.0]))


def test_levels_are_matched_by_stride_and_add_up():
    generator = torch.Generator().manual_seed(0)
    weights = grid(*(torch.rand(3, 1, n, n, generator=generator) for n in (8, 4)))
    inside = weights.apply(lambda values: values > 0.6)
    turned = Pyramid(inside.levels[::-1])
    sums = sum_by_region(weights, turned)
    assert sums.inside.shape == (3, 2)
    whole = torch.stack([values.sum((1, 2, 3)) for values in weights.maps], dim=1)
    assert torch.allclose(sums.inside + sums.outside, whole)
    assert torch.allclose(
        sums.inside[:, 1], torch.where(inside.maps[1], weights.maps[1], 0).sum((1, 2, 3))
    )


def test_a_level_without_weight_has_no_share():
    assert InsideOutside(torch.zeros(2, 1), torch.zeros(2, 1)).outside_share.isnan().all()


# --- scenes rendered again ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    config = SceneConfig(cue_probability=0.6)
    return config, open_data(cached_scenes(tmp_path_factory.mktemp("c"), config, 0, 8), "val")


def test_nothing_changed_gives_the_same_images(scenes):
    config, data = scenes
    dataset = DetectionDataset(data)
    again = rendered_again(data.record, config)
    assert len(again) == len(dataset) == 8
    assert all(torch.equal(image, dataset[i][0]) for i, image in enumerate(again))


def test_only_plates_go_when_cues_do(scenes):
    config, data = scenes
    before, after = rendered_again(data.record, config), rendered_again(
        data.record, config, cue_probability=0.0
    )  # fmt: skip
    cued = [
        any(x["factors"]["cue"] for x in data.record["annotations"] if x["image_id"] == number)
        for number in range(1, 9)
    ]
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert any(cued)
    assert all(change for change, cue in zip(changed, cued, strict=True) if cue)
    for a, b, number in zip(before, after, range(1, 9), strict=True):
        different = (a != b).any(0)
        for annotation in data.record["annotations"]:
            if annotation["image_id"] == number:
                x, y, width, height = (round(v) for v in annotation["bbox"])
                inner = different[y + 2 : y + height - 2, x + 2 : x + width - 2]
                assert inner.float().mean() < 0.5  # a plate may cross a neighbour's box


@pytest.mark.parametrize("wrong", [{"objects": (6, 6)}, {"pair_probability": 1.0}])
def test_a_change_that_moves_objects_is_refused(scenes, wrong):
    config, data = scenes
    with pytest.raises(ValueError, match=r"image \d has other objects"):
        rendered_again(data.record, config, **wrong)


def test_scenes_of_another_seed_are_refused(scenes):
    config, data = scenes
    with pytest.raises(ValueError, match="seed"):
        rendered_again(data.record, config, seed=5)


def test_changed_cells_by_hand():
    first = torch.zeros(1, 3, 32, 32)
    second = first.clone()
    second[0, 1, 4:12, 12:20] = 0.5  # the square around the point (x 16, y 8)
    (mask,) = changed_cells(first, second, grid((1, 5, 4, 4)), share=1.0).maps
    assert mask[0, 0].nonzero().tolist() == [[1, 2]]
    (mask,) = changed_cells(first, second, grid((1, 5, 4, 4)), share=0.25, offset=0.5).maps
    assert mask[0, 0].nonzero().tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
    (mask,) = changed_cells(first, second, grid((1, 5, 4, 4)), share=0.26, offset=0.5).maps
    assert not mask.any()


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_changed_cells_agree_with_loops(offset):
    generator = torch.Generator().manual_seed(1)
    first = torch.zeros(2, 3, 40, 56)
    second = (torch.rand(2, 3, 40, 56, generator=generator) > 0.9).float()
    pyramid = grid((2, 1, 5, 7), (2, 1, 3, 4))  # the coarse cells reach over the image
    for level, mask in zip(
        pyramid.levels, changed_cells(first, second, pyramid, 0.3, offset).maps, strict=True
    ):
        assert mask.shape == level.map.shape
        s = level.stride
        for n, _, i, j in np.ndindex(*mask.shape):
            y, x = (round((k + offset - 0.5) * s) for k in (i, j))
            square = second[n, :, max(y, 0) : y + s, max(x, 0) : x + s].any(0)
            assert bool(mask[n, 0, i, j]) is (square.sum() / s**2 >= 0.3).item()


def test_two_versions_have_one_shape():
    with pytest.raises(ValueError, match="two versions of the same images"):
        changed_cells(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 40), grid((1, 1, 4, 4)))
    with pytest.raises(ValueError, match="1 images for 2 images"):
        changed_cells(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32), grid((2, 1, 4, 4)))
