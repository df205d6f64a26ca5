"""Tables of named columns: numbers standardised, texts one-hot, a column's values as the classes.

How they become inputs is settled by the rows to train on and kept in checkpoints, so that what is
evaluated or predicted later is encoded as the network has learned it.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perceptrons.loader import Rows
from perceptrons.mistakes import nearest
from perceptrons.tables import (
    TableData,
    check_fractions,
    check_points,
    check_random_state,
    choose_rows,
    parted,
)

Points = list[list[float | str | bool]]


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        values: Its numbers ``(rows,)``; where it holds texts, the place of each row's in ``texts``.
        texts: Its different texts in order; none where it holds numbers.
    """

    values: NDArray[Any]
    texts: tuple[str, ...] = ()

    def given(self, chosen: Any) -> list[Any]:
        """The values of some rows, as they were given."""
        values = self.values[chosen].tolist()
        return [self.texts[value] for value in values] if self.texts else values


class ColumnData(TableData):
    """A table of named columns.

    Args:
        val_fraction: Share of the rows kept to validate on; with 0 the training rows serve.
        test_fraction: Share of the rows kept to test on; with 0 all rows serve.
        random_state: Seed of the split.
        points: Rows of your own for ``predict``, each a list of what the features' columns hold.
            ``null``: the table's.

    Raises:
        ValueError: If a number is out of range, or a column is constant.
    """

    def __init__(
        self,
        val_fraction: float = 0.0,
        test_fraction: float = 0.0,
        random_state: int = 0,
        points: Points | None = None,
        **table: Any,
    ) -> None:
        super().__init__(**table)
        check_fractions(val_fraction, test_fraction)
        check_random_state(random_state)
        self.fractions, self.random_state = (val_fraction, test_fraction), random_state
        self.points = points

    @abstractmethod
    def read(self) -> tuple[dict[str, Column], Column]:
        """The features' columns by name, and the target's."""

    def load(self) -> None:
        """Read the table; for the end of a constructor, because a network is made to its size."""
        self.columns, self.target = self.read()
        self.texts = {name: column.texts for name, column in self.columns.items()}
        self.class_names = self.target.texts
        self.inputs, self.classes = len(self.point_names), len(self.target.texts)
        self.outputs = 1 if self.classes == 2 else self.classes
        self.check_shares()
        self.chosen = choose_rows(self.target.values, *self.fractions, self.random_state)
        self.mean, self.std = self.scales(self.chosen["train"])

    @property
    def point_names(self) -> list[str]:
        return [
            f"{name}={text}" if text else name
            for name, known in self.texts.items()
            for text in (known[len(known) == 2 :] or [""])
        ]

    def tables(self) -> dict[str, Rows]:
        labels = placed("target", self.target, tuple(self.class_names))
        x = np.empty((len(labels), self.inputs), np.float32)
        scales = zip(self.mean.tolist(), self.std.tolist(), strict=True)
        inputs = inputs_of(self.columns, self.texts)
        for number, (values, (mean, std)) in enumerate(zip(inputs, scales, strict=True)):
            x[:, number] = (values - mean) / std
        codes = torch.from_numpy(labels)
        one_hot = torch.nn.functional.one_hot(codes, self.classes)
        y = codes[:, None] if self.classes == 2 else one_hot
        return parted((torch.from_numpy(x), y.float()), self.chosen)

    def check_shares(self) -> None:
        """Find a class that has too few rows for each part of the table to have one."""
        counts = np.bincount(self.target.values, minlength=len(self.class_names))
        for name, fraction in zip(("val_fraction", "test_fraction"), self.fractions, strict=True):
            if fraction and counts.min() == 1:
                rare = self.class_names[int(counts.argmin())]
                all_ = "0 for both fractions lets all rows serve"
                raise ValueError(f"{name}={fraction}: the class {rare} has one row only; {all_}")

    def scales(self, rows: Any) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each input in some rows ``(inputs,)``; a text's: 0 and 1.

        Raises:
            ValueError: If a column is constant, or too large or too small to compute with.
        """
        scales, constant, beyond = [], [], []
        inputs = inputs_of(self.columns, self.texts)
        for name, values in zip(self.point_names, inputs, strict=True):
            if values.dtype == bool:  # one of a text's
                scales.append((0.0, 1.0))
            elif (some := values[rows]).min() == some.max():
                constant.append(name)
            else:
                with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                    scales.append((some.mean(), some.std()))
                if not 0 < scales[-1][1] < np.inf:
                    beyond.append(name)
        constant += [name for name, texts in self.texts.items() if len(texts) == 1]
        if constant:
            count = len(self.target.values[rows])
            same = f"the same in all {count} rows to train on: {enumerated(constant)}"
            raise ValueError(f"features: {same}; leave what is constant out by exclude")
        if beyond:
            what = f"too large or too small to compute with: {enumerated(beyond)}"
            raise ValueError(f"features: {what}; bring them nearer to 1")
        mean, std = torch.tensor(scales, dtype=torch.float64).T
        return mean, std

    def state_dict(self) -> dict[str, Any]:
        return {
            "texts": {name: list(texts) for name, texts in self.texts.items()},
            "classes": list(self.class_names),
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Encode the table as another was, on whose rows the network was trained."""
        if state_dict == self.state_dict():
            return
        if list(state_dict["texts"]) != list(self.texts):
            raise ValueError(
                f"features: the network learned from {enumerated(state_dict['texts'])}"
            )
        self.texts = {name: tuple(texts) for name, texts in state_dict["texts"].items()}
        self.class_names = tuple(state_dict["classes"])
        self.mean, self.std = (
            torch.tensor(state_dict[name], dtype=torch.float64) for name in ("mean", "std")
        )
        self.split = self.tables()

    def pointed(self, points: Any) -> dict[str, Column]:
        """Columns of rows of the user's."""
        check_points(points, len(self.texts))
        return {
            name: column_of(name, [point[number] for point in points], texts)
            for number, (name, texts) in enumerate(self.texts.items())
        }

    def numbers(self, points: Any) -> Tensor:
        return stacked(self.pointed(points), self.texts)

    def from_points(self, points: Tensor) -> Tensor:
        return ((points - self.mean) / self.std).float()

    def as_points(self, rows: int | None = None) -> Tensor:
        first = {
            name: column._replace(values=column.values[:rows])
            for name, column in self.columns.items()
        }
        return stacked(first, self.texts)

    def named(self, part: str | None = None, rows: int | None = None) -> dict[str, list[Any]]:
        columns, chosen = self.columns, self.chosen[part or "all"]
        if part is None and self.points is not None:
            columns = self.pointed(self.points)
        first = slice(rows) if isinstance(chosen, slice) else chosen[:rows]
        return {name: columns[name].given(first) for name in self.texts}


