"""Times that can be compared: functions take turns, and a ratio is taken inside each round."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Rounds:
    """How long each function took in each round.

    Attributes:
        seconds: by name, one for each round.
    """

    seconds: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        """Seconds of a function, the median of its rounds."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, *others: str) -> float:
        """How many times as long as the others together, the median over the rounds.

        A machine that is slower for a while is so for all functions of a round, and their ratio
        stays as it is.
        """
        rounds = zip(self.seconds[name], *(self.seconds[x] for x in others), strict=True)
        return statistics.median(own / sum(rest) for own, *rest in rounds)


def interleaved(
    functions: Mapping[str, Callable[[], float]],
    *,
    rounds: int,
    warm_up: int = 1,
    limit: float = float("inf"),
) -> Rounds:
    """Let functions take turns, forwards in one round and backwards in the next.

    Args:
        functions: by name; each returns the seconds it took, see `stopwatch`.
        rounds: that count.
        warm_up: rounds before them that do not.
        limit: seconds after which no further round begins, but for the first three.

    Raises:
        ValueError: no round is asked for.
    """
    if rounds < 1:
        raise ValueError(f"at least one round must count, not {rounds}")
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    started = time.perf_counter()
    for number in range(-warm_up, rounds):
        if number >= LEAST_ROUNDS and time.perf_counter() - started > limit:
            break
        order = list(functions)[:: 1 if number % 2 == 0 else -1]
        for name in order:
            taken = functions[name]()
            if number >= 0:
                seconds[name].append(taken)
    return Rounds(seconds)


def stopwatch(function: Callable[[], object], repeats: int = 1) -> Callable[[], float]:
    """The function as one that returns the seconds of a call, on a GPU until that is done.

    Args:
        function: what is timed.
        repeats: calls in a row, for what is too short to be timed alone; their mean is taken.
    """

    def timed() -> float:
        wait_for_gpu()
        started = time.perf_counter()
        for _ in range(repeats):
            function()
        wait_for_gpu()
        return (time.perf_counter() - started) / repeats

    return timed


def wait_for_gpu() -> None:
    """Return when everything that was given to the GPU is done; at once where there is none."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
