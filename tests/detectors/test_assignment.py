"""Assignment against the rules written out in loops, and against what the losses really train."""

import pytest
import torch
from torch.nn import functional

from kdviz.detectors import CustomParts, Pass
from kdviz.detectors.assignment import (
    BACKGROUND,
    IGNORED,
    assigned_cells,
    assigned_slots,
    cell_points,
    matched_boxes,
)

BOXES = torch.tensor(
    [
        [5.0, 5.0, 40.0, 44.0],
        [20.0, 20.0, 60.0, 62.0],
        [50.0, 8.0, 80.0, 30.0],
        [2.0, 2.0, 90.0, 62.0],
        [70.0, 50.0, 77.0, 58.0],
    ]
)
LABELS = torch.tensor([1, 4, 2, 3, 1])


@pytest.fixture
def seen(family, small):
    """A detector on an image of 64 x 96 pixels (which SSD stretches), and on one without boxes."""
    return looked_at(small(family))


def looked_at(parts, boxes=BOXES, labels=LABELS):
    images = [torch.rand(3, 64, 96)] * 2
    targets = [
        {"boxes": boxes, "labels": labels, "image_id": torch.tensor(1)},
        {"boxes": boxes[:0], "labels": labels[:0], "image_id": torch.tensor(2)},
    ]
    return Pass(parts, parts.preprocess(images, targets))


def iou(first, second):
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (first, second)]
    return width * height / (sum(areas) - width * height)


def fcos_by_rule(anchors, slots, boxes):
    """The paper's three conditions for every point and box, the smallest box last."""
    found = []
    for level, square in zip(
        [i for i, n in enumerate(slots) for _ in range(n)], anchors.tolist(), strict=True
    ):
        x, y, side = (square[0] + square[2]) / 2, (square[1] + square[3]) / 2, square[2] - square[0]
        low = 0 if level == 0 else 4 * side
        high = float("inf") if level == len(slots) - 1 else 8 * side
        candidates = []
        for index, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
            sides = (x - x1, y - y1, x2 - x, y2 - y)
            offset = max(abs(x - (x1 + x2) / 2), abs(y - (y1 + y2) / 2))
            if min(sides) > 0 and low < max(sides) < high and offset < 1.5 * side:
                candidates.append(((x2 - x1) * (y2 - y1), index))
        found.append(min(candidates)[1] if candidates else BACKGROUND)
    return found


def anchors_by_rule(anchors, boxes, *, high, low, best):
    """The thresholds for every anchor, then the best of each box: all its anchors, or one alone."""
    overlaps = [[iou(anchor, box) for box in boxes.tolist()] for anchor in anchors.tolist()]
    owners = [max(range(len(boxes)), key=row.__getitem__) for row in overlaps]
    found = []
    for owner, row in zip(owners, overlaps, strict=True):
        found.append(owner if row[owner] >= high else IGNORED if row[owner] >= low else BACKGROUND)
    for box in range(len(boxes)):
        column = [row[box] for row in overlaps]
        greatest = max(column)
        if best == "one":
            found[column.index(greatest)] = box
        else:
            for slot, value in enumerate(column):
                if abs(value - greatest) < 1e-6:
                    found[slot] = owners[slot]
    return found


class TestAgainstTheRules:
    def test_every_slot(self, family, seen):
        anchors = seen.output.extras["anchors"][0]
        truth = seen.batch.targets[0]["boxes"]
        matched = matched_boxes(seen.parts, seen.output, [truth, truth[:0]])
        assert matched.dtype == torch.int64
        assert matched.shape == seen.output.logits.shape[:2]
        if family == "fcos":
            expected = fcos_by_rule(anchors, seen.output.slots, truth)
        else:
            rule = {
                "retinanet": {"high": 0.5, "low": 0.4, "best": "all"},
                "fasterrcnn": {"high": 0.7, "low": 0.3, "best": "all"},
                "ssdlite": {"high": 0.5, "low": 0.5, "best": "one"},
            }[family]
            expected = anchors_by_rule(anchors, truth, **rule)
        assert len(set(expected)) >= 4  # the example asks something
        assert matched[0].tolist() == expected
        assert (matched[1] == BACKGROUND).all()

    def test_anchors_between_the_thresholds_are_ignored(self, small):
        for family in ("retinanet", "fasterrcnn"):
            seen = looked_at(small(family))
            assert (assigned_slots(seen).maps[0] == IGNORED).any()


