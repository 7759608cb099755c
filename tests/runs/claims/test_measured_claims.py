"""Numbers from inside detectors: planted effects come back, seeds are averaged draw by draw."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from kdviz.diagnosis.bootstrap import Estimate, draw_images
from kdviz.runs.claims.measure import (
    Trained,
    _correlation,
    _mean,
    look_at,
    over_seeds,
    read_shares,
    reliabilities,
)
from kdviz.runs.claims.records import QUANTITIES, READ, Measured, beyond, read_measured
from kdviz.runs.lessons import open_adapters, open_detector, open_lesson


def estimate(value, *draws):
    return Estimate(value, np.array(draws, dtype=float))


FOUND = {
    0: {("fgfi", "near"): estimate(0.2, 0.1, 0.3), ("fitnets", "near"): estimate(0.1, 0, 0.1)},
    1: {("fgfi", "near"): estimate(0.4, 0.5, 0.5), ("fitnets", "near"): estimate(0.2, 0.4, 0)},
}


class TestOverSeeds:
    def test_by_hand(self):
        rows = {one.place[2:]: one for one in over_seeds("d", "p", FOUND, "fitnets")}
        own = rows["fgfi", "near"]
        assert own.seeds == (0, 1)
        assert own.values == (0.2, 0.4)
        # The draws of both seeds are of the same images: their means are 0.3 and 0.4.
        assert own.images == pytest.approx((0.3025, 0.3975))
        more = rows["fgfi", beyond("near", "fitnets")]
        assert more.values == pytest.approx((0.1, 0.2))
        assert more.images == pytest.approx((0.1 + 0.025 * 0.25, 0.35 - 0.025 * 0.25))
        assert ("fitnets", beyond("near", "fitnets")) not in rows

    def test_a_seed_without_the_control_counts_for_the_method_alone(self):
        found = {**FOUND, 2: {("fgfi", "near"): estimate(0.9, 0.9, 0.9)}}
        rows = {one.place[2:]: one for one in over_seeds("d", "p", found, "fitnets")}
        assert rows["fgfi", "near"].seeds == (0, 1, 2)
        assert rows["fgfi", beyond("near", "fitnets")].seeds == (0, 1)

    def test_is_read_as_it_was_written(self, tmp_path):
        rows = over_seeds("d", "p", FOUND, "fitnets")
        rows.append(Measured("d", "p", "x", "y", (0,), (0.5,)))
        file = tmp_path / "measured.json"
        file.write_text(json.dumps({"measured": [asdict(one) for one in rows]}))
        assert read_measured(file) == rows
        assert read_measured(tmp_path / "none.json") == []


class TestDraws:
    image = np.array([0, 0, 1, 2, 2, 2])

    def test_the_mean_counts_objects_and_not_images(self):
        values = np.array([1.0, 1.0, 4.0, 0.0, 0.0, 0.0])
        resamples = draw_images(3, 50)
        found = _mean(values, self.image, resamples)
        assert found.value == 1.0
        for weights, draw in zip(resamples.weights, found.draws, strict=True):
            drawn = np.repeat(values, weights[self.image])
            assert draw == pytest.approx(drawn.mean())

    def test_the_correlation_of_a_draw_repeats_its_objects(self):
        image = np.arange(40) // 4
        values = np.arange(40.0)
        falling = _correlation(values, -values, image, draw_images(10, 20))
        assert falling.value == pytest.approx(-1)
        assert falling.draws == pytest.approx(-np.ones(20))


@pytest.fixture(scope="module")
def lesson():
    return open_lesson(count=12)


@pytest.fixture(scope="module")
def teacher():
    return open_detector("teacher")[0]


@pytest.fixture(scope="module")
def found(lesson, teacher):
    students = {name: open_detector(name)[0] for name in ("student", "fitnets", "dist2")}
    methods = {
        name: open_adapters(name, student=students[name], teacher=teacher)[name]
        for name in ("fitnets", "dist2")
    }
    torch.manual_seed(0)
    return look_at(Trained(teacher, students, methods), lesson.data, draws=50)


class TestLookingInside:
    def test_finds_what_it_has_a_name_for(self, found):
        assert {quantity for _, quantity in found} <= set(QUANTITIES)
        assert ("dist2", READ) in found
        assert ("fitnets", "near minus lone") not in found or "near minus lone" in QUANTITIES

    def test_the_shares_are_those_of_the_adapters(self, found):
        """The teacher's head reads a student that was trained for it, and plain ones less."""
        assert found["dist2", READ].value > found["fitnets", READ].value > 0

    def test_every_number_has_its_draws(self, found):
        assert {len(estimate.draws) for estimate in found.values()} == {50}
        assert all(np.isfinite(estimate.value) for estimate in found.values())


def test_a_student_that_is_the_teacher_is_wholly_reliable(lesson, teacher):
    resamples = draw_images(len(lesson.images), 10)
    twin = open_detector("teacher")[0]
    found = reliabilities(lesson, student=twin, teacher=teacher, resamples=resamples)
    for quantity in ("change of reliability when blurred", "change of reliability when covered"):
        assert found["student", quantity].value == pytest.approx(0, abs=1e-6)


def test_a_share_of_the_same_boxes_is_one(lesson):
    class Same:
        def ap50(self, typed):
            return typed

    own = estimate(0.4, 0.3, 0.5, 0.0)
    found = read_shares({"x": own}, {"x": own}, Same())
    assert found["x", READ].value == 1
    assert found["x", READ].draws[:2] == pytest.approx((1, 1))
    assert np.isnan(found["x", READ].draws[2])
