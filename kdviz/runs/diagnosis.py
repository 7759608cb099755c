"""``kdviz diagnose``: from annotations and detections to a folder with a page and its numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdviz.diagnosis.causes import find_causes
from kdviz.diagnosis.diagnose import diagnose
from kdviz.diagnosis.export import check_names, write_exports
from kdviz.diagnosis.factors import with_estimates
from kdviz.diagnosis.groups import grouped_boxes
from kdviz.diagnosis.inputs import Inputs, read_inputs
from kdviz.files import write_atomically
from kdviz.runs.diagnosis_page import Material, diagnosis_page
from kdviz.runs.environment import environment
from kdviz.runs.image_files import ImageFiles, find_images

PAGE, SUMMARY = "index.html", "diagnosis.json"


def write_diagnosis(
    annotations: str | Path,
    detections: Mapping[str, str | Path],
    out: str | Path,
    *,
    images: str | Path | None = None,
    thresholds: float | Mapping[str, float] | None = None,
    draws: int = 1000,
    seed: int = 0,
    command: str = "",
) -> dict[str, Any]:
    """Diagnose COCO results and leave a page, tables and annotations in a folder.

    Args:
        annotations: COCO annotations file.
        detections: COCO results files by role (student, teacher, distilled) or other name.
        out: the folder; made if it is missing, files of an older diagnosis are replaced.
        images: folder of the images; without it they are looked for around the annotations, and
            where they are not, the page has no pictures of them.
        thresholds: see `kdviz.diagnosis.diagnose.diagnose`.
        draws: bootstrap draws of the images.
        seed: of the draws.
        command: that does this again, for the page.

    Returns:
        What is in ``diagnosis.json``, see `kdviz.diagnosis.summary.summarise`.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: something cannot be diagnosed, or ``out`` is a folder of other files.
    """
    out = Path(out)
    check_names(detections)
    _check_folder(out)
    if images is not None and not Path(images).is_dir():
        raise FileNotFoundError(f"there is no folder {images} for the images")
    inputs = read_inputs(annotations, **detections)
    files = find_images(inputs.truth, annotations, images)
    diagnosis = diagnose(inputs, thresholds=thresholds, draws=draws, seed=seed)
    factors = _factors(inputs, files)
    judged = {name: one.verdicts for name, one in diagnosis.sets.items()}
    causes = find_causes(factors, judged, diagnosis.resamples)
    groups = {name: grouped_boxes(one) for name, one in judged.items()}
    material = Material(diagnosis, causes, groups, files, command)
    content = diagnosis_page(material)
    sources = {"annotations": annotations, **detections}
    made_with = {
        "command": command,
        "seed": seed,
        **environment(),
        "sha256": {name: _checksum(Path(path)) for name, path in sources.items()},
    }
    summary = write_exports(
        diagnosis, out, factors=factors, causes=causes, groups=groups, made_with=made_with
    )
    write_atomically(out / PAGE, content)
    return summary


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; give the name of a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / SUMMARY).is_file():
        raise ValueError(f"{out} holds files of something else; give a new or an empty folder")


def _factors(inputs: Inputs, files: ImageFiles) -> dict[str, Any]:
    """What may make objects hard; from pixels only where every image is there."""
    read = None if files.missing else files.__getitem__
    return with_estimates(inputs.truth, read).factors


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
