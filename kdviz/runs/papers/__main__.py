"""``python -m kdviz.runs.papers``: write all recipes and their page anew."""

from __future__ import annotations

from kdviz.files import write_atomically
from kdviz.runs.papers.recipes import recipes
from kdviz.runs.papers.rows import FOLDER, read_tables
from kdviz.runs.papers.table import page


def main() -> None:
    """Write them, and remove recipes of rows that are no longer there."""
    tables = read_tables()
    texts = dict(recipes(tables))
    for path, text in texts.items():
        (FOLDER / path).parent.mkdir(exist_ok=True)
        write_atomically(FOLDER / path, text)
    for old in set(FOLDER.glob("*_from_*/*.yaml")) - {FOLDER / path for path in texts}:
        old.unlink()
    write_atomically(FOLDER / "README.md", page(tables))
    print(f"{len(texts)} recipes in {FOLDER}")


if __name__ == "__main__":
    main()
