"""``python -m kdviz.runs.claims``: judge the papers' claims by the runs that there are.

``measure MATRIX.yaml`` first looks into the detectors of a matrix, which takes minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kdviz.runs.claims.page import summary
from kdviz.runs.claims.write import write_verdicts
from kdviz.runs.matrix.spec import load_matrix


def main() -> None:
    """Read the arguments and do it."""
    parser = argparse.ArgumentParser(prog="python -m kdviz.runs.claims", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("runs"), help="folder of all matrices")
    commands = parser.add_subparsers(dest="command", required=True)
    measure = commands.add_parser("measure", help="look into the detectors of a matrix")
    measure.add_argument("matrix", type=Path, help="its YAML file")
    measure.add_argument("overrides", nargs="*", help="as in `kdviz matrix`: data.bccd.path=...")
    measure.add_argument("--limit", type=int, help="first images only")
    judge = commands.add_parser("judge", help="write verdicts.html and verdicts.md")
    judge.add_argument("matrices", nargs="*", help="names; all that have results if none is given")
    given = parser.parse_args()
    if given.command == "measure":
        from kdviz.runs.claims.measure import measure as look

        matrix = load_matrix(given.matrix, given.overrides)
        found = look(matrix, given.root, limit=given.limit)
        print(f"{len(found)} numbers of {len({one.method for one in found})} methods")
        return
    names = given.matrices or [file.parent.name for file in given.root.glob("*/results.json")]
    path, rulings = write_verdicts(names, given.root)
    print(f"{path}: {summary(rulings)}")


if __name__ == "__main__":
    main()
