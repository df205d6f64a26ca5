"""What all data here is: a table of rows to train, validate and test on.

Shapes: ``x (rows, inputs)``, ``y (rows, outputs)``. With two classes each column of ``y`` holds the
0s and 1s of one output; with more, ``y`` is one-hot, a column for each class.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from perceptrons.loader import Rows, TableLoader
from perceptrons.shares import Share

# rows that are evaluated in one piece; a larger table goes in several, always the same
EVALUATION_ROWS = 65_536


class TableData(L.LightningDataModule, ABC):
    """A table of rows to train, validate and test on.

    Args:
        passes: How often the training rows are gone through in a Lightning epoch, which is one
            report.
        batch_size: Rows in a batch. ``null``: all of them, which makes one update a pass.
        shuffle: Whether each pass takes the rows in a new random order.
        points: Inputs of your own for ``predict``, a list for each point. ``null``: the table's.

    Attributes:
        inputs: Number of inputs of a network.
        outputs: Number of its outputs.
        classes: Number of classes.
        class_names: What the classes are called; empty: by their numbers.

    Raises:
        ValueError: If a number is out of range, or a point has the wrong number of inputs.
    """

    inputs: int
    outputs: int
    classes: int
    class_names: Sequence[str] = ()
    points: Any
    # of the network that is trained: its seeds, and how often over it has them
    replicas: int | None = None
    copies: int = 1

    def __init__(
        self,
        passes: int = 1,
        batch_size: int | None = None,
        shuffle: bool = False,
        points: list[list[float]] | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("passes", passes), ("batch_size", batch_size)):
            if value is not None and value < 1:
                raise ValueError(f"{name}={value}: must be at least 1")
        self.passes, self.batch_size = passes, batch_size
        self.shuffle, self.points = shuffle, points

    @abstractmethod
    def tables(self) -> dict[str, Rows]:
        """The rows to ``train`` on, to ``val``idate on, to ``test`` on, and ``all`` there are."""

    @cached_property
    def split(self) -> dict[str, Rows]:
        """:meth:`tables`, made once."""
        return self.tables()

    def setup(self, stage: str) -> None:
        rows = len(self.split["train"][0])
        if self.batch_size is not None and self.batch_size > rows:
            raise ValueError(f"batch_size={self.batch_size}: there are {rows} rows to train on")
        if self.points is not None:
            self.numbers(self.points)

    def train_dataloader(self) -> TableLoader:
        table = self.on_device("train")
        # the seed of the run, as seed_everything set it
        seed = torch.initial_seed()
        replicas, share = (self.replicas, self.copies), self.share(at_least=1)
        return TableLoader(
            table, self.batch_size, self.passes, self.shuffle, seed, *replicas, share
        )

    def val_dataloader(self) -> dict[str, TableLoader]:
        """The training rows too: they are measured like the others, after the same update."""
        names = ("train", "val")
        return {name: self.evaluated(name) for name in names}

    def test_dataloader(self) -> TableLoader:
        return self.evaluated("test")

    def predict_dataloader(self) -> TableLoader:
        return TableLoader((self.predicted,), EVALUATION_ROWS)

    def evaluated(self, name: str) -> TableLoader:
        return TableLoader(self.on_device(name), EVALUATION_ROWS, share=self.share())

    def share(self, at_least: int = 0) -> Share:
        """What of each batch is this process's."""
        trainer = self.trainer
        return Share(trainer.global_rank, trainer.world_size, at_least) if trainer else Share()

    @property
    def predicted(self) -> Tensor:
        """Inputs to predict ``(rows, inputs)``: the user's points, or else all the table's."""
        if self.points is None:
            return self.split["all"][0]
        return self.from_points(self.numbers(self.points))

    @property
    def point_width(self) -> int:
        """How many numbers a point of the user's has."""
        return self.inputs

    @property
    def point_names(self) -> list[str]:
        """What each of these numbers is called."""
        return [f"x{number + 1}" for number in range(self.point_width)]

    def numbers(self, points: Any) -> Tensor:
        """Points of the user's as numbers ``(points, point_width)``."""
        check_points(points, self.point_width)
        for point in points:
            if not np.isfinite(point).all():
                raise ValueError(f"points={point}: must be finite")
        return torch.tensor(points)

    def from_points(self, points: Tensor) -> Tensor:
        """What the network is given for points of the user's ``(points, point_width)``."""
        return points

    def as_points(self, rows: int | None = None) -> Tensor:
        """The table's first rows, or all, as points of the user's ``(rows, point_width)``."""
        return self.split["all"][0][:rows]

    def named(self, part: str | None = None, rows: int | None = None) -> dict[str, list[Any]]:
        """Inputs by column, as the user knows them.

        Args:
            part: Of ``train``, ``val``, ``test`` or ``all``; ``None``: those to predict.
            rows: How many of the first; ``None``: all.
        """
        x = self.predicted if part is None else self.split[part][0]
        return {f"x{number}": values.tolist() for number, values in enumerate(x[:rows].mT, 1)}

    def on_device(self, name: str) -> Rows:
        # here, once, so that Lightning has nothing to move at each batch
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        return tuple(column.to(device) for column in self.split[name])


