import numpy as np
import pytest
from made_sets import coco, drawn, naive_iou, results, typed_set

from kdviz.diagnosis.errors import WRONG_TYPES, BoxType, type_all, type_boxes
from kdviz.diagnosis.inputs import read_inputs
from kdviz.engine.coco_input import DetectionColumns

OBJECT = (1, 1, (10, 10, 40, 40))
FAR = (1, 2, (70, 70, 20, 20))


def types(objects, boxes, **shape):
    typed = typed_set(objects, boxes, **shape)
    return [BoxType(x).name for x in typed.type], typed


@pytest.mark.parametrize(
    ("box", "name", "object_", "iou"),
    [
        ((1, 1, 0.9, (10, 10, 40, 40)), "TRUE", 0, 1.0),
        ((1, 1, 0.9, (10, 10, 40, 20)), "TRUE", 0, 0.5),
        ((1, 1, 0.9, (10, 10, 40, 16)), "LOCALISATION", 0, 0.4),
        ((1, 1, 0.9, (10, 10, 40, 4)), "LOCALISATION", 0, 0.1),
        ((1, 2, 0.9, (10, 10, 40, 40)), "CLASS", 0, 1.0),
        ((1, 3, 0.9, (10, 10, 40, 20)), "CLASS", 0, 0.5),
        ((1, 2, 0.9, (10, 10, 40, 16)), "BOTH", 0, 0.4),
        ((1, 1, 0.9, (75, 75, 20, 20)), "BOTH", 1, 225 / 575),
        ((1, 1, 0.9, (10, 10, 40, 3)), "BACKGROUND", -1, 0.075),
        ((1, 1, 0.9, (10, 60, 5, 5)), "BACKGROUND", -1, 0.0),
        ((2, 1, 0.9, (10, 10, 40, 40)), "BACKGROUND", -1, 0.0),
    ],
)
def test_single_boxes(box, name, object_, iou):
    (found,), typed = types([OBJECT, FAR], [box])
    assert found == name
    assert typed.object[0] == object_
    assert typed.iou[0] == iou


def test_the_better_score_gets_the_object_and_the_next_is_a_duplicate():
    boxes = [(1, 1, 0.4, (10, 10, 40, 40)), (1, 1, 0.6, (10, 10, 40, 30))]
    found, typed = types([OBJECT], boxes)
    assert found == ["DUPLICATE", "TRUE"]
    assert typed.object.tolist() == [0, 0]
    assert typed.iou.tolist() == [1.0, 0.75]
    assert typed.found_by.tolist() == [1]


def test_a_second_box_of_exactly_half_is_badly_localised_as_in_tide():
    found, _ = types([OBJECT], [(1, 1, 0.9, (10, 10, 40, 40)), (1, 1, 0.8, (10, 10, 40, 20))])
    assert found == ["TRUE", "LOCALISATION"]


def test_a_second_object_is_found_though_the_first_fits_better():
    beside = (1, 1, (10, 20, 40, 40))
    boxes = [(1, 1, 0.9, (10, 10, 40, 40)), (1, 1, 0.8, (10, 12, 40, 40))]
    found, typed = types([OBJECT, beside], boxes)
    assert found == ["TRUE", "TRUE"]
    assert typed.object.tolist() == [0, 1]
    assert typed.iou[1] == pytest.approx(32 / 48)


def test_a_box_of_the_wrong_class_on_a_found_object_is_a_class_error():
    found, typed = types([OBJECT], [(1, 1, 0.9, (10, 10, 40, 40)), (1, 2, 0.8, (10, 10, 40, 40))])
    assert found == ["TRUE", "CLASS"]
    assert typed.repaired_by.tolist() == [-1]


def test_the_box_of_the_highest_score_repairs():
    boxes = [
        (1, 1, 0.3, (10, 10, 40, 10)),
        (1, 2, 0.7, (10, 10, 40, 39)),
        (1, 1, 0.6, (10, 10, 40, 19)),
    ]
    _, typed = types([OBJECT, FAR], boxes)
    assert typed.repaired_by.tolist() == [1, -1]
    assert typed.missed.tolist() == [False, True]


def test_crowd_regions_excuse_boxes_of_their_class_and_are_nobodys_miss():
    crowd = (1, 1, (0, 0, 50, 100), True)
    boxes = [
        (1, 1, 0.9, (10, 60, 20, 20)),  # inside
        (1, 1, 0.8, (40, 60, 20, 20)),  # half inside
        (1, 1, 0.7, (41, 60, 20, 20)),  # less
        (1, 2, 0.6, (10, 60, 20, 20)),  # another class
        (1, 1, 0.5, (10, 10, 40, 40)),  # a regular object inside the region
    ]
    found, typed = types([OBJECT, crowd], boxes)
    assert found == ["IGNORED", "IGNORED", "BACKGROUND", "BACKGROUND", "TRUE"]
    assert typed.object.tolist() == [1, 1, -1, -1, 0]
    assert typed.iou[:2].tolist() == [1.0, 0.5]
    assert not typed.missed.any()
    assert typed.found_by.tolist() == [4, -1]


def test_only_the_best_hundred_boxes_of_an_image_count():
    boxes = [(1, 1, 0.5 + n / 1000, (60, 60, 5, 5)) for n in range(100)]
    found, typed = types(
        [OBJECT], [(1, 1, 0.4, (10, 10, 40, 40)), *boxes, (2, 1, 0.1, (0, 0, 5, 5))]
    )
    assert found == ["SURPLUS"] + ["BACKGROUND"] * 101
    assert typed.counts()[BoxType.BACKGROUND] == 101
    assert typed.counts(0.55)[BoxType.BACKGROUND] == 50
    assert typed.missed.tolist() == [True]


