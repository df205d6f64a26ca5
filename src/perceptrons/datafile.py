"""Tables from files: yours in CSV or Parquet, and one that scikit-learn ships."""

import csv
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from perceptrons.columns import Column, ColumnData, Points, enumerated
from perceptrons.mistakes import nearest

# different texts in a column, or classes, from which on it holds something else
MOST = 100
SEPARATORS = ",;\t|"
# what stands for a missing value, beside what pandas knows
MISSING = ["?"]


class Table(ColumnData):
    """A table of your own, from a CSV or a Parquet file.

    Numbers are standardised: brought to mean 0 and standard deviation 1 in the rows to train on.
    Texts, and true and false, are one-hot: an input for each that the column holds, or of two one.

    Args:
        path: The file: Parquet where it ends in ``.parquet``; else CSV, between commas, semicolons,
            tabs or bars, with the columns' names in its first line. Columns without a name are left
            out.
        target: The column that says the class: texts, whole numbers, or true and false.
        features: The columns to learn from. ``null``: all others.
        exclude: Columns not to learn from.
        points: Rows of your own for ``predict``: a file with the features' columns, or a list for
            each row. ``null``: the table's.

    Raises:
        ValueError: If the file cannot be read, there is no such column, values are missing, a
            column is constant or has too many different texts, or the target holds no classes.
    """

    def __init__(
        self,
        path: str,
        target: str,
        features: list[str] | None = None,
        exclude: Sequence[str] = (),
        points: Points | str | None = None,
        **columns: Any,
    ) -> None:
        super().__init__(**columns)
        self.path, self.target_name = path, target
        self.features, self.exclude, self.points = features, exclude, points
        self.load()

    def read(self) -> tuple[dict[str, Column], Column]:
        frame = read_frame("path", self.path)
        check_there("target", [self.target_name], frame)
        check_there("features", self.features or [], frame)
        check_there("exclude", self.exclude, frame)
        out = [self.target_name, *self.exclude]
        names = [name for name in frame if name not in out]
        if self.features is not None:
            names = [name for name in self.features if name not in self.exclude]
        check_names(names, self.target_name)
        check_complete("path", self.path, frame[[*names, self.target_name]])
        columns = {name: feature(frame[name]) for name in names}
        check_texts(columns)
        return columns, classes(frame[self.target_name])

    def pointed(self, points: Any) -> dict[str, Column]:
        if not isinstance(points, str):
            return super().pointed(points)
        frame = read_frame("points", points)
        if lacking := [name for name in self.texts if name not in frame]:
            raise ValueError(f"points={points!r}: lacks the columns {enumerated(lacking)}")
        check_complete("points", points, frame[list(self.texts)])
        return {name: feature(frame[name]) for name in self.texts}


class BreastCancer(ColumnData):
    """Tumours, malignant or benign, by 30 measures of their cells: 569 rows from scikit-learn.

    The measures are standardised by the rows to train on.
    """

    def __init__(self, **columns: Any) -> None:
        super().__init__(**columns)
        self.load()

    def read(self) -> tuple[dict[str, Column], Column]:
        from sklearn.datasets import load_breast_cancer

        table = load_breast_cancer()
        columns = dict(zip(table.feature_names.tolist(), map(Column, table.data.T), strict=True))
        return columns, Column(1 - table.target, ("benign", "malignant"))


def read_frame(argument: str, path: str) -> Any:
    """A file's columns, as a data frame."""
    start = f"{argument}={path!r}"
    if Path(path).is_dir():
        raise ValueError(f"{start}: is a directory")
    if not Path(path).is_file():
        files = map(str, Path(path).parent.glob("*.*"))
        raise ValueError(f"{start}: no such file{nearest(path, files)}")
    with told(start):
        import pandas as pd

        if Path(path).suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            options, named = dialect(path)
            with warnings.catch_warnings():
                # said where each row has more values than there are names; pandas drops them
                warnings.simplefilter("error", pd.errors.ParserWarning)
                frame = pd.read_csv(path, **options).iloc[:, named]
    if frame.empty:
        raise ValueError(f"{start}: holds no rows")
    frame.columns = frame.columns.map(str).str.strip()
    return frame


