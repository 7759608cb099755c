"""The command line: ``kdviz doctor | data | run | balance | evaluate | diagnose | notebooks``.

Exit codes: 0 done, 1 a check or a run failed, 2 the command was not understood, 75 interrupted and
worth the same command again.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kdviz

OK, FAILED, USAGE, TRY_AGAIN = 0, 1, 2, 75

KNOWN_ERRORS = (ValueError, OSError, RuntimeError, ImportError, FloatingPointError)
"""What bad input ends in; any other error is a fault of kdviz and keeps its trace."""


@dataclass(frozen=True)
class Answer:
    """What a command has to say.

    Attributes:
        content: printed with ``--json``.
        text: printed without.
        code: exit code.
    """

    content: Any
    text: str
    code: int = OK


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error of the user's is one message, no trace."""
    options = parse(arguments)
    # Progress and remarks go to standard error where standard output is read by a program.
    output = redirect_stdout(sys.stderr) if options.json else nullcontext()
    try:
        with output:
            answer: Answer = options.command(options)
        text = json.dumps(answer.content, indent=2) if options.json else answer.text
        if text and _speaks():
            print(text, flush=True)
        return answer.code
    except KeyboardInterrupt:
        print("kdviz: interrupted; the same command goes on or starts again", file=sys.stderr)
        return TRY_AGAIN
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KNOWN_ERRORS as error:
        if os.environ.get("KDVIZ_TRACE"):
            raise
        print(f"kdviz: {_words(error)}", file=sys.stderr)
        return FAILED


def _speaks() -> bool:
    """Whether this is the one of several processes of a run that reports."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK"))


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        hint = (
            "; free some space, then give the same command" if error.errno == errno.ENOSPC else ""
        )
        return f"{where}{error.strerror}{hint}"
    text = str(error) or type(error).__name__
    if "Original Traceback" in text:  # PyTorch's way to report what failed in a loader's process
        text = re.split(r"\n\w[\w.]*(?:Error|Exception): ", text)[-1].strip()
    return text


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read a command without running it; words that make none end the process with code 2."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    # argparse ends a list at the first option; `run SPEC --json train.steps=3` goes on with it.
    goes_on = getattr(options, options.goes_on, None)
    if rest and (goes_on is None or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if goes_on is not None:
        goes_on.extend(rest)
    options.words = shlex.join(["kdviz", *(sys.argv[1:] if arguments is None else arguments)])
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kdviz",
        description="See where and why a small object detector learns from a big one.",
        epilog="Exit codes: 0 done, 1 failed, 2 not understood, 75 interrupted: the same command "
        "goes on. KDVIZ_TRACE=1 shows the traceback of an error.",
    )
    parser.add_argument("--version", action="version", version=f"kdviz {kdviz.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    doctor = _add(commands, "doctor", _doctor, "check this installation, or debug a run")
    doctor.add_argument("run", nargs="?", type=Path, help="folder of a run, finished or not")

    data = commands.add_parser("data", help="check or render data sets")
    kinds = data.add_subparsers(required=True, metavar="COMMAND")
    check = _add(kinds, "check", _data_check, "name every problem of a data set")
    check.add_argument("path", type=Path, help="COCO, VOC or YOLO folder")
    check.add_argument("--split", help="one split; all that are found without it")
    check.add_argument("--decode", action="store_true", help="decode every image, not its header")
    scenes = _add(kinds, "scenes", _data_scenes, "render scenes as a COCO folder")
    scenes.add_argument("out", type=Path, help="folder to make")
    scenes.add_argument("--train", type=int, default=2000, help="training images [%(default)s]")
    scenes.add_argument("--val", type=int, default=300, help="validation images [%(default)s]")
    scenes.add_argument("--test", type=int, default=0, help="test images [%(default)s]")
    scenes.add_argument("--size", type=int, default=128, help="side in pixels [%(default)s]")
    scenes.add_argument("--seed", type=int, default=0, help="names the data set [%(default)s]")

    run = _add(commands, "run", _run, "train, score and export what a spec describes", "overrides")
    _spec(run)
    run.add_argument("--out", type=Path, default=Path("runs"), help="folder of runs [%(default)s]")

    weigh = _add(
        commands, "balance", _balance, "propose weights for the methods of a spec", "overrides"
    )
    _spec(weigh)
    weigh.add_argument("--batches", type=int, default=20, help="looked at [%(default)s]")
    weigh.add_argument(
        "--share",
        type=float,
        default=0.5,
        help="gradient of a term on the neck, as a part of the detection loss's [%(default)s]",
    )

    evaluate = _add(commands, "evaluate", _evaluate, "COCO numbers of any tool's results")
    evaluate.add_argument("--annotations", type=Path, required=True, help="COCO annotations")
    evaluate.add_argument("--detections", type=Path, required=True, help="COCO results")
    evaluate.add_argument("--full", action="store_true", help="by class and difficulty, too")

    diagnose = _add(
        commands,
        "diagnose",
        _diagnose,
        "say which errors distillation fixed, which it handed down, and why",
    )
    diagnose.add_argument("--annotations", type=Path, required=True, help="COCO annotations")
    for role, text in (
        ("student", "the student trained alone"),
        ("teacher", "the teacher"),
        ("distilled", "the student trained with the teacher"),
    ):
        told = "its COCO results (.json), or its run's folder, checkpoint or embedded name"
        diagnose.add_argument(f"--{role}", type=Path, metavar="SOURCE", help=f"{text}: {told}")
    diagnose.add_argument(
        "--other",
        action="append",
        default=[],
        type=_named_source,
        metavar="NAME=SOURCE",
        help="a further detector under a name of its own; four in all",
    )
    diagnose.add_argument("--out", type=Path, required=True, help="folder to make")
    diagnose.add_argument("--images", type=Path, help="their folder, where it is not found")
    diagnose.add_argument(
        "--threshold",
        type=float,
        help="scores from here on count [that of the best F1, for each set]",
    )
    diagnose.add_argument("--draws", type=int, default=1000, help="of images [%(default)s]")
    diagnose.add_argument("--seed", type=int, default=0, help="of the draws [%(default)s]")

    notebooks = commands.add_parser("notebooks", help="execute the notebooks")
    acts = notebooks.add_subparsers(required=True, metavar="COMMAND")
    execute = _add(acts, "run", _notebooks_run, "run notebooks through papermill", "names")
    execute.add_argument(
        "names", nargs="*", default=[], help="such as 10_fine_grained_imitation; else all"
    )
    execute.add_argument(
        "--profile", default="smoke", help="in notebooks/recipes/profiles.yaml [%(default)s]"
    )
    execute.add_argument(
        "--out", type=Path, default=Path("runs/notebooks"), help="folder [%(default)s]"
    )
    execute.add_argument("--html", action="store_true", help="also write offline HTML and an index")
    execute.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="key=value", help="override one"
    )
    return parser


def _add(
    commands: Any,
    name: str,
    function: Callable[[argparse.Namespace], Answer],
    text: str,
    goes_on: str = "",
) -> argparse.ArgumentParser:
    """A command; ``goes_on`` names its list of words that may stand between and after options."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=function, goes_on=goes_on)
    return parser


