"""The sections of a matrix's page that are of its findings, a question and its pictures each."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence

from kdviz.engine.history import read_history
from kdviz.plots import ap_differences, interval_rows, learning_charts
from kdviz.plots.progress import History, Line, detection_loss, distillation_loss, scores
from kdviz.runs.claims import matrix_rulings, summary, verdict_section
from kdviz.runs.matrix.findings import CONFIDENT, chance, findings, missing, unpaired
from kdviz.runs.matrix.gains import draw_gains, gain_tables
from kdviz.runs.matrix.outcomes import as_rows
from kdviz.runs.matrix.results import Results
from kdviz.runs.matrix.standings import Group
from kdviz.runs.matrix.state import CellState
from kdviz.runs.matrix.tables import HEAD, heading, lines
from kdviz.runs.pages import details, paragraph, picture, wide


def in_short(results: Results) -> Iterator[str]:
    """What was found, in sentences."""
    told = [*filter(None, [missing(results.records)]), *findings(results.groups)]
    told += unpaired(results.groups)
    items = "\n".join(f"<li>{html.escape(sentence)}</li>" for sentence in told)
    yield f"<ul>\n{items}\n</ul>"
    yield paragraph(chance(results.groups)) if chance(results.groups) else ""


def do_claims_hold(results: Results) -> Iterator[str]:
    """What the papers claim, as far as these runs are asked."""
    rows, root = as_rows(results.records), results.home.parent
    rulings = matrix_rulings(results.matrix.name, rows, root)
    if rulings:
        yield paragraph(
            f"{len(rulings)} questions that the papers' claims ask: {summary(rulings)}."
        )
        yield details("Claim by claim", verdict_section(rulings))


def which_helps(results: Results) -> Iterator[str]:
    """Gains over the baseline: of all groups beside each other, then of each."""
    with_gains = [group for group in results.groups if group.compared]
    if len(with_gains) > 1:
        series = {
            group.name: {
                one.method: (row.difference, *row.interval) if row.interval else row.difference
                for one, row in group.compared
            }
            for group in with_gains
        }
        figure, _ = interval_rows(
            series,
            label=f"AP minus that of {_baselines(with_gains)}",
            signed=True,
            caption="A dot is the mean gain over the seeds, its line the 95 % interval of that "
            "mean. Hollow: the interval holds 0, which leaves the sign open.",
        )
        yield wide(picture(figure, "gain of each method with each pair"))
    for group in results.groups:
        yield f"<h3>{html.escape(heading(group))}</h3>"
        if group.compared:
            yield wide(_strip(group))
        if group.begun:
            yield wide(_standings(group))
    yield paragraph(
        "AP is the mean over the seeds that are done; gain the mean of the differences to the "
        "baseline with the same seed, with its 95 % interval by Student's t. Better and worse are "
        "those whose interval leaves out 0. p, Holm: the chance of one as clear among as many "
        f"comparisons if nothing made a difference; below {CONFIDENT} it is sure. The teacher's "
        "AP was taken on a few images before training: a mark to aim at, not a pair."
    )


def where_gained(results: Results) -> Iterator[str]:
    """Gains by size and factor of the objects, and by class."""
    tables = [one for group in results.groups for one in gain_tables(group, results.of(group))]
    reach = max((one.reach for one in tables), default=0.0)
    for one in tables:
        name = one.group.name
        shown = wide(picture(draw_gains(one, reach), f"{name}: gain by {one.by}"))
        if one.by == "class":
            yield details(f"{name}: by class", shown)
        else:
            yield f"<h3>{html.escape(name)}</h3>"
            yield shown


def how_learned(results: Results) -> Iterator[str]:
    """Losses and, where it was taken on the way, AP over the steps."""
    if any((state.folder / "metrics.jsonl").exists() for state in results.states):
        yield paragraph(
            "The detection loss is the detector's own, which means the same for every method; the "
            "distillation loss is what a method adds to it, as weighted, from where it has a "
            f"weight. Green: the method; orange: {_baselines(results.groups)}."
        )
    for group in results.groups:
        read = [
            (label, state, read_history(state.folder / "metrics.jsonl"))
            for label, each in results.of(group).items()
            for state in each
        ]
        parts = []
        for unit, line_of in _LINES.items():
            values: dict[str, list[Line]] = {}
            for label, state, history in read:
                values.setdefault(label, []).append(line_of(state, history))
            baseline = values.pop(group.baseline, [])
            if any(map(any, values.values())):
                is_score = unit.endswith("AP")
                figure, _ = learning_charts(
                    values,
                    unit=unit,
                    baseline=baseline,
                    smoothing=0.0 if is_score else 0.8,
                    linear=is_score,
                )
                parts.append(wide(picture(figure, f"{group.name}: {unit} over the steps")))
        if parts:
            yield f"<h3>{html.escape(group.name)}</h3>"
            yield from parts


def _while_it_counts(_: CellState, history: History) -> Line:
    """Distillation loss, as weighted, from where it has a weight."""
    return {step: loss for step, loss in distillation_loss(history).items() if loss}


def _ap_on_the_way(state: CellState, history: History) -> Line:
    """Validation AP where it was taken, and in the end; nothing if only then."""
    on_the_way = scores(history, "AP")
    if on_the_way and state.result is not None:
        on_the_way[state.cell.spec.train.steps] = state.result["metrics"]["AP"]
    return on_the_way


_LINES: dict[str, Callable[[CellState, History], Line]] = {
    "detection loss": lambda _, history: detection_loss(history),
    "distillation loss": _while_it_counts,
    "validation AP": _ap_on_the_way,
}
"""What is drawn over the steps, by its unit."""


def _baselines(found: Sequence[Group]) -> str:
    return " or ".join(dict.fromkeys(group.against for group in found))


def _standings(group: Group) -> str:
    """The table of a group; verdicts in their colours, the teacher set apart."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in HEAD)
    rows = []
    for line in lines(group):
        cells = [f"<td>{html.escape(cell)}</td>" for cell in line]
        verdict = line[-1].partition(" ")[0]
        cells[-1] = f'<td class="{html.escape(verdict)}">{html.escape(line[-1])}</td>'
        rows.append(f'<tr class="of-{html.escape(line[0])}">{"".join(cells)}</tr>')
    return '<table class="numbers standings">\n' + "\n".join(
        [f"<tr>{head}</tr>", *rows, "</table>"]
    )


def _strip(group: Group) -> str:
    figure, _ = ap_differences(
        {one.method: row.differences for one, row in group.compared},
        intervals={one.method: row.interval for one, row in group.compared},
        metric=f"{group.split} AP",
        baseline=f"pair {group.baseline}" if group.by_pair else "student alone",
        caption="A small dot is one seed, the diamond the mean of the seeds, the bar its 95 % "
        "interval. Hollow: the interval holds 0, or there is none.",
    )
    return picture(figure, f"gain of each method with {group.name}, seed by seed")
