"""The words of the command line."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import kdviz
from kdviz.cli import bench, commands, matrix
from kdviz.cli.answer import Answer


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
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    doctor = _add(verbs, "doctor", commands.doctor, "check this installation, or debug a run")
    doctor.add_argument("run", nargs="?", type=Path, help="folder of a run, finished or not")

    data = verbs.add_parser("data", help="check or render data sets")
    kinds = data.add_subparsers(required=True, metavar="COMMAND")
    check = _add(kinds, "check", commands.data_check, "name every problem of a data set")
    check.add_argument("path", type=Path, help="COCO, VOC or YOLO folder")
    check.add_argument("--split", help="one split; all that are found without it")
    check.add_argument("--decode", action="store_true", help="decode every image, not its header")
    scenes = _add(kinds, "scenes", commands.data_scenes, "render scenes as a COCO folder")
    scenes.add_argument("out", type=Path, help="folder to make")
    scenes.add_argument("--train", type=int, default=2000, help="training images [%(default)s]")
    scenes.add_argument("--val", type=int, default=300, help="validation images [%(default)s]")
    scenes.add_argument("--test", type=int, default=0, help="test images [%(default)s]")
    scenes.add_argument("--size", type=int, default=128, help="side in pixels [%(default)s]")
    scenes.add_argument("--seed", type=int, default=0, help="names the data set [%(default)s]")

    run = _add(
        verbs, "run", commands.run, "train, score and export what a spec describes", "overrides"
    )
    _spec(run)
    run.add_argument("--out", type=Path, default=Path("runs"), help="folder of runs [%(default)s]")

    weigh = _add(
        verbs,
        "balance",
        commands.balance,
        "propose weights for the methods of a spec",
        "overrides",
    )
    _spec(weigh)
    weigh.add_argument("--batches", type=int, default=20, help="looked at [%(default)s]")
    weigh.add_argument(
        "--share",
        type=float,
        default=0.5,
        help="gradient of a term on the neck, as a part of the detection loss's [%(default)s]",
    )

    evaluate = _add(verbs, "evaluate", commands.evaluate, "COCO numbers of any tool's results")
    evaluate.add_argument("--annotations", type=Path, required=True, help="COCO annotations")
    evaluate.add_argument("--detections", type=Path, required=True, help="COCO results")
    evaluate.add_argument("--full", action="store_true", help="by class and difficulty, too")

    diagnose = _add(
        verbs,
        "diagnose",
        commands.diagnose,
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
        type=commands.named_source,
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

    many = verbs.add_parser("matrix", help="plan and run many runs from one file, and report them")
    _matrix(many.add_subparsers(required=True, metavar="COMMAND"))

    measures = verbs.add_parser("bench", help="measure a method in a minute").add_subparsers(
        required=True, metavar="COMMAND"
    )
    bench.add_pocket(
        _add(measures, "pocket", bench.pocket, "does a method help? An answer in a minute")
    )

    notebooks = verbs.add_parser("notebooks", help="execute the notebooks")
    acts = notebooks.add_subparsers(required=True, metavar="COMMAND")
    execute = _add(acts, "run", commands.notebooks_run, "run notebooks through papermill", "names")
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
    verbs: Any,
    name: str,
    function: Callable[[argparse.Namespace], Answer],
    text: str,
    goes_on: str = "",
) -> argparse.ArgumentParser:
    """A command; ``goes_on`` names its list of words that may stand between and after options."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=function, goes_on=goes_on)
    return parser


def _matrix(acts: Any) -> None:
    for name, function, text in (
        ("plan", matrix.plan, "print runs, time and disk; starts nothing"),
        ("run", matrix.run, "run what is not done, skip what is"),
        ("status", matrix.status, "print how far each run is; starts nothing"),
        ("retry", matrix.retry, "run again what failed, and what is not done"),
        ("report", matrix.report, "write the page of results, with JSON and CSV beside it"),
    ):
        act = _add(acts, name, function, text, "overrides")
        act.add_argument("matrix", type=Path, help="YAML; see notebooks/recipes/matrices")
        act.add_argument(
            "overrides", nargs="*", default=[], metavar="key=value", help="such as train.steps=100"
        )
        out = "folder of all matrices [%(default)s]"
        act.add_argument("--out", type=Path, default=Path("runs"), help=out)
        if name in ("plan", "run", "retry"):
            slots = "runs at once [one for each GPU, else for each core]"
            act.add_argument("--slots", type=int, help=slots)
        if name == "report":
            forms = act.add_mutually_exclusive_group()
            for form in ("markdown", "latex"):
                told = f"print the results as {form} instead of the path of the page"
                forms.add_argument(
                    f"--{form}", dest="form", action="store_const", const=form, help=told
                )
        if name in ("run", "retry"):
            where = "processes of this machine, or Dask [%(default)s]"
            act.add_argument("--engine", choices=("local", "dask"), default="local", help=where)
            act.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="of a Dask cluster")


def _spec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", type=Path, help="YAML; see notebooks/recipes")
    parser.add_argument(
        "overrides", nargs="*", default=[], metavar="key=value", help="such as train.steps=100"
    )
