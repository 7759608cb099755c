"""What a command says, and the code it ends with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

OK, FAILED, USAGE, TRY_AGAIN = 0, 1, 2, 75


@dataclass(frozen=True)
class Answer:
    """What a command has to say.

    Attributes:
        content: printed with ``--json``.
        text: printed without.
        code: exit code.
    """

    content: Any
    text: str
    code: int = OK
