"""Columns out of lists of JSON records, and one wording for the records that do not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["integer", "number", "box"]

_SHOWN = 3
_WORDS = {
    "integer": "an integer",
    "number": "a number",
    "box": "four numbers x, y, width, height",
}


def column(items: Sequence[Any], key: str, kind: Kind, name: str) -> NDArray[Any]:
    """One field of all records as an array.

    numpy converts the good case at once; only when the outcome is not what was asked for are the
    records looked at one by one, to say which of them is wrong.

    Args:
        items: the records.
        key: the field.
        kind: what it must hold.
        name: what messages call the list.

    Returns:
        int64 for integers, else float64; (n, 4) for boxes, else (n,).

    Raises:
        ValueError: a record lacks the field or holds something else in it.
    """
    shape = (4,) if kind == "box" else ()
    dtype = np.int64 if kind == "integer" else np.float64
    if not len(items):
        return np.zeros((0, *shape), dtype)
    try:
        values = np.array([item[key] for item in items])
        if values.shape[1:] == shape and values.dtype.kind in ("i" if kind == "integer" else "iuf"):
            return values.astype(dtype, copy=False)
    except (TypeError, KeyError, IndexError, ValueError):
        pass
    bad = [i for i, item in enumerate(items) if not (isinstance(item, Mapping) and key in item)]
    claim = f"have no {key}"
    if not bad:
        bad = [i for i, item in enumerate(items) if not _fits(item[key], kind)]
        claim = f"need {_WORDS[kind]} as {key}"
    cases = ", ".join(f"[{i}] {str(items[i])[:120]}" for i in bad[:_SHOWN])
    raise ValueError(f"{name}: {len(bad)} of {len(items)} entries {claim}: {cases}")


def factor_columns(items: Sequence[Any], name: str) -> dict[str, NDArray[np.float64]]:
    """The difficulties that records tell under ``factors``, by name; NaN where one does not.

    Args:
        items: the records.
        name: what messages call the list.

    Raises:
        ValueError: a factor is no number.
    """
    factors: dict[str, NDArray[np.float64]] = {}
    for position, item in enumerate(items):
        for factor, value in (item.get("factors") or {}).items():
            if not isinstance(value, int | float | np.number):
                raise ValueError(
                    f"{name}: annotation [{position}] has the factor {factor}={value!r}; factors "
                    "must be numbers"
                )
            if factor not in factors:
                factors[factor] = np.full(len(items), np.nan)
            factors[factor][position] = value
    return factors


def first_repeated(ids: NDArray[np.int64]) -> list[int]:
    """The first few ids that occur more than once."""
    values, counts = np.unique(ids, return_counts=True)
    return [int(value) for value in values[counts > 1][:_SHOWN]]


def positions(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Position of each wanted id among the rising ``ids``; -1 where it is missing."""
    if not len(ids):
        return np.full(len(wanted), -1)
    place = np.searchsorted(ids, wanted).clip(max=len(ids) - 1)
    return np.where(ids[place] == wanted, place, -1)


def span(ids: NDArray[np.int64]) -> str:
    """How many ids there are and from where to where, for messages."""
    if not len(ids):
        return "there are none"
    return f"there are {len(ids)} from {ids.min()} to {ids.max()}"


def is_list(value: Any) -> bool:
    """Whether a JSON value is a list."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def describe(value: Any) -> str:
    """What a JSON value is, for messages."""
    if isinstance(value, Mapping):
        return f"an object with the keys {sorted(map(str, value))[:8]}"
    return f"of type {type(value).__name__}"


class Faults:
    """Collects what is wrong with a list of records and says it at once."""

    def __init__(self, name: str, noun: str, total: int) -> None:
        self._head = f"of {total} {noun}" + (f" in {name}" if name != noun else "")
        self._bad = np.zeros(total, dtype=bool)
        self._lines: list[str] = []

    def add(
        self, bad: NDArray[np.bool_], claim: str, values: NDArray[Any], advice: str = ""
    ) -> None:
        """Note the records where ``bad`` is True, with the value that makes them so.

        Args:
            bad: one for each record.
            claim: what is wrong with them.
            values: one for each record.
            advice: what was expected and what to do, if the claim does not tell.
        """
        count = int(bad.sum())
        if count:
            cases = [f"[{i}] {values[i].tolist()}" for i in np.flatnonzero(bad)[:_SHOWN]]
            more = ", ..." if count > _SHOWN else ""
            told = f"; {advice}" if advice else ""
            self._lines.append(f"  {count}: {claim}: {', '.join(cases)}{more}{told}")
            self._bad |= bad

    def raise_if_any(self) -> None:
        """Raise one ValueError for all that was noted, if anything was."""
        if self._lines:
            head = f"{self._bad.sum()} {self._head} cannot be evaluated ([position] value):"
            raise ValueError("\n".join([head, *self._lines]))


def _fits(value: Any, kind: Kind) -> bool:
    if kind == "box":
        is_row = isinstance(value, Sequence | np.ndarray) and len(value) == 4
        return is_row and all(_fits(number, "number") for number in value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return bool(-(2**63) <= value < 2**63)
    return kind == "number" and isinstance(value, float | np.floating)