class TestByHand:
    def test_fcos_points_near_the_centre(self, small):
        # The points of stride 8 lie at its multiples: of 24, 32, 40, 48 only two are closer than
        # 12 pixels to the centre 36 (24 and 48 are exactly 12 away), along both axes.
        seen = looked_at(small("fcos"), torch.tensor([[16.0, 16.0, 56.0, 56.0]]), LABELS[:1])
        cells = assigned_cells(seen)
        assert (cells.maps[0][0, 0] == 0).nonzero().tolist() == [[4, 4], [4, 5], [5, 4], [5, 5]]
        assert all((values == BACKGROUND).all() for values in cells.maps[1:])

    def test_fcos_gives_a_shared_point_to_the_smaller_box(self, small):
        boxes = torch.tensor([[12.0, 12.0, 52.0, 52.0], [22.0, 22.0, 42.0, 42.0]])
        for order in ([0, 1], [1, 0]):
            seen = looked_at(small("fcos"), boxes[order], LABELS[:2])
            assert set(assigned_cells(seen).maps[0].unique().tolist()) == {-1, order.index(1)}

    def test_fcos_radius_is_the_models_own(self, small):
        box = torch.tensor([[16.0, 16.0, 48.0, 48.0]])
        counts = [
            int((assigned_cells(looked_at(small("fcos", **options), box, LABELS[:1])).maps[0] == 0)
                .sum())
            for options in ({"center_sampling_radius": 0.5}, {}, {"center_sampling_radius": 9.0})
        ]  # fmt: skip
        assert counts == [1, 9, 9]  # the last: all points inside the box, not on its sides

    def test_retinanet_box_that_is_an_anchor(self, small):
        parts = small("retinanet")
        grid = parts.anchors(looked_at(parts).features, looked_at(parts).batch)[0]
        box = grid[3, 5, 4:5]  # row 3, column 5
        seen = looked_at(parts, box, LABELS[:1])
        assert int(assigned_slots(seen).maps[0][0, 4, 3, 5]) == 0
        assert int(assigned_cells(seen).maps[0][0, 0, 3, 5]) == 0
        assert int(assigned_cells(seen).maps[0][0, 0, 5, 3]) != 0

    def test_retinanet_keeps_every_equally_bad_anchor_of_a_tiny_box(self, small):
        box = torch.tensor([[30.0, 22.0, 34.0, 26.0]])
        seen = looked_at(small("retinanet"), box, LABELS[:1])
        first, *others = assigned_slots(seen).maps
        grid = seen.parts.anchors(seen.features, seen.batch)[0].permute(2, 0, 1, 3)
        sides = grid[..., 2:] - grid[..., :2]
        holds = ((grid[..., :2] <= box[0, :2]) & (grid[..., 2:] >= box[0, 2:])).all(dim=-1)
        # IoU is 16 / area where the box lies inside: anchors of least area share the best.
        least = holds & (sides.prod(dim=-1) == sides.prod(dim=-1).min())
        assert least.sum() > 9
        assert torch.equal(first[0] == 0, least)
        assert all((values == BACKGROUND).all() for values in others)


