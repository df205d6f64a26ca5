"""Tables of your own, from files."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from .columns import MOST, NUMBER, Column, check_column, column_of
from .encoding import ColumnData
from .files import Problems, enumeration, nearest, printable, read_frame

Points = list[list[float | str | bool | None]]


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
        self.missing, self.sep, self.decimal = missing, sep, decimal
        super().__init__(**split)
        self.points = points

    def read(self) -> tuple[dict[str, Column], Column]:
        start, problems = f"path={self.path!r}", Problems()
        frame = read_frame(start, self.path, self.sep, self.decimal, problems)
        names = self.learned_from(list(frame), problems)
        if self.missing == "drop":
            frame = whole_rows(frame, [*names, self.target_name], problems)
        columns = {
            name: column_of(start, frame[name], name in self.categorical, problems)
            for name in names
        }
        for name, column in columns.items():
            gaps = int(np.isnan(column.values).sum())
            if gaps and self.missing != "impute":
                problems.add(start, MISSING, f"{printable(name)} ({gaps} of {len(frame)} rows)")
            check_column(start, name, column, problems)
        if start in problems.found:
            advise(start, problems)
        target = Column(np.zeros(len(frame)))
        if self.target_name in frame:
            setting = f"target={self.target_name!r}"
            target = column_of(setting, frame[self.target_name], False, problems)
            target = target_of(setting, target, self.task, problems)
            if self.val_fraction or self.test_fraction:
                check_rare(setting, target, problems)
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
                to_predict = "; rows without it are the points of predict" * (setting == "target")
                others = f"; choose one of {enumeration(names)}{to_predict}"
                choices = nearest(name, names) or others
                problems.add(f"{setting}={name!r}", f"the file has no such column{choices}")
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

    def pointed(self, points: Any) -> dict[str, Column]:
        start, problems = "points", Problems()
        if isinstance(points, str):
            start = f"points={points!r}"
            frame = read_frame(start, points, self.sep, self.decimal, problems)
        else:
            frame = self.frame_of(points)
        columns = {}
        for name in self.texts:
            if name not in frame:
                problems.add(start, "lacks the columns", printable(name))
                continue
            known, as_text = self.columns[name], bool(self.texts[name])
            columns[name] = column_of(start, frame[name], as_text, problems)
            missing = np.isnan(columns[name].values)
            if missing.any() and self.missing != "impute":
                problems.add(start, MISSING, printable(name))
            if missing.all():
                columns[name] = columns[name]._replace(texts=self.texts[name])
            elif columns[name].kind != known.kind:
                given = columns[name].given(~missing)
                odd = next((each for each in given if not NUMBER.fullmatch(str(each))), given[0])
                problems.add(start, f"no {known.kind} in", f"{printable(name)} ({odd!r})")
        problems.check()
        return columns

    def frame_of(self, points: Any) -> Any:
        """A data frame of rows of the user's."""
        import pandas as pd

        for point in points:
            if len(point) != len(self.texts):
                has = f"has {len(point)} values, the data has {len(self.texts)} columns"
                raise ValueError(f"points={point}: {has}")
        if len(points) == 0:
            raise ValueError("points=[]: there must be at least 1, or null for the table's")
        return pd.DataFrame(points, columns=[*self.texts])


MISSING = "values are missing in"


def whole_rows(frame: Any, names: list[str], problems: Problems) -> Any:
    """The rows of a data frame that lack no value in some columns."""
    whole = frame.dropna(subset=[name for name in names if name in frame])
    if len(whole):
        return whole
    problems.add("missing='drop'", "leaves no rows")
    return frame


def advise(start: str, problems: Problems) -> None:
    """Say what may be done about columns that have a problem."""
    if MISSING in problems.found[start]:
        problems.add(start, "missing='drop' leaves such rows out, 'impute' fills them in")
    problems.add(start, "exclude leaves columns out")


def target_of(start: str, column: Column, task: str | None, problems: Problems) -> Column:
    """The target: the values of a regression, or classes with their names in order."""
    values, texts = column.values, column.texts
    different = np.unique(values[np.isfinite(values)])
    many = len(different) > min(MOST, max(2, len(values) / 2))
    fractions = [value for value in different if value % 1]
    numeric = not texts and (task == "regression" or (task is None and (fractions or many)))
    wrong = ""
    if gaps := int(np.isnan(values).sum()):
        what = f"values are missing in {gaps} of {len(values)} rows"
        problems.add(start, f"{what}; missing='drop' leaves them out")
    if column.dates is not None:
        wrong = "holds dates; a target is classes or numbers"
    elif len(different) < 2:
        only = [*texts, *(f"{value:g}" for value in different)][:1]
        wrong = f"has one class only: {enumeration(only)}"
    elif texts and task == "regression":
        wrong = f"holds texts, such as {printable(texts[0])}, and a regression learns numbers"
    elif fractions and not numeric:
        wrong = f"holds fractions, such as {fractions[0]:g}, and no classes"
    elif many and not numeric:
        wrong = f"{len(different)} different values in {len(values)} rows are no classes"
    if wrong:
        problems.add(start, wrong)
    if wrong or numeric or texts:
        return Column(values, () if wrong else texts)
    names = tuple(str(int(value)) for value in different)
    return Column(np.searchsorted(different, values), names)


def check_rare(start: str, target: Column, problems: Problems) -> None:
    """Find classes that have too few rows for each part of a split to have one."""
    rare = [name for n, name in enumerate(target.texts) if (target.values == n).sum() == 1]
    for name in rare:
        problems.add(start, "one row is too few for a split, in the classes", printable(name))
    if rare and all(map(NUMBER.fullmatch, target.texts)):
        problems.add(start, "task='regression' makes numbers of them")
