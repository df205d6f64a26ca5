"""Columns of a table, from a file or from points of the user's."""

import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .files import Problems, enumerated, nearest, printable

DAY = 86_400.0
# different texts in a column, or classes, from which on it holds something else
MOST = 100
NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal")
TEXTS = ("string", "boolean", "categorical", "mixed-integer", "empty")
DATES = ("datetime64", "datetime", "date")
DATE = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?")
OTHER_DATE = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}( .*)?")
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

    def given(self, rows: Any) -> list[Any]:
        """The values of some rows as they were given; ``None`` where one is missing."""
        values = self.values[rows].tolist()
        if self.dates is not None:
            return list(self.dates[rows])
        if self.texts:
            return [None if np.isnan(value) else self.texts[int(value)] for value in values]
        return [None if value != value else value for value in values]

    def take(self, rows: NDArray[np.bool_]) -> "Column":
        """Some rows of the column, with the texts that are left."""
        dates = None if self.dates is None else self.dates[rows]
        values, texts = self.values[rows], self.texts
        if texts:
            left, values = np.unique(values, return_inverse=True)
            texts = tuple(texts[int(place)] for place in left)
        return Column(values, texts, dates)


def column_of(start: str, series: Any, as_text: bool, problems: Problems) -> Column:
    """A column of a file. What is wrong with it goes to the problems."""
    from pandas.api.types import infer_dtype

    kind = infer_dtype(series, skipna=True)
    if kind in DATES:
        return of_dates(series)
    if kind in NUMBERS and not as_text:
        return of_numbers(start, series, problems)
    if kind not in (*NUMBERS, *TEXTS):
        what = f"{printable(series.name)} ({series.dtype})"
        problems.add(start, "neither numbers, texts nor dates in", what)
        return Column(np.arange(float(len(series))))
    column = of_texts(series)
    if kind == "floating" and not all(text.lstrip("-").isdecimal() for text in column.texts):
        problems.add(start, "fractions, which are no categories, in", printable(series.name))
    if column.texts and all(map(DATE.fullmatch, column.texts)):
        return of_dates(series)
    return column


def of_numbers(start: str, series: Any, problems: Problems) -> Column:
    values = series.to_numpy(np.float64, na_value=np.nan)
    if infinite := int(np.isinf(values).sum()):
        where = f"{printable(series.name)} ({infinite} of {len(values)} rows)"
        problems.add(start, "values are infinite in", where)
    whole = series.dtype.kind in "iu" and not np.isnan(values).any()
    return Column(series.to_numpy(np.int64) if whole else values)


def of_dates(series: Any) -> Column:
    """Days since 1970, where all are dates; else texts."""
    import pandas as pd

    exact = {} if pd.api.types.is_datetime64_any_dtype(series) else {"format": "ISO8601"}
    times = pd.to_datetime(series, errors="coerce", utc=True, **exact)
    if (times.isna() & series.notna()).any():
        return of_texts(series)
    days = (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
    written = series.astype(object).map(str, na_action="ignore").where(series.notna(), None)
    return Column(days.to_numpy(np.float64), dates=written.to_numpy(object))


def of_texts(series: Any) -> Column:
    import pandas as pd

    texts = series.astype(object).map(lambda value: as_text(value).strip(), na_action="ignore")
    codes, known = pd.factorize(texts.where(texts != "", None), sort=True)
    return Column(np.where(codes < 0, np.nan, codes), tuple(known))


def check_column(start: str, name: str, column: Column, problems: Problems) -> None:
    """Find a column that a network cannot learn from."""
    rows, texts = len(column.values), column.texts
    values, name = column.values[~np.isnan(column.values)], printable(name)
    if len(values) == 0:
        problems.add(start, "no values at all in", name)
    elif values.min() == values.max():
        problems.add(start, "the same value in every row of", name)
    elif texts and all(map(DECIMAL_COMMA.fullmatch, texts)) and any("," in text for text in texts):
        problems.add(start, "numbers with a comma, for which set decimal to ',', in", name)
    elif texts and all(map(OTHER_DATE.fullmatch, texts)):
        problems.add(start, "dates not written as 2024-12-31 in", f"{name} ({texts[0]})")
    elif 0 < len(others := [text for text in texts if not is_number(text)]) < len(texts) / 2:
        problems.add(start, "both numbers and texts in", f"{name} ({printable(others[0])!r})")
    elif len(texts) > MOST:
        problems.add(start, f"more than {MOST} different texts in", f"{name} ({len(texts)})")
    elif len(texts) == rows > 2:
        problems.add(start, "a text of its own in every row of", name)


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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
        choices = f"choose one of {enumerated(known)}{nearest(unknown[0], known)}"
        which = f"is not in the table trained on; {choices}"
        raise ValueError(f"{start}={', '.join(map(repr, unknown[:5]))} {which}")
    # NaN, the place of what is missing, is kept by a last place of its own
    codes = np.array([*map(known.index, column.texts), np.nan])
    placed: NDArray[np.float64] = codes[np.where(np.isnan(values), -1, values).astype(int)]
    return placed


def column_of_points(name: str, values: list[Any], column: Column, fills_in: bool) -> Column:
    """A column of points of the user's, of the kind that the table's is."""
    missing = [value is None or value != value for value in values]
    if any(missing) and not fills_in:
        raise ValueError(f"points: {printable(name)} has no value, and missing is not impute")
    rest = [value for value, gap in zip(values, missing, strict=True) if not gap]
    texts: tuple[str, ...] = ()
    if column.texts:
        written = [as_text(value) for value in rest]
        texts = tuple(sorted(set(written)))
        rest = [texts.index(text) for text in written]
    elif column.dates is not None:
        rest = [days(name, value) for value in rest]
    for value in rest:
        if isinstance(value, str | bool) or not np.isfinite(value):
            raise ValueError(f"points={value!r}: {printable(name)} is a finite number")
    numbers = np.full(len(values), np.nan)
    numbers[~np.array(missing)] = rest
    dates = None if column.dates is None else np.array(values, object)
    # a column whose every text is missing has those of the table
    return Column(numbers, texts or column.texts, dates)


def as_text(value: Any) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value)


def days(name: str, value: Any) -> float:
    """Days from 1970 to a date."""
    try:
        date = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        expected = f"{printable(name)} is a date such as 2024-12-31"
        raise ValueError(f"points={value!r}: {expected}") from None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() / DAY