def inputs_of(
    columns: dict[str, Column], texts: dict[str, tuple[str, ...]]
) -> Iterator[NDArray[Any]]:
    """Each input ``(rows,)``, before it is standardised.

    A column of numbers is one input, one of texts as many as it has different texts, each of which
    says where that text is; of two, the second says it all.
    """
    for name, known in texts.items():
        values = placed(f"features: {name}", columns[name], known)
        if not known:
            yield values
        for number in range(len(known) == 2, len(known)):
            yield values == number


def stacked(columns: dict[str, Column], texts: dict[str, tuple[str, ...]]) -> Tensor:
    """Columns as numbers ``(rows, inputs)``."""
    return torch.from_numpy(np.stack([*inputs_of(columns, texts)], 1).astype(np.float64))


def placed(start: str, column: Column, known: tuple[str, ...]) -> NDArray[Any]:
    """A column's values, the texts by their places among those that are known."""
    if column.texts == known:
        return column.values
    if not (column.texts and known):
        kinds = ("texts", "numbers") if column.texts else ("numbers", "texts")
        raise ValueError(f"{start}: holds {kinds[0]}, and {kinds[1]} where it was trained")
    places = np.array([place(start, text, known) for text in column.texts])
    found: NDArray[Any] = places[column.values]
    return found


def column_of(name: str, values: list[float | str | bool], known: tuple[str, ...]) -> Column:
    """A column of points of the user's."""
    if known:
        texts = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
        return Column(np.array([place(f"points: {name}", text, known) for text in texts]), known)
    for value in values:
        if isinstance(value, str | bool) or not np.isfinite(value):
            raise ValueError(f"points={value!r}: {name} is a finite number")
    return Column(np.array(values, np.float64))


def place(start: str, text: str, known: tuple[str, ...]) -> int:
    """Place of a text among those that are known."""
    if text not in known:
        choices = f"choose one of {enumerated(known)}{nearest(text, known)}"
        raise ValueError(f"{start}={text!r} is not in the table trained on; {choices}")
    return known.index(text)


def enumerated(names: Any, most: int = 20) -> str:
    """Names between commas, of many the first."""
    some, more = list(names)[:most], len(names) - most
    return ", ".join(some) + (f" and {more} more" if more > 0 else "")
