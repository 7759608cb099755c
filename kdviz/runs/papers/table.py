"""The rows of the papers beside their recipes, our numbers and what they would cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from kdviz.runs.claims.cost import Rate, training_cost
from kdviz.runs.claims.write import gpu_rate
from kdviz.runs.compare import RECIPES
from kdviz.runs.embedded import FOLDER as DATA
from kdviz.runs.matrix.outcomes import Outcome, read_outcomes
from kdviz.runs.matrix.tables import readme_table
from kdviz.runs.papers.recipes import baseline_content, row_spec
from kdviz.runs.papers.rows import Net, Pair, Row, Tables
from kdviz.runs.spec import RunSpec, parse_spec

OWN = ("FGFI", "FRS", "GKD", "Dist2")
"""The papers that kdviz is about; all others are their competitors."""
MATRICES = DATA / "matrices"
"""Where the results of matrices are kept."""

SMALL = ("scenes", "bccd", "people")
"""Folders of ``notebooks/recipes`` for data that a laptop can learn."""

_INTRODUCTION = """\
# Recipes for the rows of the papers' tables

One folder for each pair of student and teacher on one schedule, one file for each row:

```bash
kdviz run {place}/{pair}/teacher.yaml data.path=path/to/coco
cp runs/{teacher}-*/student.safetensors {kept}
kdviz run {place}/{pair}/student.yaml data.path=path/to/coco
kdviz run {place}/{pair}/frs.yaml data.path=path/to/coco
```

A detector that stands in several folders has the same recipe in all of them, and is trained once.
Without `data.path` the images are looked for in `data/coco`, `data/VOC2007` and `data/VOCdevkit`.
On eight GPUs: `torchrun --nproc-per-node 8 -m kdviz.cli run RECIPE train.devices=8
train.batch_size=2`. torchvision downloads the ImageNet weights of the backbones. To run a folder
with several seeds, write `recipes: papers/<folder>` into a pair of a matrix (see `../matrices`).

Here are {count} trainings for {rows} rows of {papers} papers. *Alone*, *distilled* and *teacher*
are the numbers of the papers, in percent; *ours* is the mean of our own runs.

**What no recipe has as in the papers:** they used mmdetection (FGFI its own code), these use
torchvision's detectors, with their anchors, assignment and initial weights. All layers learn, where
mmdetection keeps the stem and the first stage of a ResNet as they are. 1x is 90 000 steps of 16
images and not 12 epochs (87 960 steps). Gradients are clipped at a norm of 35, as in the release
of FGD. Biases and normalisation do not decay. What a single row has otherwise is said at the head
of its recipe.

**VOC.** The papers report VOC 2007's own AP at an overlap of one half, the mean of eleven points of
the precision-recall curve. kdviz reports COCO's AP50, from 101 points; objects marked *difficult*
count in neither. They are two measures of the same curve: compare gains rather than levels.

