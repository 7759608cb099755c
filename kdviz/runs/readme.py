"""The generated parts of the README, its picture and its tables: part of ``make notebooks``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kdviz.files import read_json, write_atomically
from kdviz.methods import METHODS
from kdviz.plots import compare_detections, to_png
from kdviz.runs import combinations
from kdviz.runs.bench.compare import BEFORE, compare
from kdviz.runs.embedded import FOLDER, manifest
from kdviz.runs.lessons import detections_of, open_detector, open_lesson
from kdviz.runs.matrix.tables import readme_table
from kdviz.runs.pocket.ranks import against_full
from kdviz.runs.pocket.report import POCKET
from kdviz.runs.suite import suite_map

README = FOLDER.parent / "README.md"
SCENE = 10
"""The validation scene of the picture: several classes, all of them easy to see."""


_FOUR = ("FGFI", "FRS", "GKD", "Dist2")


def overview() -> bytes:
    """PNG of one scene as ground truth, student, teacher and distilled student see it."""
    lesson = open_lesson(count=SCENE + 1)
    roles = {"student": "student", "teacher": "teacher", "distilled": "fgfi"}
    figure, _ = compare_detections(
        lesson.images[SCENE],
        {role: detections_of(open_detector(x)[0], lesson)[SCENE] for role, x in roles.items()},
        lesson.targets[SCENE],
        lesson.names,
        score_threshold=0.5,
        caption="A validation scene and the embedded detectors, scores from 0.5. The distilled "
        "student is as small as the student; it learned from the teacher (FGFI).",
    )
    return to_png(figure)


def notebooks_table() -> str:
    """The map of the suite."""
    return suite_map("notebooks/")


def methods_table() -> str:
    """One row a method: what it does, its overhead, and where it works."""
    families = " | ".join(combinations.FAMILIES)
    rows = [
        f"| method | what it does | overhead | {families} |",
        "|---" * (len(combinations.FAMILIES) + 3) + "|",
    ]
    measured = read_json(FOLDER / "bench.json")["overhead"]["rows"]
    overhead = {row["method"]: row["overhead"] for row in measured}
    for method in METHODS:
        module = inspect.getmodule(method)
        assert module is not None
        told = (module.__doc__ or "").split("\n\n")[0].replace("\n", " ")
        sentence = told.split(": ", 1)[-1].rstrip(".")
        path = Path(inspect.getfile(method)).relative_to(README.parent)
        marks = " | ".join(combinations.marks(method))
        name = method.__name__
        cost = f"{overhead[name]:.2f}" if name in overhead else ""
        rows.append(f"| [`{name}`]({path.as_posix()}) | {sentence} | {cost} | {marks} |")
    return "\n".join(rows)


def results_table() -> str:
    """What the matrices found, and below it the AP of the embedded detectors."""
    matrices = sorted((FOLDER / "matrices").glob("*.json"))
    return f"{readme_table(matrices)}\n\n{embedded_sentence()}"


def embedded_sentence() -> str:
    """Test AP of the embedded detectors, family by family."""
    families: dict[str, list[str]] = {}
    for name, entry in manifest().items():
        family = families.setdefault(entry["model"].split("-")[0], [])
        family.append(f"{name.split('-')[-1]} {entry['test_ap']:.3f}")
    told = "; ".join(f"{family}: {', '.join(found)}" for family, found in families.items())
    return f"Test AP of the embedded detectors (`make zoo`, one seed each). {told}."


def speed_table() -> str:
    """What ``make bench`` found, in a few lines; the whole is in notebook 80."""
    bench = read_json(FOLDER / "bench.json")
    rows = ["| speed | measured |", "|---|---|"]
    rows += [f"| {what} | {found} |" for what, found in _speed(bench)]
    return "\n".join([*rows, "", _measured_on(bench)])


def _speed(bench: dict[str, Any]) -> Iterator[tuple[str, str]]:
    found = {name: part for name, part in bench.items() if "skipped" not in part}
    if "training" in found:
        every = [x for x in found["training"]["rows"] if x["variant"] == "all"]
        gains = ", ".join(f"{x['detector']} {x['over_torchvision']:.2f}" for x in every)
        yield "images/s of training over torchvision's plain recipe, all levers", gains
    if "overhead" in found:
        four = [x for x in found["overhead"]["rows"] if x["method"] in _FOUR]
        told = ", ".join(f"{x['method']} {x['overhead']:.2f}" for x in four)
        yield "overhead: step over (student's step + teacher's forward)", told
    if "teacher" in found:
        gain = found["teacher"]["ratios"]["read from disk, gain"]
        yield (
            "step with the teacher's maps from disk over one that computes them",
            f"{gain:.2f}",
        )
    if "evaluation" in found:
        rows = [x for x in found["evaluation"]["rows"] if "times_as_fast" in x]
        told = ", ".join(f"{x['times_as_fast']:.0f} times {x['reference']}" for x in rows)
        yield f"evaluation of {rows[0]['images']:,} images", told
    changes = compare(read_json(BEFORE), bench)
    near = sum(change.is_small for change in changes)
    yield "ratios of `make bench` within 10 % of the run before", f"{near} of {len(changes)}"
    yield "`kdviz bench pocket --all`, against the runs above", pocket_ranking()


def pocket_ranking() -> str:
    """How far the pocket benchmark puts the methods in the order of the full runs."""
    found = against_full(read_json(POCKET)["rows"])
    return f"rank correlation {found.rho:+z.2f} over {len(found.methods)} methods (p {found.p:.3f})"


def _measured_on(bench: dict[str, Any]) -> str:
    where = bench["overhead"]["environment"]
    return (
        f"`make bench`; torch {where['torch']}, {where['gpu'] or where['cpu']}, threads: "
        f"{where['threads']}. All of it, with machine, versions and command of each part: "
        "[notebook 80](notebooks/80_speed.ipynb)."
    )


def filled(text: str) -> str:
    """The README with its generated parts put between their marks."""
    parts = {
        "notebooks": notebooks_table,
        "methods": methods_table,
        "results": results_table,
        "speed": speed_table,
    }
    marks = {part: (f"<!-- {part}: begin -->\n", f"<!-- {part}: end -->") for part in parts}
    for begin, end in marks.values():
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"the README must hold {begin.strip()} and {end} once")
    for part, (begin, end) in marks.items():
        before, rest = text.split(begin)
        text = before + begin + parts[part]() + "\n" + end + rest.split(end)[1]
    return text


if __name__ == "__main__":
    write_atomically(FOLDER / "overview.png", overview())
    write_atomically(README, filled(README.read_text()))
