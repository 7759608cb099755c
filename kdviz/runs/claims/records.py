"""What was measured inside trained detectors, as it is kept beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdviz.files import read_json

FILE = "measured.json"
"""Name of the file in the folder of a matrix."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Measured:
    """A number from inside trained detectors, as `kdviz.runs.claims.measure` leaves it.

    Attributes:
        data: short name of the data set.
        pair: short name of the pair.
        method: that the student was taught by.
        quantity: what was measured.
        seeds: of the runs.
        values: one for each seed.
        images: 95 % interval of their mean over draws of images; None where nothing was drawn.
    """

    data: str
    pair: str
    method: str
    quantity: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    images: Interval | None = None

    @property
    def place(self) -> tuple[str, str, str, str]:
        """What it is a measurement of."""
        return self.data, self.pair, self.method, self.quantity


def beyond(quantity: str, control: str) -> str:
    """Name of a quantity minus the control's own."""
    return f"{quantity}, beyond {control}"


def read_measured(file: Path) -> list[Measured]:
    """What `measure` wrote; nothing where there is no such file."""
    if not file.is_file():
        return []
    found: list[dict[str, Any]] = read_json(file)["measured"]
    for entry in found:
        entry |= {key: tuple(x) for key, x in entry.items() if isinstance(x, list)}
    return [Measured(**entry) for entry in found]
