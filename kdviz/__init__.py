"""See where and why a small object detector learns from a big one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdviz.runs.explore import explore as explore

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # PyTorch takes seconds to import; only who explores has to wait for it.
    if name == "explore":
        from kdviz.runs.explore import explore

        return explore
    raise AttributeError(f"module 'kdviz' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), "explore"]
