"""What does each method add to the student's step and the teacher's forward pass?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kdviz.engine.trainee import Trainee
from kdviz.methods import METHODS
from kdviz.runs.bench.rounds import interleaved, stopwatch
from kdviz.runs.bench.steps import kept_megabytes, runs_head, teach, train_step
from kdviz.runs.bench.workload import Workload


def overhead(where: Workload, limit: float) -> dict[str, Any]:
    """Time of a step with each method over (the student's step + the teacher's forward pass).

    A method that reads the teacher's head is measured against a teacher with its head. Memory is
    what a method keeps for its backward pass beside the student.
    """
    student, teacher = where.pair()
    images, targets = where.images(where.pair_batch)
    turns: dict[str, Callable[[], float]] = {
        "student": stopwatch(train_step(Trainee(student), images, targets)),
        "features": stopwatch(teach(teacher, student, images, targets, head=False)),
        "head": stopwatch(teach(teacher, student, images, targets, head=True)),
    }
    alone = kept_megabytes(Trainee(student), images, targets)
    megabytes, teaches = {}, {}
    for method in METHODS:
        name = method.__name__
        fresh = method(student, teacher).to(where.device)
        teaches[name] = (
            "head" if runs_head(fresh, student, teacher, images, targets) else "features"
        )
        trainee = Trainee(student, teacher, [fresh])
        megabytes[name] = kept_megabytes(trainee, images, targets) - alone
        turns[name] = stopwatch(train_step(trainee, images, targets))
    times = interleaved(turns, rounds=2 * where.rounds, limit=limit)
    rows = [
        {
            "method": name,
            "seconds": times.median(name),
            "student_step": times.median("student"),
            "teacher_forward": times.median(needed),
            "overhead": times.ratio(name, "student", needed),
            "megabytes": megabytes[name],
        }
        for name, needed in teaches.items()
    ]
    ratios = {f"{row['method']}, overhead": row["overhead"] for row in rows}
    return {"rows": rows, "ratios": ratios}
