"""The page of a diagnosis: each section asks one question, shows a picture and the numbers."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator

from kdviz.diagnosis.bootstrap import Estimate
from kdviz.diagnosis.causes import SliceFinding, stands
from kdviz.diagnosis.diagnose import Diagnosis
from kdviz.diagnosis.findings import PLAIN_WORDS, signed
from kdviz.diagnosis.precision import precision_recall as precision_over_recall
from kdviz.plots import (
    error_costs,
    interval_rows,
    precision_recall,
    reliability_diagram,
    slice_panels,
)
from kdviz.runs.diagnosis.case import Case
from kdviz.runs.diagnosis.sections import (
    confusion_section,
    groups_section,
    images_section,
    inside_section,
    mistakes_section,
    transitions_section,
)
from kdviz.runs.pages import details, page, paragraph, picture, table

METRICS = ("AP50", "precision", "recall")


def diagnosis_page(case: Case) -> str:
    """One HTML page that opens without a network, pictures inside."""
    inputs = case.diagnosis.inputs
    title = f"Diagnosis: {', '.join(inputs.detections)}"
    told = (
        f"{len(inputs.truth.image_ids)} images, {int((~inputs.truth.crowd).sum())} objects of "
        f"{len(inputs.truth.category_ids)} classes. Intervals are of 95 %, from "
        f"{len(case.diagnosis.resamples.weights)} paired draws of the images; a number whose "
        "interval holds 0 may be chance."
    )
    body = [f"<h1>{html.escape(title)}</h1>", paragraph(told)]
    for question, section in SECTIONS.items():
        parts = list(section(case))
        if parts:
            body += [f"<h2>{html.escape(question)}</h2>", *parts]
    return page(title, "\n".join(body))


def _in_short(case: Case) -> Iterator[str]:
    told = [one.sentence + ("" if one.sure else " (May be chance.)") for one in case.findings]
    lines = "\n".join(f"<li>{html.escape(sentence)}</li>" for sentence in told)
    yield f"<ul>\n{lines}\n</ul>"
    notes = [*case.diagnosis.inputs.notes, *filter(None, [case.images.complaint])]
    yield from (paragraph(f"Note: {note}.") for note in notes)


def _scores(case: Case) -> Iterator[str]:
    diagnosis = case.diagnosis
    scores = {name: one.scores for name, one in diagnosis.sets.items()}
    figure, _ = interval_rows(
        scores,
        label="in [0, 1]",
        caption="Each detector's numbers with their 95 % intervals. Precision and recall are taken "
        "at its own threshold, that of its best F1: equal scores of two detectors need not mean "
        "the same.",
    )
    yield picture(figure, "AP50, precision and recall of each detector")
    rows = [
        [name, *(str(one.scores[metric]) for metric in METRICS), f"{one.verdicts.threshold:.3f}"]
        for name, one in diagnosis.sets.items()
    ]
    for after, before in _pairs(diagnosis):
        changes = diagnosis.differences(after, before)
        rows.append(
            [f"{after} minus {before}", *(signed(changes[metric]) for metric in METRICS), ""]
        )
    yield table(["", *METRICS, "threshold"], rows)


def _pairs(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    wanted = [("distilled", "student"), ("teacher", "student"), ("teacher", "distilled")]
    others = [name for name in diagnosis.sets if name not in ("student", "teacher", "distilled")]
    wanted += [(name, "student") for name in others]
    return [pair for pair in wanted if set(pair) <= set(diagnosis.sets)]


def _errors(case: Case) -> Iterator[str]:
    sets = case.diagnosis.sets
    figure, _ = error_costs({name: one.costs for name, one in sets.items()})
    yield picture(figure, "what each kind of error costs each detector")
    errors = {
        name: {PLAIN_WORDS[kind]: rate for kind, rate in one.errors.items()}
        for name, one in sets.items()
    }
    figure, _ = interval_rows(
        errors,
        label="wrong boxes for each object",
        caption="Wrong boxes that score enough to count, for each annotated object, by what is "
        "wrong with them.",
    )
    yield picture(figure, "wrong boxes of each kind for each object")
    kinds = next(iter(errors.values()))
    rows = [[kind, *(str(rates[kind]) for rates in errors.values())] for kind in kinds]
    yield details("The numbers", table(["wrong boxes for each object", *sets], rows))


def _curves(case: Case) -> Iterator[str]:
    sets = case.diagnosis.sets
    figure, _ = precision_recall(
        {name: precision_over_recall(one.typed) for name, one in sets.items()},
        reached={name: one.verdicts.class_recall for name, one in sets.items()},
        title="mean over classes, IoU .5",
        caption="Precision at each recall. A diamond stands where a detector's threshold puts it.",
    )
    yield picture(figure, "precision over recall of each detector")
    figure, _ = reliability_diagram({name: one.reliability for name, one in sets.items()})
    yield picture(figure, "how often boxes of each score are right")


def _causes(case: Case) -> Iterator[str]:
    rows = [
        [f"{cause.factor}: {_range(part)}", str(len(part.objects)), *_slice_cells(part)]
        for cause in case.causes
        for part in cause.slices
    ]
    if not rows:
        return
    yield picture(slice_panels(case.causes)[0], "recall of each detector in slices of the objects")
    yield paragraph(
        f"Objects are cut into slices by each of {len(case.causes)} things that may make them "
        "hard. Of so many, one or two differences may stand out by chance alone."
    )
    head = ["objects by", "objects", "teacher minus student", "of the gap", "gain", "closed"]
    yield details("The numbers", table(head, rows))


def _range(part: SliceFinding) -> str:
    low, high = part.slice.low, part.slice.high
    if high == 0:
        return "0"
    over = "" if low == float("-inf") else f"over {low:.3g}"
    upto = "" if high == float("inf") else f"up to {high:.3g}"
    return " ".join(filter(None, (over, upto))) or "all"


def _slice_cells(part: SliceFinding) -> list[str]:
    def share(estimate: Estimate | None) -> str:
        """A share of a gap that may be none says nothing."""
        return f"{estimate.value:.0%}" if estimate is not None and stands(part.gap) else ""

    gap, gain = (signed(one) if one is not None else "" for one in (part.gap, part.gain))
    return [gap, share(part.explains), gain, share(part.closed)]


SECTIONS: dict[str, Callable[[Case], Iterator[str]]] = {
    "In short": _in_short,
    "How good is each detector?": _scores,
    "Which errors does each make?": _errors,
    "What is a score worth?": _curves,
    "What happened to every object?": transitions_section,
    "Which mistakes did the teacher hand down?": mistakes_section,
    "Where does the gap lie, and did it close?": _causes,
    "Where inside the network was an object lost?": inside_section,
    "Are near objects kept apart?": groups_section,
    "Which class is taken for which?": confusion_section,
    "Which images changed?": images_section,
}
"""Sections of the page by their question; one that has nothing to say is left out."""
