"""Sections of a diagnosis that show objects: what became of them, with their pictures."""

from __future__ import annotations

import html
from collections.abc import Iterator

from kdviz.diagnosis.confusion import Confusion
from kdviz.diagnosis.findings import signed
from kdviz.diagnosis.misses import Cause
from kdviz.diagnosis.tables import word
from kdviz.diagnosis.transitions import Transition
from kdviz.diagnosis.verdicts import JUDGED
from kdviz.plots import flow_diagram, interval_rows
from kdviz.runs.case import Case
from kdviz.runs.changed_images import image_pictures
from kdviz.runs.galleries import Gallery
from kdviz.runs.objects import confusion_pictures, object_pictures, transition_pictures
from kdviz.runs.pages import details, paragraph, picture, shown_on_click, table

SHOWN = 8
"""Objects of a gallery."""

MEANING = {
    Transition.FIXED: "wrong before, right after",
    Transition.BROKEN: "right before, wrong after, in a way of its own",
    Transition.INHERITED: "now wrong in the way of the teacher, and not so before",
    Transition.KEPT_RIGHT: "right before and after",
    Transition.KEPT_WRONG: "wrong before and after",
}
CAUSES = {
    Cause.SUPPRESSED: "suppressed: a good box fell to a neighbour, or to the limit of boxes",
    Cause.THRESHOLD: "threshold: a good box scores too low",
    Cause.HEAD: "head: the teacher's head finds it on the student's maps, the student's does not",
    Cause.NECK: "neck: not even the teacher's head finds it on the student's maps",
    Cause.TEACHER: "teacher: the teacher does not find it either",
}


def transitions_section(case: Case) -> Iterator[str]:
    """Every object through teacher, student and distilled student."""
    moved = case.diagnosis.transitions
    if moved is None:
        return
    words = [_plain(word(verdict)) for verdict in JUDGED]
    figure, _ = flow_diagram(moved.flow, list(moved.verdicts), words)
    yield picture(figure, "objects by what became of them in each detector")
    rows = [
        [_plain(word(kind)), *(str(one.counts()[kind]) for one in moved.verdicts.values())]
        for kind in JUDGED
    ]
    yield details("The numbers", table(["objects", *moved.verdicts], rows))
    shares = case.diagnosis.transition_shares
    if not shares:
        return
    counts = moved.counts()
    yield table(
        ["from student to distilled", "", "objects", "share of all"],
        [
            [_plain(word(kind)), MEANING[kind], str(counts[kind]), str(share)]
            for kind, share in shares.items()
        ],
    )
    for kind in (Transition.FIXED, Transition.BROKEN, Transition.INHERITED):
        yield from _gallery(transition_pictures(case.diagnosis, case.images, kind, SHOWN))


def mistakes_section(case: Case) -> Iterator[str]:
    """What the teacher gets wrong, and who repeats it."""
    rates, repeated = case.diagnosis.mistake_rates, case.diagnosis.repeated
    if not rates or repeated is None:
        return
    heads = {"all": "all its wrong answers to objects", "shown": "those shown by a wrong box"}
    figure, _ = interval_rows(
        {role: {heads[kind]: each[role] for kind, each in rates.items()}
         for role in ("student", "distilled")},
        label="share that is repeated",
        caption="How many of the teacher's wrong answers each student repeats: a miss by a miss, a "
        "wrong box by the same wrong box. What the student alone repeats is hard for everybody; "
        "only what the distilled student repeats beyond that came from the teacher.",
    )  # fmt: skip
    yield picture(figure, "the teacher's mistakes that each student repeats")
    told = "; ".join(f"{heads[kind]} {signed(each['excess'])}" for kind, each in rates.items())
    yield paragraph(f"Repeated more often after distillation than without: {told}.")
    yield paragraph(
        f"Of the teacher's {len(repeated.teacher)} wrong boxes the student alone shows "
        f"{int((repeated.student >= 0).sum())} and the distilled student "
        f"{int((repeated.distilled >= 0).sum())}; {int(repeated.inherited.sum())} came with "
        f"distillation and {int(repeated.shed.sum())} went."
    )


