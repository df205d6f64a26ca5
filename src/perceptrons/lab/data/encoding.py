"""Named columns as inputs of a network: numbers standardised, texts one-hot, the target's classes.

scikit-learn's imputers and scaler are fitted on the training rows alone. What they found is kept as
plain lists, which a checkpoint can hold, so that what is evaluated or predicted later is encoded as
the network has learned it.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .columns import Column, places
from .files import enumeration
from .loader import Rows
from .split import Chosen, Labels, SplitData, take

Texts = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Encoding:
    """How columns become the inputs of a network.

    Attributes:
        texts: The texts of each column, in order; none of one of numbers.
        filled: What stands for a missing value of each column: the mean, or the place of the text
            that occurs most.
        mean: What is subtracted from each input; 0 from one of a text's.
        std: What each input is divided by; 1 for one of a text's.
    """

    texts: Texts
    filled: list[float]
    mean: list[float]
    std: list[float]

    @classmethod
    def fit(cls, texts: Texts, table: NDArray[np.float64]) -> Self:
        """The encoding that the training rows ``(rows, columns)`` say.

        Raises:
            ValueError: If a column has one value only, or is too large or too small.
        """
        from sklearn.impute import SimpleImputer
        from sklearn.preprocessing import StandardScaler

        filled = []
        for column, known in zip(table.T[..., None], texts.values(), strict=True):
            how = "most_frequent" if known else "mean"
            imputer = SimpleImputer(strategy=how, keep_empty_features=True).fit(column)
            filled.append(float(imputer.statistics_[0]))
        inputs = one_hot(texts, filled, table)
        with np.errstate(over="ignore", invalid="ignore"):
            scaler = StandardScaler().fit(inputs)
        names = input_names(texts)
        text = np.array([bool(known) for known in texts.values() for _ in inputs_of(known)])
        varied = (inputs.min(0) < inputs.max(0)) & (scaler.var_ > 0) & np.isfinite(scaler.var_)
        if wrong := [name for name, right in zip(names, text | varied, strict=True) if not right]:
            what = f"the same, or too large or small to compute with, in all {len(table)} training"
            out = "leave such columns out by exclude"
            raise ValueError(f"features: {what} rows: {enumeration(wrong)}; {out}")
        mean, std = np.where(text, 0.0, scaler.mean_), np.where(text, 1.0, scaler.scale_)
        return cls(texts, filled, mean.tolist(), std.tolist())

    def numbers(self, table: NDArray[np.float64]) -> Tensor:
        """Each input before it is standardised ``(rows, inputs)``."""
        return torch.from_numpy(one_hot(self.texts, self.filled, table))

    def standardise(self, numbers: Tensor) -> Tensor:
        """The inputs of a network ``(rows, inputs)``."""
        mean, std = (numbers.new_tensor(scale) for scale in (self.mean, self.std))
        return ((numbers - mean) / std).float()


def one_hot(texts: Texts, filled: list[float], table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns ``(rows, columns)`` as inputs ``(rows, inputs)``: gaps filled, texts one-hot."""
    columns = np.where(np.isnan(table), filled, table).T[..., None]
    parts = [
        (column == np.arange(len(known)))[:, len(known) == 2 :] if known else column
        for column, known in zip(columns, texts.values(), strict=True)
    ]
    return np.concatenate(parts, 1, dtype=np.float64)


def inputs_of(known: tuple[str, ...]) -> Sequence[str]:
    """The inputs that a column makes: one of numbers one, of two texts the second alone."""
    return known[len(known) == 2 :] or ("",)


def input_names(texts: Texts) -> list[str]:
    """What each input is called."""
    return [
        f"{name}={text}" if text else name
        for name, known in texts.items()
        for text in inputs_of(known)
    ]


