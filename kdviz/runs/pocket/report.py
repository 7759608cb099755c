"""What a pocket benchmark says: a sentence for each method, a table, and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kdviz.files import read_json
from kdviz.runs.embedded import FOLDER
from kdviz.runs.environment import environment
from kdviz.runs.pocket.ranks import FULL, ranking
from kdviz.runs.pocket.trial import Trial
from kdviz.runs.scores import Row, table

POCKET = FOLDER / "pocket.json"
"""The stored result of ``kdviz bench pocket --all``."""


def sentence(row: Row) -> str:
    """What may be said of one method after its seeds."""
    low, high = row.interval or (float("nan"), float("nan"))
    seeds = len(row.differences)
    told = (
        f"{row.difference:+z.3f} AP against the student alone "
        f"(95 % interval {low:+z.3f} to {high:+z.3f}, {seeds} paired seeds)"
    )
    if row.verdict == "better":
        return f"{row.method} helps: {told}."
    if row.verdict == "worse":
        return f"{row.method} harms: {told}."
    return (
        f"{row.method} is undecided: {told}; the interval holds 0, and "
        f"--seeds {2 * seeds} would narrow it."
    )


def text(measured: Trial) -> str:
    """Sentences, table and time."""
    rows = measured.rows
    told = [sentence(row) for row in rows if not row.is_baseline]
    runs = len(measured.scores)
    return "\n".join(
        [
            *told,
            "",
            table(rows, "AP", times=True),
            "",
            f"Each of the {runs} runs went on from a half-trained student for {rows[0].steps} "
            f"steps. The teacher has {measured.teacher:.3f} AP on the same test scenes. "
            f"{measured.seconds:.0f} s in all.",
        ]
    )


def as_dict(measured: Trial, command: str) -> dict[str, Any]:
    """The same as JSON holds it: one row a run, one summary a method."""
    return {
        "schema": 1,
        "command": command,
        "seconds": round(measured.seconds, 1),
        "environment": environment(),
        "teacher": measured.teacher,
        "rows": [
            {
                "method": score.method,
                "seed": score.seed,
                "AP": score.value,
                "steps": score.steps,
                "seconds": round(score.seconds, 2),
            }
            for score in measured.scores
        ],
        "summary": [
            {
                "method": row.method,
                "AP": row.mean,
                "difference": None if row.is_baseline else row.difference,
                "interval": row.interval if row.interval is None else list(row.interval),
                "verdict": row.verdict,
            }
            for row in measured.rows
        ],
    }


def pocket_table(pocket: Path = POCKET, full: Path = FULL) -> str:
    """Markdown of the stored result with the rank correlation below, for the README."""
    if not pocket.is_file():
        return f"Not measured yet: {pocket.name} is missing."
    content = read_json(pocket)
    rows = [
        "| method | pocket AP | difference | 95 % interval | verdict |",
        "|---|---|---|---|---|",
    ]
    for row in content["summary"]:
        rows.append(_line(row))
    where = content["environment"]
    seeds = len({row["seed"] for row in content["rows"]})
    rows += [
        "",
        f"{seeds} paired seeds; the teacher has {content['teacher']:.3f} AP. "
        f"`{content['command']}` took {content['seconds']:.0f} s; torch {where['torch']}, "
        f"{where['gpu'] or where['cpu']}.",
        "",
        ranking(content["rows"], full),
    ]
    return "\n".join(rows)


def _line(row: dict[str, Any]) -> str:
    if row["difference"] is None:
        return f"| {row['method']} | {row['AP']:.3f} |  |  |  |"
    low, high = row["interval"]
    return (
        f"| {row['method']} | {row['AP']:.3f} | {row['difference']:+z.3f} | "
        f"{low:+z.3f} to {high:+z.3f} | {row['verdict']} |"
    )