def inside_section(case: Case) -> Iterator[str]:
    """Where inside each student the objects that it gets wrong were seen last."""
    if not case.lost:
        return
    rows = []
    for name, lost in case.lost.items():
        counts, wrong = lost.counts(), max(1, int(lost.verdicts.wrong.sum()))
        cells = [f"{counts[cause]} ({counts[cause] / wrong:.0%})" for cause in CAUSES]
        found, right = lost.read
        rows.append([name, str(wrong), *cells, f"{found} of {right}"])
    names = [_plain(word(cause)) for cause in CAUSES]
    yield table(["", "wrong", *names, "of the found, read"], rows)
    lines = "\n".join(f"<li>{html.escape(text)}</li>" for text in CAUSES.values())
    yield f"<ul>\n{lines}\n</ul>"
    yield paragraph(
        "The teacher's head sees a student's maps after the linear translation that brings them "
        "nearest to its own, fitted on other images. The last column tells how far it can read "
        "them at all: how many of the objects that the student finds it finds there, too."
    )


def groups_section(case: Case) -> Iterator[str]:
    """Boxes drawn around several near objects."""
    rows = [
        [name, *map(str, (one.summary.groups, one.summary.grouped, one.summary.separated))]
        for name, one in case.groups.items()
    ]
    yield table(["", "near groups", "drawn as one", "every member found"], rows)
    yield paragraph(
        "Objects are near when the gap between them is at most a quarter of their mean size. A "
        "group counts as drawn as one when a box matches none of its members but what it covers "
        "of several, the failure that the authors of FGFI show."
    )
    for name, one in case.groups.items():
        objects = [int(covered[0]) for covered in one.covered]
        noun = f"boxes of the {name} lie around several near objects"
        gallery = object_pictures(case.diagnosis, case.images, objects, noun, count=SHOWN // 2)
        if objects:
            yield from _gallery(gallery)


def confusion_section(case: Case) -> Iterator[str]:
    """Which class is taken for which; a click on a cell shows its objects."""
    name = "distilled" if "distilled" in case.diagnosis.sets else next(iter(case.diagnosis.sets))
    confusion = case.diagnosis.sets[name].confusion
    links = []
    for number, (row, column, count) in enumerate(_mistaken(confusion)):
        gallery = confusion_pictures(case.diagnosis, case.images, name, row, column, SHOWN)
        anchor = f"confused-{number}"
        text = f"{confusion.names[row]} taken for {confusion.names[column]} ({count})"
        links.append((anchor, text, shown_on_click(anchor, "\n".join(_gallery(gallery)))))
    items = "\n".join(f'<li><a href="#{a}">{html.escape(text)}</a></li>' for a, text, _ in links)
    yield paragraph(f"Of {name}, the most frequent mistakes; a click shows the objects.")
    yield f"<ul>\n{items}\n</ul>"
    yield from (body for _, _, body in links)


def _mistaken(confusion: Confusion) -> list[tuple[int, int, int]]:
    """The fullest cells off the diagonal, of mix-ups, misses and boxes on nothing."""
    return confusion.mix_ups(SHOWN)


def images_section(case: Case) -> Iterator[str]:
    """Whole images that a detector does worst on, and that changed most."""
    sets = case.diagnosis.sets
    name = "distilled" if "distilled" in sets else next(iter(sets))
    for which in ("improved", "worsened") if {"student", "distilled"} <= set(sets) else ():
        yield from _gallery(image_pictures(case.diagnosis, case.images, which, count=2))
    yield from _gallery(image_pictures(case.diagnosis, case.images, "worst", name, count=2))


def _gallery(gallery: Gallery) -> Iterator[str]:
    if not gallery.figures or len(gallery.figures) > 1:
        yield paragraph(gallery.text)
    for figure in gallery.figures:
        yield picture(figure, gallery.text)


def _plain(name: str) -> str:
    return name.replace("_", " ")
