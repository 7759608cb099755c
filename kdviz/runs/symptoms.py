"""The usual bugs of a distillation run, as far as its own record betrays them.

Each rule takes a `Record` and returns one `Symptom`, also when all is well: what was looked at is
as much of an answer as what was found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kdviz.engine.config import TrainConfig
from kdviz.engine.history import read_history
from kdviz.engine.trainee import term_of
from kdviz.files import read_json
from kdviz.plots.curves import DETECTION_TERMS, loss_curves
from kdviz.plots.results import compare_ap
from kdviz.plots.symptoms import level_shares, rate_band, share_bars
from kdviz.runs.spec import RunSpec, load_spec

ZERO_SHARE = 0.5
"""A term that is exactly zero in this share of the logged steps teaches too little."""
GROWTH = 10.0
"""A term whose last values are this many times its first ones explodes."""
LARGEST_LEVEL = 0.9
"""A level with this share of a term leaves nothing to the others."""
DROWNED = 10.0
"""Distillation this many times the detection loss drowns it."""
ROUNDED = 0.95
"""Share of logged losses that half precision holds exactly; of float32 losses it is a few."""


@dataclass(frozen=True)
class Record:
    """What a run left in its folder.

    Attributes:
        folder: of the run.
        spec: what was asked for.
        history: records of ``metrics.jsonl``.
        result: ``result.json``; None while the run is not finished.
    """

    folder: Path
    spec: RunSpec
    history: list[dict[str, Any]]
    result: dict[str, Any] | None

    def series(self, kind: str = "terms") -> dict[str, NDArray[np.float64]]:
        """Logged values of every loss by ``term`` or ``term/level``, NaN where it is missing."""
        keys = list(dict.fromkeys(key for row in self.history for key in row.get(kind, ())))
        return {
            key: np.array([_number(row.get(kind, {}).get(key)) for row in self.history])
            for key in keys
        }

    def distilled(self, kind: str = "terms") -> dict[str, dict[str, NDArray[np.float64]]]:
        """The series of each distillation term by level, ``""`` for a term without levels."""
        terms: dict[str, dict[str, NDArray[np.float64]]] = {}
        for key, values in self.series(kind).items():
            term, _, level = key.partition("/")
            if term not in DETECTION_TERMS:
                terms.setdefault(term, {})[level] = values
        return terms


@dataclass(frozen=True)
class Symptom:
    """One usual bug that was looked for.

    Attributes:
        name: of the bug.
        fine: whether there is no sign of it.
        told: what was found; if it is not fine, what causes it and what to do.
        figure: the evidence, as a picture; None where there was nothing to look at.
    """

    name: str
    fine: bool
    told: str
    figure: Figure | None = None

    def as_dict(self) -> dict[str, object]:
        """What the machine-readable answer says."""
        return {"name": self.name, "fine": self.fine, "told": self.told}

    def __str__(self) -> str:
        return f"{'ok  ' if self.fine else 'FAIL'}  {self.name:<22} {self.told}"


def read_record(folder: Path) -> Record:
    """What a run left in its folder, finished or not.

    Raises:
        FileNotFoundError: there is no such folder, or no spec in it.
        ValueError: spec or result cannot be read.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; give a run folder such as runs/<name>")
    if not (folder / "spec.yaml").is_file():
        raise FileNotFoundError(f"{folder} holds no spec.yaml, so it is not the folder of a run")
    result = folder / "result.json"
    return Record(
        folder,
        load_spec(folder / "spec.yaml"),
        read_history(folder / "metrics.jsonl"),
        read_json(result) if result.exists() else None,
    )


def teacher_moved(record: Record) -> Symptom:
    """Whether the teacher's weights or BatchNorm statistics changed while it taught."""
    name = "teacher in train mode"
    moved = ((record.result or {}).get("teacher") or {}).get("moved")
    if moved is None:
        return Symptom(name, True, "the run did not record the teacher's state, or had no teacher")
    if not moved:
        return Symptom(name, True, "every tensor of the teacher is as it was before the run")
    worst = max(moved, key=lambda key: moved[key])
    return Symptom(
        name,
        False,
        f"{len(moved)} tensors of the teacher changed while it taught, {worst} by "
        f"{moved[worst]:.2%}: it was in train mode, so BatchNorm used and moved its statistics. "
        "Call kdviz.detectors.freeze on it, and keep it out of every module that is .train()-ed",
        share_bars(moved, unit="change of the tensor, relative", suspects=moved),
    )


