"""What is collected of each object, against a detector called by hand and means in loops."""

from functools import cache

import pytest
import torch
from torch.testing import assert_close

from kdviz.detectors import build, freeze
from kdviz.diagnosis.instances import box_cells, box_features, object_factors, see_instances
from kdviz.methods.gkd_prototypes import box_means
from kdviz.structures import Level, Pyramid


@cache
def detectors():
    torch.manual_seed(0)
    sizes = {"min_size": 64, "max_size": 96}
    return {
        "student": build("fcos-shufflenetv2x0.5-c64", 4, **sizes),
        "teacher": freeze(build("fcos-resnet18h-c96", 4, **sizes)),
    }


def target(*boxes, label=1):
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return {"boxes": corners, "labels": torch.full((len(corners),), label)}


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(3)
    return [torch.rand(3, 32, 48, generator=generator) for _ in range(3)]


# Images are enlarged twofold: 17 pixels become 34.
TARGETS = [
    target([2, 3, 19, 20], [30, 10, 47, 31]),
    target(),
    target([0, 0, 16, 30], [5, 5, 9, 8], [20, 0, 48, 32], label=3),
]


def test_every_box_is_a_row_of_means(images):
    table = see_instances(**detectors(), images=images, targets=TARGETS)
    assert table.image_ids.tolist() == [0, 0, 2, 2, 2]
    assert table.labels.tolist() == [1, 1, 3, 3, 3]
    assert_close(table.boxes, torch.cat([x["boxes"] for x in TARGETS]))
    for role, parts in detectors().items():
        parts.model.eval()
        with torch.no_grad():
            maps = parts.features(parts.preprocess(images))
        assert list(getattr(table, role)) == maps.strides
        for level in maps.levels:
            height, width = level.map.shape[-2:]
            for row, image in enumerate(table.image_ids.tolist()):
                x1, y1, x2, y2 = (int(2 * v) // level.stride for v in table.boxes[row].tolist())
                cells = [
                    level.map[image, :, min(y, height - 1), min(x, width - 1)]
                    for y in range(y1, min(y2, height - 1) + 1)
                    for x in range(x1, min(x2, width - 1) + 1)
                ]
                expected = torch.stack(cells).mean(0)
                assert_close(
                    getattr(table, role)[level.stride][row], expected, atol=1e-5, rtol=1e-4
                )


def test_large_boxes_exceed_the_size_in_network_pixels_on_both_sides(images):
    for size, large in ((30, [1, 1, 1, 0, 1]), (33, [1, 1, 0, 0, 1]), (34, [0, 0, 0, 0, 1])):
        table = see_instances(**detectors(), images=images, targets=TARGETS, min_size=size)
        assert table.large.int().tolist() == large


def test_the_batch_size_changes_nothing(images):
    whole = see_instances(**detectors(), images=images, targets=TARGETS)
    single = see_instances(**detectors(), images=images, targets=TARGETS, batch_size=1)
    assert torch.equal(whole.image_ids, single.image_ids)
    for stride, features in whole.teacher.items():
        assert_close(features, single.teacher[stride], atol=1e-5, rtol=1e-4)


def test_another_detector_fills_the_same_rows(images):
    table = see_instances(**detectors(), images=images, targets=TARGETS)
    for role, parts in detectors().items():
        alone = box_features(parts, images, TARGETS, table.student)
        for stride, features in getattr(table, role).items():
            assert_close(features, alone[stride])


def test_a_student_in_training_stays_so_and_learns_nothing(images):
    model = detectors()["student"].model.train()
    before = {name: values.clone() for name, values in model.state_dict().items()}
    see_instances(**detectors(), images=images, targets=TARGETS)
    box_features(detectors()["student"], images, TARGETS, [8])
    assert all(module.training for module in model.modules())
    for name, values in model.state_dict().items():
        assert torch.equal(values, before[name])


def test_targets_are_left_as_they_were(images):
    see_instances(**detectors(), images=images, targets=TARGETS)
    assert all(set(x) == {"boxes", "labels"} for x in TARGETS)


def test_nothing_to_see(images):
    with pytest.raises(ValueError, match="no ground-truth box"):
        see_instances(**detectors(), images=images, targets=[target()] * 3)
    with pytest.raises(ValueError, match="2 targets for 3 images"):
        see_instances(**detectors(), images=images, targets=TARGETS[:2])


def test_cells_are_those_that_the_mean_is_taken_of():
    generator = torch.Generator().manual_seed(1)
    features = Pyramid(
        (Level("p3", 8, torch.zeros(1, 1, 8, 12)), Level("p5", 32, torch.zeros(1, 1, 2, 3)))
    )
    corners = torch.rand(60, 4, generator=generator) * 110 - 5
    boxes = torch.cat([corners[:, :2], corners[:, :2] + corners[:, 2:].abs()], dim=1)
    for box in boxes:
        for level in box_cells(features, box).levels:
            height, width = level.map.shape[-2:]
            one_channel_a_cell = torch.eye(height * width).view(1, -1, height, width)
            share = box_means(one_channel_a_cell, [box[None]], level.stride).view(height, width)
            assert torch.equal(level.map[0, 0], share > 0)


class TestFactors:
    annotations = (
        {"id": 9, "factors": {"size": 4.0, "blur": 0.5, "cue": 1}},
        {"id": 2, "factors": {"size": 4.0, "blur": 1.5, "cue": 0}},
        {"id": 5, "factors": {"size": 4.0, "blur": 2.5, "cue": 1}},
    )

    def targets(self, *ids):
        return [{**target([0, 0, 4, 9]), "annotation_ids": torch.tensor([i])} for i in ids]

    def test_follow_the_targets_not_the_record(self):
        found = object_factors(self.targets(5, 9), self.annotations)
        assert list(found) == ["size", "blur", "cue"]
        assert found["blur"].tolist() == [2.5, 0.5]
        assert found["size"].tolist() == [6.0, 6.0]

    def test_only_size_of_other_data(self):
        bare = [{"id": 9}, {"id": 5}]
        assert list(object_factors(self.targets(5, 9), bare)) == ["size"]
        assert list(object_factors([target([0, 0, 2, 2])], self.annotations)) == ["size"]

    def test_a_factor_that_some_objects_lack_is_left_out(self):
        some = [*self.annotations, {"id": 7, "factors": {"blur": 0.0}}]
        assert list(object_factors(self.targets(5, 7), some)) == ["size", "blur"]
