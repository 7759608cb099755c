"""What the numbers say of the claims: confirmed, not confirmed, undecided, or not run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kdviz.files import read_json
from kdviz.runs.claims.claim import (
    MORE,
    Better,
    Bounds,
    Claim,
    Gain,
    Measure,
    PaperRun,
    Question,
)
from kdviz.runs.claims.cost import ASSUMED, Cost, Rate
from kdviz.runs.claims.evidence import MOST_SEEDS, Evidence, Ruling, Verdict, worst
from kdviz.runs.claims.records import QUANTITIES, Measured, beyond
from kdviz.runs.claims.settings import (
    PAPERS,
    Words,
    cell_words,
    differences,
    paper_cost,
    paper_words,
)
from kdviz.runs.compare import ALONE
from kdviz.runs.spec import RunSpec, load_spec

AS_PAPER = "as in the paper"

SEEDS = 3
"""Runs of each method that an estimate of hours counts with."""

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""By the name of a matrix the rows of its ``results.json``."""


def judge(
    claims: Iterable[Claim],
    rows: Rows,
    measured: Mapping[str, Sequence[Measured]] | None = None,
    *,
    rate: Rate = ASSUMED,
    root: Path = Path("runs"),
    papers: Path = PAPERS,
) -> list[Ruling]:
    """Ask the runs that there are what the claims say.

    Args:
        claims: of `load_claims`.
        rows: of one or several matrices. A run counts if its ``status`` is ``done``; its AP on the
            test split is what counts where both runs of a difference have one.
        measured: by the name of a matrix what was measured inside its detectors.
        rate: of the device that trainings of the papers would be run on.
        root: folder of all runs, in which runs of the papers' recipes are looked for.
        papers: folder of these recipes.

    Returns:
        For each claim first what the paper's own training says, if it has one, and then one ruling
        for each question.
    """
    rulings = []
    for claim in claims:
        if claim.run is not None or claim.setting is not None:
            rulings.append(_paper_ruling(claim, rate, Path(root), papers))
        for question in claim.asks:
            if isinstance(question, Measure):
                rulings.append(_measured_ruling(claim, question, rows, measured or {}, papers))
            else:
                rulings.append(_compared_ruling(claim, question, rows, papers))
    return rulings


# --- at the paper's own size ----------------------------------------------------------------------


def _paper_ruling(claim: Claim, rate: Rate, root: Path, papers: Path) -> Ruling:
    """Of the training that the paper's numbers come from."""
    specs = _paper_specs(claim.run, papers)
    asks = "the training behind these numbers"
    found: dict[str, dict[int, float]] = {}
    if specs is not None and claim.run is not None:
        found = {
            "alone": _scores(specs[0], claim.run.score, root),
            "distilled": _scores(specs[1], claim.run.score, root),
        }
    both = sorted(set.intersection(*map(set, found.values()))) if found else []
    if not both or claim.run is None:
        cost = paper_cost(claim.setting, None if specs is None else specs[1], rate)
        why = "" if claim.run is not None else "no recipe can express it"
        if claim.run is not None and specs is None:
            why = f"there is no recipe {claim.run.recipe}"
        return Ruling(claim, AS_PAPER, asks, Verdict.NOT_RUN, (), why, cost)
    evidence = _against_paper(claim, claim.run, found, both)
    verdict = worst([each.verdict for each in evidence])
    why = "one seed: no interval" if len(both) == 1 else ""
    return Ruling(claim, AS_PAPER, asks, verdict, evidence, why, None, claim.differs)


def _against_paper(
    claim: Claim, run: PaperRun, found: Mapping[str, Mapping[int, float]], seeds: Sequence[int]
) -> tuple[Evidence, ...]:
    """The distilled student's score and its gain, in the paper's points, beside the paper's own."""
    reported, short = claim.reported, run.tolerance
    scores = tuple(found["distilled"][seed] for seed in seeds)
    gains = tuple(found["distilled"][seed] - found["alone"][seed] for seed in seeds)
    gain = reported["distilled"] - reported["student"]
    return (
        Evidence("score", scores, Bounds(above=reported["distilled"] - short), decimals=1),
        Evidence("gain", gains, Bounds(above=gain - short), decimals=1),
    )


def _paper_specs(run: PaperRun | None, papers: Path) -> tuple[RunSpec, RunSpec] | None:
    """The recipes of the student alone and of the distilled one; None where one is missing."""
    if run is None:
        return None
    file = papers / f"{run.recipe}.yaml"
    alone = file.with_name(f"{run.alone}.yaml")
    return (load_spec(alone), load_spec(file)) if file.is_file() and alone.is_file() else None


def _scores(spec: RunSpec, metric: str, root: Path) -> dict[int, float]:
    """A COCO number in per cent of the finished runs of a recipe, by seed."""
    scores = {}
    for file in sorted(root.glob(f"{spec.name}-????????/result.json")):
        own = load_spec(file.with_name("spec.yaml"))
        if _training(own) == _training(spec):
            scores[own.train.seed] = 100 * float(read_json(file)["metrics"][metric])
    return scores


def _training(spec: RunSpec) -> tuple[object, ...]:
    """What makes a run the training of a recipe, wherever its images lie and on how many GPUs."""
    train = spec.train
    images = train.steps * train.batch_size * train.devices
    teacher = spec.teacher.name if spec.teacher else None
    return spec.student.name, teacher, spec.methods, images, spec.data.min_size


# --- at our size ----------------------------------------------------------------------------------


