"""``kdviz balance``: what weights suit the methods of a spec on its own data."""

from __future__ import annotations

from itertools import islice

from kdviz.engine.balance import TermBalance, balance
from kdviz.runs.prepare import prepare, training_batches
from kdviz.runs.spec import RunSpec


def weigh(spec: RunSpec, batches: int = 20, share: float = 0.5) -> list[TermBalance]:
    """Measure each term of a spec on its first training batches; see `kdviz.engine.balance`.

    The student is as the spec starts it: name a trained one in ``student.weights`` to see the
    balance in the middle of a training.

    Args:
        spec: a run with methods.
        batches: how many are looked at, at least 2.
        share: gradient that a term should have, as a part of the detection loss's.

    Raises:
        ValueError: the spec has no methods, or something in it does not fit.
    """
    if not spec.methods:
        raise ValueError("there is nothing to balance: the spec names no methods")
    scene = prepare(spec)
    loader = training_batches(spec, scene)
    return balance(scene.trainee, islice(loader, batches), scene.weights, share=share)
