"""The generated parts of the README, its picture and its tables: part of ``make notebooks``."""

from __future__ import annotations

import inspect
from pathlib import Path

from kdviz.files import read_json, write_atomically
from kdviz.methods import METHODS
from kdviz.plots import compare_detections, to_png
from kdviz.runs import combinations
from kdviz.runs.embedded import FOLDER, manifest
from kdviz.runs.lessons import detections_of, open_detector, open_lesson
from kdviz.runs.notebooks import suite_map

README = FOLDER.parent / "README.md"
SCENE = 10
"""The validation scene of the picture: several classes, all of them easy to see."""


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
    bench = read_json(FOLDER / "bench.json")
    overhead = {row["method"]: row["overhead"] for row in bench["overhead"]}
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
    where = bench["environment"]
    rows += [
        "",
        "Overhead: time of a step over (the student's step + the teacher's forward), small nets of "
        f"`{bench['command']}`; torch {where['torch']}, {where['gpu'] or where['cpu']}.",
    ]
    return "\n".join(rows)


def results_table() -> str:
    """AP of the embedded checkpoints, each with the command that made it."""
    rows = ["| embedded | model | AP | made by |", "|---|---|---|---|"]
    for name, entry in manifest().items():
        rows.append(f"| {name} | `{entry['model']}` | {entry['ap']:.3f} | `{entry['command']}` |")
    where = next(iter(manifest().values()))["environment"]
    rows += [
        "",
        "AP on 500 scenes that no run was trained on. One seed each, so a point or two may be "
        f"luck; torch {where['torch']}, {where['gpu'] or where['cpu']}.",
    ]
    return "\n".join(rows)


def filled(text: str) -> str:
    """The README with its generated parts put between their marks."""
    parts = {"notebooks": notebooks_table, "methods": methods_table, "results": results_table}
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
