import numpy as np
import pytest
from made_sets import drawn, typed_set

from kdviz.diagnosis.errors import BoxType, type_all
from kdviz.diagnosis.inputs import read_inputs
from kdviz.diagnosis.precision import COCO_RECALLS, precision_recall, rank_boxes
from kdviz.engine.coco_eval import evaluate_coco


def naive_curve(scores, true, objects):
    """Best precision from each recall on, box after box."""
    hits, points = 0, []
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    for n, i in enumerate(order, 1):
        hits += bool(true[i])
        points.append((hits / objects, hits / n))
    return [max((p for r, p in points if r >= recall), default=0.0) for recall in COCO_RECALLS]


@pytest.mark.parametrize("seed", range(6))
def test_the_mean_is_cocos_ap50(seed):
    truth, sets = drawn(seed=seed, boxes=500, classes=8, ties=seed % 2 == 1)
    typed = type_all(read_inputs(truth, **sets))["student"]
    metrics = evaluate_coco(truth, sets["student"])
    ranked = rank_boxes(typed)
    np.testing.assert_allclose(ranked.mean_precision(), metrics.stats["AP50"], atol=1e-12)
    each = [one.stats["AP50"] for one in metrics.per_class.values()]
    per_class = ranked.class_precision(COCO_RECALLS)[0]
    np.testing.assert_allclose(np.nan_to_num(per_class, nan=-1), each, atol=1e-12)


def test_the_mean_is_cocos_ap50_on_the_example_of_the_coco_api(tidecv):
    truth, found, _ = tidecv[0]
    typed = type_all(read_inputs(truth, student=found))["student"]
    assert rank_boxes(typed).mean_precision()[0] == pytest.approx(0.6969727247299577, abs=1e-12)


def test_weights_count_an_image_as_if_it_were_there_as_often():
    truth, sets = drawn(images=12, objects=70, boxes=300, classes=4, seed=1)
    typed = type_all(read_inputs(truth, **sets))["student"]
    weights = np.random.default_rng(0).integers(0, 4, (9, 12)).astype(np.int32)
    found = rank_boxes(typed).class_precision(COCO_RECALLS, weights)
    counted = np.flatnonzero(typed.type < BoxType.IGNORED)
    for row, precision in zip(weights, found, strict=True):
        boxes = np.repeat(counted, row[typed.boxes.image[counted]])
        regular = np.flatnonzero(~typed.truth.crowd)
        objects = np.repeat(regular, row[typed.truth.image[regular]])
        for category in range(4):
            mine = boxes[typed.boxes.category[boxes] == category]
            count = int((typed.truth.category[objects] == category).sum())
            if not count:
                assert np.isnan(precision[category])
                continue
            curve = naive_curve(typed.boxes.scores[mine], typed.type[mine] == BoxType.TRUE, count)
            assert precision[category] == pytest.approx(np.mean(curve), abs=1e-12)


def test_curves_are_those_of_a_loop_and_average_to_ap():
    truth, sets = drawn(seed=4, classes=7, objects=90)
    typed = type_all(read_inputs(truth, **sets))["student"]
    recalls, curves = precision_recall(typed)
    assert curves.shape == (7, 101)
    for category in range(7):
        mine = (typed.boxes.category == category) & (typed.type < BoxType.IGNORED)
        count = int(((typed.truth.category == category) & ~typed.truth.crowd).sum())
        if count:
            curve = naive_curve(typed.boxes.scores[mine], typed.type[mine] == BoxType.TRUE, count)
            np.testing.assert_allclose(curves[category], curve, atol=1e-12)
        else:
            assert np.isnan(curves[category]).all()
    assert recalls.tolist() == COCO_RECALLS.tolist()
    assert np.nanmean(curves.mean(1)) == pytest.approx(rank_boxes(typed).mean_precision()[0])


def test_a_detector_without_a_right_box_has_no_precision():
    typed = typed_set([(1, 1, (10, 10, 40, 40))], [(1, 1, 0.9, (60, 60, 5, 5))])
    assert rank_boxes(typed).mean_precision().tolist() == [0.0]
    weights = np.array([[0, 2], [1, 1]], np.int32)
    assert np.isnan(rank_boxes(typed).mean_precision(weights)).tolist() == [True, False]
