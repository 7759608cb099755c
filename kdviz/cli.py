"""The command line: ``kdviz doctor | data | run | evaluate | notebooks``.

Exit codes: 0 done, 1 a check or a run failed, 2 the command was not understood, 75 interrupted and
worth the same command again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OK, FAILED, USAGE, TRY_AGAIN = 0, 1, 2, 75

KNOWN_ERRORS = (ValueError, FileNotFoundError, FileExistsError, OSError, RuntimeError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error of the user's is one message, no trace."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except KeyboardInterrupt:
        print("kdviz: interrupted", file=sys.stderr)
        return TRY_AGAIN
    except (*KNOWN_ERRORS, FloatingPointError) as error:
        if os.environ.get("KDVIZ_TRACE"):
            raise
        print(f"kdviz: {_words(error)}", file=sys.stderr)
        return FAILED


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kdviz",
        description="See where and why a small object detector learns from a big one.",
        epilog="KDVIZ_TRACE=1 shows the traceback of an error.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    doctor = _add(commands, "doctor", _doctor, "check this installation")
    doctor.add_argument("--json", action="store_true", help="print JSON")

    data = commands.add_parser("data", help="check or render data sets")
    kinds = data.add_subparsers(required=True, metavar="COMMAND")
    check = _add(kinds, "check", _data_check, "name every problem of a data set")
    check.add_argument("path", type=Path, help="COCO, VOC or YOLO folder")
    check.add_argument("--split", help="one split; all that are found without it")
    check.add_argument("--decode", action="store_true", help="decode every image, not its header")
    check.add_argument("--json", action="store_true", help="print JSON")
    scenes = _add(kinds, "scenes", _data_scenes, "render scenes as a COCO folder")
    scenes.add_argument("out", type=Path, help="folder to make")
    scenes.add_argument("--train", type=int, default=2000, help="training images [%(default)s]")
    scenes.add_argument("--val", type=int, default=300, help="validation images [%(default)s]")
    scenes.add_argument("--test", type=int, default=0, help="test images [%(default)s]")
    scenes.add_argument("--size", type=int, default=128, help="side in pixels [%(default)s]")
    scenes.add_argument("--seed", type=int, default=0, help="names the data set [%(default)s]")

    run = _add(commands, "run", _run, "train, score and export what a spec describes")
    run.add_argument("spec", type=Path, help="YAML; see notebooks/recipes")
    run.add_argument("overrides", nargs="*", metavar="key=value", help="such as train.steps=100")
    run.add_argument("--out", type=Path, default=Path("runs"), help="folder of runs [%(default)s]")
    run.add_argument("--json", action="store_true", help="print result.json")

    evaluate = _add(commands, "evaluate", _evaluate, "COCO numbers of any tool's results")
    evaluate.add_argument("--annotations", type=Path, required=True, help="COCO annotations")
    evaluate.add_argument("--detections", type=Path, required=True, help="COCO results")
    evaluate.add_argument("--json", action="store_true", help="print the 12 numbers as JSON")
    evaluate.add_argument("--full", action="store_true", help="by class and difficulty, too")

    notebooks = commands.add_parser("notebooks", help="execute the notebooks")
    acts = notebooks.add_subparsers(required=True, metavar="COMMAND")
    execute = _add(acts, "run", _notebooks_run, "run notebooks through papermill")
    execute.add_argument("names", nargs="*", help="such as 10_fine_grained_imitation; else all")
    execute.add_argument("--profile", choices=("smoke", "full"), default="smoke")
    execute.add_argument("--out", type=Path, default=Path("runs/notebooks"))
    execute.add_argument("--html", action="store_true", help="also write offline HTML and an index")
    execute.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="key=value", help="override one"
    )
    return parser


def _add(commands: Any, name: str, function: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=function)
    return parser


# Imports are inside the commands: ``kdviz --help`` need not wait for PyTorch.


def _doctor(options: argparse.Namespace) -> int:
    from kdviz.runs.doctor import examine

    findings = examine()
    if options.json:
        print(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        for finding in findings:
            print(finding)
    return OK if all(finding.fine for finding in findings) else FAILED


def _data_check(options: argparse.Namespace) -> int:
    from kdviz.datasets.check import check_path

    problems = check_path(options.path, split=options.split, decode=options.decode)
    errors = sum(problem.severity == "error" for problem in problems)
    if options.json:
        print(json.dumps([problem.as_dict() for problem in problems], indent=2))
    else:
        for problem in problems:
            print(f"{problem.severity}: {problem.kind}: {problem.message}")
        print(f"{options.path}: {errors} errors, {len(problems) - errors} warnings")
    return FAILED if errors else OK


def _data_scenes(options: argparse.Namespace) -> int:
    from kdviz.datasets.scenes import SceneConfig, write_scenes

    counts = (options.train, options.val, options.test)
    folder = write_scenes(options.out, SceneConfig(size=options.size), *counts, seed=options.seed)
    print(folder)
    return OK


def _run(options: argparse.Namespace) -> int:
    from kdviz.runs.run import Interrupted, run
    from kdviz.runs.spec import load_spec

    spec = load_spec(options.spec, options.overrides)
    try:
        folder = run(spec, options.out)
    except Interrupted as stop:
        print(f"kdviz: {stop}; the same command goes on from there", file=sys.stderr)
        return TRY_AGAIN
    if options.json:
        print((folder / "result.json").read_text(), end="")
    else:
        print(folder)
    return OK


def _evaluate(options: argparse.Namespace) -> int:
    from kdviz.engine.coco_eval import evaluate_coco

    metrics = evaluate_coco(options.annotations, options.detections)
    if options.json:
        print(json.dumps(metrics.as_dict() if options.full else metrics.stats, indent=2))
    else:
        print(metrics.table() if options.full else metrics)
    return OK


def _notebooks_run(options: argparse.Namespace) -> int:
    from kdviz.runs.notebooks import run_notebooks
    from kdviz.runs.spec import parse_override

    parameters = dict(parse_override(text) for text in options.parameter)
    outcomes = run_notebooks(
        options.names, options.out, options.profile, parameters, html=options.html
    )
    return OK if all(outcome.error is None for outcome in outcomes) else FAILED


if __name__ == "__main__":
    sys.exit(main())
