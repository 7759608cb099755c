"""A diagnosis with all that draws and explains it: its causes, its images, the detectors inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdviz.datasets.coco import DetectionData, detection_data, parse_json
from kdviz.detectors.parts import DetectorParts
from kdviz.diagnosis.causes import FactorFinding, find_causes
from kdviz.diagnosis.diagnose import Diagnosis, diagnose
from kdviz.diagnosis.factors import with_estimates
from kdviz.diagnosis.findings import Finding, findings
from kdviz.diagnosis.groups import GroupedBoxes, grouped_boxes
from kdviz.diagnosis.inputs import Inputs, read_inputs
from kdviz.diagnosis.lost import LostObjects
from kdviz.diagnosis.overlaps import Numbers
from kdviz.engine.coco_input import read_annotations
from kdviz.engine.evaluate import detect
from kdviz.engine.guards import check_classes
from kdviz.runs.diagnosis.image_files import ImageFiles, find_images
from kdviz.runs.diagnosis.inside import TEACHER, Inside, look_inside
from kdviz.runs.sources import Source, open_source

STUDENT = "student"


@dataclass(frozen=True)
class Case:
    """One to four detectors on one data set, diagnosed.

    Attributes:
        diagnosis: what became of every box and object.
        factors: what may make each object hard, (G,) each, by name.
        causes: which of that the gap between teacher and student depends on.
        groups: the boxes around several near objects, by set.
        images: pixels of the objects.
        inside: what teacher and students see; None where they were not at hand themselves.
        lost: where inside each student the objects that it gets wrong were seen last; empty without
            ``inside``.
    """

    diagnosis: Diagnosis
    factors: Mapping[str, Numbers]
    causes: Sequence[FactorFinding]
    groups: Mapping[str, GroupedBoxes]
    images: ImageFiles
    inside: Inside | None
    lost: Mapping[str, LostObjects]

    @property
    def findings(self) -> list[Finding]:
        """What a reader should not miss."""
        return findings(self.diagnosis, self.causes)


def open_case(
    annotations: str | Path | Mapping[str, Any],
    sources: Mapping[str, Source],
    images: str | Path | None = None,
    *,
    thresholds: float | Mapping[str, float] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Case:
    """Diagnose detections, or detectors, on annotated images.

    With detectors for teacher and student the objects that students miss are followed into the
    networks, see `kdviz.runs.diagnosis.inside`.

    Args:
        annotations: COCO annotations, a file or what is in it.
        sources: by role (student, teacher, distilled) or other name: COCO results, a ``.json`` file
            of any tool, or a detector: the folder of a run, a checkpoint or an embedded name.
        images: folder of the images; without it they are looked for around the annotations.
        thresholds: see `kdviz.diagnosis.diagnose.diagnose`.
        draws: bootstrap draws of the images.
        seed: of the draws.

    Raises:
        FileNotFoundError: there is no such file, folder, or image that a detector should see.
        ValueError: something cannot be diagnosed.
    """
    beside = None if isinstance(annotations, Mapping) else annotations
    detectors = [name for name, source in sources.items() if not _is_results(source)]
    inside = None
    if detectors:
        files = find_images(read_annotations(annotations), beside, images)
        if files.missing:
            raise FileNotFoundError(f"{', '.join(detectors)} cannot detect: {files.complaint}")
        data = _data(annotations, files)
        opened: dict[str, Any] = {name: _open(sources[name], data, name) for name in detectors}
        if {TEACHER, STUDENT} <= set(opened):
            inside = look_inside(data, **opened)
            found = inside.results
        else:
            found = {name: detect(parts, data) for name, parts in opened.items()}
        inputs = read_inputs(annotations, **{**sources, **found})
    else:
        inputs = read_inputs(annotations, **sources)
        files = find_images(inputs.truth, beside, images)
    diagnosis = diagnose(inputs, thresholds=thresholds, draws=draws, seed=seed)
    factors = _factors(inputs, files)
    judged = {name: one.verdicts for name, one in diagnosis.sets.items()}
    return Case(
        diagnosis=diagnosis,
        factors=factors,
        causes=find_causes(factors, judged, diagnosis.resamples),
        groups={name: grouped_boxes(one) for name, one in judged.items()},
        images=files,
        inside=inside,
        lost={} if inside is None else inside.lost(judged),
    )


def _is_results(source: Source) -> bool:
    return Path(source).suffix == ".json"


def _data(annotations: str | Path | Mapping[str, Any], files: ImageFiles) -> DetectionData:
    if isinstance(annotations, Mapping):
        return DetectionData(dict(annotations), files.folder)
    path = Path(annotations)
    return detection_data(parse_json(path), files.folder, source=path)


def _open(source: Source, data: DetectionData, name: str) -> DetectorParts:
    opened = open_source(source)
    check_classes(opened.parts, names := [category.name for category in data.categories], name)
    if opened.classes != names:
        raise ValueError(
            f"{name} ({opened.label}) was trained for the classes {', '.join(opened.classes)}, "
            f"but the annotations have {', '.join(names)}; give a detector of these classes"
        )
    return opened.parts


def _factors(inputs: Inputs, files: ImageFiles) -> dict[str, Numbers]:
    """What may make objects hard; from pixels only where every image is there."""
    read = None if files.missing else files.__getitem__
    return with_estimates(inputs.truth, read).factors
