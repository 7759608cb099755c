"""Measured in several processes, of which each number is the median.

How a process lies in memory, and who else uses the machine meanwhile, makes a step a tenth slower
for as long as the process lives: more rounds in it do not help, another process does.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdviz.files import read_json, write_atomically, write_json_atomically
from kdviz.runs.bench.report import OUT, PARTS, known_parts
from kdviz.runs.bench.tables import tables
from kdviz.runs.bench.workload import workload

ON_CPU = 3
"""Processes there; a GPU is steadier, and lent by the minute: one."""

ONCE = ("waits", "repaints", "levers_ap")
"""Parts that have no ratio, or the same one each time."""


def measure_in_passes(
    chosen: Sequence[str] = (), out: Path = OUT, passes: int | None = None
) -> dict[str, Any]:
    """Measure in one process after the other and write the medians; the other parts are kept.

    What each process found stays in ``passes/1``, ``passes/2``, ... of the folder.

    Args:
        chosen: parts that are measured anew; none means all but those on request.
        out: folder of the report, made where it is missing.
        passes: processes; None is `ON_CPU` there, and one on a GPU.

    Returns:
        The report, as `kdviz.runs.bench.report.measure` returns it, each part with ``processes``
        and ``spread``: by ratio, how far the largest lies above the smallest, over the latter.

    Raises:
        ValueError: there is no such part.
        subprocess.CalledProcessError: a process failed, and has said why.
    """
    known_parts(chosen)
    if passes is None:
        passes = 1 if workload().on_gpu else ON_CPU
    file, folders = out / "bench.json", out / "passes"
    report: dict[str, Any] = read_json(file) if file.exists() else {}
    shutil.rmtree(folders, ignore_errors=True)
    found: dict[str, list[dict[str, Any]]] = {}
    for number in range(1, passes + 1):
        names = chosen if number == 1 else [x for x in chosen or PARTS if x not in ONCE]
        if number > 1 and not names:
            break
        folder = folders / str(number)
        command = [sys.executable, "-m", "kdviz.runs.bench", "once", str(folder), *names]
        print(f"process {number} of {passes}", flush=True)
        subprocess.run(command, check=True)
        for name, part in read_json(folder / "bench.json").items():
            found.setdefault(name, []).append(part)
            if "skipped" not in part or name not in report:
                report[name] = merged(found[name])
        write_json_atomically(file, report, indent=2)  # what is measured stays, whatever follows
    write_atomically(out / "bench.md", tables(report))
    return report


def merged(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One part as several processes measured it: the median of each number.

    Args:
        found: the part, once for each process.
    """
    ratios = {name: [part["ratios"][name] for part in found] for name in found[0]["ratios"]}
    return {
        **middle(found),
        "processes": len(found),
        "spread": {name: max(x) / min(x) - 1 for name, x in ratios.items()},
        "took": round(sum(part.get("took", 0) for part in found), 1),
    }


def middle(values: Sequence[Any]) -> Any:
    """The median of numbers, the commonest of words, and so for each entry of what holds them."""
    first = values[0]
    if isinstance(first, Mapping):
        return {key: middle([value[key] for value in values]) for key in first}
    if isinstance(first, list):
        return [middle(entries) for entries in zip(*values, strict=True)]
    if isinstance(first, int | float) and not isinstance(first, bool):
        return statistics.median(values)
    return statistics.mode(values)
