"""The page of a matrix: what was found, what is missing, and how to do it again."""

from __future__ import annotations

import csv
import html
import io
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kdviz.files import write_atomically, write_json_atomically
from kdviz.runs.matrix.outcomes import Outcome, as_rows, environments
from kdviz.runs.matrix.report_sections import (
    do_claims_hold,
    how_learned,
    in_short,
    where_gained,
    which_helps,
)
from kdviz.runs.matrix.results import Results, gather
from kdviz.runs.matrix.run_sections import again, what_failed, what_it_cost, which_runs
from kdviz.runs.matrix.spec import MatrixSpec, to_yaml
from kdviz.runs.matrix.tables import Form, table
from kdviz.runs.pages import page, paragraph

PAGE, ROWS, SHEET, MATRIX = "index.html", "results.json", "results.csv", "matrix.yaml"

_STYLE = """\
<style>
table.runs small { color: var(--faint); }
.done, .running { font-weight: 600; }
table.standings td:last-child, table.standings th:last-child { text-align: left; }
.better { color: var(--string); font-weight: 600; }
.worse { color: var(--bad); font-weight: 600; }
.of-teacher { color: var(--faint); }
.waiting { color: var(--faint); }
.failed { color: var(--bad); font-weight: 600; }
pre.error { border-left: 4px solid var(--bad); padding-left: .8rem; }
</style>
"""


def write_report(matrix: MatrixSpec, root: Path = Path("runs")) -> Path:
    """Write the page of a matrix, and its results as JSON and CSV, into its folder.

    Nothing has to be finished: the page says what is missing. Each file takes the place of an
    older one at once, so a reader never sees a part.

    Args:
        matrix: which runs.
        root: folder of all matrices.

    Returns:
        ``root/<matrix.name>/index.html``.
    """
    results = gather(matrix, Path(root))
    results.home.mkdir(parents=True, exist_ok=True)
    if not (results.home / MATRIX).exists():  # the page's commands name it
        write_atomically(results.home / MATRIX, to_yaml(matrix))
    rows = as_rows(results.records)
    content = {
        "schema": 1,
        "matrix": matrix.name,
        "environment": environments(results.states),
        "rows": rows,
    }
    write_json_atomically(results.home / ROWS, content, indent=1)
    write_atomically(results.home / SHEET, _as_csv(results.records))
    write_atomically(results.home / PAGE, matrix_page(results))
    return results.home / PAGE


def report_table(matrix: MatrixSpec, root: Path, form: Form) -> str:
    """The results of a matrix, as far as they are, as a table.

    Args:
        matrix: which runs.
        root: folder of all matrices.
        form: ``text``, ``markdown`` or ``latex``.
    """
    return table(gather(matrix, root).groups, form)


def matrix_page(results: Results) -> str:
    """One HTML page that opens without a network, pictures inside."""
    matrix = results.matrix
    done = sum(record.status == "done" for record in results.records)
    told = (
        f"Methods: {', '.join(matrix.methods)}. Pairs of student and teacher: "
        f"{', '.join(matrix.pairs)}. Data: {', '.join(matrix.data)}. Seeds: "
        f"{', '.join(map(str, matrix.seeds))}. {done} of {len(results.records)} runs are done. "
        f"Written {time.strftime('%Y-%m-%d %H:%M %Z')}."
    )
    contents, body = [], []
    for number, (question, section) in enumerate(SECTIONS.items()):
        parts = [part for part in section(results) if part]
        if parts:
            contents.append(f'<a href="#part-{number}">{html.escape(question)}</a>')
            body += [f'<h2 id="part-{number}">{html.escape(question)}</h2>', *parts]
    head = [_STYLE, f"<h1>Matrix: {html.escape(matrix.name)}</h1>", paragraph(told)]
    head.append(f'<p class="contents">{" · ".join(contents)}</p>')
    return page(f"Matrix: {matrix.name}", "\n".join([*head, *body]))


def _as_csv(records: Sequence[Outcome]) -> str:
    rows = as_rows(records)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


SECTIONS: dict[str, Callable[[Results], Iterator[str]]] = {
    "In short": in_short,
    "What helps?": which_helps,
    "Where does it help?": where_gained,
    "How do they learn?": how_learned,
    "Do the papers' claims hold here?": do_claims_hold,
    "What failed?": what_failed,
    "Which runs are there?": which_runs,
    "What did it cost?": what_it_cost,
    "How to do it again": again,
}
"""Sections of the page by their question; one that has nothing to say is left out."""
