"""Look inside detectors on a data set: at their maps, their boxes before NMS, and what is left.

One pass gives the detections that a diagnosis starts from, and what it needs to say of each object
where inside a student it was seen last.

The teacher's head takes part as a probe of the students' maps. It cannot read the maps of a network
that it was not trained with, however good they are, so each student's maps are first *stitched*:
translated channel by channel and cell by cell, by the linear map that brings them nearest to the
teacher's. A stitch is fitted on other images than those it is used on, and in the same way for
every student, so that one trained alone and one trained to imitate are asked the same question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torchvision.models.detection.transform import resize_boxes
from tqdm.auto import tqdm

from kdviz.datasets import DetectionData, DetectionDataset
from kdviz.detectors.candidates import candidates_of
from kdviz.detectors.parts import DetectorParts, Pass, in_eval
from kdviz.diagnosis.head_swap import StitchFit, adapted, of_a_class, read
from kdviz.diagnosis.inside import TEACHER, Inside
from kdviz.diagnosis.lost import targets_of
from kdviz.diagnosis.misses import Seen, object_distances, showing
from kdviz.diagnosis.outside import evidence_outside
from kdviz.diagnosis.richness import point_offset
from kdviz.engine.coco_eval import to_coco_results
from kdviz.engine.coco_input import GroundTruth, read_annotations
from kdviz.engine.evaluate import Results
from kdviz.engine.guards import check_classes
from kdviz.methods import FRS, Method
from kdviz.runs.lessons import Lesson
from kdviz.structures import Detection, Pyramid, Target


@torch.no_grad()
def look_inside(
    source: Lesson | DetectionData,
    *,
    student: DetectorParts,
    teacher: DetectorParts,
    distilled: DetectorParts | None = None,
    methods: Mapping[str, Method] | None = None,
    batch_size: int = 16,
    **others: DetectorParts,
) -> Inside:
    """Run a teacher and its students over all images of a data set, and keep what they see.

    Args:
        source: the images and their annotations, two images or more.
        student: trained alone.
        teacher: whose head probes the maps of the others.
        distilled: trained with the teacher.
        methods: for some students, by name, the method with its trained adapter: their maps go to
            the teacher's head through it, and not through a stitch. Then they are not asked the
            same as the others.
        batch_size: images a step.
        others: further students under a name of their own.

    Raises:
        ValueError: there is one image only; a detector has other classes than the data; a student
            sees the images at another size than the teacher, or lacks a level that the teacher's
            head reads; a method adapts no neck.
    """
    given = {"student": student, "distilled": distilled, **others}
    students = {name: parts for name, parts in given.items() if parts is not None}
    data = source.data if isinstance(source, Lesson) else source
    truth = read_annotations(data.record)
    _check(data, students, teacher)
    images = _Images(data, truth, min(batch_size, len(truth.image_ids) // 2))
    weigh = FRS(teacher, teacher, class_loss=False).where
    theirs: list[Detection] = []
    outside: list[Tensor] = []
    looks = {name: _Look() for name in students}
    with ExitStack() as modes:
        for parts in (teacher, *students.values()):
            modes.enter_context(in_eval(parts.model))
        to_teacher = _Translations(images, students, teacher, methods or {})
        for number, pixels, targets in images.batches("look"):
            taught = Pass(teacher, teacher.preprocess(pixels, targets))
            theirs += map(of_a_class, teacher.detections(taught.output, taught.batch))
            boxes = [target["boxes"] for target in taught.batch.targets or ()]
            outside.append(evidence_outside(weigh(taught), boxes, point_offset(teacher)))
            for name, parts in students.items():
                own = Pass(parts, parts.preprocess(pixels, targets))
                maps = to_teacher(name, number, own, taught)
                looks[name].at(own, taught, maps, targets)
    found = {TEACHER: theirs, **{name: look.student for name, look in looks.items()}}
    return Inside(
        record=data.record,
        truth=truth,
        results={name: images.results(each) for name, each in found.items()},
        crossed={name: images.results(look.crossed) for name, look in looks.items()},
        seen={
            name: Seen(look.student, look.candidates, look.crossed, theirs)
            for name, look in looks.items()
        },
        distances={name: torch.cat(look.distances) for name, look in looks.items()},
        outside=torch.cat(outside),
    )


class _Images:
    """The images of a data set in the order of the ids, in batches."""

    def __init__(self, data: DetectionData, truth: GroundTruth, batch_size: int) -> None:
        self._dataset, self._truth, self._size = DetectionDataset(data), truth, batch_size
        self._targets = targets_of(truth)
        self._position = {entry["id"]: k for k, entry in enumerate(data.record["images"])}

    def batches(self, name: str) -> Iterator[tuple[int, list[Tensor], list[Target]]]:
        """The number of each batch, its images and its targets, under a progress bar."""
        ids = self._truth.image_ids.tolist()
        with tqdm(desc=name, total=len(ids), unit="image", delay=2, leave=False) as bar:
            for number, start in enumerate(range(0, len(ids), self._size)):
                own = ids[start : start + self._size]
                images = [self._dataset[self._position[id_]][0] for id_ in own]
                yield number, images, self._targets[start : start + self._size]
                bar.update(len(own))

    def results(self, found: Sequence[Detection]) -> Results:
        """Detections on all images as COCO results."""
        truth = self._truth
        return to_coco_results(found, truth.image_ids.tolist(), truth.category_ids.tolist())


class _Translations:
    """How each student's maps come to the teacher's head."""

    def __init__(
        self,
        images: _Images,
        students: Mapping[str, DetectorParts],
        teacher: DetectorParts,
        methods: Mapping[str, Method],
    ) -> None:
        self._methods = methods
        fits = {name: (StitchFit(), StitchFit()) for name in students if name not in methods}
        for number, pixels, targets in images.batches("stitch") if fits else ():
            taught = Pass(teacher, teacher.preprocess(pixels, targets))
            for name, halves in fits.items():
                own = Pass(students[name], students[name].preprocess(pixels, targets))
                _check_sizes(name, own, taught)
                halves[number % 2].add(source=own.features, target=taught.features)
        self._halves = {name: [fit.solve() for fit in halves] for name, halves in fits.items()}

    def __call__(self, name: str, number: int, student: Pass, teacher: Pass) -> Pyramid:
        """The maps of a batch: stitched by what was fitted on the other half of the batches."""
        if name in self._halves:
            return self._halves[name][1 - number % 2](student.features)
        _check_sizes(name, student, teacher)
        maps = adapted(self._methods[name], student, teacher)
        if maps is None:
            raise ValueError(f"the method of {name!r} adapts no neck; leave it out of methods")
        return maps


@dataclass(frozen=True)
class _Look:
    """What is kept of one student, image by image; distances batch by batch."""

    student: list[Detection] = field(default_factory=list)
    candidates: list[Detection] = field(default_factory=list)
    crossed: list[Detection] = field(default_factory=list)
    distances: list[Tensor] = field(default_factory=list)

    def at(self, own: Pass, taught: Pass, maps: Pyramid, targets: Sequence[Target]) -> None:
        """Look at one batch; ``maps`` are the student's on the way to the teacher's head."""
        self.student.extend(map(of_a_class, own.parts.detections(own.output, own.batch)))
        self.crossed.extend(read(taught.parts, maps, taught.batch))
        before = candidates_of(own.parts, own.output, own.batch)
        for target, each in zip(targets, before, strict=True):
            boxes = resize_boxes(each.boxes, list(each.size), list(each.original_size))
            # Thousands an image, of which those beside every object answer no question.
            self.candidates.append(showing(target, Detection(boxes, each.scores, each.labels)))
        of_objects = [target["boxes"] for target in own.batch.targets or ()]
        self.distances.append(
            object_distances(student=maps, teacher=taught.features, boxes=of_objects)
        )


def _check(
    data: DetectionData, students: Mapping[str, DetectorParts], teacher: DetectorParts
) -> None:
    if len(data.record["images"]) < 2:
        raise ValueError(
            "give two images or more: maps are translated by what was fitted on other images"
        )
    read_by_teacher = {level.stride for level in teacher.levels}
    names = [category.name for category in data.categories]
    for name, parts in {TEACHER: teacher, **students}.items():
        check_classes(parts, names, name)
        strides = [level.stride for level in parts.levels]
        if missing := sorted(read_by_teacher - set(strides)):
            raise ValueError(
                f"the teacher's head reads levels of strides {sorted(read_by_teacher)}, but "
                f"{name!r} has {strides}: {missing} are missing, so its maps cannot be probed"
            )


def _check_sizes(name: str, student: Pass, teacher: Pass) -> None:
    sizes = [tuple(seen.batch.images.shape[2:]) for seen in (student, teacher)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"{name!r} sees an image at {sizes[0]} (height, width) and the teacher at {sizes[1]}, "
            "so its cells are not the teacher's; open both with one min_size and max_size"
        )
