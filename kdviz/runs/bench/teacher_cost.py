"""What does the teacher cost, and what is won by bfloat16 or by reading its maps from disk?"""

from __future__ import annotations

import tempfile
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric

from kdviz.datasets import DetectionDataset, open_data
from kdviz.datasets.transforms import train_preset
from kdviz.detectors.parts import Pass
from kdviz.engine.teacher_cache import TeacherCache
from kdviz.engine.trainee import Trainee
from kdviz.methods.fitnets import FitNets
from kdviz.runs.bench.rounds import interleaved, stopwatch
from kdviz.runs.bench.steps import train_step
from kdviz.runs.bench.workload import Workload, write_folder
from kdviz.structures import Batch, HeadOutput, Pyramid

COUNT = 32
"""Images whose maps are written."""


class _HalfTrainee(Trainee):
    """Whose teacher computes in bfloat16."""

    def _taught(self, batch: Batch) -> Pass:
        assert self.teacher is not None
        return _HalfPass(self.teacher, batch)


class _HalfPass(Pass):
    @cached_property
    def features(self) -> Pyramid:
        with torch.autocast(self.batch.images.device.type, torch.bfloat16):
            return self.parts.features(self.batch).apply(lambda values: values.float())

    @cached_property
    def output(self) -> HeadOutput:
        raise NotImplementedError("only maps of the neck are measured")


def teacher_cost(where: Workload, limit: float) -> dict[str, Any]:
    """A step that imitates all maps, with the teacher computed, in bfloat16, and read from disk.

    Also how many bytes an image takes on disk and how long its maps take to be written, beside the
    teacher's forward pass that each later epoch is spared.
    """
    student, teacher = where.pair()
    method = FitNets(student, teacher).to(where.device)
    fabric = Fabric(accelerator=where.device.type, devices=1)
    with tempfile.TemporaryDirectory(prefix="kdviz-bench-") as temporary:
        data = open_data(write_folder(Path(temporary) / "images", COUNT, where.file_size), "train")
        started = time.perf_counter()
        cache = TeacherCache.open(Path(temporary), teacher, data, "none", fabric=fabric)
        seconds = time.perf_counter() - started
        size = sum(x.stat().st_size for x in Path(temporary).glob("teacher-*/maps.bf16"))
        dataset = DetectionDataset(data, train_preset("none"))
        samples = [dataset[index] for index in range(where.pair_batch)]
        images = [image.to(where.device) for image, _ in samples]
        targets = [{k: v.to(where.device) for k, v in target.items()} for _, target in samples]
        trainees = {
            "computed": Trainee(student, teacher, [method]),
            "in bfloat16": _HalfTrainee(student, teacher, [method]),
            "read from disk": Trainee(student, teacher, [method], cache),
            "student alone": Trainee(student),
        }
        turns = {
            name: stopwatch(train_step(trainee, images, targets))
            for name, trainee in trainees.items()
        }
        times = interleaved(turns, rounds=where.rounds, limit=limit)
    rows = [
        {
            "teacher": name,
            "seconds": times.median(name),
            "over_computed": times.ratio("computed", name),
            "over_student": times.ratio(name, "student alone"),
        }
        for name in turns
    ]
    return {
        "rows": rows,
        "bytes_an_image": size / COUNT,
        "seconds_to_write_an_image": seconds / COUNT,
        "seconds_saved_an_image": (times.median("computed") - times.median("read from disk"))
        / where.pair_batch,
        "ratios": {f"{row['teacher']}, gain": row["over_computed"] for row in rows[1:]},
    }
