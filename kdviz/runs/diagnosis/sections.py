"""Sections of a diagnosis that show objects: what became of them, with their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matplotlib.patches import Rectangle

from kdviz.diagnosis.findings import signed
from kdviz.diagnosis.misses import Cause
from kdviz.diagnosis.overlaps import Integers
from kdviz.diagnosis.tables import word
from kdviz.diagnosis.transitions import Transition
from kdviz.diagnosis.verdicts import JUDGED
from kdviz.plots import flow_diagram, interval_rows
from kdviz.plots.confusion import confusion_matrix, shown_classes
from kdviz.plots.theme import INK
from kdviz.plots.traces import cause_bars
from kdviz.runs.diagnosis.case import Case
from kdviz.runs.diagnosis.changed_images import Which, image_pictures
from kdviz.runs.diagnosis.galleries import Gallery
from kdviz.runs.diagnosis.inside import TEACHER
from kdviz.runs.diagnosis.lost_objects import lost_pictures
from kdviz.runs.diagnosis.near_groups import group_pictures
from kdviz.runs.diagnosis.objects import confusion_pictures, transition_pictures
from kdviz.runs.pages import (
    cell_area,
    details,
    paragraph,
    picture,
    picture_with_links,
    shown_on_click,
    table,
)

SHOWN = 8
"""Objects of a gallery."""

MEANING = {
    Transition.FIXED: "wrong before, right after",
    Transition.BROKEN: "right before, wrong after, in a way of its own",
    Transition.INHERITED: "now wrong in the way of the teacher, and not so before",
    Transition.KEPT_RIGHT: "right before and after",
    Transition.KEPT_WRONG: "wrong before and after",
}
CELLS = 12
"""Cells of the confusion matrix that open."""

DISTILLED = "distilled"


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
        ["from student to distilled", "objects", "share of all"],
        [
            [f"{_plain(word(kind))}: {MEANING[kind]}", str(counts[kind]), str(share)]
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
    if case.inside is None:
        return
    counts = {
        name: {word(cause): n for cause, n in lost.counts().items() if cause != Cause.FOUND}
        for name, lost in case.lost.items()
    }
    told = (
        "Of the objects that each student gets wrong, the last place inside it where they were "
        "seen. From above: the end of the network to its beginning."
    )
    yield picture(
        cause_bars(counts, caption=told)[0], "objects that each student gets wrong, by cause"
    )
    rows = []
    for name, lost in case.lost.items():
        found, right = lost.read
        rows.append([name, str(int(lost.verdicts.wrong.sum())), f"{found} of {right}"])
    yield table(
        ["", "objects it gets wrong", "of those it finds, read by the teacher's head"], rows
    )
    yield paragraph(
        "The teacher's head sees a student's maps after the linear translation that brings them "
        "nearest to its own, fitted on other images. The last column tells how far it can read "
        "them at all: where it reads few, an object it does not find need not be missing there."
    )
    threshold = case.diagnosis.sets[TEACHER].verdicts.threshold
    name = DISTILLED if DISTILLED in case.lost else next(iter(case.lost))
    for cause in (Cause.NECK, Cause.HEAD, Cause.THRESHOLD, Cause.SUPPRESSED):
        yield from _gallery(
            lost_pictures(
                case.lost,
                case.inside.seen,
                case.images,
                name,
                cause,
                teacher_threshold=threshold,
                count=4,
            )
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
        "group is drawn as one when a box matches none of its members but what it covers of "
        "several: the failure that the authors of FGFI show."
    )
    yield from _gallery(group_pictures(case.diagnosis, case.groups, case.images))


def confusion_section(case: Case) -> Iterator[str]:
    """Which class is taken for which; a click on a cell of the picture shows its objects."""
    name = _subject(case)
    confusion = case.diagnosis.sets[name].confusion
    figure, axes = confusion_matrix(confusion.matrix, confusion.names[:-1])
    shown = [*shown_classes(confusion.matrix), len(confusion.names) - 1]
    wrong = _telling_cells(confusion.matrix, shown)
    for row, column in wrong:
        corner = shown.index(column) - 0.5, shown.index(row) - 0.5
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=INK, linewidth=1.2))
    areas = {
        f"cell-{row}-{column}": cell_area(axes, shown.index(column), shown.index(row))
        for row, column in wrong
    }
    yield paragraph(
        f"Of {name}, at its threshold. A click on a framed cell shows its objects below the "
        f"picture: {len(wrong)} cells, the most frequent mix-ups and the fullest others."
    )
    yield picture_with_links(figure, f"confusion matrix of {name}", "confusion", areas)
    for row, column in wrong:
        gallery = confusion_pictures(case.diagnosis, case.images, name, row, column, SHOWN)
        yield shown_on_click(f"cell-{row}-{column}", "\n".join(_gallery(gallery)))


def _telling_cells(matrix: Integers, shown: Sequence[int]) -> list[tuple[int, int]]:
    """The fullest cells off the diagonal, one half of them mix-ups of two classes if there are."""
    nothing = len(matrix) - 1
    wrong = [(row, column) for row in shown for column in shown if row != column]
    wrong = sorted((c for c in wrong if matrix[c]), key=lambda cell: -matrix[cell])
    mixed = [cell for cell in wrong if nothing not in cell][: CELLS // 2]
    return mixed + [cell for cell in wrong if nothing in cell][: CELLS - len(mixed)]


def images_section(case: Case) -> Iterator[str]:
    """Whole images that a detector does worst on, and that changed most."""
    which: tuple[Which, ...] = ("improved", "worsened", "worst")
    for one in which if case.diagnosis.transition_shares else which[2:]:
        pictures = image_pictures(case.diagnosis, case.images, one, _subject(case), count=2)
        yield from _gallery(pictures)


def _subject(case: Case) -> str:
    """The detector that questions of a single one are asked of."""
    return DISTILLED if DISTILLED in case.diagnosis.sets else next(iter(case.diagnosis.sets))


def _gallery(gallery: Gallery) -> Iterator[str]:
    if not gallery.figures or len(gallery.figures) > 1:
        yield paragraph(gallery.text)
    for figure in gallery.figures:
        yield picture(figure, gallery.text)


def _plain(name: str) -> str:
    return name.replace("_", " ")
