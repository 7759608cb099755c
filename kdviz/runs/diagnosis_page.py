"""The page of a diagnosis: each section asks one question, shows a picture and the numbers."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kdviz.diagnosis.bootstrap import Estimate
from kdviz.diagnosis.causes import FactorFinding, SliceFinding, stands
from kdviz.diagnosis.diagnose import Diagnosis
from kdviz.diagnosis.findings import PLAIN_WORDS, Finding, findings, signed
from kdviz.diagnosis.groups import GroupedBoxes
from kdviz.diagnosis.tables import word
from kdviz.diagnosis.transitions import Transition
from kdviz.diagnosis.verdicts import Verdict
from kdviz.runs.image_files import ImageFiles
from kdviz.runs.pages import page, table

TRANSITION_WORDS = {
    Transition.FIXED: "fixed: wrong before, right after",
    Transition.BROKEN: "broken: right before, wrong after, in a way of its own",
    Transition.INHERITED: "inherited: now wrong in the way of the teacher",
    Transition.KEPT_RIGHT: "kept right",
    Transition.KEPT_WRONG: "kept wrong",
}


@dataclass(frozen=True)
class Material:
    """What a page is made of.

    Attributes:
        diagnosis: of one to four sets.
        causes: what the gap depends on.
        groups: the grouped boxes of each set.
        images: of the objects.
        command: that makes this page again, plain text; empty where there is none.
    """

    diagnosis: Diagnosis
    causes: Sequence[FactorFinding]
    groups: Mapping[str, GroupedBoxes]
    images: ImageFiles
    command: str = ""


def diagnosis_page(material: Material) -> str:
    """One HTML page that opens without a network."""
    inputs = material.diagnosis.inputs
    names = ", ".join(inputs.detections)
    title = f"Diagnosis: {names}"
    told = (
        f"{len(inputs.truth.image_ids)} images, {int((~inputs.truth.crowd).sum())} objects of "
        f"{len(inputs.truth.category_ids)} classes. Intervals are of 95 %, from "
        f"{len(material.diagnosis.resamples.weights)} paired draws of the images; a number whose "
        "interval holds 0 may be chance."
    )
    body = [f"<h1>{html.escape(title)}</h1>", _paragraph(told)]
    for question, section in SECTIONS.items():
        parts = list(section(material))
        if parts:
            body += [f"<h2>{html.escape(question)}</h2>", *parts]
    return page(title, "\n".join(body))


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def _in_short(material: Material) -> Iterator[str]:
    told = findings(material.diagnosis, material.causes)
    lines = "\n".join(f"<li>{html.escape(_with_doubt(finding))}</li>" for finding in told)
    yield f"<ul>\n{lines}\n</ul>"
    yield from map(_paragraph, material.diagnosis.inputs.notes)


def _with_doubt(finding: Finding) -> str:
    return finding.sentence + ("" if finding.sure else " (may be chance)")


def _scores(material: Material) -> Iterator[str]:
    diagnosis = material.diagnosis
    metrics = ("AP50", "precision", "recall")
    rows = [
        [name, *(str(one.scores[metric]) for metric in metrics), f"{one.verdicts.threshold:.3f}"]
        for name, one in diagnosis.sets.items()
    ]
    for after, before in _pairs(diagnosis):
        changes = diagnosis.differences(after, before)
        rows.append(
            [f"{after} minus {before}", *(signed(changes[metric]) for metric in metrics), ""]
        )
    yield table(["", *metrics, "threshold"], rows)
    yield _paragraph(
        "Precision and recall are taken at each set's own threshold, that of its best F1, since "
        "equal scores of two detectors need not mean the same."
    )


def _pairs(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    wanted = [("distilled", "student"), ("teacher", "student"), ("teacher", "distilled")]
    others = [name for name in diagnosis.sets if name not in ("student", "teacher", "distilled")]
    wanted += [(name, "student") for name in others]
    return [pair for pair in wanted if set(pair) <= set(diagnosis.sets)]


def _errors(material: Material) -> Iterator[str]:
    sets = material.diagnosis.sets
    first = next(iter(sets.values()))
    rows = [
        [PLAIN_WORDS[kind], *(str(one.errors[kind]) for one in sets.values())]
        for kind in first.errors
    ]
    yield table(["wrong boxes for each object", *sets], rows)
    words = {kind.name.lower(): text for kind, text in PLAIN_WORDS.items()}
    costs = [
        [words.get(kind, kind), *(f"{one.costs.gains[kind]:.3f}" for one in sets.values())]
        for kind in first.costs.gains
    ]
    yield table(["AP50 lost to (TIDE's ΔAP)", *sets], costs)


def _transitions(material: Material) -> Iterator[str]:
    diagnosis = material.diagnosis
    if diagnosis.transitions is None:
        return
    verdicts = diagnosis.transitions.verdicts
    rows = [
        [
            word(verdict).replace("_", " "),
            *(str(v.counts()[verdict]) for v in verdicts.values()),
        ]
        for verdict in Verdict
        if verdict != Verdict.CROWD
    ]
    yield table(["objects", *verdicts], rows)
    if diagnosis.transition_shares:
        counts = diagnosis.transitions.counts()
        yield table(
            ["student to distilled", "objects", "share"],
            [
                [TRANSITION_WORDS[kind], str(counts[kind]), str(share)]
                for kind, share in diagnosis.transition_shares.items()
            ],
        )


def _mistakes(material: Material) -> Iterator[str]:
    diagnosis = material.diagnosis
    if not diagnosis.mistake_rates or diagnosis.repeated is None:
        return
    heads = {"all": "all its wrong answers", "shown": "those shown by a wrong box"}
    yield table(
        ["the teacher's mistakes, repeated by", "student", "distilled", "difference"],
        [
            [heads[name], str(rates["student"]), str(rates["distilled"]), signed(rates["excess"])]
            for name, rates in diagnosis.mistake_rates.items()
        ],
    )
    repeated = diagnosis.repeated
    yield _paragraph(
        f"Of the teacher's {len(repeated.teacher)} wrong boxes the student alone shows "
        f"{int((repeated.student >= 0).sum())} and the distilled student "
        f"{int((repeated.distilled >= 0).sum())}; {int(repeated.inherited.sum())} are new with "
        f"distillation and {int(repeated.shed.sum())} are gone."
    )


def _causes(material: Material) -> Iterator[str]:
    rows = [
        [f"{cause.factor}: {_range(part)}", str(len(part.objects)), *_slice_cells(part)]
        for cause in material.causes
        for part in cause.slices
    ]
    if rows:
        yield table(["objects by", "n", "gap", "share of the gap", "gain", "closed"], rows)


def _range(part: SliceFinding) -> str:
    low, high = part.slice.low, part.slice.high
    if high == 0:
        return "0"
    over = "" if low == float("-inf") else f"over {low:.3g}"
    upto = "" if high == float("inf") else f"up to {high:.3g}"
    return " ".join(filter(None, (over, upto))) or "all"


def _slice_cells(part: SliceFinding) -> list[str]:
    def share(estimate: Estimate | None, sure: Estimate | None) -> str:
        return f"{estimate.value:.0%}" if estimate is not None and stands(sure) else ""

    gap = signed(part.gap) if part.gap is not None else ""
    gain = signed(part.gain) if part.gain is not None else ""
    return [gap, share(part.explains, part.gap), gain, share(part.closed, part.gap)]


def _groups(material: Material) -> Iterator[str]:
    rows = []
    for name, one in material.groups.items():
        told = one.summary
        rows.append([name, *map(str, (told.groups, told.grouped, told.separated, told.boxes))])
    yield table(["", "near groups", "drawn as one", "every member found", "grouped boxes"], rows)


SECTIONS: dict[str, Callable[[Material], Iterator[str]]] = {
    "In short": _in_short,
    "How good is each detector?": _scores,
    "Which errors does each make?": _errors,
    "What happened to every object?": _transitions,
    "Which mistakes did the teacher hand down?": _mistakes,
    "Where does the gap lie, and did it close?": _causes,
    "Are near objects kept apart?": _groups,
}
"""Sections of the page by their question; one that has nothing to say is left out."""
