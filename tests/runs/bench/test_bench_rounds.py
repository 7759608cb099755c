"""Functions take turns, and a ratio is taken inside a round."""

import itertools
import time

import pytest

from kdviz.runs.bench.rounds import Rounds, interleaved, stopwatch


def test_turns_go_forwards_and_then_backwards_and_warm_up_does_not_count():
    called = []
    clock = itertools.count(1.0)

    def turn(name):
        def call():
            called.append(name)
            return next(clock)

        return call

    times = interleaved({name: turn(name) for name in "abc"}, rounds=2, warm_up=1)
    assert "".join(called) == "cba" + "abc" + "cba"
    assert times.seconds == {"a": [4.0, 9.0], "b": [5.0, 8.0], "c": [6.0, 7.0]}


def test_no_round_begins_after_the_limit_but_three_always_do():
    calls = []

    def turn():
        calls.append(1)
        return 1.0

    times = interleaved({"a": turn}, rounds=50, warm_up=1, limit=0.0)
    assert len(calls) == 1 + 3
    assert len(times.seconds["a"]) == 3


def test_ratio_is_taken_in_each_round():
    # The second round is ten times slower, of which no ratio may see anything.
    times = Rounds({"whole": [3.0, 30.0, 3.3], "one": [1.0, 10.0, 1.0], "two": [1.0, 10.0, 1.0]})
    assert times.ratio("whole", "one", "two") == pytest.approx(1.5)
    assert times.ratio("one", "whole") == pytest.approx(1 / 3)
    assert times.median("whole") == 3.3


def test_stopwatch_tells_the_mean_of_its_repeats():
    calls = []

    def nap():
        calls.append(1)
        time.sleep(0.01)

    taken = stopwatch(nap, repeats=3)()
    assert len(calls) == 3
    assert 0.009 < taken < 0.5


def test_no_round_is_refused():
    with pytest.raises(ValueError, match="at least one round"):
        interleaved({"a": lambda: 1.0}, rounds=0)
