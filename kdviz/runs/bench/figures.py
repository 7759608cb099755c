"""What was measured, as figures: those of notebook 80."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from kdviz import plots
from kdviz.files import read_json
from kdviz.runs.bench.tables import missing
from kdviz.runs.embedded import FOLDER

Part = Mapping[str, Any]


def read_report(path: str | Path | None = None) -> dict[str, Any]:
    """A report of ``make bench``; without a path the one that kdviz brings along.

    Raises:
        FileNotFoundError: there is no such file.
    """
    report: dict[str, Any] = read_json(Path(path) if path else FOLDER / "bench.json")
    return report


def part_figure(report: Mapping[str, Any], name: str) -> Figure | str:
    """The picture of a part, or why there is none.

    Args:
        report: as in ``bench.json``.
        name: of the part, or ``kinds``: the time of ``roofline`` by kind of operation.

    Raises:
        ValueError: there is no picture of this part.
    """
    if name not in _FIGURES:
        raise ValueError(f"there is no picture of {name!r}; there are {', '.join(_FIGURES)}")
    draw, part = _FIGURES[name]
    return missing(report, part) or draw(report[part])


def _overhead(part: Part) -> Figure:
    milliseconds = {
        row["method"]: {
            "student": 1000 * row["student_step"],
            "teacher": 1000 * row["teacher_forward"],
            "method": 1000 * max(0, row["seconds"] - row["student_step"] - row["teacher_forward"]),
        }
        for row in part["rows"]
    }
    return plots.stacked_rows(
        milliseconds,
        label="milliseconds of a step",
        marks={row["method"]: 1000 * row["seconds"] for row in part["rows"]},
        caption="The student's step, the teacher's forward pass, and what the method adds. The "
        "black mark is the step as it was measured; where it lies inside the teacher's bar, the "
        "method adds less than the times differ by chance.",
    )[0]


def _training(part: Part) -> Figure:
    measured = [x for x in part["rows"] if "skipped" not in x and x["variant"] != "torchvision"]
    gains: dict[str, dict[str, float]] = {}
    for row in measured:
        gains.setdefault(row["detector"], {})[row["variant"]] = row["over_torchvision"]
    return plots.gain_rows(
        gains,
        label="images a second over torchvision's plain recipe",
        caption="none: kdviz's loop without any lever; then each lever alone, then all of them. "
        "Right of the line is faster than the plain recipe, left of it slower.",
    )[0]


def _teacher(part: Part) -> Figure:
    gains = {x["teacher"]: x["over_computed"] for x in part["rows"] if x["teacher"] != "computed"}
    return plots.gain_rows(
        {"a step that imitates all maps": gains},
        label="times as fast as with the teacher computed in float32",
        caption="The last row is the bound: a step without any teacher. What lies near it pays "
        "next to nothing for being taught.",
    )[0]


def _roofline(part: Part) -> Figure:
    best = part["ceilings"]
    return plots.roofline(
        {x["step"]: (x["flops"] / x["bytes"], x["flops"] / x["seconds"]) for x in part["rows"]},
        arithmetic=max(best["matrix product"], best["convolution"]),
        memory=best["copy"],
    )[0]


def _kinds(part: Part) -> Figure:
    return plots.stacked_rows(
        {row["step"]: row["kinds"] for row in part["rows"]},
        label="share of the time",
        written="{:.0%}".format,
        caption="Where the time of each step goes. Choosing is to sort, compare and index, as when "
        "objects are given to cells; rest is Python, and on a GPU the time in which it waits.",
    )[0]


def _sweeps(part: Part) -> Figure:
    costs: dict[str, dict[str, dict[float, float]]] = {}
    for axis, rows in part["axes"].items():
        for row in rows:
            line = costs.setdefault(axis, {}).setdefault(row["what"], {})
            line[row["value"]] = 1000 * row["seconds"]
    return plots.growth_charts(costs, unit="milliseconds")[0]


_FIGURES: Mapping[str, tuple[Callable[[Part], Figure], str]] = {
    "overhead": (_overhead, "overhead"),
    "training": (_training, "training"),
    "teacher": (_teacher, "teacher"),
    "roofline": (_roofline, "roofline"),
    "kinds": (_kinds, "roofline"),
    "sweeps": (_sweeps, "sweeps"),
}
