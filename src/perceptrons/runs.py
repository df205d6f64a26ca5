"""Run directories: made, found, read, recorded.

A run is ``lightning_logs/<name>/version_<n>/``. Nothing here needs torch, so looking is quick.
"""

import csv
import io
import json
import os
from contextlib import suppress
from itertools import count, islice
from pathlib import Path
from typing import Any

ROOT = "lightning_logs"
LONGEST = 255  # bytes that the name of a directory may have
SHOWN_ROWS = 16
SHOWN_COLUMNS = 6

Columns = dict[str, list[Any]]


def new_run(root: Path, name: str) -> Path:
    """Make the next free ``<root>/<name>/version_<n>``; no two processes ever get the same."""
    (root / name).mkdir(parents=True, exist_ok=True)
    first = max((number(run) for run in runs_of(root / name)), default=-1) + 1
    for version_ in count(first):
        directory = root / name / f"version_{version_}"
        try:
            os.mkdir(directory)
        except FileExistsError:  # another process was faster
            continue
        return directory
    raise AssertionError("count() does not end")


def checked(name: str) -> str:
    """A name for runs, if it can be the name of a directory.

    Raises:
        ValueError: If it cannot.
    """
    if name in ("", ".", "..") or set(name) & set("/\\") or not name.isprintable():
        raise ValueError(f"name={name!r}: must be the name of a directory, without slashes")
    if len(os.fsencode(name)) > LONGEST:
        raise ValueError(f"name={name[:20] + '...'!r}: must have at most {LONGEST} letters")
    return name


def number(run: Path) -> int:
    return int(run.name.removeprefix("version_"))


def runs_of(directory: Path) -> list[Path]:
    """Run directories of one name, in no order."""
    found = directory.glob("version_*")
    return [
        path for path in found if path.name.removeprefix("version_").isdecimal() and path.is_dir()
    ]


def newest(root: Path, name: str | None) -> list[Path]:
    """Run directories, the newest first: of one name by number, of all names by time."""
    if name is not None:
        return sorted(runs_of(root / name), key=number, reverse=True)
    every = [run for directory in root.glob("*") for run in runs_of(directory)]
    return sorted(every, key=lambda run: (begun(run), number(run)), reverse=True)


def begun(run: Path) -> float:
    """When a run began or was gone on with: its directory changes when it is evaluated too."""
    for path in (run / "config.yaml", run):
        with suppress(FileNotFoundError):  # a run that never started removes itself
            return path.stat().st_mtime
    return 0.0


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that a crash at any moment leaves the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_json(path: Path, content: dict[str, Any]) -> None:
    write_whole(path, (json.dumps(content, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """What a JSON file holds; nothing, where it is missing or holds something else."""
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_csv(path: Path, columns: Columns) -> None:
    text_ = io.StringIO()
    writer = csv.writer(text_)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_whole(path, text_.getvalue().encode())


def few(columns: Columns) -> Columns:
    """As many columns as can be read side by side."""
    if len(columns) <= SHOWN_COLUMNS:
        return columns
    rows = len(next(iter(columns.values())))
    more = f"... {len(columns) - SHOWN_COLUMNS} more"
    return {**dict(islice(columns.items(), SHOWN_COLUMNS)), more: [""] * rows}


def text(columns: Columns, of: int | None = None) -> str:
    """The first rows of columns, as aligned lines.

    Args:
        columns: The columns.
        of: How many rows there are, where the columns are only the first of them.
    """
    cells = [[name, *map(cell, values[:SHOWN_ROWS])] for name, values in columns.items()]
    widths = [max(map(len, column)) for column in cells]
    lines = ["  ".join(map(str.rjust, line, widths)) for line in zip(*cells, strict=True)]
    more = (of or len(next(iter(columns.values())))) - SHOWN_ROWS
    return "\n".join(lines) + (f"\n... and {more} more rows" if more > 0 else "")


def cell(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
