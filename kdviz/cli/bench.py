"""What ``kdviz bench`` does. Its imports are inside: ``kdviz --help`` need not wait for PyTorch."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdviz.cli.answer import Answer


def pocket(options: argparse.Namespace) -> Answer:
    """Train and score a method, or all of the scenes matrix, against the student alone."""
    started = time.perf_counter()  # imports are part of what the user waits for
    from kdviz.runs.pocket.workers import get_ready

    get_ready()
    from kdviz.files import write_json_atomically
    from kdviz.runs.pocket.arms import matrix_methods, methods_of
    from kdviz.runs.pocket.ranks import ranking
    from kdviz.runs.pocket.report import as_dict, text
    from kdviz.runs.pocket.trial import trial

    if options.all and (options.option or options.weight):
        raise ValueError("--option and --weight change one method; name it with --method")
    labels = matrix_methods() if options.all else [options.method]
    arms = {label: methods_of(label, options.option, options.weight) for label in labels}
    measured = trial(arms, range(options.seeds), folder=options.runs)
    measured = replace(measured, seconds=time.perf_counter() - started)
    content = as_dict(measured, options.words)
    told = [text(measured)]
    if options.all:
        told.append(ranking(content["rows"]))
    if options.out is not None:
        write_json_atomically(options.out, content, indent=2)
    return Answer(content, "\n".join(told))


def add_pocket(parser: Any) -> None:
    """The words of ``kdviz bench pocket``."""
    which = parser.add_mutually_exclusive_group(required=True)
    named = "fgfi, two as fgfi+gkd, or your own as my_package.my_file:MyMethod"
    which.add_argument("--method", metavar="NAME", help=named)
    which.add_argument("--all", action="store_true", help="every method of the scenes matrix")
    for name, metavar, told in (
        ("option", "key=value", "of the constructor, such as psi=0.4; of two methods fgfi.psi=0.4"),
        ("weight", "term=value", "of a loss term, such as fgfi=0.001"),
    ):
        parser.add_argument(f"--{name}", action="append", default=[], metavar=metavar, help=told)
    parser.add_argument("--seeds", type=int, default=3, help="pairs of runs [%(default)s]")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write the numbers there")
    parser.add_argument("--runs", type=Path, metavar="FOLDER", help="keep the runs' folders there")