class ColumnData(SplitData):
    """A table of named columns.

    Attributes:
        target_mean: Mean of a numeric target in the training rows; of classes 0.
        target_std: Its standard deviation; of classes 1.
    """

    target_mean: float
    target_std: float

    def __init__(self, **split: Any) -> None:
        super().__init__(**split)
        self.load()

    @abstractmethod
    def read(self) -> tuple[dict[str, Column], Column]:
        """The features' columns by name, and the target's, whose texts are the classes."""

    def load(self) -> None:
        """Read the table and encode it, because a network is made to its size."""
        self.columns, self.target = self.read()
        texts = {name: column.texts for name, column in self.columns.items()}
        self.learn_names(texts, self.target.texts)
        self.split = self.tables()

    def learn_names(self, texts: Texts, class_names: Sequence[str]) -> None:
        """Note the texts of columns and target, and how many inputs and outputs they make."""
        self.texts, self.class_names = texts, tuple(class_names)
        self.inputs, self.classes = len(input_names(texts)), len(class_names) or None
        self.outputs = 1 if self.classes in (None, 2) else self.classes

    @property
    def labels(self) -> Labels | None:
        return self.target.values.astype(np.int64) if self.target.texts else None

    @property
    def rows(self) -> int:
        return len(self.target.values)

    @property
    def point_names(self) -> list[str]:
        return input_names(self.texts)

    def chosen(self, rows: Chosen) -> dict[str, Rows]:
        train = rows["train"]
        self.parts, self.target_mean, self.target_std = rows, 0.0, 1.0
        self.encoding = Encoding.fit(self.texts, self.placed("features", self.columns)[train])
        if self.classes is None:
            values = self.target.values[train]
            self.target_mean, self.target_std = float(values.mean()), float(values.std())
            if not 0 < self.target_std < np.inf:
                raise ValueError(f"target: has one value only in all {len(values)} training rows")
        return self.encoded()

    def encoded(self) -> dict[str, Rows]:
        """The table's rows as they are chosen, encoded."""
        numbers = self.encoding.numbers(self.placed("features", self.columns))
        return take((self.encoding.standardise(numbers), self.encoded_target()), self.parts)

    def encoded_target(self) -> Tensor:
        if self.classes is None:
            values = torch.tensor(self.target.values, dtype=torch.float64)
            return ((values - self.target_mean) / self.target_std)[:, None].float()
        codes = torch.from_numpy(places("target", "", self.target, tuple(self.class_names))).long()
        one_hot = torch.nn.functional.one_hot(codes, self.classes)
        return (codes[:, None] if self.classes == 2 else one_hot).float()

    def placed(self, setting: str, columns: dict[str, Column]) -> NDArray[np.float64]:
        """Columns as a table ``(rows, columns)``, the texts by their places."""
        placed = [places(setting, name, columns[name], known) for name, known in self.texts.items()]
        return np.stack(placed, 1)

    def state_dict(self) -> dict[str, Any]:
        return {
            "texts": {name: list(texts) for name, texts in self.encoding.texts.items()},
            "filled": self.encoding.filled,
            "mean": self.encoding.mean,
            "std": self.encoding.std,
            "classes": list(self.class_names),
            "target": [self.target_mean, self.target_std],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Encode the table as another was, on whose rows the network was trained."""
        if state_dict == self.state_dict():
            return
        if list(state_dict["texts"]) != list(self.texts):
            learned = enumeration(list(state_dict["texts"]))
            raise ValueError(f"features: the network learned from {learned}")
        if bool(state_dict["classes"]) != bool(self.class_names):
            learned, given = ("classes", "numbers")[:: 1 if state_dict["classes"] else -1]
            raise ValueError(f"target: holds {given}, and the network learned {learned}")
        texts = {name: tuple(known) for name, known in state_dict["texts"].items()}
        self.learn_names(texts, state_dict["classes"])
        scales = (state_dict[name] for name in ("filled", "mean", "std"))
        self.encoding = Encoding(texts, *scales)
        self.target_mean, self.target_std = state_dict["target"]
        self.split = self.encoded()

    def pointed(self, points: Any) -> dict[str, Column]:
        """Columns of rows of the user's."""
        super().numbers(points)  # finds what is wrong with them
        values = np.array(points, np.float64)
        return {name: Column(column) for name, column in zip(self.texts, values.T, strict=True)}

    def numbers(self, points: Any) -> Tensor:
        return self.encoding.numbers(self.placed("points", self.pointed(points)))

    def from_points(self, points: Tensor) -> Tensor:
        return self.encoding.standardise(points.double())

    def as_points(self, rows: int | None = None) -> Tensor:
        return self.encoding.numbers(self.placed("features", self.columns)[:rows])

    def named(self, part: str | None = None, rows: int | None = None) -> dict[str, list[Any]]:
        columns, chosen = self.columns, self.parts[part or "all"]
        if part is None and self.points is not None:
            columns, chosen = self.pointed(self.points), slice(None)
        first = slice(rows) if isinstance(chosen, slice) else chosen[:rows]
        return {name: columns[name].given(first) for name in self.texts}