def _compared_ruling(claim: Claim, asked: Gain | Better, rows: Rows, papers: Path) -> Ruling:
    """Of the AP of one method minus that of another, seed by seed."""
    pair, method = asked.over
    here = [row for row in rows.get(asked.matrix, ()) if row["data"] == asked.data]
    ours = {row["seed"]: row for row in here if _is(row, asked.pair, asked.method)}
    theirs = {row["seed"]: row for row in here if _is(row, pair, method)}
    other = method if pair == asked.pair else f"{method} ({pair})"
    asks = f"{asked.method} minus {other}"
    both = [seed for seed in ours if seed in theirs and _comparable(ours[seed], theirs[seed])]
    told = _place(asked), asks
    differs = _differs(claim, asked, papers)
    if not both:
        wanted = [(asked.pair, asked.method), (pair, method)]
        why, cost = _what_is_missing(asked, rows, wanted)
        return Ruling(claim, *told, Verdict.NOT_RUN, (), why, cost, differs, asked.matrix)
    split = "test" if all(_on_test(ours[s], theirs[s]) for s in both) else "val"
    values = tuple(_ap(ours[s], split) - _ap(theirs[s], split) for s in both)
    evidence = Evidence(f"AP on the {split} split", values, asked.confirms)
    why = "one seed: no interval" if len(both) == 1 else _how_to_decide(evidence)
    return Ruling(claim, *told, evidence.verdict, (evidence,), why, None, differs, asked.matrix)


def _how_to_decide(evidence: Evidence) -> str:
    """How many seeds an undecided number would want; nothing of another one."""
    if evidence.verdict != Verdict.UNDECIDED:
        return ""
    wanted = evidence.seeds_wanted
    if wanted is None:
        return f"not even {MOST_SEEDS} seeds would decide it if mean and spread stayed as they are"
    return f"about {wanted} seeds would decide it if mean and spread stayed as they are"


def _measured_ruling(
    claim: Claim,
    asked: Measure,
    rows: Rows,
    measured: Mapping[str, Sequence[Measured]],
    papers: Path,
) -> Ruling:
    """Of a number from inside the detectors, and of the same minus that of a control."""
    asks = QUANTITIES[asked.quantity]
    by_place = {one.place: one for one in measured.get(asked.matrix, ())}
    place = asked.data, asked.pair, asked.method, asked.quantity
    differs = _differs(claim, asked, papers)
    wanted = [place]
    if asked.beyond:
        wanted.append((asked.data, asked.pair, asked.method, beyond(asked.quantity, asked.beyond)))
    numbers = [by_place[each] for each in wanted if each in by_place]
    if len(numbers) < len(wanted):
        methods = [ALONE, asked.method, *([asked.beyond] if asked.beyond else [])]
        why, cost = _what_is_missing(asked, rows, [(asked.pair, each) for each in methods])
        return Ruling(
            claim, _place(asked), asks, Verdict.NOT_RUN, (), why, cost, differs, asked.matrix
        )
    names = [f"of {asked.method}", f"more than {asked.beyond}"]
    bounds = [asked.confirms, MORE]
    evidence = tuple(
        Evidence(name, one.values, bound, one.images)
        for name, one, bound in zip(names, numbers, bounds, strict=False)
    )
    verdict = worst([each.verdict for each in evidence])
    alone = min(len(one.values) for one in numbers) == 1
    why = "one seed: the interval tells of other images, and of no other seed" if alone else ""
    return Ruling(claim, _place(asked), asks, verdict, evidence, why, None, differs, asked.matrix)


def _what_is_missing(
    asked: Question, rows: Rows, wanted: Sequence[tuple[str, str]]
) -> tuple[str, Cost]:
    """Why there are no numbers, and what the runs would take that lack."""
    own = [row for row in rows.get(asked.matrix, ()) if row["data"] == asked.data]
    lacking = [
        (pair, method)
        for pair, method in dict.fromkeys(wanted)
        if not any(_is(row, pair, method) for row in own)
    ]
    if not lacking:
        return "the runs are there, and this number is not: measure them", Cost(0.0, "no training")
    names = ", ".join(f"{pair}/{method}" for pair, method in lacking)
    why = f"no finished run of {names} in the matrix {asked.matrix}"
    # Another matrix of the same data says how long a run takes, too.
    alike = own or [row for other in rows.values() for row in other if row["data"] == asked.data]
    seconds = [float(row["seconds"]) for row in alike if row.get("seconds")]
    if not seconds:
        return why, Cost(None, "no run on these data tells how long one takes")
    each, runs = float(np.mean(seconds)), len(lacking) * SEEDS
    told = f"{runs} runs of {each:.0f} s, the mean of {len(seconds)} on these data"
    return why, Cost(each * runs / 3600, told)


def _differs(claim: Claim, asked: Question, papers: Path) -> tuple[str, ...]:
    """Settings of the paper that ours does not have."""
    specs = _paper_specs(claim.run, papers)
    theirs: Words = paper_words(claim.setting, None if specs is None else specs[1])
    ours = cell_words(asked.matrix, asked.data, asked.pair, asked.method)
    return (*differences(theirs, ours), *claim.differs)


def _is(row: Mapping[str, Any], pair: str, method: str) -> bool:
    return row["pair"] == pair and row["method"] == method and row.get("status", "done") == "done"


def _comparable(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two runs were scored, and on the same images."""
    known = one.get("AP") is not None and other.get("AP") is not None
    return known and one.get("images") == other.get("images")


def _on_test(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.get("test_AP") is not None and other.get("test_AP") is not None


def _ap(row: Mapping[str, Any], split: str) -> float:
    return float(row["test_AP" if split == "test" else "AP"])


def _place(asked: Question) -> str:
    return ", ".join(dict.fromkeys((asked.matrix, asked.data, asked.pair)))
