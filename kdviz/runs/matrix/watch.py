"""A matrix at work, for whoever looks at a terminal or reads a log of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Sequence

from tqdm import tqdm

from kdviz.runs.matrix.state import CellState, in_words

Stream = Generator[list[CellState], None, None]


def watch(stream: Stream, say: Callable[[str], None] | None = None) -> list[CellState]:
    """Follow an engine to its end: a line for each run that begins or ends, a bar for their steps.

    Args:
        stream: of `kdviz.runs.matrix.local.execute`, or of another engine.
        say: takes the lines; if not given they go to standard error, above the bar.

    Returns:
        The last state of each run.

    Raises:
        KeyboardInterrupt: Ctrl-C came; the runs have been stopped.
    """
    before: dict[str, str] = {}
    known: list[CellState] = []
    began = time.monotonic()
    with tqdm(unit="step", desc="matrix", disable=None) as bar:
        tell = say or (lambda line: bar.write(line, file=sys.stderr))
        try:
            for known in stream:
                bar.total = sum(state.cell.spec.train.steps for state in known)
                bar.n = sum(state.step for state in known)
                bar.set_postfix_str(in_words(known))
                for line in _news(known, before):
                    tell(f"[{_clock(time.monotonic() - began)}] {line}")
        except KeyboardInterrupt:
            working = sum(state.status == "running" for state in known)
            tell(f"asking {working} runs to stop; each writes its checkpoint first")
            raise
        finally:
            stream.close()
    return known


def table(known: Sequence[CellState]) -> str:
    """A line for each run: how far it is, and what it scored or failed with."""
    rows = [("run", "status", "steps", "tries", "AP", "")]
    for state in known:
        score = "" if state.result is None else f"{state.result['metrics']['AP']:.3f}"
        steps = f"{state.step}/{state.cell.spec.train.steps}"
        why = state.error.splitlines()[0][:100] if state.error else ""
        rows.append((state.folder.name, state.status, steps, str(state.attempts), score, why))
    return "\n".join([*aligned(rows), "", in_words(known)])


def as_dict(state: CellState) -> dict[str, object]:
    """A state, ready for JSON."""
    return {
        "folder": str(state.folder),
        "status": state.status,
        "step": state.step,
        "steps": state.cell.spec.train.steps,
        "attempts": state.attempts,
        "AP": None if state.result is None else state.result["metrics"]["AP"],
        "error": state.error,
        "notebook": None if state.notebook is None else str(state.notebook),
    }


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table, columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(x.ljust(width) for x, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _news(known: Sequence[CellState], before: dict[str, str]) -> list[str]:
    """What has changed since the last look; what was over before the first is told in one line."""
    first, told = not before, []
    for state in known:
        name, status = state.folder.name, state.status
        if before.get(name) != status and not (first and status in ("done", "waiting")):
            told.append(_line(state, known))
        before[name] = status
    over = sum(state.status == "done" for state in known)
    if first and over:
        told.insert(0, f"{over} of {len(known)} runs are done already")
    return told


def _line(state: CellState, known: Sequence[CellState]) -> str:
    name = state.folder.name
    match state.status:
        case "done":
            over = sum(other.status == "done" for other in known)
            score = "" if state.result is None else f", AP {state.result['metrics']['AP']:.3f}"
            return f"done {over}/{len(known)}: {name}{score}"
        case "failed":
            return f"failed: {name}: {state.error.splitlines()[0] if state.error else ''}"
        case "waiting":
            return f"stopped, and waits for another attempt: {name}"
        case "running":
            return f"started: {name}" + (f" from step {state.step}" if state.step else "")


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60:d}:{minutes % 60:02d}:{seconds:02d}"
