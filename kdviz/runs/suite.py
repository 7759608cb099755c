"""The notebooks: where they are, what they ask, what they take, how their kernels start.

Light, for the processes that only wait for a kernel, and for the first notebook.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import kdviz

FOLDER = Path(kdviz.__file__).resolve().parent.parent / "notebooks"
"""Where the notebooks and ``recipes/profiles.yaml`` are."""

KERNEL: dict[str, Any] = {
    "kernel_name": "python3",
    # It warns of its open TCP ports otherwise, at every start.
    "extra_arguments": ["--log-level=ERROR"],
    # All it made is in the notebook or on disk by then; tidying up PyTorch takes two seconds.
    "shutdown_kernel": "immediate",
}
"""Keyword arguments of papermill and of nbclient."""

Parameters = dict[str, Any]


def notebook_names() -> list[str]:
    """Names of all notebooks in reading order."""
    return sorted(path.stem for path in FOLDER.glob("[0-9][0-9]_*.ipynb"))


def questions() -> dict[str, str]:
    """The question that each notebook asks, its title, by name in reading order."""
    titles = {}
    for name in notebook_names():
        title = "".join(_cells(name)[0]["source"]).partition("\n")[0]
        titles[name] = title.removeprefix("# ")
    return titles


def suite_map(folder: str = "") -> str:
    """A Markdown table of the notebooks and their questions, with links.

    Args:
        folder: put before each file's name, such as ``notebooks/``.
    """
    rows = ["| notebook | question |", "|---|---|"]
    for name, question in questions().items():
        rows.append(f"| [`{name}`]({folder}{name}.ipynb) | {question} |")
    return "\n".join(rows)


def notebook_parameters(name: str) -> Parameters:
    """The parameters of a notebook with their defaults, read from its cell tagged ``parameters``.

    Raises:
        ValueError: a line of that cell is neither empty, nor a comment, nor sets a name to a
            literal.
    """
    tagged = [cell for cell in _cells(name) if "parameters" in cell["metadata"].get("tags", [])]
    parameters: Parameters = {}
    for cell in tagged:
        for line in "".join(cell["source"]).splitlines():
            try:
                parameters |= _parameter(line)
            except (SyntaxError, ValueError) as error:
                raise ValueError(
                    f"each line of the parameters cell of {name} must set a name to a literal, "
                    f"which {line!r} does not"
                ) from error
    return parameters


def profile_parameters(profile: str) -> dict[str, Parameters]:
    """Parameters of each notebook in a profile; the notebooks' own defaults need no entry.

    Raises:
        FileNotFoundError: there is no ``recipes/profiles.yaml``.
        ValueError: there is no such profile, or the file, a notebook or a parameter in it is wrong.
    """
    path = FOLDER / "recipes" / "profiles.yaml"
    try:
        profiles = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not readable YAML: {error}") from error
    if not isinstance(profiles, dict):
        raise ValueError(f"{path} must map profiles to notebooks, not be {profiles!r}")
    if profile not in profiles:
        raise ValueError(f"no profile {profile!r} in {path}; there are {', '.join(profiles)}")
    presets = profiles[profile] or {}
    if not isinstance(presets, dict) or not all(isinstance(x, dict) for x in presets.values()):
        raise ValueError(f"{path}: {profile} must map notebooks to parameters, not be {presets!r}")
    for name, values in presets.items():
        check_name(name, f"{path}: {profile}")
        check_parameters(values, {name: notebook_parameters(name)}, f"{path}: {profile}.{name}")
    return presets


def _cells(name: str) -> list[dict[str, Any]]:
    # Not through nbformat, which takes a second to import.
    notebook = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    return list(notebook["cells"])


def _parameter(line: str) -> Parameters:
    match ast.parse(line).body:
        case []:
            return {}
        case [ast.Assign(targets=[ast.Name(id=name)], value=value)]:
            return {name: ast.literal_eval(value)}
    raise ValueError(line)


def check_name(name: str, where: str) -> None:
    """Raise ValueError, with the names there are, unless there is a notebook of this name."""
    if name not in notebook_names():
        raise ValueError(f"{where}: no notebook {name!r}; there are {', '.join(notebook_names())}")


def check_parameters(
    values: Mapping[str, Any], known: Mapping[str, Parameters], where: str
) -> None:
    """Refuse a key that no notebook has and a value unlike the default: papermill only warns."""
    for key, value in values.items():
        defaults = [own[key] for own in known.values() if key in own]
        if not defaults:
            every = sorted({x for own in known.values() for x in own})
            raise ValueError(
                f"{where}: no parameter {key!r} in {', '.join(known)}; there are {', '.join(every)}"
            )
        for default in defaults:
            if not _is_like(value, default):
                raise ValueError(f"{where}: {key} must be like {default!r}, not {value!r}")


def _is_like(value: Any, default: Any) -> bool:
    if value is None or default is None:
        return True
    if isinstance(default, float) and not isinstance(value, bool):
        return isinstance(value, int | float)
    if isinstance(default, list | tuple):
        return isinstance(value, list | tuple)
    return type(value) is type(default)
