from itertools import pairwise

import pytest
from pydantic import ValidationError

from kdviz.engine.config import TrainConfig, learning_rate
from kdviz.methods import TermWeight


class TestLearningRate:
    def test_warm_up_rises_to_the_peak_and_cosine_falls_from_it(self):
        config = TrainConfig(steps=100, warmup_steps=10, lr=0.5)
        rates = [learning_rate(step, config) for step in range(100)]
        assert rates[0] == 0.5 * 1e-3
        assert rates[5] == 0.25
        assert rates[10] == max(rates) == 0.5
        assert rates[55] == pytest.approx(0.25)
        assert all(a > b for a, b in pairwise(rates[10:]))
        assert rates[-1] > 0

    def test_steps(self):
        config = TrainConfig(
            steps=30, warmup_steps=0, lr=1.0, schedule="step", milestones=(10, 20), gamma=0.1
        )
        assert [learning_rate(step, config) for step in (0, 9, 10, 19, 20, 29)] == pytest.approx(
            [1, 1, 0.1, 0.1, 0.01, 0.01]
        )

    def test_constant(self):
        config = TrainConfig(steps=30, warmup_steps=0, schedule="constant", lr=0.3)
        assert {learning_rate(step, config) for step in range(30)} == {0.3}


class TestTermWeight:
    def test_start_then_ramp_then_full(self):
        weight = TermWeight(2.0, start=10, ramp=4)
        assert [weight.at(step, 100) for step in (0, 9, 10, 12, 14, 99)] == [0, 0, 0, 1, 2, 2]

    def test_decay_over_the_run(self):
        weight = TermWeight(5.0, decay="linear")
        assert [weight.at(step, 24) for step in (0, 6, 12)] == [5.0, 3.75, 2.5]

    def test_frs_warm_up(self):
        weight = TermWeight(1.0, ramp=500)
        assert weight.at(0, 1000) == 0
        assert weight.at(100, 1000) == 0.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps"),
        ({"warmup_steps": 50, "steps": 50}, "warmup_steps=50 leaves nothing of steps=50"),
        ({"schedule": "step"}, "needs milestones"),
        ({"milestones": (3,)}, "belong to schedule='step', not to 'cosine'"),
        ({"learning_rate": 1.0}, "learning_rate"),
        ({"precision": "16"}, "precision"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(ValidationError, match=message):
        TrainConfig(**change)
