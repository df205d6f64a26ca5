"""Data with rows to spare: some are kept to validate and to test on, or it is cut into folds."""

import copy
from abc import abstractmethod
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from .loader import Rows
from .ranges import Fraction, RandomState
from .tables import TableData

Labels = NDArray[np.integer[Any]]
Chosen = dict[str, Any]  # for each of train, val, test and all: numbers of rows, or a slice


class SplitData(TableData):
    """A table of which some rows are kept to validate and to test on.

    Each part has the same share of every class.

    Args:
        val_fraction: Share of the rows kept to validate on. 0: validate on the training rows.
        test_fraction: Share of the rows kept to test on. 0: test on all rows.
        random_state: Seed of the split.
    """

    def __init__(
        self,
        val_fraction: Fraction = 0.0,
        test_fraction: Fraction = 0.0,
        random_state: RandomState = 0,
        **table: Any,
    ) -> None:
        super().__init__(**table)
        if val_fraction + test_fraction >= 1:
            left = f"with test_fraction={test_fraction} no rows are left to train on"
            raise ValueError(f"val_fraction={val_fraction}: {left}")
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.random_state = random_state

    @property
    @abstractmethod
    def labels(self) -> Labels | None:
        """Class of each row ``(rows,)``; ``None`` for a numeric target."""

    @property
    def rows(self) -> int:
        """Number of rows there are."""
        if self.labels is None:
            raise NotImplementedError("data without labels says how many rows it has")
        return len(self.labels)

    @abstractmethod
    def chosen(self, rows: Chosen) -> dict[str, Rows]:
        """The table's rows as they were chosen, encoded by what the training rows say."""

    def tables(self) -> dict[str, Rows]:
        return self.chosen(
            choose_rows(
                self.rows, self.labels, self.val_fraction, self.test_fraction, self.random_state
            )
        )

    def fold(self, number: int, folds: int) -> Self:
        """The same data with another split: fold ``number`` of ``folds`` to validate on.

        The rows to test on are kept out of all folds; without such they are the fold's.

        Raises:
            ValueError: If there are not so many folds in the rows.
        """
        fold, seed = copy.copy(self), self.random_state
        kept = choose_rows(self.rows, self.labels, 0, self.test_fraction, seed)
        fold.split = fold.chosen(choose_fold(kept, self.rows, self.labels, number, folds, seed))
        return fold


class PointData(SplitData):
    """Points of two classes or more, drawn by ``random_state``, which is the split's seed too."""

    classes: int

    @abstractmethod
    def draw(self) -> tuple[Any, Any]:
        """The points ``(rows, inputs)`` and the class of each ``(rows,)``, from 0."""

    @cached_property
    def drawn(self) -> tuple[Any, Any]:
        """:meth:`draw`, done once."""
        return self.draw()

    @property
    def labels(self) -> Labels:
        return np.asarray(self.drawn[1])

    def chosen(self, rows: Chosen) -> dict[str, Rows]:
        points, labels = map(torch.as_tensor, self.drawn)
        y = labels[:, None] if self.classes == 2 else torch.nn.functional.one_hot(labels)
        return take((points.float(), y.float()), rows)


def choose_rows(
    count: int, labels: Labels | None, val_fraction: float, test_fraction: float, seed: int
) -> Chosen:
    """Which rows to ``train``, ``val``idate and ``test`` on, and ``all``.

    Raises:
        ValueError: If a part would have fewer rows than there are classes.
    """
    from sklearn.model_selection import train_test_split

    rows, everything = np.arange(count), slice(None)
    chosen: Chosen = dict.fromkeys(("train", "val", "test", "all"), everything)
    classes = 1 if labels is None else len(np.unique(labels))
    for name, fraction in (("test", test_fraction), ("val", val_fraction)):
        if fraction:
            kept = round(fraction * count)
            for part, size in ((name, kept), ("train", len(rows) - kept)):
                if size < classes:
                    few = f"{size} of {count} rows for {part}, with {classes} classes"
                    raise ValueError(f"{name}_fraction={fraction}: {few}")
            strata = None if labels is None else labels[rows]
            try:
                rows, chosen[name] = train_test_split(
                    rows, test_size=kept, stratify=strata, random_state=seed
                )
            except ValueError as mistake:
                raise ValueError(f"{name}_fraction={fraction}: {mistake}") from None
            chosen["train"] = rows
    return chosen if val_fraction else {**chosen, "val": chosen["train"]}


def choose_fold(
    kept: Chosen, count: int, labels: Labels | None, number: int, folds: int, seed: int
) -> Chosen:
    """The rows of one fold, to validate on, and the others, to train on.

    Args:
        kept: Which rows to test on, and which are left to train on.
        count: Number of rows in all.
        labels: Class of each row ``(rows,)``; ``None`` for a numeric target.
        number: Number of the fold, from 0.
        folds: How many there are.
        seed: Seed of the split.

    Raises:
        ValueError: If there are not so many folds in the rows, or in those of a class.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    rows = np.arange(count)[kept["train"]]
    strata = None if labels is None else labels[rows]
    least = len(rows) if strata is None else int(np.unique(strata, return_counts=True)[1].min())
    if not 2 <= folds <= least:
        whose = "rows" if labels is None else "rows in the smallest class"
        raise ValueError(f"folds={folds}: must be from 2 to {least}, the number of {whose}")
    kind = KFold if labels is None else StratifiedKFold
    splits = kind(folds, shuffle=True, random_state=seed).split(rows, strata)
    train, held_out = [*splits][number]
    chosen = {"train": rows[train], "val": rows[held_out], "all": slice(None)}
    return {**chosen, "test": chosen["val"] if len(rows) == count else kept["test"]}


def take(table: Rows, chosen: Chosen) -> dict[str, Rows]:
    """A table's rows as they were chosen; parts with the same rows are the same tensors."""
    taken: dict[str, Rows] = {}
    for name, rows in chosen.items():
        twin = next((other for other in taken if chosen[other] is rows), None)
        taken[name] = taken[twin] if twin else tuple(column[rows] for column in table)
    return taken
