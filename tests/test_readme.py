"""What the README and the notebooks tell people to type, open and import, exists."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import nbformat
import pytest

from kdviz.cli import parse
from kdviz.runs.spec import load_spec

ROOT = Path(__file__).parent.parent
MOST_LINES = 150

README = (ROOT / "README.md").read_text(encoding="utf-8")
NOTEBOOKS = {
    path.name: "\n\n".join(
        cell.source
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "markdown"
    )
    for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
}
DOCUMENTS = {"README.md": README, **NOTEBOOKS}

FENCED = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
MADE_BY_RUNNING = ("runs/", "data/cache", ".venv")


def blocks(document, *languages):
    return [body for language, body in FENCED.findall(document) if language in languages]


def command_lines(document, program):
    """What follows ``program``, a pattern, in shell blocks and inline code, up to a pipe."""
    lines = "\n".join(blocks(document, "", "sh", "bash", "shell", "console")).replace("\\\n", " ")
    found = [*lines.splitlines(), *INLINE.findall(FENCED.sub("", document))]
    calls = []
    for line in found:
        for part in re.split(r"\s(?:\||&&|;|>)\s", line):
            match = re.match(rf"\s*(?:\$ )?(?:\w+=\S+ )*{program} (?P<rest>.+)", part)
            if match:
                calls.append(match["rest"])
    return calls


COMMANDS = [
    (name, x)
    for name, text in DOCUMENTS.items()
    for x in command_lines(text, r"(?:kdviz|.*-m kdviz\.cli)")
]


def test_length():
    assert len(README.splitlines()) <= MOST_LINES


def test_something_is_said():
    """Else the other tests could pass on an empty file."""
    assert any(name == "README.md" for name, _ in COMMANDS)
    assert "make demo" in README
    assert blocks(README, "python")


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_commands_are_understood(name, command):
    if "|" in command or "..." in command:
        pytest.skip("a list of commands, not one of them")
    words = shlex.split(re.sub(r"<(\w+)>", r"\1", command), comments=True)
    names_only = len(words) == 1 or (len(words) == 2 and words[0] in ("matrix", "bench"))
    if names_only:  # the text names a command and does not give one
        with pytest.raises(SystemExit, match="0"):
            parse([*words, "--help"])
        return
    options = parse(words)
    if "spec" in options and "recipes" in options.spec.parts:
        load_spec(ROOT / options.spec, options.overrides)
    for notebook in getattr(options, "names", []):
        assert f"{notebook}.ipynb" in NOTEBOOKS


@pytest.mark.parametrize("name", DOCUMENTS)
def test_make_targets_exist(name):
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in command_lines(DOCUMENTS[name], "make"):
        for word in shlex.split(command, comments=True):
            assert "=" in word or word in targets, f"make {word}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_and_paths_lead_somewhere(name):
    document = DOCUMENTS[name]
    folder = ROOT if name == "README.md" else ROOT / "notebooks"
    links = re.findall(r"\]\(([^)\s]+)", document)
    links += re.findall(r"<(?:img|a|source)[^>]+(?:src|href|srcset)=\"([^\"]+)\"", document)
    for link in links:
        if not re.match(r"(?:https?:|mailto:|#)", link):
            assert (folder / link.partition("#")[0]).exists(), link
    for path in re.findall(r"`((?:kdviz|notebooks|tests|data|\.ci)/[\w./-]*)`", document):
        if not path.startswith(MADE_BY_RUNNING):
            assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", DOCUMENTS)
def test_python_compiles_and_its_imports_exist(name):
    for body in blocks(DOCUMENTS[name], "python", "py"):
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kdviz"):
                for alias in node.names:
                    assert resolves(f"{node.module}.{alias.name}"), alias.name
            if isinstance(node, ast.Import):
                for alias in node.names:
                    importlib.import_module(alias.name)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_dotted_names_exist(name):
    for dotted in INLINE.findall(FENCED.sub("", DOCUMENTS[name])):
        if re.fullmatch(r"kdviz(?:\.\w+)+(?:\(.*\))?", dotted):
            assert resolves(dotted.partition("(")[0]), dotted


def resolves(dotted):
    module, _, name = dotted.rpartition(".")
    if not module:
        return importlib.import_module(dotted) is not None
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError:
        return False
    if hasattr(found, name):
        return True
    try:
        return importlib.import_module(dotted) is not None
    except ModuleNotFoundError:
        return False
