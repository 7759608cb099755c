"""How many images a second does the data pipeline bring, and what does a worker add?"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kdviz.datasets import DetectionDataset, open_data
from kdviz.datasets.loader import train_loader
from kdviz.datasets.transforms import train_preset
from kdviz.runs.bench.rounds import interleaved
from kdviz.runs.bench.workload import Workload, write_folder

BATCHES, WARM_UP = 32, 8  # of one turn; workers have read ahead what is not counted


def loading(where: Workload, limit: float) -> dict[str, Any]:
    """Images a second that are decoded, mirrored and collated, by number of workers."""
    most = max(2, where.workers)
    counts = [0, *(n for n in (1, 2, 4, 8) if n <= most)]
    with tempfile.TemporaryDirectory(prefix="kdviz-bench-") as temporary:
        folder = write_folder(Path(temporary) / "images", 4 * where.batch, where.file_size)
        data = open_data(folder, "train")
        turns = {str(n): _turn(data, where.batch, n) for n in counts}
        times = interleaved(turns, rounds=where.rounds, limit=limit)
    rows = [
        {
            "workers": n,
            "images_per_second": where.batch / times.median(str(n)),
            "over_none": times.ratio("0", str(n)),
        }
        for n in counts
    ]
    ratios = {f"{row['workers']} workers over none": row["over_none"] for row in rows[1:]}
    return {"rows": rows, "cores": os.cpu_count(), "ratios": ratios}


def _turn(data: Any, batch: int, workers: int) -> Callable[[], float]:
    dataset = DetectionDataset(data, train_preset("flip"))

    def turn() -> float:
        # With workers, the last batches are ready before they are asked for: they do not count
        # either, so that as many are made as are timed.
        loader = train_loader(dataset, batch, 0, 0, WARM_UP + BATCHES + 2 * workers, workers)
        begun = 0.0
        for number, _ in enumerate(loader, start=1):
            if number == WARM_UP:
                begun = time.perf_counter()
            if number == WARM_UP + BATCHES:
                return (time.perf_counter() - begun) / BATCHES
        raise AssertionError("the loader stopped early")

    return turn
