"""What a teacher and its students see inside, laid out for every object of a data set.

`kdviz.runs.diagnosis.inside.look_inside` fills it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from kdviz.diagnosis.errors import TypedBoxes, type_all
from kdviz.diagnosis.factors import ReadImage, with_estimates
from kdviz.diagnosis.inputs import Inputs
from kdviz.diagnosis.lost import LostObjects, join_traces, objects_of, targets_of
from kdviz.diagnosis.misses import Seen, chance_score, trace_objects
from kdviz.diagnosis.overlaps import Numbers
from kdviz.diagnosis.verdicts import ObjectVerdicts, best_threshold, verdicts
from kdviz.engine.coco_input import GroundTruth, read_detections
from kdviz.engine.evaluate import Results

TEACHER = "teacher"


@dataclass(frozen=True)
class Inside:
    """What a teacher and its students see on the images of a data set.

    Lists over images are in the order of ``truth.image_ids``.

    Attributes:
        record: the annotations.
        truth: the same in columns.
        results: COCO results of each detector by its name; the teacher's is ``teacher``.
        crossed: of the teacher's head on each student's translated maps.
        seen: what was found at the four places, by the name of the student.
        distances: of the translated maps from the teacher's, at each object of
            `kdviz.diagnosis.lost.targets_of`, by the name of the student.
        outside: of the same objects, how much of the teacher's richness lies outside the box, see
            `kdviz.diagnosis.outside.evidence_outside`.
    """

    record: Mapping[str, Any] = field(repr=False)
    truth: GroundTruth = field(repr=False)
    results: dict[str, Results] = field(repr=False)
    crossed: dict[str, Results] = field(repr=False)
    seen: dict[str, Seen] = field(repr=False)
    distances: dict[str, Tensor] = field(repr=False)
    outside: Tensor = field(repr=False)

    def inputs(self) -> Inputs:
        """All detectors as a diagnosis takes them, any number."""
        return self._inputs(self.results)

    def verdicts(self) -> dict[str, ObjectVerdicts]:
        """What became of each object in each detector, at the threshold of its best F1."""
        typed = type_all(self.inputs())
        return {name: verdicts(one, best_threshold(one)) for name, one in typed.items()}

    def typed_crossed(self) -> dict[str, TypedBoxes]:
        """What is right or wrong about each box of the teacher's head on each student's maps."""
        return type_all(self._inputs(self.crossed))

    def lost(self, judged: Mapping[str, ObjectVerdicts]) -> dict[str, LostObjects]:
        """Where each student lost the objects that it gets wrong.

        Thresholds are those of the verdicts. The teacher's head on a student's maps gets the
        threshold of its own best F1: it is less sure there than on its own maps. A student's score
        below its threshold counts where no more than one in twenty wrong classes scores as much.

        Args:
            judged: verdicts by the names of the detectors, at least the teacher's: `verdicts`, or
                of a `Diagnosis` ``{name: one.verdicts for name, one in diagnosis.sets.items()}``.

        Raises:
            KeyError: there are no verdicts of the teacher.
        """
        typed, targets = self.typed_crossed(), targets_of(self.truth)
        found = {}
        for name in (name for name in self.seen if name in judged):
            told = {
                "crossed_threshold": best_threshold(typed[name]),
                "chance": chance_score(
                    targets, self.seen[name].student, len(self.truth.category_ids)
                ),
            }
            traces = trace_objects(
                targets,
                self.seen[name],
                student_threshold=judged[name].threshold,
                teacher_threshold=judged[TEACHER].threshold,
                **told,
            )
            distance = self.distances[name].numpy()
            found[name] = join_traces(judged[name], traces, distance, **told)
        return found

    def factors(self, read: ReadImage | None = None) -> dict[str, Numbers]:
        """What may make each object hard, known or estimated, and ``outside``, each (G,).

        Args:
            read: pixels by the number of an image; without it there are no factors from pixels but
                known ones.
        """
        objects = objects_of(self.truth)
        outside = np.full(len(self.truth.image), np.nan)
        outside[objects] = self.outside.numpy()
        return {**with_estimates(self.truth, read).factors, "outside": outside}

    def _inputs(self, results: Mapping[str, Results]) -> Inputs:
        columns = {name: read_detections(found, self.truth) for name, found in results.items()}
        return Inputs(self.truth, columns, self.truth.notes)
