"""Run the arms of a pocket benchmark on two processes, one thread each, through the real engine."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tqdm.auto import tqdm

from kdviz.engine.evaluate import evaluate
from kdviz.files import read_json
from kdviz.runs import embedded
from kdviz.runs.compare import ALONE, label_of
from kdviz.runs.pocket.arms import RECIPE, pocket_spec
from kdviz.runs.pocket.workers import context
from kdviz.runs.prepare import load_teacher, open_splits, open_test
from kdviz.runs.run import run
from kdviz.runs.scores import Row, Score, compare
from kdviz.runs.spec import MethodSpec, RunSpec, load_spec

METRIC = "AP"


@dataclass(frozen=True)
class Trial:
    """What a pocket benchmark measured.

    Attributes:
        scores: AP of each run on the test scenes, which nothing was chosen on.
        teacher: AP of the teacher there.
        seconds: wall time of everything, from the first process on.
    """

    scores: list[Score]
    teacher: float
    seconds: float

    @property
    def rows(self) -> list[Row]:
        """The student alone, then each method against it."""
        return compare(self.scores)


def trial(
    arms: Mapping[str, Sequence[MethodSpec]],
    seeds: Sequence[int] = (0, 1, 2),
    *,
    processes: int = 2,
    folder: Path | None = None,
) -> Trial:
    """Train and score each arm, and the student alone, with every seed.

    Everything is trained anew: a method whose code has changed has another answer.

    Args:
        arms: label -> methods, as `kdviz.runs.pocket.arms.methods_of` gives them.
        seeds: at least two, else nobody knows the spread.
        processes: runs at once, each with one thread.
        folder: where the runs are left; must not hold any. None keeps nothing.

    Raises:
        ValueError: fewer than two seeds, or a method does not fit the pair.
        FileExistsError: ``folder`` holds something.
        FileNotFoundError: the embedded detectors are not there.
        FloatingPointError: a loss is not finite.
    """
    if len(set(seeds)) < 2:
        raise ValueError(f"an interval needs at least two different seeds, not {list(seeds)}")
    if folder is not None and folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder for these runs")
    started = time.perf_counter()
    with TemporaryDirectory() if folder is None else nullcontext(str(folder)) as place:
        root = Path(place).resolve()
        root.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(processes, context(), _begin, (root,)) as pool:
            # Alone and with a teacher at once: only one of the two computes the teacher's maps.
            jobs = [pool.submit(_score, spec, root) for spec in in_order(arms, seeds)]
            taught = pool.submit(_teacher, load_spec(RECIPE))
            try:
                scores = [job.result() for job in tqdm(jobs, desc="pocket", unit="run")]
                teacher = taught.result()
            except BaseException:
                _cancel([*jobs, taught])
                raise
    return Trial(scores, teacher, time.perf_counter() - started)


def in_order(arms: Mapping[str, Sequence[MethodSpec]], seeds: Sequence[int]) -> list[RunSpec]:
    """The runs, all arms of one seed before the next, the student alone first."""
    everything = {ALONE: (), **arms}
    return [pocket_spec(methods, seed) for seed in seeds for methods in everything.values()]


def _begin(root: Path) -> None:
    """Make a process one worker: one thread, home in the repository, words into a file."""
    torch.set_num_threads(1)
    os.chdir(embedded.FOLDER.parent)
    log = os.open(root / f"worker-{os.getpid()}.log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _score(spec: RunSpec, root: Path) -> Score:
    result = read_json(run(spec, root) / "result.json")
    seconds = float(result["speed"]["seconds"])
    value = float(result["test"][METRIC])
    return Score(label_of(spec), spec.train.seed, value, spec.train.steps, seconds)


def _teacher(spec: RunSpec) -> float:
    assert spec.teacher is not None  # the recipe names one
    training, _ = open_splits(spec.data)
    test = open_test(spec.data, training)
    assert test is not None  # and has a test split
    teacher = load_teacher(spec, spec.teacher, len(training.categories))
    metrics, _ = evaluate(teacher, test, batch_size=spec.train.batch_size)
    return float(metrics.stats[METRIC])


def _cancel(jobs: Sequence[Future[Score] | Future[float]]) -> None:
    for job in jobs:
        job.cancel()