def silent_terms(record: Record) -> Symptom:
    """Whether a distillation term is zero much of the time."""
    name = "term zero"
    shares = {}
    for term, levels in record.distilled().items():
        total = np.abs(np.nan_to_num(np.array(list(levels.values())))).sum(axis=0)
        shares[term] = float((total == 0).mean())
    if not shares:
        return Symptom(name, True, "no distillation term was logged")
    # A term that starts late, or has no weight yet, is still computed: zero means nothing to learn.
    silent = [term for term, share in shares.items() if share >= ZERO_SHARE]
    figure = share_bars(
        shares, unit="share of logged steps at exactly 0", suspects=silent, limit=ZERO_SHARE
    )
    if not silent:
        return Symptom(name, True, f"no term is 0 in {ZERO_SHARE:.0%} of the steps", figure)
    return Symptom(
        name,
        False,
        f"{', '.join(silent)}: exactly 0 on every level in "
        f"{max(shares[term] for term in silent):.0%} of the logged steps. The mask is empty (boxes "
        "outside the image? levels that own no box?), or student and teacher are the same "
        "network. Look at the maps: kdviz.explore(run)",
        figure,
    )


def exploding_terms(record: Record) -> Symptom:
    """Whether a term grows instead of falling, or stopped being finite."""
    name = "term exploding"
    quarter = max(1, len(record.history) // 4)
    grown = {}
    for key, values in record.series().items():
        finite = values[np.isfinite(values)]
        start = np.median(np.abs(finite[:quarter])) if len(finite) else 0.0
        end = np.median(np.abs(finite[-quarter:])) if len(finite) else 0.0
        if np.isinf(values).any():
            grown[key] = math.inf
        elif start > 0 and end > GROWTH * start:
            grown[key] = float(end / start)
    if not record.history:
        return Symptom(name, True, "nothing was logged yet")
    figure, _ = loss_curves(_finite(record.history), caption="Losses should fall, or stay.")
    if not grown:
        return Symptom(name, True, f"no loss grew by {GROWTH:.0f} times or more", figure)
    told = ", ".join(f"{key} {_times(times)}" for key, times in grown.items())
    return Symptom(
        name,
        False,
        f"{told} from the first quarter of the run to the last. Lower the weight of the term or "
        "train.lr, or give the term a ramp; if it starts at a refresh, look at what is refreshed",
        figure,
    )


def dominating_level(record: Record) -> Symptom:
    """Whether one pyramid level takes nearly all of a term."""
    name = "one level dominates"
    shares: dict[str, dict[str, float]] = {}
    for term, levels in record.distilled().items():
        sums = {level: float(np.nansum(np.abs(values))) for level, values in levels.items()}
        active = {level: value for level, value in sums.items() if value > 0}
        if len(active) > 1:
            total = sum(active.values())
            shares[term] = {level: value / total for level, value in active.items()}
    if not shares:
        return Symptom(name, True, "no term has two levels that take part")
    peaks = {term: max(levels, key=lambda key: levels[key]) for term, levels in shares.items()}
    heavy = [term for term, peak in peaks.items() if shares[term][peak] > LARGEST_LEVEL]
    figure = level_shares(shares)
    if not heavy:
        return Symptom(name, True, f"no level has over {LARGEST_LEVEL:.0%} of its term", figure)
    told = ", ".join(f"{peaks[x]} has {shares[x][peaks[x]]:.0%} of {x}" for x in heavy)
    return Symptom(
        name,
        False,
        f"{told}. Sums over cells grow with the map: normalise each level by its own cells, or "
        "check that the teacher's maps have one scale on all levels",
        figure,
    )


def drowned_detection(record: Record) -> Symptom:
    """Whether the weighted distillation terms drown the detection loss."""
    name = "distillation drowns"
    series = record.series("weighted")
    own = _total(values for key, values in series.items() if term_of(key) in DETECTION_TERMS)
    taught = _total(values for key, values in series.items() if term_of(key) not in DETECTION_TERMS)
    if own is None or taught is None or not np.median(own) > 0:
        return Symptom(name, True, "there is no distillation term beside the detection loss")
    ratio = float(np.median(taught) / np.median(own))
    figure, _ = loss_curves(_finite(record.history), values="weighted")
    if ratio <= DROWNED:
        return Symptom(name, True, f"{ratio:.2g} times the detection loss, as weighted", figure)
    return Symptom(
        name,
        False,
        f"the weighted distillation terms are {ratio:.0f} times the detection loss: the student "
        "imitates and hardly learns to detect. `kdviz balance SPEC` proposes weights",
        figure,
    )


def half_precision(record: Record) -> Symptom:
    """Whether the losses were computed in half precision: each is then a number that fits in it."""
    name = "loss in half precision"
    values = np.concatenate([np.empty(0), *record.series().values()])
    values = values[np.isfinite(values) & (values != 0)].astype(np.float32)
    if len(values) < 8:
        return Symptom(name, True, "too few losses were logged to tell")
    shares = {
        "bfloat16": float((values.view(np.uint32) & 0xFFFF == 0).mean()),
        # It holds most bfloat16 numbers too, so that one is asked first.
        "float16": float((values.astype(np.float16).astype(np.float32) == values).mean()),
    }
    kind = next((key for key in shares if shares[key] >= ROUNDED), None)
    figure = share_bars(
        shares,
        unit="share of losses that it holds exactly",
        suspects=[kind] if kind else (),
        limit=ROUNDED,
    )
    if kind is None:
        return Symptom(
            name, True, f"{1 - max(shares.values()):.0%} of the losses need float32", figure
        )
    return Symptom(
        name,
        False,
        f"{shares[kind]:.0%} of the logged losses are {kind} numbers, so they were computed in it: "
        "sums of squares overflow and small differences vanish. Compute losses in float32 (leave "
        "autocast, or .float() the maps first) and keep only the networks in half precision",
        figure,
    )


def learning_rate_fits(record: Record) -> Symptom:
    """Whether the learning rate fits the number of images in a step."""
    name = "learning rate, batch"
    config = record.spec.train
    images = config.batch_size * config.devices
    low, high = rate_bounds(config, images)
    figure = rate_band(
        config.lr,
        images,
        lambda n: rate_bounds(config, n),
        caption=f"Usual rates of {config.optimizer} for detectors; the dot is this run.",
    )
    if low <= config.lr <= high:
        return Symptom(name, True, f"{config.lr:g} for {images} images a step is usual", figure)
    side, instead = ("above", high) if config.lr > high else ("below", low)
    return Symptom(
        name,
        False,
        f"train.lr={config.lr:g} for {images} images a step lies {side} what {config.optimizer} "
        f"usually takes ({low:.2g} to {high:.2g}): a rate belongs to its batch size. Try "
        f"train.lr={instead:.1g}, or the batch size that the recipe was written for",
        figure,
    )


def rate_bounds(config: TrainConfig, images: int) -> tuple[float, float]:
    """Usual learning rates for this many images a step.

    SGD scales linearly from .02 for 16 images (Goyal et al., 2017; the 1x schedule of detectors);
    AdamW with the root, from 1e-4 (fine-tuning) to 2e-3 (small nets from scratch) for 16. A factor
    of four is left on either side.
    """
    if config.optimizer == "sgd":
        return 0.0025 * images / 16 / 4, 0.02 * images / 16 * 4
    root = math.sqrt(images / 16)
    return 1e-4 * root / 4, 2e-3 * root * 4


def weak_teacher(record: Record) -> Symptom:
    """Whether the teacher detects at all, and better than the student it has taught."""
    name = "teacher not loaded"
    result = record.result or {}
    told = result.get("teacher")
    if told is None:
        return Symptom(name, True, "the run had no teacher, or is not finished")
    taught, own = told["sample_ap"], result["metrics"]["AP"]
    figure, _ = compare_ap(
        {"student": [own], "teacher": [taught]},
        caption=f"The teacher on {told['sample_images']} validation images, the student on all.",
    )
    if taught < 0.05:
        cause = "its weights were not loaded, or belong to other data or another image size"
    elif taught < own:
        cause = "a teacher below its student has little to teach: is it the right checkpoint?"
    else:
        return Symptom(name, True, f"AP {taught:.3f}, the student reached {own:.3f}", figure)
    return Symptom(
        name,
        False,
        f"teacher {told['weights']} has AP {taught:.3f}, the student reached {own:.3f}: {cause}",
        figure,
    )


RULES: tuple[Callable[[Record], Symptom], ...] = (
    weak_teacher,
    teacher_moved,
    silent_terms,
    exploding_terms,
    dominating_level,
    drowned_detection,
    half_precision,
    learning_rate_fits,
)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _times(times: float) -> str:
    return "is infinite" if math.isinf(times) else f"grew {times:.0f} times"


def _total(series: Any) -> NDArray[np.float64] | None:
    rows = [np.nan_to_num(values, posinf=np.inf) for values in series]
    return np.sum(rows, axis=0) if rows else None


def _finite(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The history without values that no axis can show."""
    kinds = ("terms", "weighted")
    return [
        {
            **row,
            **{
                kind: {k: v for k, v in row[kind].items() if v is not None and math.isfinite(v)}
                for kind in kinds
                if kind in row
            },
        }
        for row in history
    ]