def check_points(points: Any, width: int) -> None:
    if len(points) == 0:
        raise ValueError("points=[]: there must be at least 1, or null for the table's")
    for point in points:
        if len(point) != width:
            raise ValueError(f"points={point}: has {len(point)} inputs, the data has {width}")


def check_fractions(val_fraction: float, test_fraction: float) -> None:
    for name, fraction in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if not 0 <= fraction < 1:
            raise ValueError(f"{name}={fraction}: must be at least 0 and below 1")
    if val_fraction + test_fraction >= 1:
        left = f"with test_fraction={test_fraction} no rows are left to train on"
        raise ValueError(f"val_fraction={val_fraction}: {left}")


def check_random_state(random_state: int) -> None:
    if not 0 <= random_state < 2**32:
        raise ValueError(f"random_state={random_state}: must be from 0 to {2**32 - 1}")


def split_rows(
    table: Rows, labels: Any, val_fraction: float, test_fraction: float, seed: int
) -> dict[str, Rows]:
    """Rows to train, validate and test on, with the same share of every class.

    What is all of the rows is the table itself, not a copy.

    Args:
        table: All rows.
        labels: Class of each row ``(rows,)``, an array of integers.
        val_fraction: Share of the rows to validate on; 0: the training rows.
        test_fraction: Share of the rows to test on; 0: all rows.
        seed: Seed of the choice.
    """
    return parted(table, choose_rows(labels, val_fraction, test_fraction, seed))


def parted(table: Rows, chosen: dict[str, Any]) -> dict[str, Rows]:
    """A table's rows as :func:`choose_rows` has chosen them, those that serve twice only once."""
    parts: dict[int, Rows] = {}
    for rows in chosen.values():
        if id(rows) not in parts:
            parts[id(rows)] = tuple(column[rows] for column in table)
    return {name: parts[id(rows)] for name, rows in chosen.items()}


def choose_rows(
    labels: Any, val_fraction: float, test_fraction: float, seed: int
) -> dict[str, Any]:
    """Which rows to ``train``, ``val``idate and ``test`` on, and ``all``: numbers, or a slice.

    Raises:
        ValueError: If a part would have fewer rows than there are classes.
    """
    from sklearn.model_selection import train_test_split

    rows, everything = np.arange(len(labels)), slice(None)
    chosen: dict[str, Any] = dict.fromkeys(("train", "val", "test", "all"), everything)
    for name, fraction in (("test", test_fraction), ("val", val_fraction)):
        if fraction:
            count, classes = round(fraction * len(labels)), len(np.unique(labels))
            for part, left in ((name, count), ("train", len(rows) - count)):
                if left < classes:
                    few = f"{left} of {len(labels)} rows for {part}"
                    raise ValueError(f"{name}_fraction={fraction}: {few}, with {classes} classes")
            try:
                rows, chosen[name] = train_test_split(
                    rows, test_size=count, stratify=labels[rows], random_state=seed
                )
            except ValueError as mistake:
                raise ValueError(f"{name}_fraction={fraction}: {mistake}") from mistake
            chosen["train"] = rows
    return chosen if val_fraction else {**chosen, "val": chosen["train"]}
