import numpy as np
import pytest
from made_sets import drawn

from kdviz.diagnosis.bootstrap import (
    Estimate,
    Resamples,
    draw_images,
    error_estimates,
    mistake_estimates,
    score_estimates,
    transition_estimates,
)
from kdviz.diagnosis.errors import BoxType, type_all
from kdviz.diagnosis.inputs import read_inputs
from kdviz.diagnosis.precision import rank_boxes
from kdviz.diagnosis.transitions import Transition, follow_objects
from kdviz.diagnosis.verdicts import verdicts


@pytest.fixture(scope="module")
def three():
    truth, sets = drawn(names=("student", "teacher", "distilled"), seed=8)
    typed = type_all(read_inputs(truth, **sets))
    return {name: verdicts(one, 0.4) for name, one in typed.items()}


def test_each_draw_takes_as_many_images_as_there_are():
    drawn_images = draw_images(40, 500, seed=3)
    assert drawn_images.weights.shape == (500, 40)
    assert set(drawn_images.weights.sum(1).tolist()) == {40}
    assert drawn_images.weights.mean(0) == pytest.approx(np.ones(40), abs=0.25)
    # The number of times that one image is drawn is binomial, of variance 1 - 1 / 40.
    assert drawn_images.weights.var() == pytest.approx(1 - 1 / 40, abs=0.05)
    np.testing.assert_array_equal(drawn_images.weights, draw_images(40, 500, seed=3).weights)
    assert (drawn_images.weights != draw_images(40, 500, seed=4).weights).any()
    with pytest.raises(ValueError, match="cannot draw 0 times from 5 images"):
        draw_images(5, 0)


def test_shares_are_those_of_the_images_drawn():
    part, whole = np.array([0, 0, 2]), np.array([0, 0, 0, 1, 2, 2])
    draws = Resamples(np.array([[1, 1, 1], [3, 0, 0], [0, 2, 1], [0, 3, 0]], np.int32))
    share = draws.share(part, whole)
    assert share.value == 0.5
    assert share.draws == pytest.approx([3 / 6, 6 / 9, 1 / 4, 0])
    empty = draws.share(part[:0], whole[3:4])
    assert empty.value == 0
    assert np.isnan(empty.draws).tolist() == [False, True, False, False]


def test_intervals_are_percentiles_and_differences_are_paired():
    one = Estimate(0.5, np.arange(101.0))
    assert one.interval() == pytest.approx((2.5, 97.5))
    assert one.interval(0.5) == (25, 75)
    assert (one - one).interval() == (0, 0)
    assert str(Estimate(0.25, np.full(3, 0.25))) == "0.250 [0.250, 0.250]"
    assert np.isnan(Estimate(np.nan, np.full(3, np.nan)).interval()).all()
    assert Estimate(1.0, np.array([np.nan, 1, 1])).interval() == (1, 1)


def test_scores_of_a_draw_are_those_of_its_images(three):
    draws = draw_images(30, 4, seed=1)
    judged = three["student"]
    found, errors = score_estimates(judged, draws), error_estimates(judged, draws)
    typed, truth = judged.typed, judged.typed.truth
    shown = (typed.boxes.scores >= 0.4) & (typed.type < BoxType.IGNORED)
    for n, row in enumerate(draws.weights):
        boxes, objects = row[typed.boxes.image], row[truth.image]
        true = (boxes * (shown & (typed.type == BoxType.TRUE))).sum()
        everything = (objects * ~truth.crowd).sum()
        assert found["precision"].draws[n] == pytest.approx(true / (boxes * shown).sum())
        assert found["recall"].draws[n] == pytest.approx(
            (objects * judged.right).sum() / everything
        )
        wrong = (boxes * (shown & (typed.type == BoxType.CLASS))).sum()
        assert errors[BoxType.CLASS].draws[n] == pytest.approx(wrong / everything)
    assert found["recall"].value == judged.right.sum() / (~truth.crowd).sum()


def test_ap_is_weighed_draw_by_draw_and_centred(three):
    draws = draw_images(30, 20, seed=1)
    found = draws.ap50(three["student"].typed)
    ranked = rank_boxes(three["student"].typed)
    assert found.value == ranked.mean_precision()[0]
    assert found.draws.mean() == pytest.approx(found.value)
    raw = np.concatenate([ranked.mean_precision(row[None]) for row in draws.weights])
    np.testing.assert_allclose(found.draws - found.draws[0], raw - raw[0], atol=1e-12)


def test_transitions_sum_to_one_on_every_draw(three):
    draws = draw_images(30, 50)
    transitions = follow_objects(**three)
    found = transition_estimates(transitions, draws)
    assert list(found) == list(Transition)
    assert sum(one.value for one in found.values()) == pytest.approx(1)
    assert sum(one.draws for one in found.values()) == pytest.approx(np.ones(50))
    low, high = found[Transition.FIXED].interval()
    assert low < found[Transition.FIXED].value < high


def test_a_student_that_copies_another_has_no_excess_of_the_teachers_mistakes(three):
    draws = draw_images(30, 50)
    image = three["student"].typed.truth.image
    same = follow_objects(**three | {"distilled": three["student"]}).mistakes
    assert mistake_estimates(same, image, draws)["excess"].interval() == (0, 0)
    copy = follow_objects(**three | {"distilled": three["teacher"]}).mistakes
    for shown in (False, True):
        found = mistake_estimates(copy, image, draws, shown=shown)
        assert found["distilled"].value == 1
        among = copy.shown if shown else copy.teacher
        assert found["student"].value == (among & copy.student).sum() / among.sum()
        assert found["excess"].value == 1 - found["student"].value
        assert found["excess"].interval()[0] > 0


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """A share of .3 whose difficulty varies from image to image, in 300 data sets of 40 images."""
    rng = np.random.default_rng(0)
    held = 0
    for repeat in range(300):
        easy = rng.beta(1.2, 2.8, size=40)  # of mean .3
        found = rng.random((40, 5)) < easy[:, None]
        image = np.repeat(np.arange(40), 5)
        share = draw_images(40, 300, seed=repeat).share(image[found.ravel()], image)
        low, high = share.interval()
        held += low <= 0.3 <= high
    assert 0.90 < held / 300 < 0.975


def test_intervals_of_ap_hold_its_expectation():
    """Twenty data sets of one kind: their mean AP lies in most of their intervals."""
    values, intervals = [], []
    for seed in range(20):
        truth, sets = drawn(images=40, objects=240, boxes=1000, classes=12, seed=seed)
        typed = type_all(read_inputs(truth, **sets))["student"]
        one = draw_images(40, 100, seed=seed).ap50(typed)
        values.append(one.value)
        intervals.append(one.interval())
    mean = np.mean(values)
    assert sum(low <= mean <= high for low, high in intervals) >= 15
    widths = np.diff(intervals)
    assert 2.5 < widths.mean() / np.std(values) < 6
