"""``kdviz diagnose``: from annotations and detections to a folder with a page and its numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kdviz.diagnosis.export import check_names, write_exports
from kdviz.files import read_json, write_atomically
from kdviz.runs.diagnosis.case import open_case
from kdviz.runs.diagnosis.page import diagnosis_page
from kdviz.runs.environment import environment
from kdviz.runs.sources import Source

PAGE, SUMMARY = "index.html", "diagnosis.json"


def write_diagnosis(
    annotations: str | Path,
    sources: Mapping[str, Source],
    out: str | Path,
    images: str | Path | None = None,
    *,
    command: str = "",
    **options: Any,
) -> dict[str, Any]:
    """Diagnose detectors and leave a page, tables and annotations in a folder.

    Args:
        annotations: COCO annotations file.
        sources: COCO results or detectors by role or other name, see
            `kdviz.runs.diagnosis.case.open_case`.
        out: the folder; made if it is missing, files of an older diagnosis are replaced.
        images: folder of the images; without it they are looked for around the annotations, and
            where they are not, the page has no pictures of them.
        command: that does this again, for the record.
        **options: ``thresholds``, ``draws`` and ``seed`` of `kdviz.runs.diagnosis.case.open_case`.

    Returns:
        What is in ``diagnosis.json``, see `kdviz.diagnosis.summary.summarise`.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: something cannot be diagnosed, or ``out`` is a folder of other files.
    """
    out = Path(out)
    check_names(sources)
    _check_folder(out)
    if images is not None and not Path(images).is_dir():
        raise FileNotFoundError(f"there is no folder {images} for the images")
    case = open_case(annotations, sources, images, **options)
    content = diagnosis_page(case)
    files = {name: Path(path) for name, path in {"annotations": annotations, **sources}.items()}
    made_with = {
        "command": command,
        **environment(),
        "sha256": {name: _checksum(path) for name, path in files.items() if path.is_file()},
    }
    older = set(read_json(out / SUMMARY)["sets"]) if (out / SUMMARY).is_file() else set()
    summary = write_exports(
        case.diagnosis,
        out,
        factors=case.factors,
        causes=case.causes,
        groups=case.groups,
        made_with=made_with,
    )
    write_atomically(out / PAGE, content)
    for name in older - set(summary["sets"]):
        (out / f"{name}.json").unlink(missing_ok=True)
    return summary


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; give the name of a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / SUMMARY).is_file():
        raise ValueError(f"{out} holds files of something else; give a new or an empty folder")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
