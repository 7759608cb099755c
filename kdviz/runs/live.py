"""Runs watched while they train: one picture that grows, one bar, a word for each failure."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from tqdm import tqdm

from kdviz.plots import compare_runs
from kdviz.runs.compare import label_of
from kdviz.runs.local import HOME, RunState, run_all
from kdviz.runs.spec import RunSpec
from kdviz.widgets.updating import UpdatingPicture


def watch(
    specs: Sequence[RunSpec],
    root: Path,
    *,
    processes: int = 2,
    refresh: float = 2.0,
    metric: str = "AP",
    home: Path = HOME,
) -> list[RunState]:
    """Run what is not finished, with losses and scores painted as they come in.

    Stopped by Ctrl-C or by the kernel's stop button, the runs write their checkpoints, and the same
    call goes on.

    Args:
        specs: the runs.
        root: folder of all runs.
        processes: runs that are in work at once.
        refresh: seconds from one picture to the next.
        metric: the score to paint.
        home: folder that the commands are started in.

    Returns:
        The last state of each run, ``done`` or ``failed``.
    """
    picture = UpdatingPicture()
    states: list[RunState] = []
    painted, told, shown = 0.0, set(), (0, "")
    total = sum(spec.train.steps for spec in specs)
    with (
        closing(run_all(specs, root, processes=processes, home=home)) as stream,
        tqdm(total=total, unit="step", desc="runs") as bar,
    ):
        for states in stream:
            bar.n, words = sum(state.step for state in states), in_words(states)
            if (bar.n, words) != shown:
                shown = bar.n, words
                bar.set_postfix_str(words)
            if time.monotonic() - painted >= refresh:
                picture.show(draw(states, metric), in_words(states))
                painted = time.monotonic()
            for state in states:
                if state.status == "failed" and state.folder not in told:
                    told.add(state.folder)
                    bar.write(f"{state.folder.name} failed", file=sys.stderr)
    picture.show(draw(states, metric), in_words(states))
    return states


def draw(states: Sequence[RunState], metric: str = "AP") -> Figure:
    """Losses and scores of runs, as far as they are."""
    by_method: dict[str, list[list[dict[str, Any]]]] = {}
    for state in states:
        history = list(state.history)
        if state.result is not None:
            # The score of the end is in the result; on the way it is in the history.
            history.append({"step": state.spec.train.steps - 1, "metrics": state.result["metrics"]})
        by_method.setdefault(label_of(state.spec), []).append(history)
    steps = max(state.spec.train.steps for state in states)
    return compare_runs(by_method, steps=steps, metric=metric)[0]


def in_words(states: Sequence[RunState]) -> str:
    """How many runs are done, in work, waiting or failed."""
    counts = {status: 0 for status in ("done", "running", "waiting", "failed")}
    for state in states:
        counts[state.status] += 1
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)
