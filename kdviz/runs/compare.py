"""Methods against the student alone: the runs that a comparison needs.

Everything but the method is the same in all runs, and every method is run with every seed, so that
the results can be compared seed by seed (see `kdviz.runs.scores`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdviz.runs import embedded
from kdviz.runs.checkpoints import read_metadata
from kdviz.runs.local import HOME
from kdviz.runs.spec import (
    DataSpec,
    MethodSpec,
    ModelSpec,
    RunSpec,
    SceneSpec,
    TeacherSpec,
    load_spec,
    parse_spec,
)

ALONE = "student"
"""What a run without any method is called: the student learns from the ground truth alone."""

RECIPES = HOME / "notebooks" / "recipes"


def plan(
    methods: Sequence[str],
    *,
    data: DataSpec,
    student: str,
    teacher: str,
    seeds: Sequence[int] = (0,),
    train: Mapping[str, Any] | None = None,
    recipes: str = "scenes",
) -> list[RunSpec]:
    """The runs of a comparison, all methods of one seed before the next seed.

    Args:
        methods: names as in `kdviz.methods` (``fgfi``), ``none`` or ``student`` for the ground
            truth alone, ``fgfi+gkd`` for two at once.
        data: the images of all runs.
        student: the detector that learns: a name of the zoo, for random weights, or an embedded
            detector or a file to go on from.
        teacher: an embedded detector, or a file that kdviz wrote.
        seeds: each is run with every method.
        train: keys of `kdviz.engine.config.TrainConfig`. If not given, the warm-up is a fifteenth
            of the steps, at most 500, and the losses are logged fifty times or more.
        recipes: folder of ``notebooks/recipes`` that the options and weights of a method come
            from. Where a recipe says from which step on a term counts, this is stretched to the
            length of the runs. A method without a recipe keeps its published weights.

    Raises:
        ValueError: an unknown name, or one given twice.
        FileNotFoundError: there is no such file.
    """
    labels = [ALONE if name == "none" else name for name in methods]
    for values in (labels, list(seeds)):
        if not values or len(set(values)) < len(values):
            raise ValueError(
                f"a comparison runs each method with each seed, once; give at least one of both "
                f"and none twice, not {values}"
            )
    options = dict(train or {})
    steps = int(options.setdefault("steps", 1500))
    options.setdefault("warmup_steps", min(500, steps // 15))
    options.setdefault("log_every", max(1, min(10, steps // 50)))
    learns, teaches = model_of(student), model_of(teacher)
    if teaches.weights is None:
        raise ValueError(f"a teacher has weights, but {teacher!r} is only a name of the zoo")
    specs = []
    for seed in seeds:
        for label in labels:
            chosen = [] if label == ALONE else label.split("+")
            content = {
                "name": label.replace("+", "-"),
                "data": data,
                "student": learns,
                "teacher": TeacherSpec(**teaches.model_dump()) if chosen else None,
                "methods": [method_spec(name, steps, recipes) for name in chosen],
                "train": {**options, "seed": seed},
            }
            specs.append(parse_spec(content, source=f"the plan for {label}, seed {seed},"))
    return specs


def data_of(
    path: str | None,
    *,
    train: str | int,
    val: str | int,
    size: int,
) -> DataSpec:
    """The images of a comparison: a folder, or scenes.

    Args:
        path: COCO, VOC or YOLO folder; None renders scenes.
        train: name of the training split; of scenes their number.
        val: name of the validation split, or number of scenes.
        size: shorter side of an image, pixels; the longer one may be 5/3 of it.
    """
    if path is None:
        scenes = SceneSpec(train=int(train), val=int(val), size=size)
        return DataSpec(scenes=scenes, min_size=size, max_size=size)
    longest = size * 5 // 3
    return DataSpec(
        path=_from_home(path), train=str(train), val=str(val), min_size=size, max_size=longest
    )


def model_of(name: str) -> ModelSpec:
    """A detector by its embedded name, its file, or its name in the zoo (then without weights).

    Raises:
        ValueError: a file that kdviz did not write.
        FileNotFoundError: there is no such file.
    """
    if Path(name).suffix == ".safetensors":
        metadata = read_metadata(Path(name))
        if "model" not in metadata:
            raise ValueError(f"{name} does not say what model it holds; take one that a run wrote")
        return ModelSpec(name=metadata["model"], weights=str(_from_home(name)))
    known = embedded.entries()
    if name in known:
        weights = str(_from_home(embedded.FOLDER / known[name]["file"]))
        return ModelSpec(name=known[name]["model"], weights=weights)
    return ModelSpec(name=name)


def method_spec(name: str, steps: int, recipes: str = "scenes") -> MethodSpec:
    """A method with the options and weights of its recipe, stretched to a number of steps.

    Args:
        name: as in `kdviz.methods`.
        steps: of the runs.
        recipes: folder of ``notebooks/recipes``; a method that has no recipe there comes as it was
            published.
    """
    path = RECIPES / recipes / f"{name}.yaml"
    if not path.is_file():
        return MethodSpec(name=name)
    recipe = load_spec(path)
    (entry,) = (method for method in recipe.methods if method.name == name)
    stretch = steps / recipe.train.steps
    weights: dict[str, dict[str, Any]] = {}
    for term, weight in entry.weights.items():
        given = weight.model_dump(exclude_none=True)
        in_steps = {key: given[key] for key in ("start", "ramp") if key in given}
        weights[term] = {**given, **{key: round(x * stretch) for key, x in in_steps.items()}}
    return MethodSpec.model_validate({**entry.model_dump(), "weights": weights})


def label_of(spec: RunSpec) -> str:
    """What a run is called in tables: its methods, or ``student`` without any."""
    return "+".join(method.name for method in spec.methods) or ALONE


def _from_home(path: str | Path) -> Path:
    """A path as the commands read it: inside the repository relative, so that hashes agree."""
    whole = Path(path).resolve()
    return whole.relative_to(HOME) if whole.is_relative_to(HOME) else whole
