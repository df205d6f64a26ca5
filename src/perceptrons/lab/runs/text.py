"""Text for a terminal: it never fails, and what comes from files cannot steer the terminal."""

import os
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

Columns = dict[str, list[Any]]

WIDTH = 80
LONGEST = 32  # characters of a cell, where there is a width to keep to
GAP = "  "


def say(text: str = "") -> None:
    """Print, whatever takes it: an ASCII terminal, a full disk, a closed pipe raise nothing."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    lines = "\n".join(map(escaped, text.split("\n")))
    try:
        print(lines.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except (OSError, ValueError, AttributeError):  # no space, nobody reads it, closed, none
        silence()


def silence() -> None:
    """Lead what is printed nowhere, or Python would fail anew when it ends."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def escaped(text: str) -> str:
    r"""Text with its control characters written out, such as ``\x1b``."""
    if text.isprintable():
        return text
    letters = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(letters)


def cell(value: Any) -> str:
    """A value as a table shows it: floats with six digits, ``-`` for ``None``."""
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else escaped(str(value))


def shortened(text: str, longest: int) -> str:
    end = longest // 2 - 1  # a run's version
    return text if len(text) <= longest else f"{text[: longest - end - 3]}...{text[-end:]}"


def aligned(
    columns: Columns,
    width: int | None = WIDTH,
    rows: int | None = None,
    of: int | None = None,
    keep: Collection[str] = (),
) -> str:
    """Columns as aligned lines under their names: numbers to the right, text to the left.

    Args:
        columns: The columns by name, all of one length.
        width: Width to keep to: long cells are shortened, and the last columns are left out and
            counted. ``None``: any.
        rows: How many rows are shown at most; the others are counted. ``None``: all.
        of: How many rows there are, where the columns are only the first of them.
        keep: Names of columns that are not left out; the first is not shortened either.
    """
    there = max(map(len, columns.values()), default=0)
    longest = width if width is None else min(width, LONGEST)
    shown = {name: lines(name, values[:rows], longest) for name, values in columns.items()}
    if keep:  # the first is a name, to copy
        first = next(iter(columns))
        shown[first] = lines(first, columns[first][:rows], None)
    kept = fitting(shown, width, keep)
    text = [GAP.join(line).rstrip() for line in zip(*(shown[name] for name in kept), strict=True)]
    if left_out := len(shown) - len(kept):
        text.append(f"... and {counted(left_out, 'column')}")
    if (more := (of or there) - len(next(iter(shown.values()), [0])[1:])) > 0:
        text.append(f"... and {counted(more, 'row')}")
    return "\n".join(text)


def counted(count: int, what: str) -> str:
    return f"{count} more {what}{'s' if count > 1 else ''}"


def lines(name: str, values: Sequence[Any], longest: int | None) -> list[str]:
    """A column as cells of one width, its name first."""
    cells = [escaped(name), *map(cell, values)]
    if longest is not None:
        cells = [shortened(each, longest) for each in cells]
    width = max(map(len, cells))
    numeric = all(value is None or isinstance(value, int | float) for value in values)
    return [each.rjust(width) if numeric else each.ljust(width) for each in cells]


def fitting(shown: dict[str, list[str]], width: int | None, keep: Collection[str]) -> list[str]:
    """Names of the columns that fit into a width, at least the first."""
    if width is None:
        return [*shown]
    wide = {name: len(column[0]) + len(GAP) for name, column in shown.items()}
    room = width + len(GAP) - sum(wide[name] for name in shown if name in keep)
    kept = set(keep)
    for number, name in enumerate(name for name in shown if name not in keep):
        room -= wide[name]
        if room < 0 and (number or keep):
            break
        kept.add(name)
    return [name for name in shown if name in kept]
