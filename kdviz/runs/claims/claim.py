"""What a claim is: a sentence of a paper, what to run for it, and which numbers confirm it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from kdviz.runs.claims.records import QUANTITIES
from kdviz.runs.compare import ALONE, RECIPES

FOLDER = RECIPES / "claims"
"""Where the claims are that come with kdviz."""

Number = Literal["teacher", "student", "distilled", "other"]
"""Whose number it is; ``other`` is what the distilled student is compared with, if not ``student``.
"""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Setting(_Record):
    """What the authors trained, as far as it is known."""

    data: str
    """Data set and split, ``COCO 2017``."""
    student: str
    """Name in the zoo (``retinanet-resnet50``) or, of a detector that is not there, in words."""
    teacher: str
    """The same of the teacher."""
    images: int | None = Field(default=None, ge=1)
    """Training images."""
    epochs: float | None = Field(default=None, gt=0)
    """Passes over them."""
    batch: int | None = Field(default=None, ge=1)
    """Images a step, over all devices."""
    size: tuple[int, int] | None = None
    """Shorter and longest side of an image, pixels."""


class PaperRun(_Record):
    """The training that the paper's numbers come from, as a recipe of ours."""

    recipe: str = Field(pattern=r"^[^/]+/[^/]+$")
    """Folder and file below ``notebooks/recipes/papers``, without the ending:
    ``retinanet-resnet50_from_retinanet-resnet101/frs``."""
    alone: str = "student"
    """The file beside it that trains the student by the ground truth alone."""
    score: Literal["AP", "AP50"] = "AP"
    """Which of our COCO numbers is the paper's metric; VOC's mAP is near AP50."""
    tolerance: float = Field(default=0.3, ge=0)
    """By how much score and gain may fall short of the paper's and still confirm them, in points
    of the metric."""


class Bounds(_Record):
    """Which values confirm a claim: those from ``above`` up to ``below``; all others refute it."""

    above: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _hold_something(self) -> Self:
        if self.above is None and self.below is None:
            raise ValueError("what confirms needs above, below, or both")
        if self.above is not None and self.below is not None and self.above >= self.below:
            raise ValueError(f"above={self.above} leaves nothing under below={self.below}")
        return self

    def __str__(self) -> str:
        if self.above is None:
            return f"below {self.below:g}"
        if self.below is None:
            return f"above {self.above:g}"
        return f"between {self.above:g} and {self.below:g}"


MORE = Bounds(above=0.0)


class _Asked(_Record):
    """A question to the runs of one matrix."""

    matrix: str
    """Its name; ``notebooks/recipes/matrices`` has a file of it."""
    data: str
    """Short name of a data set of it."""
    pair: str
    """Short name of a pair of it."""
    method: str
    """As in the matrix: ``fgfi``."""
    confirms: Bounds = MORE
    """Which values of the number confirm the claim. AP is in [0, 1] here."""


class Gain(_Asked):
    """AP of a method minus that of the student that learned alone, seed by seed."""

    kind: Literal["gain"]

    @property
    def over(self) -> tuple[str, str]:
        """Pair and method that it is compared with."""
        return self.pair, ALONE


class Better(_Asked):
    """AP of a method minus that of another one, seed by seed."""

    kind: Literal["better"]
    than: str
    """The other method; ``pair/method`` where it belongs to another pair of the matrix."""

    @property
    def over(self) -> tuple[str, str]:
        """Pair and method that it is compared with."""
        pair, slash, method = self.than.rpartition("/")
        return (pair if slash else self.pair), method


class Measure(_Asked):
    """A number that was measured inside the trained detectors, not their AP."""

    kind: Literal["measured"]
    quantity: str
    """Name of the number, one of `kdviz.runs.claims.records.QUANTITIES`."""
    beyond: str | None = None
    """A method whose own number is subtracted: an effect that it shows too is no merit of
    ``method``."""

    @field_validator("quantity")
    @classmethod
    def _known(cls, quantity: str) -> str:
        if quantity not in QUANTITIES:
            raise ValueError(f"nobody measures {quantity!r}; there are {'; '.join(QUANTITIES)}")
        return quantity


Question = Annotated[Gain | Better | Measure, Field(discriminator="kind")]


class Claim(_Record):
    """One sentence of a paper, and how it is put to the test."""

    id: str
    """Name of its file."""
    paper: Literal["FGFI", "FRS", "GKD", "Dist2", "CWD", "PKD"]
    where: str
    """Table, figure or section, and where its numbers can be read."""
    says: str
    """The claim in one sentence, in our words."""
    metric: str = "AP on COCO val, %"
    """Of the numbers that are reported."""
    reported: dict[Number, float] = Field(default_factory=dict)
    """The paper's own numbers."""
    setting: Setting | None = None
    """What the authors trained; None for a claim about no single training."""
    run: PaperRun | None = None
    """Their training as a recipe; None where no recipe can express it."""
    asks: tuple[Question, ...] = ()
    """The same at a size that can be afforded."""
    differs: tuple[str, ...] = ()
    """Which settings differ beyond what comparing the recipes shows."""

    @model_validator(mode="after")
    def _can_be_judged(self) -> Self:
        if self.run is None and self.setting is None and not self.asks:
            raise ValueError("there is nothing to run: give run, setting or asks")
        if self.run is not None and {"student", "distilled"} - set(self.reported):
            raise ValueError("run needs reported.student and reported.distilled to compare with")
        return self


def load_claims(folder: Path = FOLDER) -> list[Claim]:
    """All claims of a folder, paper by paper, by the names of their files.

    Raises:
        FileNotFoundError: there is no such folder, or no claim in it.
        ValueError: some are no claims; one line per problem of all files, each with its key.
    """
    files = sorted(Path(folder).glob("*.yaml"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no claims; those of kdviz are in {FOLDER}")
    claims, problems = [], []
    for file in files:
        try:
            claims.append(Claim.model_validate(_content(file)))
        except ValidationError as error:
            problems += [f"{file.name}: {line}" for line in _lines(error)]
        except ValueError as error:
            problems.append(f"{file.name}: {error}")
    if problems:
        raise ValueError("\n  ".join([f"{len(problems)} problems with claims:", *problems]))
    order = get_args(Claim.model_fields["paper"].annotation)
    return sorted(claims, key=lambda claim: order.index(claim.paper))


def _content(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"not readable as YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"must hold a mapping (paper, where, says, ...), not {content!r}")
    if "id" in content:
        raise ValueError("id: a claim is called after its file; take it out")
    return {"id": file.stem, **content}


_KNOWN: dict[str, type[BaseModel]] = {
    "": Claim,
    "setting": Setting,
    "run": PaperRun,
    "gain": Gain,
    "better": Better,
    "measured": Measure,
    "confirms": Bounds,
}


def _lines(error: ValidationError) -> Iterable[str]:
    for problem in error.errors():
        # The union names its member, as if it were a key.
        parts = [str(part) for part in problem["loc"]]
        words = str(problem["msg"]).removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            holder = next((x for x in reversed(parts[:-1]) if x in _KNOWN), "")
            known = [key for key in _KNOWN[holder].model_fields if key != "id"]
            words = f"unknown key; known are {', '.join(known)}"
        yield f"{'.'.join(parts) or 'claim'}: {words}"
