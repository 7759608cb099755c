"""Methods that live outside of kdviz, by where they can be imported from."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from kdviz.methods.base import Method


def own_method(path: str) -> type[Method]:
    """A class of your own, found as ``python -m`` would find its module: from this folder, too.

    Args:
        path: ``my_package.my_file:MyMethod``.

    Raises:
        ValueError: there is no such module, or no subclass of `Method` of this name in it.
    """
    module_name, _, name = path.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise ValueError(f"the method {path!r} cannot be imported from {here}: {error}") from error
    kind = getattr(module, name, None)
    if not (isinstance(kind, type) and issubclass(kind, Method)):
        raise ValueError(
            f"{path!r} is {kind!r}, not a subclass of kdviz.methods.Method; a method of your own "
            "is named package.module:Class"
        )
    return kind
