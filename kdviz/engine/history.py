"""The history of a run: one JSON object a line in ``metrics.jsonl``."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class History:
    """Appends records to ``metrics.jsonl`` and forgets those past the step it resumes from.

    Args:
        path: the file; made if it is not there.
        resume_step: records of this step and later ones belong to a lost stretch and are dropped.
    """

    def __init__(self, path: Path, resume_step: int = 0) -> None:
        kept = [record for record in read_history(path) if record["step"] < resume_step]
        path.write_text("".join(json.dumps(record) + "\n" for record in kept))
        self._file = path.open("a")

    def write(self, record: dict[str, Any]) -> None:
        """Append one record, visible to readers at once."""
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()


def read_history(path: Path) -> list[dict[str, Any]]:
    """Records of a ``metrics.jsonl``, oldest first; a torn last line is left out.

    Works while a run is writing; a file that is not there yet has no records.
    """
    records = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records
