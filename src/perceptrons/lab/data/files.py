"""Files of the user's, CSV or Parquet, as data frames; all that is wrong is said at once."""

import csv
import difflib
import re
import warnings
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARQUET = (".parquet", ".pq")
MOST_COLUMNS = 20_000
CSV: dict[str, Any] = {
    "na_values": ["?"],  # stands for a missing value, beside what pandas knows
    "skipinitialspace": True,
    "index_col": False,
    "low_memory": False,
    "encoding": "utf-8-sig",
    "on_bad_lines": "skip",  # they are found by survey_lines
}


class Problems:
    """What is wrong with a table, gathered so that one message says it all."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, list[str]]] = {}

    def add(self, start: str, what: str, where: str = "") -> None:
        """Note what is wrong with a setting, and the column that has it."""
        self.found.setdefault(start, {}).setdefault(what, []).extend([where] if where else [])

    def check(self) -> None:
        """Raise a ValueError that says all, if there is anything."""
        lines = []
        for start, problems in self.found.items():
            told = [f"{what} {enumeration(where)}".strip() for what, where in problems.items()]
            lines.append(f"{start}: {'; '.join(told)}")
        if lines:
            raise ValueError("; ".join(lines))


def read_frame(start: str, path: str, sep: str | None, decimal: str, problems: Problems) -> Any:
    """A file's columns, as a data frame.

    Args:
        start: The setting and the path, for the messages.
        path: The file.
        sep: What separates the values of a CSV file; ``None``: what its first line has most of.
        decimal: What separates the decimals of a CSV file.
        problems: Gets what is wrong with single lines or names.

    Raises:
        ValueError: If it cannot be read as a table.
    """
    with readable(start, path):
        import pandas as pd

        if Path(path).suffix.lower() in PARQUET:
            frame = read_parquet(start, path)
        else:
            names, sep, uneven = survey_lines(start, path, sep)
            for line in uneven:
                what = f"lines with other than {len(names)} values:"
                problems.add(start, what, str(line))
            named = [number for number, name in enumerate(names) if name.strip()]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", pd.errors.ParserWarning)  # of uneven lines
                skipped = [line - 1 for line in uneven]
                frame = pd.read_csv(
                    path, sep=sep, decimal=decimal, usecols=named, skiprows=skipped, **CSV
                )
            frame.columns = [names[number] for number in named]
    if frame.empty:
        raise ValueError(f"{start}: holds no rows")
    frame.columns = frame.columns.map(str).str.strip()
    twice = frame.columns.duplicated()
    for name in frame.columns[twice].unique():
        problems.add(start, "several columns are called", printable(name))
    return frame.loc[:, ~twice]


@contextmanager
def readable(start: str, path: str) -> Iterator[None]:
    """Turn whatever keeps a file from being read into a ValueError of one line."""
    try:
        check_file(start, Path(path))
        yield
    except ImportError:
        needed = "to read it needs pandas, and Parquet pyarrow"
        install = "pip install -e '.[tables]' installs them"
        raise ValueError(f"{start}: {needed}; {install}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{start}: is not text in UTF-8") from None
    except Exception as mistake:
        if str(mistake).startswith(start):
            raise
        reason = getattr(mistake, "strerror", None) or str(mistake).strip().partition("\n")[0]
        reason = reason.removeprefix("Error tokenizing data. C error: ")
        raise ValueError(f"{start}: cannot be read as a table: {printable(reason)}") from None


def check_file(start: str, path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"{start}: is a directory")
    if not path.exists():
        beside = [str(file) for file in path.parent.glob("*.*")]
        raise ValueError(f"{start}: no such file{nearest(str(path), beside)}")
    if not path.is_file():
        raise ValueError(f"{start}: is not a regular file")


def read_parquet(start: str, path: str) -> Any:
    import pandas as pd
    import pyarrow.parquet as pq

    names = pq.read_schema(path).names
    check_width(start, len(names))
    if len(set(names)) < len(names):
        raise ValueError(f"{start}: several columns have the same name")
    return pd.read_parquet(path).replace("", None)


def survey_lines(start: str, path: str, sep: str | None) -> tuple[list[str], str, list[int]]:
    """The names in the first line of a CSV file, the separator, and the lines of other lengths."""
    with open(path, "rb") as binary:
        if b"\0" in binary.read(65_536):
            raise ValueError(f"{start}: is not text in UTF-8: it has zero bytes, as UTF-16 has")
    with open(path, encoding="utf-8-sig", newline="") as file:
        pieces = iter(lambda: file.readline(10_000_000), "")  # of what may be one endless line
        first = next((piece for piece in pieces if piece.strip()), "")
        unquoted = re.sub('"[^"]*"', "", first)
        sep = sep or max(",;\t|", key=unquoted.count)
        check_width(start, unquoted.count(sep) + 1)
        file.seek(0)
        lines = csv.reader(file, delimiter=sep, skipinitialspace=True)
        names = next((line for line in lines if any(map(str.strip, line))), [])
        if not names:
            raise ValueError(f"{start}: is empty")
        width = len(names)
        uneven = [
            lines.line_num for line in lines if len(line) != width and any(map(str.strip, line))
        ]
    return names, sep, uneven


def check_width(start: str, columns: int) -> None:
    if columns > MOST_COLUMNS:
        raise ValueError(f"{start}: has {columns:,} columns; at most {MOST_COLUMNS:,} can be read")


def enumeration(names: Collection[str], most: int = 20) -> str:
    """Names between commas, of many the first."""
    some = [printable(name) for name, _ in zip(names, range(most), strict=False)]
    more = len(names) - len(some)
    return ", ".join(some) + (f" and {more} more" if more else "")


def nearest(name: str, names: Iterable[str]) -> str:
    """The name that was meant, if there is one like it, to end a message with."""
    close = difflib.get_close_matches(name, names, 1, 0.7)
    return f"; did you mean {printable(close[0])}?" if close else ""


def printable(text: str) -> str:
    """A text from a file, shortened, with its control characters escaped."""
    short = text if len(text) <= 80 else f"{text[:77]}..."
    return short if short.isprintable() else repr(short)[1:-1]