**GPU hours** are an estimate for this one run, its teacher's not included: {cost}.
{assumption}
"""


def page(tables: Tables) -> str:
    """The whole page, Markdown."""
    rate = gpu_rate()
    ours = _ours()
    assumption = "" if rate.is_measured else "That may be wrong by a factor of three."
    rows = [(pair, row) for pair in tables.pairs for row in pair.rows]
    parts = [
        _INTRODUCTION.format(
            place="notebooks/recipes/papers",
            pair=tables.pairs[0].name,
            teacher=tables.pairs[0].teacher.run_name,
            kept=tables.pairs[0].teacher.kept,
            count=len(rows) + len(_baselines(tables)),
            rows=len(rows),
            papers=len({row.paper for _, row in rows}),
            cost=rate.source,
            assumption=assumption,
        ).rstrip()
    ]
    for paper in tables.common.papers:
        mine = [(pair, row) for pair, row in rows if row.paper == paper]
        if mine:
            parts += [
                f"## {paper}" + ("" if paper in OWN else " (a competitor)"),
                f"{tables.common.papers[paper]}.",
                _rows_table(mine, tables, rate, ours),
                *_small_recipes(paper.lower()),
            ]
    parts += ["## Teachers, and students alone", _baselines_table(tables, rate)]
    parts += ["## Rows without a recipe", _missing_table(tables)]
    parts += [
        "## The same methods on small data",
        readme_table(sorted(MATRICES.glob("*.json"))),
        "`kdviz matrix run notebooks/recipes/matrices/scenes.yaml` makes such a table on two "
        "cores.",
    ]
    return "\n\n".join(parts) + "\n"


def _rows_table(
    rows: Iterable[tuple[Pair, Row]],
    tables: Tables,
    rate: Rate,
    ours: Mapping[tuple[str, str], list[Outcome]],
) -> str:
    lines = [
        "| row | method | alone | distilled | teacher | ours | GPU hours | recipe |",
        "|---|---|--:|--:|--:|--:|--:|---|",
    ]
    for pair, row in rows:
        spec = row_spec(pair, row, tables.common)
        cells = [
            f"{_told(pair)}; {row.where}",
            row.told,
            f"{pair.student.published:.1f}",
            f"**{row.published:.1f}**",
            f"{pair.teacher.published:.1f}",
            _measured(pair, [] if row.file else ours.get((pair.name, row.label), [])),
            _hours(spec, rate),
            f"[{row.stem}]({pair.name}/{row.stem}.yaml)",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _small_recipes(method: str) -> list[str]:
    """A line that links the recipes of a method for data that a laptop can learn."""
    names = [f"{data}/{method}.yaml" for data in SMALL]
    links = [f"[{name}](../{name})" for name in names if (RECIPES / name).is_file()]
    return [f"On small data: {', '.join(links)}."] if links else []


def _told(pair: Pair) -> str:
    metric = "" if pair.metric == "AP" else ", AP50"
    return f"{pair.student.name} from {pair.teacher.name}, {pair.student.schedule}{metric}"


def _baselines(tables: Tables) -> dict[str, tuple[Net, Pair, str]]:
    """Every detector that learns alone, once, with a folder that has its recipe."""
    found: dict[str, tuple[Net, Pair, str]] = {}
    for pair in tables.pairs:
        for role, net in (("student", pair.student), ("teacher", pair.teacher)):
            found.setdefault(net.run_name, (net, pair, role))
    return found


def _baselines_table(tables: Tables, rate: Rate) -> str:
    lines = ["| detector | schedule | published | GPU hours | recipe |", "|---|---|---|--:|---|"]
    for net, pair, role in _baselines(tables).values():
        spec = parse_spec(baseline_content(net, tables.common), source=net.run_name)
        said = sorted({f"{x.published:.1f}" for x in _nets(tables) if x.run_name == net.run_name})
        recipe = f"[{pair.name}/{role}]({pair.name}/{role}.yaml)"
        hours = _hours(spec, rate)
        lines.append(f"| {net.name} | {net.schedule} | {', '.join(said)} | {hours} | {recipe} |")
    return "\n".join(lines)


def _nets(tables: Tables) -> list[Net]:
    return [net for pair in tables.pairs for net in (pair.student, pair.teacher)]


def _missing_table(tables: Tables) -> str:
    lines = ["| paper | row | published | why not | nearest that runs |", "|---|---|---|---|---|"]
    for row in tables.missing:
        nearest = f"`{row.command}`" if row.command else ""
        lines.append(f"| {row.paper} | {row.row} | {row.published} | {row.reason} | {nearest} |")
    return "\n".join(lines)


def _hours(spec: RunSpec, rate: Rate) -> str:
    cost = training_cost(
        student=spec.student.name,
        teacher=spec.teacher.name if spec.teacher else None,
        images=spec.train.steps * spec.train.batch_size,
        size=(spec.data.min_size, spec.data.max_size),
        rate=rate,
    )
    assert cost.hours is not None  # every recipe has a schedule
    return f"{cost.hours:.0f}" if cost.hours >= 10 else f"{cost.hours:.2g}"


def _ours() -> dict[tuple[str, str], list[Outcome]]:
    """All finished runs of matrices, by the names of pair and method."""
    found: dict[tuple[str, str], list[Outcome]] = {}
    for path in sorted(MATRICES.glob("*.json")):
        for one in read_outcomes(path):
            if one.status == "done":
                found.setdefault((one.pair, one.method), []).append(one)
    return found


def _measured(pair: Pair, runs: Sequence[Outcome]) -> str:
    """Mean of the pair's metric over some runs, in percent."""
    scores = [one.AP if pair.metric == "AP" else one.AP50 for one in runs]
    known = [100 * score for score in scores if score is not None]
    return f"{fmean(known):.1f} ({len(known)} seeds)" if known else "not run"
