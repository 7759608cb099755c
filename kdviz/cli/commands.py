"""What each command does. Their imports are inside: ``kdviz --help`` need not wait for PyTorch."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kdviz.cli.answer import FAILED, OK, TRY_AGAIN, Answer


def doctor(options: argparse.Namespace) -> Answer:
    """Check this installation, or debug a run."""
    if options.run is not None:
        return _debug(options.run)
    from kdviz.runs.doctor import examine

    findings = examine()
    fine = all(finding.fine for finding in findings)
    return Answer(
        [finding.as_dict() for finding in findings],
        "\n".join(map(str, findings)),
        OK if fine else FAILED,
    )


def _debug(folder: Path) -> Answer:
    from kdviz.runs.debugger import examine_run, write_page

    symptoms = examine_run(folder)
    page = write_page(folder, symptoms)
    return Answer(
        {"symptoms": [symptom.as_dict() for symptom in symptoms], "page": str(page)},
        "\n".join([*map(str, symptoms), f"with pictures: {page}"]),
        OK if all(symptom.fine for symptom in symptoms) else FAILED,
    )


def data_check(options: argparse.Namespace) -> Answer:
    """Name every problem of a data set."""
    from kdviz.datasets.check import check_path

    problems = check_path(options.path, split=options.split, decode=options.decode)
    errors = sum(problem.severity == "error" for problem in problems)
    lines = [f"{problem.severity}: {problem.kind}: {problem.message}" for problem in problems]
    lines.append(f"{options.path}: {errors} errors, {len(problems) - errors} warnings")
    return Answer(
        [problem.as_dict() for problem in problems], "\n".join(lines), FAILED if errors else OK
    )


def data_scenes(options: argparse.Namespace) -> Answer:
    """Render scenes as a COCO folder."""
    from kdviz.datasets.scenes import SceneConfig, write_scenes

    counts = {"train": options.train, "val": options.val, "test": options.test}
    config = SceneConfig(size=options.size)
    folder = write_scenes(options.out, config, **counts, seed=options.seed)
    content = {"folder": str(folder), "images": counts, "size": config.size, "seed": options.seed}
    return Answer(content, str(folder))


def run(options: argparse.Namespace) -> Answer:
    """Train, score and export what a spec describes."""
    from kdviz.files import read_json
    from kdviz.runs.run import Interrupted, run
    from kdviz.runs.spec import load_spec

    spec = load_spec(options.spec, options.overrides)
    try:
        folder = run(spec, options.out)
    except Interrupted as stop:
        told = f"{stop}; the same command goes on from there"
        print(f"kdviz: {told}", file=sys.stderr)
        return Answer(
            {"folder": str(options.out / spec.folder_name), "interrupted": told}, "", TRY_AGAIN
        )
    return Answer({"folder": str(folder), **read_json(folder / "result.json")}, str(folder))


def balance(options: argparse.Namespace) -> Answer:
    """Propose weights for the methods of a spec."""
    from kdviz.engine.balance import table
    from kdviz.runs.spec import load_spec
    from kdviz.runs.weigh import weigh

    spec = load_spec(options.spec, options.overrides)
    report = weigh(spec, options.batches, options.share)
    return Answer([row.as_dict() for row in report], table(report))


def evaluate(options: argparse.Namespace) -> Answer:
    """COCO numbers of results."""
    from kdviz.engine.coco_eval import evaluate_coco

    metrics = evaluate_coco(options.annotations, options.detections)
    if options.full:
        return Answer(metrics.as_dict(), metrics.table())
    return Answer(metrics.stats, str(metrics))


def named_source(text: str) -> tuple[str, Path]:
    """Name and source of ``NAME=SOURCE``."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=SOURCE, such as frs=frs.json")
    return name, Path(path)


def diagnose(options: argparse.Namespace) -> Answer:
    """Say which errors distillation fixed, and leave a page."""
    from kdviz.runs.diagnosis.write import PAGE, write_diagnosis

    roles = {name: getattr(options, name) for name in ("student", "teacher", "distilled")}
    given = [(name, path) for name, path in roles.items() if path is not None] + options.other
    names = [name for name, _ in given]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"detections are given twice as {', '.join(twice)}; name each once")
    summary = write_diagnosis(
        options.annotations,
        dict(given),
        options.out,
        options.images,
        command=options.words,
        thresholds=options.threshold,
        draws=options.draws,
        seed=options.seed,
    )
    told = [f"- {finding['sentence']}" for finding in summary["findings"]]
    return Answer(summary, "\n".join([*told, f"with pictures: {options.out / PAGE}"]))


def notebooks_run(options: argparse.Namespace) -> Answer:
    """Execute notebooks."""
    from kdviz.runs.spec import parse_override

    try:
        from kdviz.runs.notebooks import run_notebooks
    except ImportError as error:
        hint = f"notebooks need {error.name}: pip install 'kdviz[notebooks]'"
        raise ImportError(hint) from error

    parameters = dict(parse_override(text) for text in options.parameter)
    executions = run_notebooks(
        options.names, options.out, options.profile, parameters, html=options.html
    )
    failed = [execution.name for execution in executions if execution.error is not None]
    told = f"failed: {', '.join(failed)}" if failed else f"all {len(executions)} ran through"
    return Answer([one.as_dict() for one in executions], told, FAILED if failed else OK)