class TestMaps:
    def test_slots_are_laid_out_as_the_anchors_are(self, family, seen):
        """Cell (i, j), anchor a of a level is slot (i W + j) A + a of that level."""
        truth = [target["boxes"] for target in seen.batch.targets]
        flat = matched_boxes(seen.parts, seen.output, truth)
        slots = assigned_slots(seen)
        assert slots.strides == seen.features.strides
        first = 0
        for values, grid in zip(slots.maps, seen.features.maps, strict=True):
            height, width = grid.shape[-2:]
            each = values.shape[1]
            assert values.shape == (2, each, height, width)
            for a, i, j in [(0, 0, 0), (each - 1, 0, width - 1), (each // 2, height - 1, 0)]:
                assert values[0, a, i, j] == flat[0, first + (i * width + j) * each + a]
            first += height * width * each

    def test_cells_take_their_best_anchor(self, family, seen):
        slots, cells = assigned_slots(seen), assigned_cells(seen)
        by_level = seen.output.extras["anchors"][0].split(seen.output.slots)
        truth = seen.batch.targets[0]["boxes"].tolist()
        for values, of_cells, flat in zip(slots.maps, cells.maps, by_level, strict=True):
            _, each, height, width = values.shape
            anchors = flat.view(height, width, each, 4).tolist()
            assert of_cells.shape == (2, 1, height, width)
            for i in range(height):
                for j in range(width):
                    told = values[0, :, i, j].tolist()
                    owned = [
                        (iou(anchors[i][j][a], truth[box]), box)
                        for a, box in enumerate(told)
                        if box >= 0
                    ]
                    expected = BACKGROUND if set(told) == {BACKGROUND} else IGNORED
                    expected = max(owned)[1] if owned else expected
                    assert int(of_cells[0, 0, i, j]) == expected
            assert (of_cells[1] == BACKGROUND).all()

    def test_other_boxes_than_those_of_the_batch(self, small):
        parts = small("fcos")
        batch = parts.preprocess([torch.rand(3, 64, 96)])
        with pytest.raises(ValueError, match="targets"):
            assigned_cells(Pass(parts, batch))
        cells = assigned_cells(Pass(parts, batch), [BOXES[:1]])
        assert set(cells.maps[0].unique().tolist()) == {BACKGROUND, 0}

    def test_a_detector_of_the_users_own(self, small):
        parts = small("fcos")
        stranger = CustomParts(
            parts.model,
            preprocess=parts.preprocess,
            features=parts.features,
            num_classes=5,
            head=parts.head,
            losses=parts.losses,
            detections=parts.detections,
        )
        with pytest.raises(TypeError, match="CustomParts"):
            assigned_slots(looked_at(stranger))


def test_points_are_the_multiples_of_the_stride(family, seen):
    shift = 0.5 if family == "ssdlite" else 0.0
    for level, points in zip(seen.features.levels[:3], cell_points(seen)[:3], strict=True):
        height, width = level.map.shape[-2:]
        assert points.shape == (height, width, 2)
        step = level.stride
        for i, j in [(0, 0), (height - 1, 1), (1, width - 1)]:
            expected = torch.tensor([(j + shift) * step, (i + shift) * step])
            torch.testing.assert_close(points[i, j], expected, rtol=1e-3, atol=1e-3)


class TestAgainstTheLosses:
    """The classes that the loss is really computed with are those of the assigned boxes."""

    def classes(self, seen):
        labels = torch.cat([target["labels"] for target in seen.batch.targets])
        truth = [target["boxes"] for target in seen.batch.targets]
        matched = matched_boxes(seen.parts, seen.output, truth)
        return torch.where(matched >= 0, labels[matched.clamp(min=0)], matched)

    @pytest.mark.parametrize("name", ["fcos", "retinanet"])
    def test_focal_loss(self, small, monkeypatch, name):
        module = f"torchvision.models.detection.{name}.sigmoid_focal_loss"
        told = []

        def spy(logits, targets, **options):
            told.append(targets)
            return (logits * targets).sum()

        monkeypatch.setattr(module, spy)
        seen = looked_at(small(name))
        seen.parts.losses(seen.output, seen.batch)
        expected = self.classes(seen)
        targets = torch.cat([each.flatten(0, -2) for each in told])
        counted = expected[expected != IGNORED]
        assert torch.equal(targets.sum(dim=1) > 0, counted >= 0)
        assert torch.equal(targets.argmax(dim=1)[counted >= 0], counted[counted >= 0])

    def test_cross_entropy_of_ssd(self, small, monkeypatch):
        plain, told = functional.cross_entropy, []

        def spy(logits, targets, **options):
            told.append(targets)
            return plain(logits, targets, **options)

        monkeypatch.setattr(functional, "cross_entropy", spy)
        seen = looked_at(small("ssdlite"))
        seen.parts.losses(seen.output, seen.batch)
        assert torch.equal(told[0].flatten(), self.classes(seen).clamp(min=0).flatten())

    def test_anchors_of_the_first_stage(self, small):
        seen = looked_at(small("fasterrcnn"))
        labels = torch.stack(seen.output.extras["anchor_labels"])
        classes = self.classes(seen)
        assert torch.equal(labels == 1, classes >= 0)
        assert torch.equal(labels == 0, classes == BACKGROUND)
        assert torch.equal(labels == -1, classes == IGNORED)
