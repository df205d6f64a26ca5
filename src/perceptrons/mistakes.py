"""How a mistake ends the program: in one line."""

import os
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from typing import NoReturn


def fail(line: str, cause: BaseException | None = None, status: int = 2) -> NoReturn:
    """End with one line and an exit status; with ``PERCEPTRONS_DEBUG=1``, raise the cause."""
    if os.environ.get("PERCEPTRONS_DEBUG") and cause is not None:
        raise cause
    print(f"perceptrons: error: {' '.join(line.split())}", file=sys.stderr)
    raise SystemExit(status)


def choose(given: str, choices: list[str]) -> str:
    return f"choose one of {', '.join(choices)}{nearest(given, choices)}"


def nearest(given: str, names: Iterable[str]) -> str:
    """``; did you mean ...?`` where a name is near to what was given."""
    return "".join(f"; did you mean {name}?" for name in get_close_matches(given, list(names), 1))
