"""The pipeline runs left to right: a part of the package may import only what stands left of it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "kdviz"

GROUND = {"structures", "checks", "files"}
MAY_IMPORT = {
    "structures": set(),
    "checks": set(),
    "files": set(),
    "datasets": GROUND,
    "detectors": GROUND,
    "methods": GROUND | {"detectors"},
    "engine": GROUND | {"datasets", "detectors", "methods"},
    "diagnosis": GROUND | {"datasets", "detectors", "methods", "engine"},
    "runs": GROUND
    | {"datasets", "detectors", "methods", "engine", "diagnosis", "plots", "widgets"},
    "plots": GROUND,
    "widgets": GROUND | {"plots", "diagnosis"},
    "cli": GROUND | {"datasets", "detectors", "methods", "engine", "runs", "diagnosis"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    parts = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            assert node.level == 0, f"{path} imports relatively"
        parts |= {name.split(".")[1] for name in names if name.startswith("kdviz.")}
    return parts


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_from_the_left(path):
    part = part_of(path)
    if part == "__init__":
        return
    too_far = imported_parts(path) - MAY_IMPORT[part] - {part}
    assert not too_far, f"{part} may not import {sorted(too_far)}"


def test_plots_know_nothing_of_networks():
    for path in (PACKAGE / "plots").glob("*.py"):
        assert not re.search(r"^\s*(import|from) (torchvision|torch\.nn)", path.read_text(), re.M)


def test_every_module_imports_alone_and_silently():
    """In one fresh process per part: an import defines names and does nothing else."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in MODULES]
    names = [name.removesuffix(".__init__") for name in names]
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    told = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert told.stdout == ""


def test_to_look_at_a_map_nobody_waits_for_lightning():
    modules = "kdviz.runs.lessons, kdviz.runs.explore, kdviz.engine.train"
    code = f"import sys, {modules}; print('lightning' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert told.stdout.strip() == "False"
