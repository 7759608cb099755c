"""Where the notebooks are and how their kernels start; light, for processes that only wait."""

from pathlib import Path

import kdviz

FOLDER = Path(kdviz.__file__).resolve().parent.parent / "notebooks"
"""Where the notebooks and ``recipes/profiles.yaml`` are."""

KERNEL_ARGUMENTS = ["--log-level=ERROR"]
"""The kernel warns of its open TCP ports otherwise, at every start."""