@contextmanager
def told(start: str) -> Iterator[None]:
    """Have it said in a line why a file cannot be read."""
    try:
        yield
    except ImportError as mistake:
        needed = "to read it needs pandas, and Parquet pyarrow"
        raise ValueError(
            f"{start}: {needed}; pip install -e '.[tables]' installs them"
        ) from mistake
    except UnicodeDecodeError as mistake:
        raise ValueError(f"{start}: is not text in UTF-8") from mistake
    except Exception as mistake:
        reason = re.sub("^Error tokenizing data. C error: ", "", str(mistake)).strip()
        raise ValueError(f"{start}: cannot be read as a table: {reason}") from mistake


def dialect(path: str) -> tuple[dict[str, Any], list[int]]:
    """How pandas is to read a CSV file, and which of its columns have a name."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        start = file.read(65_536)
        file.seek(0)
        unquoted = re.sub('"[^"]*"', "", start.lstrip().partition("\n")[0])
        separator = max(SEPARATORS, key=unquoted.count)
        lines = csv.reader(file, delimiter=separator, skipinitialspace=True)
        names = next(filter(None, lines), [])
    stripped = [name.strip() for name in names if name.strip()]
    if twice := {name for name in stripped if stripped.count(name) > 1}:
        raise ValueError(f"several columns are called {enumerated(sorted(twice))}")
    options = {
        "sep": separator,
        "decimal": "," if separator == ";" and re.search(r";\s*-?\d+,\d", start) else ".",
        "na_values": MISSING,
        "skipinitialspace": True,
        "index_col": False,
        "low_memory": False,
        "encoding": "utf-8-sig",
    }
    return options, [number for number, name in enumerate(names) if name.strip()]


def check_there(argument: str, names: Sequence[str], frame: Any) -> None:
    for name in names:
        if name not in frame:
            choices = f"choose one of {enumerated(list(frame))}{nearest(name, frame)}"
            raise ValueError(f"{argument}={name!r}: the file has no such column; {choices}")


def check_names(features: list[str], target: str) -> None:
    if target in features or len(set(features)) < len(features) or not features:
        raise ValueError(f"features={features}: must be columns other than the target, each once")


def check_complete(argument: str, path: str, frame: Any) -> None:
    missing = frame.isna() | frame.isin([np.inf, -np.inf])
    counts = {name: int(count) for name, count in missing.sum().items() if count}
    if counts:
        rows = [f"{name} ({count} of {len(frame)} rows)" for name, count in counts.items()]
        where = f"values are missing or infinite in {enumerated(rows)}"
        advice = "fill them in, or leave the columns out by exclude"
        raise ValueError(f"{argument}={path!r}: {where}; {advice}")


def feature(series: Any) -> Column:
    """A column of the file's."""
    from pandas.api import types

    if types.is_bool_dtype(series) or not types.is_numeric_dtype(series):
        return of_texts(series)
    return Column(series.to_numpy(np.int64 if types.is_integer_dtype(series) else np.float64))


def of_texts(series: Any) -> Column:
    import pandas as pd

    values, texts = pd.factorize(series.astype(str).str.strip(), sort=True)
    return Column(values, tuple(texts))


def check_texts(columns: dict[str, Column]) -> None:
    for name, column in columns.items():
        others = [text for text in column.texts if not is_number(text)]
        if 0 < len(others) < len(column.texts) / 2:
            raise ValueError(f"features: {name} holds numbers, but also {others[0]!r}")
    many = {name: len(column.texts) for name, column in columns.items()}
    if many := {name: count for name, count in many.items() if count > MOST}:
        counts = enumerated([f"{name} ({count})" for name, count in many.items()])
        raise ValueError(
            f"features: more than {MOST} different texts in {counts}; leave them out by exclude"
        )


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def classes(series: Any) -> Column:
    """The target's column: its values as the names of classes.

    Raises:
        ValueError: If it has one value only, or such that are no classes.
    """
    column, start = feature(series), f"target={series.name!r}"
    if not column.texts:
        if fractions := [value for value in column.values[:1000] if value != round(value)]:
            raise ValueError(f"{start}: holds fractions, such as {fractions[0]:g}, and no classes")
        numbers, places = np.unique(column.values, return_inverse=True)
        column = Column(places, tuple(str(int(number)) for number in numbers))
    count = len(column.texts)
    if count < 2:
        raise ValueError(f"{start}: has one class only, {column.texts[0]}")
    if count > min(MOST, max(2, len(series) / 2)):
        raise ValueError(f"{start}: {count} different values in {len(series)} rows are no classes")
    return column
