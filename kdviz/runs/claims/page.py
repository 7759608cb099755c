"""The rulings for a reader: as part of a page, as a page of its own, and as Markdown."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Sequence

from kdviz.runs.claims.claim import Claim
from kdviz.runs.claims.evidence import Ruling, Verdict
from kdviz.runs.pages import details, page, paragraph, table

TITLE = "Do the papers' claims hold?"

_INTRODUCTION = (
    "Each claim is one sentence of a paper. Its own numbers stand at the left, as they were "
    "printed. They were taken from other detectors on other images, so ours are never set against "
    "them: what is asked is whether the same holds for our detectors, by numbers of our own."
)
_CHANCE = (
    "Of many questions about nothing, one in forty would be confirmed by chance, and one in forty "
    "refuted."
)
_PAPERS = {
    "FGFI": "Wang et al., Distilling Object Detectors with Fine-grained Feature Imitation, "
    "CVPR 2019",
    "FRS": "Du et al., Distilling Object Detectors with Feature Richness, NeurIPS 2021",
    "GKD": "Tang et al., Distilling Object Detectors with Global Knowledge, ECCV 2022",
    "Dist2": "Guo et al., distribution-guided distillation, a poster",
    "CWD": "Shu et al., Channel-wise Knowledge Distillation for Dense Prediction, ICCV 2021",
    "PKD": "Cao et al., PKD, NeurIPS 2022",
}
_MEANING = {
    Verdict.CONFIRMED: "every value in the 95 % interval is one that the claim allows",
    Verdict.NOT_CONFIRMED: "no value in the interval is",
    Verdict.UNDECIDED: "the interval holds values of both kinds: it is too wide, or there is none",
    Verdict.NOT_RUN: "nobody trained it here; what it would take is an estimate",
}
_STYLE = """\
<style>
table.claims { width: 100%; table-layout: fixed; }
table.claims th:nth-child(1) { width: 30%; } table.claims th:nth-child(2) { width: 16%; }
table.claims tr.asked td { border-bottom: 0; padding-top: .35rem; padding-bottom: .35rem; }
table.claims tr.last td { padding-bottom: .8rem; }
table.claims tr.first td { padding-top: .8rem; }
table.claims tr.first td.claim, table.claims tr.last td { border-bottom: 1px solid var(--line); }
table.claims td { overflow-wrap: anywhere; } table.claims details { margin: .2rem 0 0; }
table.claims details ul { margin: .2rem 0; padding-left: 1.2rem; font-size: .85rem; }
table.claims summary { font-size: .85rem; }
table.claims + details :is(th, td) { text-align: left !important; }
table.claims small { color: var(--faint); display: block; line-height: 1.4; }
.verdict { font-weight: 600; white-space: nowrap; }
.verdict::before { content: ""; display: inline-block; width: .62em; height: .62em;
  margin-right: .45em; border: 2px solid currentColor; border-radius: 50%; }
