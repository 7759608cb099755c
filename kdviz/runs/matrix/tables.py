"""The results of a matrix as tables: plain text, Markdown, or LaTeX in the manner of booktabs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from kdviz.runs.compare import ALONE
from kdviz.runs.matrix.outcomes import read_outcomes
from kdviz.runs.matrix.standings import Group, Standing, groups
from kdviz.runs.scores import Row

Form = Literal["text", "markdown", "latex"]

HEAD = ("method", "AP", "gain [95 %]", "p, Holm", "seeds", "time", "verdict")
_LEFT = {"method", "verdict"}  # columns of words

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def table(found: Sequence[Group], form: Form = "text") -> str:
    """One table, in which the methods of each pair stand under the name of their pair.

    Args:
        found: what may be compared.
        form: ``text`` of fixed width, ``markdown``, or ``latex`` that needs ``booktabs``.

    Raises:
        ValueError: no such form.
    """
    blocks = [(heading(group), list(lines(group))) for group in found]
    if form == "latex":
        return _latex(blocks)
    if form == "markdown":
        return "\n\n".join(f"**{name}**\n\n{markdown(HEAD, rows)}" for name, rows in blocks)
    if form == "text":
        return "\n\n".join(f"{name}\n{_text(rows)}" for name, rows in blocks)
    raise ValueError(f"a table is text, markdown or latex, not {form!r}")


def results_table(path: Path, form: Form = "text") -> str:
    """The table of a ``results.json``, as `write_report` leaves it.

    Raises:
        ValueError: the file holds something else.
        FileNotFoundError: there is no such file.
    """
    return table(groups(read_outcomes(path)), form)


def readme_table(paths: Iterable[Path]) -> str:
    """Methods x pairs of some ``results.json`` in one Markdown table: AP, gain and its interval.

    A gain in bold has an interval that leaves out 0. One line for each method, and four more.
    Pairs without a student alone are left out: they are no question of methods.

    Args:
        paths: the files; each may hold several pairs.

    Raises:
        ValueError: a file holds something else.
    """
    found = [group for path in paths for group in groups(read_outcomes(path))]
    found = [group for group in found if group.begun and not group.by_pair]
    found.sort(key=lambda group: -len(group.standings))  # methods in the order of the longest list
    if not found:
        return "No matrix has been run yet."
    methods = dict.fromkeys(one.method for group in found for one in group.standings)
    by_method = [{one.method: one for one in group.standings} for group in found]
    rows = [
        [f"`{method}`" if method != ALONE else "student alone"]
        + [_in_short(standings.get(method)) for standings in by_method]
        for method in methods
    ]
    seeds = sorted({len(one.seeds) for group in found for one in group.standings if one.row})
    counts = "1" if seeds == [1] else f"{seeds[0]} to {seeds[-1]}" if seeds[1:] else f"{seeds[0]}"
    tested = [one for group in found for one, row in group.compared if row.interval]
    splits = " or ".join(dict.fromkeys(group.split for group in found))
    note = (
        f"Mean {splits} AP of {counts} seed{'s' * (counts != '1')}, and the mean gain over the "
        "student alone with the same seed, with its 95 % interval (Student's t); bold where it "
        f"leaves out 0, as {0.05 * len(tested):.1f} of these {len(tested)} would by chance alone."
    )
    return "\n".join([markdown(["method", *(_named(group) for group in found)], rows), "", note])


def heading(group: Group) -> str:
    """Name of a group, and whose AP it compares."""
    if not group.begun:
        return f"{group.name}: no run is done yet"
    return f"{group.name}: AP on the {_SPLITS[group.split]} split"


def lines(group: Group) -> Iterable[list[str]]:
    """One line for each method, in the order of `HEAD`; a last one for the teacher."""
    for one in group.standings:
        seeds = f"{len(one.seeds)}" if len(one.seeds) == one.planned else (
            f"{len(one.seeds)} of {one.planned}"
        )  # fmt: skip
        row = one.row
        yield [
            one.method,
            f"{row.mean:.3f}" if row else "",
            gain(row),
            "" if one.holm is None else p_text(one.holm),
            seeds,
            duration(row.seconds) if row else "",
            one.verdict,
        ]
    if group.teacher_AP is not None:
        told = f"on {group.teacher_images} validation images" if group.teacher_images else ""
        yield ["teacher", f"{group.teacher_AP:.3f}", "", "", "", "", told]


def gain(row: Row | None) -> str:
    """Mean difference and its interval; empty without any."""
    if row is None or not row.differences:
        return ""
    return signed(row.difference) + ("" if row.interval is None else f" {span(row.interval)}")


def span(interval: tuple[float, float]) -> str:
    """An interval as text."""
    return f"[{signed(interval[0])}, {signed(interval[1])}]"


def signed(value: float) -> str:
    """A difference with its sign; a zero has no minus."""
    return f"{value:+z.3f}"


def p_text(value: float) -> str:
    """A p value with two digits; never 0."""
    return "<0.01" if value < 0.01 else f"{value:.2f}"


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    if math.isnan(seconds):
        return ""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; columns of numbers are aligned to the right."""
    marks = ["---" if name in _LEFT else "---:" for name in head]
    every = [head, marks, *([_no_bar(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in every)


def latex_escaped(text: str) -> str:
    """Plain text as LaTeX prints it; numbers with a sign become formulas, for a true minus."""
    escaped = "".join(_LATEX.get(sign, sign) for sign in text)
    escaped = re.sub(r"(?<![\w.])[+-]\d+(?:\.\d+)?", lambda number: f"${number[0]}$", escaped)
    return escaped.replace("<", "$<$").replace(">", "$>$")


_SPLITS = {"test": "test", "val": "validation"}


def _named(group: Group) -> str:
    return _no_bar(group.name)


def _in_short(one: Standing | None) -> str:
    if one is None or one.row is None:
        return ""
    decided = one.verdict in ("better", "worse")
    told, row = gain(one.row), one.row
    if row.differences:
        told = f"**{signed(row.difference)}**{told[6:]}" if decided else told
    return f"{row.mean:.3f}" + (f", {told}" if told else "")


def _no_bar(text: str) -> str:
    return text.replace("|", r"\|")


def _text(rows: Sequence[Sequence[str]]) -> str:
    wide = [max(len(cell) for cell in column) for column in zip(HEAD, *rows, strict=True)]
    aligned = [
        "  ".join(
            f"{cell:<{width}}" if name in _LEFT else f"{cell:>{width}}"
            for cell, width, name in zip(row, wide, HEAD, strict=True)
        ).rstrip()
        for row in [HEAD, *rows]
    ]
    return "\n".join([aligned[0], "-" * max(map(len, aligned)), *aligned[1:]])


def _latex(blocks: Sequence[tuple[str, Sequence[Sequence[str]]]]) -> str:
    columns = "".join("l" if name in _LEFT else "r" for name in HEAD)
    told = [f"\\begin{{tabular}}{{{columns}}}", r"\toprule", _latex_row(HEAD)]
    for name, rows in blocks:
        told += [
            r"\midrule",
            f"\\multicolumn{{{len(HEAD)}}}{{l}}{{\\emph{{{latex_escaped(name)}}}}} \\\\",
            *(_latex_row(row) for row in rows),
        ]
    return "\n".join([*told, r"\bottomrule", r"\end{tabular}"])


def _latex_row(row: Iterable[str]) -> str:
    return " & ".join(latex_escaped(cell) for cell in row) + r" \\"
