import pytest

from kdviz.runs.matrix.outcomes import Outcome


def _done(method, seed, score, **place):
    place = {"data": "scenes", "pair": "fcos", "images": "same", **place}
    return Outcome(
        method=method,
        seed=seed,
        status="done",
        folder=f"{method}-{seed}",
        steps=10,
        AP=score - 0.1,
        AP50=score,
        AP75=score,
        seconds=60.0,
        **{"test_AP": score, **place},
    )


@pytest.fixture
def done():
    """A record of a run with this score on the test split, and .1 less on the validation split."""
    return _done


@pytest.fixture
def waiting():
    """A record of a run that is not done."""

    def record(method, seed):
        return Outcome("scenes", "fcos", method, seed, "waiting", f"{method}-{seed}", 10)

    return record
