"""What the pocket benchmark runs: a method and the student alone, seed by seed.

Student, teacher and the size of objects in pixels are those of the embedded zoo. Images are smaller
and easier, so that a step takes a fraction of the time and shows in the AP. The training is the
middle of one: all runs go on from the embedded student after its first steps (``student@400``), so
what a method does in the beginning or in the long run is not seen here. All of it stands in one
recipe, and each run is one that ``kdviz run`` can repeat.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from kdviz.methods import method_named
from kdviz.runs.compare import ALONE, RECIPES, method_spec
from kdviz.runs.matrix.spec import load_matrix
from kdviz.runs.spec import MethodSpec, RunSpec, load_spec, parse_override, parse_spec

RECIPE = RECIPES / "pocket" / "pocket.yaml"
"""Data, student, teacher and training of every run; its methods are replaced."""


def methods_of(
    label: str, options: Sequence[str] = (), weights: Sequence[str] = ()
) -> tuple[MethodSpec, ...]:
    """The methods of an arm, as their scenes recipes have them, with changes.

    Args:
        label: ``fgfi``; ``fgfi+gkd`` for two at once; ``my_package.my_file:MyMethod`` for your own.
        options: ``psi=0.4`` for the constructor; of several methods ``fgfi.psi=0.4``.
        weights: ``fgfi=0.01`` for a term, or ``fgfi={value: 0.01, ramp: 20}``; of several methods
            ``gkd.gkd_background=0.1``.

    Raises:
        ValueError: an unknown method, or a change that names none of them.
    """
    names = label.split("+")
    for name in names:
        method_named(name)
    if len(set(names)) < len(names):
        raise ValueError(f"{label!r} names a method twice")
    changes: dict[str, dict[str, dict[str, Any]]] = {
        name: {"options": {}, "weights": {}} for name in names
    }
    for kind, texts in (("options", options), ("weights", weights)):
        for text in texts:
            name, key, value = _change(text, names)
            changes[name][kind][key] = value
    steps = pocket_spec((), 0).train.steps
    return tuple(_changed(method_spec(name, steps), **changes[name]) for name in names)


def pocket_spec(methods: Sequence[MethodSpec], seed: int) -> RunSpec:
    """One run; without methods the student learns from the ground truth alone."""
    told = load_spec(RECIPE).model_dump(mode="json")
    label = "+".join(method.name for method in methods) or ALONE
    told["name"] = re.sub(r"[^A-Za-z0-9._-]", "-", label)
    told["methods"] = [method.model_dump(mode="json", exclude_none=True) for method in methods]
    told["train"]["seed"] = seed
    if not methods:
        told["teacher"], told["train"]["teacher_cache"] = None, False
    return parse_spec(told, source=f"the pocket run of {label}, seed {seed},")


def matrix_methods() -> list[str]:
    """Labels of the methods of the scenes matrix."""
    methods = load_matrix(RECIPES / "matrices" / "scenes.yaml").methods
    return [label for label in methods if label != "none"]


def _change(text: str, names: Sequence[str]) -> tuple[str, str, Any]:
    """Method, key and value of a change."""
    key, value = parse_override(text)
    for name in names:
        if key.startswith(f"{name}."):
            return name, key.removeprefix(f"{name}."), value
    if len(names) > 1:
        raise ValueError(f"{text!r} must say whose it is: {names[0]}.{text}, or {names[1]}.{text}")
    return names[0], key, value


def _changed(method: MethodSpec, options: dict[str, Any], weights: dict[str, Any]) -> MethodSpec:
    told = method.model_dump(exclude_none=True)
    told["options"] |= options
    for term, value in weights.items():
        fields = value if isinstance(value, dict) else {"value": value}
        told["weights"][term] = {**told["weights"].get(term, {}), **fields}
    return MethodSpec.model_validate(told)
