"""From the folder of a matrix to its rulings, and to a page and a table of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdviz.files import read_json, write_atomically
from kdviz.runs.claims.claim import FOLDER, load_claims
from kdviz.runs.claims.cost import ASSUMED, Rate, recorded_rate
from kdviz.runs.claims.evidence import Ruling
from kdviz.runs.claims.judge import judge
from kdviz.runs.claims.page import verdict_markdown, verdict_page
from kdviz.runs.claims.records import FILE, read_measured
from kdviz.runs.embedded import FOLDER as DATA

PAGE, TABLE = "verdicts.html", "verdicts.md"


def matrix_rulings(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    root: Path = Path("runs"),
    folder: Path = FOLDER,
) -> list[Ruling]:
    """What the runs of one matrix say of the claims that ask it.

    Args:
        name: of the matrix.
        rows: of its ``results.json``.
        root: folder of all matrices; ``root/<name>/measured.json`` is read if it is there.
        folder: of the claims.

    Returns:
        The rulings of its questions, and of the papers' own trainings of those claims.
    """
    measured = {name: read_measured(Path(root) / name / FILE)}
    # Before they are judged: what a paper's own training would cost takes seconds to count.
    claims = [x for x in load_claims(folder) if any(asked.matrix == name for asked in x.asks)]
    rulings = judge(claims, {name: rows}, measured, rate=gpu_rate(), root=root)
    return [ruling for ruling in rulings if ruling.matrix in ("", name)]


def write_verdicts(
    matrices: Iterable[str], root: Path = Path("runs"), folder: Path = FOLDER
) -> tuple[Path, list[Ruling]]:
    """Judge all claims by some matrices, and write page and table into the folder of the runs.

    Args:
        matrices: names; what ``results.json`` in each folder says counts.
        root: folder of all matrices.
        folder: of the claims.

    Returns:
        ``root/verdicts.html`` and the rulings.
    """
    root = Path(root)
    homes = {name: root / name for name in matrices}
    rows = {
        name: read_json(home / "results.json")["rows"]
        for name, home in homes.items()
        if (home / "results.json").is_file()
    }
    measured = {name: read_measured(home / FILE) for name, home in homes.items()}
    rulings = judge(load_claims(folder), rows, measured, rate=gpu_rate(), root=root)
    write_atomically(root / TABLE, verdict_markdown(rulings))
    write_atomically(root / PAGE, verdict_page(rulings))
    return root / PAGE, rulings


def gpu_rate() -> Rate:
    """How fast a GPU trains: as the recorded benchmarks measured it, else as is assumed."""
    reports = (read_json(file) for file in sorted(DATA.glob("bench*.json")))
    return recorded_rate(reports) or ASSUMED
