"""The command line, ``kdviz doctor | data | run | ... | bench | matrix | notebooks``.

Exit codes: 0 done, 1 a check or a run failed, 2 the command was not understood, 75 interrupted and
worth the same command again.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout

from kdviz.cli.answer import FAILED as FAILED
from kdviz.cli.answer import OK as OK
from kdviz.cli.answer import TRY_AGAIN as TRY_AGAIN
from kdviz.cli.answer import USAGE as USAGE
from kdviz.cli.answer import Answer as Answer
from kdviz.cli.parser import parse as parse

KNOWN_ERRORS = (ValueError, OSError, RuntimeError, ImportError, FloatingPointError)
"""What bad input ends in; any other error is a fault of kdviz and keeps its trace."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error of the user's is one message, no trace."""
    options = parse(arguments)
    # Progress and remarks go to standard error where standard output is read by a program.
    output = redirect_stdout(sys.stderr) if options.json else nullcontext()
    try:
        with output:
            answer: Answer = options.command(options)
        text = json.dumps(answer.content, indent=2) if options.json else answer.text
        if text and _speaks():
            print(text, flush=True)
        return answer.code
    except KeyboardInterrupt:
        print("kdviz: interrupted; the same command goes on or starts again", file=sys.stderr)
        return TRY_AGAIN
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KNOWN_ERRORS as error:
        if os.environ.get("KDVIZ_TRACE"):
            raise
        print(f"kdviz: {_words(error)}", file=sys.stderr)
        return FAILED


def _speaks() -> bool:
    """Whether this is the one of several processes of a run that reports."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK"))


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        hint = (
            "; free some space, then give the same command" if error.errno == errno.ENOSPC else ""
        )
        return f"{where}{error.strerror}{hint}"
    text = str(error) or type(error).__name__
    if "Original Traceback" in text:  # PyTorch's way to report what failed in a loader's process
        text = re.split(r"\n\w[\w.]*(?:Error|Exception): ", text)[-1].strip()
    return text
