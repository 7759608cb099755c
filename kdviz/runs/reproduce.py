"""What `65_reproduce` opens and tells."""

from __future__ import annotations

import tempfile
from pathlib import Path

from kdviz.runs.spec import RunSpec, load_spec, parse_spec

DEMONSTRATION = {
    "name": "demonstration",
    "data": {
        "scenes": {"train": 16, "val": 8, "test": 8, "size": 128, "seed": 0},
        "min_size": 128,
        "max_size": 128,
    },
    "student": {"name": "fcos-shufflenetv2x0.5-c64", "weights": "data/student.safetensors"},
    "train": {"steps": 20, "batch_size": 4, "warmup_steps": 2, "log_every": 1},
}


def open_run(spec: str, root: str) -> tuple[RunSpec, Path]:
    """A run and the folder of runs, as the parameters of the notebook give them."""
    chosen = load_spec(Path(spec)) if spec else parse_spec(DEMONSTRATION)
    return chosen, Path(root or tempfile.mkdtemp(prefix="kdviz-"))
