"""What the results of a matrix say, in sentences that claim no more than the runs allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kdviz.runs.matrix.outcomes import Outcome
from kdviz.runs.matrix.standings import Group, Standing
from kdviz.runs.matrix.tables import p_text, signed, span
from kdviz.runs.scores import Row

CONFIDENT = 0.05
"""A p value below it, adjusted for the number of comparisons, is called sure."""

_Found = tuple[Group, Standing, Row]


def findings(found: Sequence[Group]) -> list[str]:
    """How many comparisons say what; each method that helps or harms; those that are open."""
    every = [(group, one, row) for group in found for one, row in group.compared]
    decided = [each for each in every if each[2].verdict in ("better", "worse")]
    decided.sort(key=lambda each: -each[2].difference)
    count = sum(row.interval is not None for _, _, row in every)
    told = [*_counted(every), *(_decided(*each, of=count) for each in decided), *_open(every)]
    return told or ["No two runs are done yet that could be compared."]


def missing(records: Sequence[Outcome]) -> str:
    """How many runs are not done, and why; empty if all are."""
    counts = {
        status: sum(record.status == status for record in records)
        for status in ("running", "waiting", "failed")
    }
    if not any(counts.values()):
        return ""
    told = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    return (
        f"{sum(counts.values())} of {len(records)} runs are not done ({told}). What is said here "
        "is of the others, and may change."
    )


def chance(found: Sequence[Group]) -> str:
    """What so many comparisons would show if no method did anything; empty below two."""
    tested = [one for group in found for one, row in group.compared if row.interval]
    if len(tested) < 2:
        return ""
    out = sum(one.verdict in ("better", "worse") for one in tested)
    sure = sum(one.holm is not None and one.holm < CONFIDENT for one in tested)
    return (
        f"One interval in twenty leaves out 0 by chance alone: {0.05 * len(tested):.1f} of these "
        f"{len(tested)} if nothing made a difference. Here {out} {'does' if out == 1 else 'do'}. "
        f"Asked all at once (Holm's rule, 5 % for all of them together), {sure} of {len(tested)} "
        f"{'stands' if sure == 1 else 'stand'} out. The intervals are over seeds: they speak of "
        "other seeds of the same training, not of other data, and with few seeds they are wide."
    )


def unpaired(found: Sequence[Group]) -> list[str]:
    """Runs that are done and have no partner: a sentence for each group that has some."""
    told = []
    for group in found:
        alone = [
            f"{one.method} (seed{'s' * (len(lone) > 1)} {', '.join(map(str, lone))})"
            for one in group.standings
            if one.row and not one.row.is_baseline
            if (lone := [seed for seed in one.seeds if seed not in one.paired])
        ]
        if alone:
            told.append(
                f"{group.name}: no run of {group.against} with the same seed on the same images "
                f"is done for {', '.join(alone)}. They count in the mean AP, not in the gain."
            )
    return told


def _counted(every: Sequence[_Found]) -> Iterator[str]:
    verdicts = [row.verdict for _, _, row in every if row.interval is not None]
    if verdicts:
        against = " or ".join(dict.fromkeys(group.against for group, _, _ in every))
        better, worse, open_ = (verdicts.count(x) for x in ("better", "worse", "undecided"))
        yield (
            f"Of {len(verdicts)} comparisons with {against} {better} "
            f"{'is' if better == 1 else 'are'} better, {worse} worse and {open_} undecided, each "
            "taken by itself."
        )


def _decided(group: Group, one: Standing, row: Row, of: int) -> str:
    assert row.interval is not None  # a verdict rests on one
    sure = of < 2 or (one.holm is not None and one.holm < CONFIDENT)
    verb = "help" if row.verdict == "better" else "harm"
    verb = verb + "s" if sure else f"seems to {verb}"
    if group.by_pair:
        verb = f"{'is' if sure else 'seems to be'} {row.verdict} than {group.baseline} with"
    told = (
        f"{one.method} {verb} {group.name}: {group.split} AP {signed(row.difference)} "
        f"{span(row.interval)}, {len(row.differences)} seeds"
    )
    if of < 2 or one.holm is None:
        return f"{told}."
    chance = "sure also" if sure else "not sure"
    return f"{told}; {chance} as one of {of} comparisons (Holm p {p_text(one.holm)})."


def _open(every: Sequence[_Found]) -> Iterator[str]:
    undecided = [each for each in every if each[2].verdict == "undecided"]
    if undecided:
        yield f"Undecided, since the interval holds 0: {_listed(undecided)}."
    hints = [each for each in every if each[2].interval is None]
    if hints:
        yield (
            f"Of one seed only, so without an interval and no more than a hint: {_listed(hints)}."
        )


def _listed(every: Sequence[_Found]) -> str:
    """Methods and gains, by the name of their group."""
    parts: dict[str, list[str]] = {}
    for group, one, row in every:
        parts.setdefault(group.name, []).append(f"{one.method} {signed(row.difference)}")
    return "; ".join(f"{name} ({', '.join(methods)})" for name, methods in parts.items())
