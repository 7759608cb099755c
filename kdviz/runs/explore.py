"""Open an image browser on runs, checkpoints or embedded detectors: ``kdviz.explore``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from tqdm.auto import tqdm

from kdviz.datasets import open_data
from kdviz.datasets.scenes import cached_scenes
from kdviz.detectors.candidates import FLOOR, Candidates, candidates_of, thresholds_of
from kdviz.detectors.parts import Pass, in_eval
from kdviz.methods import Method
from kdviz.plots import network_image
from kdviz.plots.images import IMAGENET_MEAN, IMAGENET_STD
from kdviz.runs import embedded
from kdviz.runs.lessons import Lesson, lesson_of, open_lesson
from kdviz.runs.sources import Opened, Source, find_path, fresh_methods, open_sources
from kdviz.structures import Batch, Detection, Pyramid
from kdviz.widgets.browser import ImageBrowser, MapShelf, browse_images

ENERGY = "energy"
CAPTION = "The mean square of each cell's features: bright where a detector's maps are strong."


def explore(
    runs: Source | Sequence[Source] | Mapping[str, Source],
    dataset: Source | Lesson | None = None,
    *,
    split: str = "val",
    count: int = 24,
    score_threshold: float = 0.3,
) -> ImageBrowser:
    """Browse images with what up to four detectors find on them, and with their maps.

    Each detector sees each image once; the sliders work on what was kept of that. A single run
    brings its teacher along, and every run with a method brings the maps of that method.

    Args:
        runs: a run's folder, a checkpoint file, or the name of an embedded detector; or several of
            them in a list, or by the names they shall be shown under.
        dataset: a COCO, VOC or YOLO folder, or an opened `Lesson`; by default what the first of the
            runs was validated on, and the embedded scenes where that is not known.
        split: of the folder.
        count: the first images are shown, at most so many, at least 1.
        score_threshold: where its slider starts, [0, 1].

    Returns:
        What to put in the last line of a cell.

    Raises:
        ValueError: there is nothing of such a name, there are more than four detectors or no
            images, or the lists of classes differ.
        FileNotFoundError: a file or folder is missing.
    """
    opened = open_sources(runs)
    if isinstance(dataset, Lesson):
        lesson = _first(dataset, count)
    elif dataset is not None:
        lesson = open_lesson(str(dataset), split, count)
    else:
        lesson = _own_lesson(next(iter(opened.values())), count)
    _check_classes(opened, lesson)
    looks = {name: _Look(detector) for name, detector in opened.items()}
    pairs = zip(lesson.images, lesson.targets, strict=True)
    total = len(lesson.images)
    for image, target in tqdm(pairs, "look", total, unit="image", delay=2, leave=False):
        for look in looks.values():
            look.at(image, target)
    own = thresholds_of(next(iter(opened.values())).parts)
    return browse_images(
        lesson.images,
        {name: look.find for name, look in looks.items()},
        lesson.targets,
        lesson.names,
        _shelf(looks),
        score_threshold=max(score_threshold, FLOOR),
        nms_threshold=0.5 if own is None else own.nms,
        least_score=FLOOR,
    )


class _Look:
    """What one detector says of the images it is shown, one after the other.

    Attributes:
        batches: each image as the network saw it.
        kinds: its maps by kind, one pyramid per image.
    """

    def __init__(self, detector: Opened) -> None:
        self.detector = detector
        self.batches: list[Batch] = []
        self.kinds: dict[str, list[Pyramid]] = {}
        self._candidates: list[Candidates] = []
        # Without the adapters of the run a map is shown only if it does not depend on them.
        self._other: dict[str, Method] = {}
        if detector.spec is not None and detector.teacher is not None and not detector.kept:
            pair = {"student": detector.parts, "teacher": detector.teacher}
            self._other = fresh_methods(detector.spec, **pair, seed=1)
        self._unknown: set[str] = set()

    @torch.no_grad()
    def at(self, image: Tensor, target: dict[str, Tensor]) -> None:
        """Look at one image."""
        parts = self.detector.parts
        with in_eval(parts.model):
            batch = parts.preprocess([image], [target])
            seen = Pass(parts, batch)
            self._candidates += candidates_of(parts, seen.output, batch)
            kinds = {ENERGY: seen.features.apply(_energy)} | self._method_maps(seen)
        self.batches.append(batch)
        for kind, pyramid in kinds.items():
            self.kinds.setdefault(kind, []).append(pyramid)
        for kind in self._unknown:
            self.kinds.pop(kind, None)

    def find(self, image: int, score_threshold: float, nms_threshold: float) -> Detection:
        """Its detections on an image with these thresholds."""
        return self._candidates[image].detections(score_threshold, nms_threshold)

    def _method_maps(self, seen: Pass) -> dict[str, Pyramid]:
        if self.detector.teacher is None:
            return {}
        taught = Pass(self.detector.teacher, seen.batch)
        maps = _maps_of(self.detector.methods, seen, taught)
        for kind, other in _maps_of(self._other, seen, taught).items():
            if not all(map(torch.equal, maps[kind].maps, other.maps)):
                self._unknown.add(kind)
        return {kind: pyramid for kind, pyramid in maps.items() if kind not in self._unknown}


def _maps_of(methods: Mapping[str, Method], seen: Pass, taught: Pass) -> dict[str, Pyramid]:
    found = {}
    for name, method in methods.items():
        with torch.random.fork_rng():
            torch.manual_seed(0)  # some methods draw cells
            told = method(seen, taught, seen.batch)
        for kind, pyramid in told.maps.items():
            found[f"{name}: {kind}"] = pyramid.apply(Tensor.float)
    return found


def _energy(values: Tensor) -> Tensor:
    return values.square().mean(dim=1, keepdim=True)


def _shelf(looks: Mapping[str, _Look]) -> MapShelf:
    """Maps over the images of the first network; those of networks of another size are left out."""
    first = next(iter(looks.values()))
    sizes = [batch.sizes for batch in first.batches]
    fitting = {n: x for n, x in looks.items() if [b.sizes for b in x.batches] == sizes}
    kinds: dict[str, dict[str, list[Pyramid]]] = {}
    for name, look in fitting.items():
        for kind, pyramids in look.kinds.items():
            kinds.setdefault(kind, {})[name] = pyramids
    captions = {kind: f"What {kind.partition(':')[0]} makes of this image." for kind in kinds}
    captions[ENERGY] = CAPTION
    if len(fitting) < len(looks):
        others = ", ".join(looks.keys() - fitting.keys())
        captions[ENERGY] += f" Left out, as they see images at another size: {others}."
    told = first.detector.parts.input_format
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if told is None else (told.mean, told.std)
    return MapShelf(
        [network_image(batch, 0, mean, std) for batch in first.batches],
        [batch.targets[0]["boxes"] for batch in first.batches if batch.targets],
        kinds,
        captions,
    )


def _own_lesson(opened: Opened, count: int) -> Lesson:
    """The first images that a run was validated on."""
    if opened.spec is None:
        return open_lesson(None, count=count)
    data = opened.spec.data
    if data.scenes is not None:
        # A scene depends on seed, split and index alone: only these need to be rendered.
        config = data.scenes.config
        folder = embedded.FOLDER / "cache"
        path = cached_scenes(folder, config, 0, count, seed=data.scenes.seed)
        return lesson_of(open_data(path, "val", limit=count))
    assert data.path is not None  # a spec has one of the two
    return lesson_of(open_data(find_path(data.path, opened.root), data.val, limit=count))


def _first(lesson: Lesson, count: int) -> Lesson:
    if not lesson.images:
        raise ValueError("the lesson has no images; open one with at least one")
    data = lesson.data.first(count)
    return Lesson(data, lesson.images[:count], lesson.targets[:count], lesson.names)


def _check_classes(opened: Mapping[str, Opened], lesson: Lesson) -> None:
    lists = {name: detector.classes for name, detector in opened.items()} | {
        "the data": lesson.names
    }
    (first, classes), *others = lists.items()
    for name, theirs in others:
        if theirs != classes:
            raise ValueError(
                f"{first} knows the classes {_listed(classes)}, but {name} has {_listed(theirs)}; "
                "what stands side by side must mean the same by its labels"
            )


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more
