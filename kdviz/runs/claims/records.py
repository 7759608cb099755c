"""What was measured inside trained detectors, as it is kept beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdviz.files import read_json

FILE = "measured.json"
"""Name of the file in the folder of a matrix."""

READ = "AP50 of the teacher's head on its maps, as a share of its own"
GOES_WITH = {
    name: f"rank correlation of reliability and {name}" for name in ("blur", "occlusion", "size")
}

QUANTITIES = {
    "near minus lone": "recall gained on near objects, minus that on lone ones",
    "fewer groups seen as one": "by how much the share of near groups fell that one box is drawn "
    "around",
    "much outside minus little": "recall gained where much of the teacher's richness lies outside "
    "the box, minus that where little does",
    "with cue minus without": "recall gained where a cue outside the box tells the class, minus "
    "that where none does",
    "blurred minus sharp": "recall gained on blurred objects, minus that on sharp ones",
    "occluded minus free": "recall gained on occluded objects, minus that on free ones",
    "small minus large": "recall gained on small objects, minus that on large ones",
    "stitched, AP50 more": "AP50 of the teacher's head on its maps, stitched, minus that on the "
    "student's own",
    "by their adapters, AP50 more": "AP50 of the teacher's head on its adapted maps, minus that "
    "on those of plain imitation",
    READ: "AP50 of the teacher's head on its adapted maps, over the AP50 of its own head",
    **{name: f"{name} of the object" for name in GOES_WITH.values()},
    "change of reliability when blurred": "change of an object's reliability when the image is "
    "blurred by 2 px",
    "change of reliability when covered": "change of an object's reliability when 60 % of its box "
    "are covered",
}
"""What can be measured inside the detectors of a matrix, and what each name means."""

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
