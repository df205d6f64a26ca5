"""Tables of your own, from files."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from .columns import MOST, Column, check_column, column_of
from .encoding import ColumnData, Points
from .files import Problems, enumerated, nearest, printable, read_frame


class Table(ColumnData):
    """A table of your own, from a CSV or a Parquet file.

    Numbers are standardised: brought to mean 0 and standard deviation 1 in the training rows.
    Texts, and true and false, are one-hot: an input for each that the column holds, or of two one.
    Dates, such as 2024-12-31, are days.

    Args:
        path: The file: Parquet where it ends in ``.parquet``, else CSV with the columns' names in
            its first line. Columns without a name are left out.
        target: The column to learn.
        task: ``classification``: the target's values are classes. ``regression``: they are numbers.
            ``null``: a regression where they are fractions or many different numbers.
        features: The columns to learn from. ``null``: all others.
        exclude: Columns not to learn from.
        categorical: Columns of whole numbers that stand for categories, to be one-hot.
        missing: What to do where values are missing. ``error``: end. ``drop``: leave the row out.
            ``impute``: fill in the mean of the training rows, or the text that most of them have.
        sep: What separates the values of a CSV file. ``null``: of comma, semicolon, tab and bar the
            one that its first line has most.
        decimal: What separates the decimals of a CSV file.
        points: Rows of your own for ``predict``: a file with the features' columns, or a list for
            each row. ``null``: the table's.

    Raises:
        ValueError: If the file cannot be read, there is no such column, or the network cannot
            learn from or to a column.
    """

    def __init__(
        self,
        path: str,
        target: str,
        task: Literal["classification", "regression"] | None = None,
        features: list[str] | None = None,
        exclude: Sequence[str] = (),
        categorical: Sequence[str] = (),
        missing: Literal["error", "drop", "impute"] = "error",
        sep: str | None = None,
        decimal: Literal[".", ","] = ".",
        points: Points | str | None = None,
        **split: Any,
    ) -> None:
        if sep is not None and (len(sep) != 1 or sep in '"\r\n' + decimal):
            raise ValueError(f"sep={sep!r}: must be one character, not that of decimal or quotes")
        self.path, self.target_name, self.task = path, target, task
        self.features, self.exclude, self.categorical = features, exclude, categorical
        self.missing, self.fills_in = missing, missing == "impute"
        self.sep, self.decimal = sep, decimal
        super().__init__(**split)
        self.points = points

    def read(self) -> tuple[dict[str, Column], Column]:
        start, problems = f"path={self.path!r}", Problems()
        frame = read_frame(start, self.path, self.sep, self.decimal, problems)
        names = self.learned_from(list(frame), problems)
        columns = {
            name: column_of(start, frame[name], name in self.categorical, problems)
            for name in names
        }
        setting, there = f"target={self.target_name!r}", self.target_name in frame
        target = Column(np.zeros(len(frame)))
        if there:
            target = column_of(setting, frame[self.target_name], False, problems)
        columns, target = self.complete(start, columns, target, problems)
        if there:
            target = target_of(setting, target, self.task, problems)
        if self.val_fraction or self.test_fraction:
            check_rare(setting, target, problems)
        for name, column in columns.items():
            check_column(start, name, column, problems)
        advise(start, problems)
        problems.check()
        return columns, target

    def learned_from(self, names: list[str], problems: Problems) -> list[str]:
        """The columns to learn from; names that the file does not have are problems."""
        settings = {
            "target": [self.target_name],
            "features": self.features or [],
            "exclude": self.exclude,
            "categorical": self.categorical,
        }
        for setting, given in settings.items():
            for name in [name for name in given if name not in names][:5]:
                choices = f"choose one of {enumerated(names)}{nearest(name, names)}"
                problems.add(f"{setting}={name!r}", f"the file has no such column; {choices}")
        out = [self.target_name, *self.exclude]
        features = self.features
        left = [name for name in names if name not in out]
        if features is not None:
            if len(set(features)) < len(features) or self.target_name in features:
                start = f"features={features}"
                problems.add(start, "must be columns other than the target, each once")
            left = [name for name in dict.fromkeys(features) if name in names and name not in out]
        if not left:
            problems.add("features", "no column is left to learn from")
        return left

    def complete(
        self, start: str, columns: dict[str, Column], target: Column, problems: Problems
    ) -> tuple[dict[str, Column], Column]:
        """The columns as ``missing`` says; missing values that may not be are problems."""
        every = {**columns, self.target_name: target}
        gaps = {name: np.isnan(column.values) for name, column in every.items()}
        if self.missing == "drop":
            keep = ~np.any([*gaps.values()], 0)
            if keep.any():
                every, gaps = {name: column.take(keep) for name, column in every.items()}, {}
            else:
                problems.add("missing='drop'", "leaves no rows")
        target = every.pop(self.target_name)
        for name, gap in gaps.items():
            where = f"{gap.sum()} of {len(gap)} rows"
            if gap.any() and name == self.target_name:
                what = f"values are missing in {where}; missing='drop' leaves them out"
                problems.add(f"target={name!r}", what)
            elif gap.any() and self.missing != "impute":
                problems.add(start, MISSING, f"{printable(name)} ({where})")
        return every, target

    def pointed(self, points: Any) -> dict[str, Column]:
        if not isinstance(points, str):
            return super().pointed(points)
        start, problems = f"points={points!r}", Problems()
        frame = read_frame(start, points, self.sep, self.decimal, problems)
        columns = {}
        for name, known in self.columns.items():
            if name not in frame:
                problems.add(start, "lacks the columns", printable(name))
                continue
            column = column_of(start, frame[name], bool(known.texts), problems)
            columns[name] = column if column.texts else column._replace(texts=known.texts)
            if kind(column) != kind(known) and not np.isnan(column.values).all():
                problems.add(start, f"no {kind(known)} in", printable(name))
            if np.isnan(column.values).any() and not self.fills_in:
                problems.add(start, MISSING, printable(name))
        problems.check()
        return columns


MISSING = "values are missing in"


def advise(start: str, problems: Problems) -> None:
    """Say what may be done about columns that have a problem."""
    if found := problems.found.get(start):
        if MISSING in found:
            problems.add(start, "missing='drop' leaves such rows out, 'impute' fills them in")
        problems.add(start, "exclude leaves columns out")


def kind(column: Column) -> str:
    return "texts" if column.texts else "numbers" if column.dates is None else "dates"


def target_of(start: str, column: Column, task: str | None, problems: Problems) -> Column:
    """The target: the values of a regression, or classes with their names in order."""
    different = np.unique(column.values[np.isfinite(column.values)])
    most = min(MOST, max(2, len(column.values) / 2))
    fractions = [value for value in different if value % 1]
    if column.dates is not None:
        problems.add(start, "holds dates; a target is classes or numbers")
    elif len(different) < 2:
        only = [*column.texts, *(f"{value:g}" for value in different)][:1]
        problems.add(start, "has one class only:", enumerated(only))
    elif task == "regression" and column.texts:
        text = printable(column.texts[0])
        problems.add(start, f"holds texts, such as {text}, and a regression learns numbers")
    elif not column.texts and (
        task == "regression" or (task is None and (fractions or len(different) > most))
    ):
        return column
    elif fractions:
        problems.add(start, f"holds fractions, such as {fractions[0]:g}, and no classes")
    elif len(different) > most:
        rows = f"{len(column.values)} rows"
        problems.add(start, f"{len(different)} different values in {rows} are no classes")
    elif column.texts:
        return column
    names = tuple(str(int(value)) for value in different)
    return Column(np.searchsorted(different, column.values), names)


def check_rare(start: str, target: Column, problems: Problems) -> None:
    """Find classes that have too few rows for each part of a split to have one."""
    for number, name in enumerate(target.texts):
        if (target.values == number).sum() == 1:
            problems.add(start, "one row is too few for a split, in the classes", printable(name))
