"""``python -m kdviz.runs.bench [PART...]`` and ``... compare OLD.json NEW.json``.

``... once FOLDER [PART...]`` is one of the processes that the first is the median of.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from kdviz.files import read_json
from kdviz.runs.bench.compare import compare, comparison
from kdviz.runs.bench.passes import measure_in_passes
from kdviz.runs.bench.report import OUT, measure
from kdviz.runs.bench.tables import tables


def main(arguments: Sequence[str]) -> None:
    """Measure everything or the parts that are named, in several processes or once, or compare.

    Raises:
        ValueError: there is no such part, or there are not two reports to compare.
    """
    if arguments[:1] == ["compare"]:
        if len(arguments) != 3:
            raise ValueError("compare takes two reports: compare OLD.json NEW.json")
        old, new = (read_json(Path(path)) for path in arguments[1:])
        print(comparison(compare(old, new)))
        return
    if arguments[:1] == ["once"]:
        measure(arguments[2:], out=Path(arguments[1]))
        return
    print(tables(measure_in_passes(arguments)), end="")
    print(f"\nwritten to {OUT}; copy bench.json to data/ to show it in README and notebooks")


if __name__ == "__main__":
    main(sys.argv[1:])
