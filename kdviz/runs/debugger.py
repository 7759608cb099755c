"""The debugger of distillation runs: ``kdviz doctor RUN`` names the usual bugs, with evidence."""

from __future__ import annotations

import html
from pathlib import Path

from kdviz.files import write_atomically
from kdviz.runs.pages import page, paragraph, picture
from kdviz.runs.probes import probe_teacher
from kdviz.runs.symptoms import RULES, Record, Symptom, read_record

PAGE = "doctor.html"


def examine_run(folder: Path) -> list[Symptom]:
    """Look for every usual bug in a run, finished or not.

    The record of the run is read first; then its teacher detects on some validation images, where
    data and weights are still in their place as seen from the present folder.

    Args:
        folder: of the run.

    Returns:
        One symptom a bug, in the order in which to mend them.

    Raises:
        FileNotFoundError: this is not the folder of a run.
        ValueError: its files cannot be read.
    """
    record = read_record(folder)
    return [*_probed(record), *(rule(record) for rule in RULES)]


def write_page(folder: Path, symptoms: list[Symptom]) -> Path:
    """Write what was found, with its pictures, as ``doctor.html`` into the folder of the run."""
    sections = "\n".join(map(_section, sorted(symptoms, key=lambda symptom: symptom.fine)))
    count = sum(not symptom.fine for symptom in symptoms)
    told = f"{count} of {len(symptoms)} usual bugs show" if count else "no usual bug shows"
    intro = paragraph(
        f"In this run {told}. Each was looked for as below; what is wrong comes first."
    )
    body = f"<h1>{html.escape(folder.name)}</h1>\n{intro}\n{sections}"
    content = page(f"{folder.name}: {told}", body)
    write_atomically(folder / PAGE, content)
    return folder / PAGE


def _probed(record: Record) -> list[Symptom]:
    try:
        return probe_teacher(record)
    except (FileNotFoundError, ValueError) as error:
        told = f"not looked at, since the teacher cannot be opened from here: {error}"
        return [Symptom("teacher's detections", True, told)]


def _section(symptom: Symptom) -> str:
    mark = "fine" if symptom.fine else "found"
    parts = [f"<h2>{html.escape(symptom.name)}: {mark}</h2>", paragraph(symptom.told)]
    if symptom.figure is not None:
        parts.append(picture(symptom.figure, f"evidence: {symptom.name}"))
    return "\n".join(parts)
