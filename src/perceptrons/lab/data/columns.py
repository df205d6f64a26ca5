"""Columns of a table, made from those of a data frame."""

import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .files import Problems, enumeration, nearest, printable

# different texts in a column, or classes, from which on it holds something else
MOST = 100
NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal")
DATES = ("datetime64", "datetime", "date")
TEXTS = ("string", "boolean", "categorical", "mixed-integer", "empty")
DATE = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?")
OTHER_DATE = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}( .*)?")
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
MIXED = (("numbers", NUMBER), ("dates", DATE))
DECIMAL_COMMA = re.compile(r"[+-]?\d+(,\d+)?")


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        values: Its numbers ``(rows,)``; where it holds texts, the place of each row's in ``texts``;
            of dates the days since 1970. NaN where the value is missing.
        texts: Its different texts in order; none where it holds numbers.
        dates: The dates as they were given, where it holds such.
    """

    values: NDArray[Any]
    texts: tuple[str, ...] = ()
    dates: NDArray[Any] | None = None

    @property
    def kind(self) -> str:
        return "texts" if self.texts else "numbers" if self.dates is None else "dates"

    def given(self, rows: Any) -> list[Any]:
        """The values of some rows as they were given; ``None`` where one is missing."""
        values = (self.values if self.dates is None else self.dates)[rows].tolist()
        if self.texts:
            return [None if place != place else self.texts[int(place)] for place in values]
        return [None if value != value else value for value in values]


def column_of(start: str, series: Any, as_text: bool, problems: Problems) -> Column:
    """A data frame's column. What is wrong with it goes to the problems."""
    from pandas.api.types import infer_dtype

    name, kind = printable(series.name), infer_dtype(series, skipna=True)
    if kind in NUMBERS and not as_text:
        values = series.to_numpy(np.float64, na_value=np.nan)
        if infinite := int(np.isinf(values).sum()):
            where = f"{name} ({infinite} of {len(values)} rows)"
            problems.add(start, "values are infinite in", where)
        whole = series.dtype.kind in "iu" and not np.isnan(values).any()
        return Column(series.to_numpy(np.int64) if whole else values)
    if kind not in (*NUMBERS, *DATES, *TEXTS) and not as_text:
        problems.add(start, "neither numbers, texts nor dates in", f"{name} ({series.dtype})")
        return Column(np.arange(float(len(series))))
    column = column_of_texts(series)
    if kind == "floating" and not all(text.lstrip("-").isdecimal() for text in column.texts):
        problems.add(start, "fractions, which are no categories, in", name)
    if kind in DATES or (column.texts and all(map(DATE.fullmatch, column.texts))):
        days, wrong = days_of(series)
        if wrong:
            where = f"{name} ({printable(wrong[0])})"
            problems.add(start, "texts that are no dates in", where)
            return Column(np.arange(float(len(series))))
        return Column(days, dates=np.array(column.given(slice(None)), object))
    return column


def column_of_texts(series: Any) -> Column:
    import pandas as pd

    texts = series.astype(object).map(as_text, na_action="ignore")
    places, known = pd.factorize(texts, sort=True)
    return Column(np.where(places < 0, np.nan, places), tuple(known))


def as_text(value: Any) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value).strip()


def days_of(series: Any) -> tuple[NDArray[np.float64], list[str]]:
    """Days from 1970 to each date ``(rows,)``, and what is no date."""
    import pandas as pd

    exact = {} if series.dtype.kind == "M" else {"format": "ISO8601"}
    times = pd.to_datetime(series, errors="coerce", utc=True, **exact)
    days = (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
    return days.to_numpy(np.float64), series[times.isna() & series.notna()].tolist()


def check_column(start: str, name: str, column: Column, problems: Problems) -> None:
    """Find a column that a network cannot learn from."""
    texts, name = column.texts, printable(name)
    different = np.unique(column.values[~np.isnan(column.values)])
    mixed = [(kind, [text for text in texts if not each.fullmatch(text)]) for kind, each in MIXED]
    mixed = [(kind, others) for kind, others in mixed if 0 < len(others) < len(texts) / 2]
    if len(different) == 0:
        problems.add(start, "no values at all in", name)
    elif len(different) == 1:
        problems.add(start, "the same value in every row of", name)
    elif texts and all(map(DECIMAL_COMMA.fullmatch, texts)) and "," in "".join(texts):
        problems.add(start, "numbers with a comma, for which set decimal to ',', in", name)
    elif texts and all(map(OTHER_DATE.fullmatch, texts)):
        problems.add(start, "dates not written as 2024-12-31 in", f"{name} ({texts[0]})")
    elif mixed:
        where = f"{name} ({printable(mixed[0][1][0])!r})"
        problems.add(start, f"both {mixed[0][0]} and texts in", where)
    elif len(texts) > MOST:
        problems.add(start, f"more than {MOST} different texts in", f"{name} ({len(texts)})")
    elif len(texts) == len(column.values) > 2:
        problems.add(start, "a text of its own in every row of", name)


def places(setting: str, name: str, column: Column, known: tuple[str, ...]) -> NDArray[np.float64]:
    """A column's values ``(rows,)``, the texts by their places among those that are known.

    Raises:
        ValueError: If a text is not known, or a column has texts where it had numbers.
    """
    values = np.asarray(column.values, np.float64)
    if column.texts == known:
        return values
    start = f"{setting}: {printable(name)}" if name else setting
    if not (column.texts and known):
        kinds = ("texts", "numbers") if column.texts else ("numbers", "texts")
        raise ValueError(f"{start}: holds {kinds[0]}, and {kinds[1]} where it was trained")
    unknown = [text for text in column.texts if text not in known]
    if unknown:
        choices = f"choose one of {enumeration(known)}{nearest(unknown[0], known)}"
        which = f"is not in the table trained on; {choices}"
        raise ValueError(f"{start}={', '.join(map(repr, unknown[:5]))} {which}")
    # NaN, the place of what is missing, is kept by a last place of its own
    codes = np.array([*map(known.index, column.texts), np.nan])
    placed: NDArray[np.float64] = codes[np.where(np.isnan(values), -1, values).astype(int)]
    return placed
