"""The sections of a matrix's page that are of its runs: failures, links, costs, commands."""

from __future__ import annotations

import html
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kdviz.runs.matrix.outcomes import environments
from kdviz.runs.matrix.results import Results
from kdviz.runs.matrix.spec import to_yaml
from kdviz.runs.matrix.standings import Group
from kdviz.runs.matrix.state import CellState
from kdviz.runs.matrix.tables import duration
from kdviz.runs.pages import details, paragraph, table, wide

_PLACES = {"commit", "gpu", "cpu", "threads"}
"""Of an environment: what may differ from run to run without any difference of versions."""


def what_failed(results: Results) -> Iterator[str]:
    """The last error of each failed run, and its notebook."""
    for state in results.states:
        if state.status == "failed":
            name = html.escape(state.folder.name)
            links = " · ".join(_links(state, results.home))
            tries = f"{state.attempts} attempt{'s' * (state.attempts != 1)}"
            yield f"<h3>{name}</h3>\n<p>{tries}, {state.step} steps. {links}</p>"
            yield f'<pre class="error">{html.escape(state.error.strip())}</pre>'


def which_runs(results: Results) -> Iterator[str]:
    """Every run: its score or its state, and links to what it left."""
    for group in results.groups:
        states = results.of(group)
        seeds = sorted({state.cell.seed for each in states.values() for state in each})
        head = "".join(f"<th>seed {seed}</th>" for seed in seeds)
        rows = []
        for one in group.standings:
            cells = {
                state.cell.seed: _run(state, group, results.home) for state in states[one.method]
            }
            shown = "".join(f"<td>{cells.get(seed, '')}</td>" for seed in seeds)
            rows.append(f"<tr><td>{html.escape(one.method)}</td>{shown}</tr>")
        body = "\n".join([f"<tr><th>{group.split} AP</th>{head}</tr>", *rows])
        yield f"<h3>{html.escape(group.name)}</h3>"
        yield wide(f'<table class="runs">\n{body}\n</table>')


def what_it_cost(results: Results) -> Iterator[str]:
    """Time and speed of training, and what the runs were made with."""
    rows = []
    for group in results.groups:
        base = next(
            (x.images_per_second for x in group.standings if x.method == group.baseline), None
        )
        for one in group.standings:
            if one.row is not None:
                speed = one.images_per_second
                rows.append(
                    [
                        f"{group.name}: {one.method}",
                        duration(one.row.seconds),
                        f"{speed:.1f}" if speed else "",
                        f"{base / speed:.2f}" if base and speed else "",
                    ]
                )
    if not rows:
        return
    spent = sum(record.seconds or 0.0 for record in results.records)
    told = (
        f"{duration(spent)} of training in all. Times are as they came: runs that shared a machine "
        "slowed each other."
    )
    if results.matrix.train.get("teacher_cache"):
        told += " The teacher's maps were kept on disk, so who needed them first paid for all."
    yield paragraph(told)
    yield wide(table(["mean of the seeds", "training", "images/s", "times the baseline"], rows))
    yield from _environment(environments(results.states))


def again(results: Results) -> Iterator[str]:
    """The commands that make it anew."""
    home = results.home.resolve()
    home = home.relative_to(Path.cwd()) if home.is_relative_to(Path.cwd()) else home
    matrix = shlex.quote(str(home / "matrix.yaml"))
    if home.parent != Path("runs"):
        matrix += f" --out {shlex.quote(str(home.parent))}"
    commands = [
        f"kdviz matrix plan {matrix}      # what there is to do, how long, how much disk",
        f"kdviz matrix run {matrix}       # done runs are skipped, cut ones go on",
        f"kdviz matrix retry {matrix}     # the same, failed ones too",
        f"kdviz matrix report {matrix}    # this page, from what is there",
    ]
    done = [state.folder for state in results.states if state.result is not None]
    if done:
        spec = shlex.quote(str(home / done[0].name / "spec.yaml"))
        commands.append(f"kdviz run {spec}    # one run of it alone")
    yield f'<div class="wide"><pre>{html.escape(chr(10).join(commands))}</pre></div>'
    yield details("The matrix", f'<pre class="wide">{html.escape(to_yaml(results.matrix))}</pre>')
    yield (
        '<p>Beside this page: <a href="results.json">results.json</a>, '
        '<a href="results.csv">results.csv</a>.</p>'
    )


def _run(state: CellState, group: Group, home: Path) -> str:
    """Score or state of a run, and below it its links."""
    told, kind = str(state.status), str(state.status)
    if state.result is not None:
        score = (state.result["test"] if group.split == "test" else state.result["metrics"])["AP"]
        told, kind = f"{score:.3f}" if score >= 0 else "no objects", "done"
    elif state.step:
        told += f", step {state.step} of {state.cell.spec.train.steps}"
    links = " · ".join(_links(state, home))
    return f'<span class="{kind}">{told}</span><br><small>{links}</small>'


def _links(state: CellState, home: Path) -> Iterator[str]:
    files: Mapping[str, Path | None] = {
        "notebook": state.notebook,
        "report": state.folder / "report.html",
        "folder": state.folder,
    }
    for name, path in files.items():
        if path is not None and path.exists():
            place = Path(os.path.relpath(path, home)).as_posix() + "/" * path.is_dir()
            yield f'<a href="{quote(place)}">{name}</a>'


def _environment(found: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    differing = [key for key, values in found.items() if len(values) > 1]
    versions = [key for key in differing if key not in _PLACES]
    if versions:
        yield paragraph(
            f"The runs were not all made with the same {', '.join(versions)}: part of what differs "
            "between them may come from there."
        )
    elif differing:
        yield paragraph(
            f"All runs were made with the same versions, but not the same {', '.join(differing)}."
        )
    rows = [[key, "; ".join(map(_plain, values))] for key, values in found.items()]
    yield details("What the runs were made with", wide(table(["", "most frequent first"], rows)))


def _plain(value: Any) -> str:
    return "none" if value is None else str(value)