def _spec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", type=Path, help="YAML; see notebooks/recipes")
    parser.add_argument(
        "overrides", nargs="*", default=[], metavar="key=value", help="such as train.steps=100"
    )


# Imports are inside the commands: ``kdviz --help`` need not wait for PyTorch.


def _doctor(options: argparse.Namespace) -> Answer:
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


def _data_check(options: argparse.Namespace) -> Answer:
    from kdviz.datasets.check import check_path

    problems = check_path(options.path, split=options.split, decode=options.decode)
    errors = sum(problem.severity == "error" for problem in problems)
    lines = [f"{problem.severity}: {problem.kind}: {problem.message}" for problem in problems]
    lines.append(f"{options.path}: {errors} errors, {len(problems) - errors} warnings")
    return Answer(
        [problem.as_dict() for problem in problems], "\n".join(lines), FAILED if errors else OK
    )


def _data_scenes(options: argparse.Namespace) -> Answer:
    from kdviz.datasets.scenes import SceneConfig, write_scenes

    counts = {"train": options.train, "val": options.val, "test": options.test}
    config = SceneConfig(size=options.size)
    folder = write_scenes(options.out, config, **counts, seed=options.seed)
    content = {"folder": str(folder), "images": counts, "size": config.size, "seed": options.seed}
    return Answer(content, str(folder))


def _run(options: argparse.Namespace) -> Answer:
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


def _balance(options: argparse.Namespace) -> Answer:
    from kdviz.engine.balance import table
    from kdviz.runs.spec import load_spec
    from kdviz.runs.weigh import weigh

    spec = load_spec(options.spec, options.overrides)
    report = weigh(spec, options.batches, options.share)
    return Answer([row.as_dict() for row in report], table(report))


def _evaluate(options: argparse.Namespace) -> Answer:
    from kdviz.engine.coco_eval import evaluate_coco

    metrics = evaluate_coco(options.annotations, options.detections)
    if options.full:
        return Answer(metrics.as_dict(), metrics.table())
    return Answer(metrics.stats, str(metrics))


def _named_source(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=SOURCE, such as frs=frs.json")
    return name, Path(path)


def _diagnose(options: argparse.Namespace) -> Answer:
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


def _notebooks_run(options: argparse.Namespace) -> Answer:
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


if __name__ == "__main__":
    sys.exit(main())