def test_no_boxes_at_all():
    truth = read_inputs(coco([OBJECT]), student=results([(1, 1, 0.5, (0, 0, 5, 5))])).truth
    empty = np.zeros(0, np.int64)
    none = DetectionColumns(empty, empty, np.zeros((0, 4)), np.zeros(0), ())
    typed = type_boxes(truth, none)
    assert typed.found_by.tolist() == [-1]
    assert typed.missed.tolist() == [True]


def naive_types(truth, boxes):
    """TIDE's rules one box after the other, with tables of a whole image."""
    name, pointed = [""] * len(boxes.scores), [-1] * len(boxes.scores)
    found_by = {}
    order = sorted(range(len(boxes.scores)), key=lambda i: -boxes.scores[i])
    for image in set(boxes.image.tolist()):
        mine = [i for i in order if boxes.image[i] == image]
        objects = [g for g in range(len(truth.image)) if truth.image[g] == image]
        crowds = [g for g in objects if truth.crowd[g]]
        objects = [g for g in objects if not truth.crowd[g]]
        overlap = {
            (i, g): naive_iou(boxes.boxes[i], truth.boxes[g], bool(truth.crowd[g]))
            for i in mine
            for g in [*objects, *crowds]
        }
        same = {g: [i for i in mine if boxes.category[i] == truth.category[g]] for g in objects}
        for i in mine[:100]:
            free = [g for g in objects if i in same[g] and g not in found_by]
            best = max(free, key=lambda g: overlap[i, g], default=None)
            if best is not None and overlap[i, best] >= 0.5:
                name[i], pointed[i], found_by[best] = "TRUE", best, i
        for i in mine:
            if name[i]:
                continue
            if i in mine[100:]:
                name[i] = "SURPLUS"
                continue
            region = [g for g in crowds if truth.category[g] == boxes.category[i]]
            region = max(region, key=lambda g: overlap[i, g], default=None)
            if region is not None and overlap[i, region] >= 0.5:
                name[i], pointed[i] = "IGNORED", region
                continue
            own = max(
                (g for g in objects if i in same[g]), key=lambda g: overlap[i, g], default=None
            )
            other = max(
                (g for g in objects if i not in same[g]), key=lambda g: overlap[i, g], default=None
            )
            taken = max(
                (g for g in objects if i in same[g] and g in found_by),
                key=lambda g: overlap[i, g],
                default=None,
            )
            near = max(objects, key=lambda g: overlap[i, g], default=None)
            if own is not None and 0.1 <= overlap[i, own] <= 0.5:
                name[i], pointed[i] = "LOCALISATION", own
            elif other is not None and overlap[i, other] >= 0.5:
                name[i], pointed[i] = "CLASS", other
            elif taken is not None and overlap[i, taken] >= 0.5:
                name[i], pointed[i] = "DUPLICATE", taken
            elif near is None or overlap[i, near] <= 0.1:
                name[i] = "BACKGROUND"
            else:
                name[i], pointed[i] = "BOTH", near
    return name, pointed, found_by


@pytest.mark.parametrize("seed", range(4))
def test_types_are_those_of_the_rules_one_by_one(seed):
    truth, sets = drawn(images=8, boxes=900, seed=seed, ties=seed % 2 == 1)
    inputs = read_inputs(truth, **sets)
    typed = type_all(inputs)["student"]
    name, pointed, found_by = naive_types(inputs.truth, inputs.detections["student"])
    assert [BoxType(x).name for x in typed.type] == name
    assert typed.object.tolist() == pointed
    assert typed.found_by.tolist() == [found_by.get(g, -1) for g in range(len(inputs.truth.image))]
    assert {"TRUE", "CLASS", "LOCALISATION", "BOTH", "DUPLICATE", "BACKGROUND"} <= set(name)
    assert "SURPLUS" in name
    assert "IGNORED" in name


def test_dropping_boxes_below_a_score_leaves_the_types_of_the_others():
    truth, sets = drawn(seed=7)
    whole = type_all(read_inputs(truth, **sets))["student"]
    kept = whole.boxes.scores >= 0.4
    few = [box for box in sets["student"] if box["score"] >= 0.4]
    part = type_all(read_inputs(truth, student=few))["student"]
    assert part.type.tolist() == whole.type[kept].tolist()
    assert part.object.tolist() == whole.object[kept].tolist()
    assert part.iou.tolist() == whole.iou[kept].tolist()


def test_the_order_of_the_file_means_nothing():
    truth, sets = drawn(seed=3)
    order = np.random.default_rng(0).permutation(len(sets["student"]))
    one, other = (
        type_all(read_inputs(truth, student=boxes))["student"]
        for boxes in (sets["student"], [sets["student"][i] for i in order])
    )
    assert other.type.tolist() == one.type[order].tolist()
    assert other.object.tolist() == one.object[order].tolist()


def test_counts_are_those_of_tidecv(tidecv):
    """tidecv also types the boxes in crowd regions, so its counts are higher by at most those."""
    short = dict(zip(("Cls", "Loc", "Both", "Dupe", "Bkg"), WRONG_TYPES, strict=True))
    for truth, found, figures in tidecv:
        typed = type_all(read_inputs(truth, student=found))["student"]
        counts = typed.counts()
        more = [figures["counts"][a] - counts[b] for a, b in short.items()]
        assert min(more) >= 0
        assert sum(more) == counts[BoxType.IGNORED]
        assert typed.missed.sum() == figures["counts"]["Miss"]