.verdict.confirmed { color: var(--good); } .verdict.confirmed::before { background: currentColor; }
.verdict.not-confirmed { color: var(--bad); }
.verdict.not-confirmed::before { border-radius: 0; background: currentColor; }
.verdict.undecided { color: var(--open); } .verdict.not-run { color: var(--faint); }
.verdict.not-run::before { border-style: dotted; }
:root { --good: #0a6b3d; --open: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --good: #7fd1a5; --open: #ffb37a; } }
@media (max-width: 45rem) { table.claims, table.claims tbody, table.claims tr, table.claims td {
  display: block; } table.claims tr.head { display: none; } }
</style>
"""


def verdict_page(rulings: Sequence[Ruling]) -> str:
    """A page of its own that opens without a network."""
    return page(TITLE, f"<h1>{html.escape(TITLE)}</h1>\n{verdict_section(rulings)}")


def verdict_section(rulings: Sequence[Ruling]) -> str:
    """HTML for a page of `kdviz.runs.pages`: how many of each verdict, then claim by claim.

    Args:
        rulings: of `judge`; the rulings of a claim stand together, in their order.
    """
    if not rulings:
        return paragraph("No claim was put to the test.")
    parts = [_STYLE, paragraph(_INTRODUCTION), _legend(rulings)]
    for paper in dict.fromkeys(ruling.claim.paper for ruling in rulings):
        of_paper = [ruling for ruling in rulings if ruling.claim.paper == paper]
        told = [ruling for ruling in of_paper if not _is_left(ruling)]
        left = [ruling for ruling in of_paper if _is_left(ruling)]
        parts += [f"<h3>{paper}</h3>", paragraph(f"{_PAPERS[paper]}.")]
        parts += [_table(told)] if told else []
        parts += [_left(left)] if left else []
    return "\n".join(parts)


def verdict_markdown(rulings: Sequence[Ruling]) -> str:
    """The same as Markdown: how many of each verdict, then a table of one line a question."""
    lines = [
        "| paper | claim | paper's numbers | asked | verdict | our numbers |",
        "|---|---|---|---|---|---|",
    ]
    for ruling in rulings:
        claim = ruling.claim
        cells = (
            f"{claim.paper}, {claim.where}",
            claim.says,
            reported(claim) or "-",
            f"{ruling.asks} ({ruling.at})",
            f"**{ruling.verdict}**",
            "; ".join(_numbers(ruling)),
        )
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join([*_counts(rulings), "", *lines, "", *_hours(rulings), ""])


def _counts(rulings: Sequence[Ruling]) -> list[str]:
    """How many of each verdict each paper got, as a Markdown table."""
    lines = [f"| paper | {' | '.join(Verdict)} |", "|---|" + "--:|" * len(Verdict)]
    for paper in dict.fromkeys(ruling.claim.paper for ruling in rulings):
        counts = Counter(ruling.verdict for ruling in rulings if ruling.claim.paper == paper)
        lines.append(f"| {paper} | {' | '.join(str(counts[each]) for each in Verdict)} |")
    return lines


def summary(rulings: Iterable[Ruling]) -> str:
    """How many questions got which verdict, in one line."""
    counts = Counter(ruling.verdict for ruling in rulings)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict)


def reported(claim: Claim) -> str:
    """The paper's own numbers in one line; empty where it gives none."""
    numbers = claim.reported
    if not numbers:
        return ""
    names = {"other": "compared with"}
    decimals = max(len(str(value).partition(".")[2]) for value in numbers.values())
    told = ", ".join(f"{names.get(key, key)} {x:.{decimals}f}" for key, x in numbers.items())
    return f"{claim.metric}: {told}"


def _legend(rulings: Sequence[Ruling]) -> str:
    items = []
    for title, by_paper in (("at the paper's own size", True), ("at ours", False)):
        part = [ruling for ruling in rulings if ruling.by_paper == by_paper]
        if part:
            items.append(f"<li>{len(part)} questions {title}: {summary(part)}.</li>")
    present = {ruling.verdict for ruling in rulings}
    words = "; ".join(
        f"{_badge(verdict)} {html.escape(meaning)}"
        for verdict, meaning in _MEANING.items()
        if verdict in present
    )
    hours = [paragraph(told) for told in _hours(rulings)]
    return "\n".join(["<ul>", *items, "</ul>", f"<p>{words}.</p>", paragraph(_CHANCE), *hours])


def _hours(rulings: Iterable[Ruling]) -> list[str]:
    """Where the hours of the papers' own trainings come from."""
    costs = [ruling.cost for ruling in rulings if ruling.by_paper and ruling.cost is not None]
    return [
        "Hours of a paper's training are those of one GPU and one seed, for the student alone and "
        f"the distilled one together, {told}."
        for told in sorted({cost.told for cost in costs if cost.hours is not None})
    ]


def _table(rulings: Sequence[Ruling]) -> str:
    head = "<th>claim, and the paper's numbers</th><th>verdict</th><th>asked, and our numbers</th>"
    lines = [f'<tr class="head">{head}</tr>']
    for claim in dict.fromkeys(ruling.claim.id for ruling in rulings):
        own = [ruling for ruling in rulings if ruling.claim.id == claim]
        for number, ruling in enumerate(own):
            ends = ["asked"] + ["first"] * (number == 0) + ["last"] * (number == len(own) - 1)
            first = ""
            if number == 0:
                first = f'<td class="claim" rowspan="{len(own)}">{_claim(ruling.claim)}</td>'
            cells = f"{first}<td>{_badge(ruling.verdict)}</td><td>{_asked(ruling)}</td>"
            lines.append(f'<tr class="{" ".join(ends)}">{cells}</tr>')
    return '<table class="claims">\n' + "\n".join(lines) + "\n</table>"


def _is_left(ruling: Ruling) -> bool:
    """Whether it is a paper's own training that nobody ran, of a claim that asks nothing else."""
    return ruling.verdict == Verdict.NOT_RUN and ruling.by_paper and not ruling.claim.asks


def _left(rulings: Sequence[Ruling]) -> str:
    """The papers' own trainings that nobody ran and nothing smaller stands for."""
    rows = [
        [ruling.claim.says, reported(ruling.claim), _recipe(ruling), _hours_of(ruling)]
        for ruling in rulings
    ]
    known = sum(ruling.cost.hours or 0 for ruling in rulings if ruling.cost is not None)
    return details(
        f"{len(rulings)} more claims: not run, about {known:.0f} hours of a GPU",
        table(["claim", "the paper's numbers", "recipe", "hours of a GPU"], rows),
    )


def _recipe(ruling: Ruling) -> str:
    run = ruling.claim.run
    return ruling.why or (run.recipe if run is not None else "")


def _hours_of(ruling: Ruling) -> str:
    cost = ruling.cost
    if cost is None:
        return ""
    return cost.about.removesuffix(" h") if cost.hours is not None else f"unknown: {cost.told}"


def _claim(claim: Claim) -> str:
    told = html.escape(claim.says)
    numbers = reported(claim)
    if numbers:
        told += f"<small>{html.escape(numbers)}</small>"
    return f"{told}<small>{html.escape(claim.where)}</small>"


def _asked(ruling: Ruling) -> str:
    at = [] if ruling.by_paper else [ruling.at]
    bounds = {str(one.confirms) for one in ruling.evidence}
    at += [f"{bounds.pop()} confirms it"] if len(bounds) == 1 else []
    told = f"{html.escape(ruling.asks)}<small>{html.escape('; '.join(at))}</small>"
    told += "".join(f"<div>{html.escape(line)}</div>" for line in _numbers(ruling))
    if ruling.differs:
        items = "".join(f"<li>{html.escape(line)}</li>" for line in ruling.differs)
        count = len(ruling.differs)
        differ = "1 setting differs" if count == 1 else f"{count} settings differ"
        told += f"<details><summary>{differ}</summary><ul>{items}</ul></details>"
    return told


def _numbers(ruling: Ruling) -> list[str]:
    """What stands behind a verdict, a line each."""
    differ = len({one.confirms for one in ruling.evidence}) > 1
    told = [
        f"{one} ({one.confirms} confirms it)" if differ else str(one) for one in ruling.evidence
    ]
    if ruling.why:
        told.append(ruling.why)
    if ruling.cost is not None:
        # Where the papers' hours come from is the same for all, and said once.
        whole = ruling.cost.hours is None or not ruling.by_paper
        told.append(str(ruling.cost) if whole else f"{ruling.cost.about} of a GPU")
    return told


def _badge(verdict: Verdict) -> str:
    return f'<span class="verdict {verdict.replace(" ", "-")}">{verdict}</span>'
