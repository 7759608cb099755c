"""Do the levers change what is learned? The same training with all and with none of them."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

from kdviz.files import read_json
from kdviz.runs.bench.training import OFF, settings_of
from kdviz.runs.bench.workload import Workload
from kdviz.runs.run import run
from kdviz.runs.spec import parse_spec

SEEDS, STEPS, TRAIN, VAL = (0, 1), 600, 600, 200


def same_ap(where: Workload, limit: float) -> dict[str, Any]:
    """AP on scenes of the small FCOS after a short training, two seeds, with and without levers.

    The same seed draws the same weights and batches, so that what is left between the two is what
    another order of additions and fewer digits do; the spread between seeds says what is noise.
    """
    settings, _ = settings_of(where)
    rows = []
    with tempfile.TemporaryDirectory(prefix="kdviz-bench-") as root:
        for name in ("none", "all"):
            for seed in SEEDS:
                spec = parse_spec(
                    {
                        "name": f"levers-{name}",
                        "student": {"name": "fcos-shufflenetv2x0.5-c64"},
                        "data": {
                            "scenes": {"train": TRAIN, "val": VAL, "size": 128},
                            "min_size": 128,
                            "max_size": 128,
                        },
                        "train": {
                            "steps": STEPS,
                            "lr": 2e-3,
                            "seed": seed,
                            **OFF,
                            **settings[name],
                        },
                    }
                )
                result = read_json(run(spec, Path(root)) / "result.json")
                rows.append({"levers": name, "seed": seed, "AP": result["metrics"]["AP"]})
    mean = {
        name: statistics.mean(x["AP"] for x in rows if x["levers"] == name)
        for name in ("none", "all")
    }
    spread = max(
        abs(rows[0]["AP"] - rows[1]["AP"]),
        abs(rows[2]["AP"] - rows[3]["AP"]),
    )
    return {
        "rows": rows,
        "steps": STEPS,
        "difference": mean["all"] - mean["none"],
        "spread_of_seeds": spread,
        "ratios": {},
    }
