"""Execute the notebooks and store their outputs in them: ``make notebooks [NAMES]``."""

from __future__ import annotations

import sys

from kdviz.runs.notebooks import store_notebooks

if __name__ == "__main__":
    store_notebooks(sys.argv[1:])
