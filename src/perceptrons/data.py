"""The data: logic gates and blobs, each a small table in memory.

Shapes: ``x (rows, inputs)``, ``y (rows, outputs)``. With two classes each column of ``y`` holds the
0s and 1s of one output; with more, ``y`` is one-hot, a column for each class.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from perceptrons.loader import Table, TableLoader

# rows that are evaluated in one piece; a larger table goes in several, always the same
EVALUATION_ROWS = 65_536

# output of each named gate, given how many of its inputs are 1 (for each row) and how many it has
GATES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "and": lambda ones, inputs: ones == inputs,
    "or": lambda ones, _: ones > 0,
    "xor": lambda ones, _: ones % 2 == 1,
    "nand": lambda ones, inputs: ones < inputs,
    "nor": lambda ones, _: ones == 0,
    "xnor": lambda ones, _: ones % 2 == 0,
}


class TableData(L.LightningDataModule, ABC):
    """A table of rows to train, validate and test on.

    Args:
        passes: How often the training rows are gone through in a Lightning epoch, which is one
            report.
        batch_size: Rows in a batch. ``null``: all of them, which makes one update a pass.
        shuffle: Whether each pass takes the rows in a new random order.
        points: Inputs of your own for ``predict``, a list for each point. ``null``: the table's.

    Raises:
        ValueError: If a number is out of range, or a point has the wrong number of inputs.
    """

    inputs: int
    outputs: int
    classes: int

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
    def tables(self) -> dict[str, Table]:
        """The rows to ``train`` on, to ``val``idate on, to ``test`` on, and ``all`` there are."""

    @cached_property
    def split(self) -> dict[str, Table]:
        """:meth:`tables`, made once."""
        return self.tables()

    def setup(self, stage: str) -> None:
        rows = len(self.split["train"][0])
        if self.batch_size is not None and self.batch_size > rows:
            raise ValueError(f"batch_size={self.batch_size}: there are {rows} rows to train on")
        if self.points == []:
            raise ValueError("points=[]: there must be at least 1, or null for the table's")
        for point in self.points or []:
            if len(point) != self.point_width:
                width = f"has {len(point)} inputs, the data has {self.point_width}"
                raise ValueError(f"points={point}: {width}")
            if not np.isfinite(point).all():
                raise ValueError(f"points={point}: must be finite")

    def train_dataloader(self) -> TableLoader:
        table = self.on_device("train")
        # the seed of the run, as seed_everything set it
        seed = torch.initial_seed()
        return TableLoader(table, self.batch_size, self.passes, self.shuffle, seed)

    def val_dataloader(self) -> dict[str, TableLoader]:
        """The training rows too: they are measured like the others, after the same update."""
        names = ("train", "val")
        return {name: TableLoader(self.on_device(name), EVALUATION_ROWS) for name in names}

    def test_dataloader(self) -> TableLoader:
        return TableLoader(self.on_device("test"), EVALUATION_ROWS)

    def predict_dataloader(self) -> TableLoader:
        return TableLoader((self.predicted,), EVALUATION_ROWS)

    @property
    def predicted(self) -> Tensor:
        """Inputs to predict ``(rows, inputs)``: the user's points, or else all the table's."""
        if self.points is None:
            return self.split["all"][0]
        return self.from_points(torch.tensor(self.points))

    @property
    def point_width(self) -> int:
        """How many numbers a point of the user's has."""
        return self.inputs

    def from_points(self, points: Tensor) -> Tensor:
        """What the network is given for points of the user's ``(points, point_width)``."""
        return points

    def on_device(self, name: str) -> Table:
        # here, once, so that Lightning has nothing to move at each batch
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        return tuple(column.to(device) for column in self.split[name])


class Gates(TableData):
    """The truth table of a logic gate.

    Training, validation and test rows are the same rows: a gate has no others, so there is nothing
    to generalise to.

    Args:
        gate: ``and``, ``or``, ``xor`` (of more than two inputs: parity), ``nand``, ``nor``,
            ``xnor``, or a truth table of 2^inputs digits such as ``"0110"``, whose rows count in
            binary with the first input as the highest digit.
        inputs: Number of inputs, from 1 to 12.
        constant_input: Whether to add an input that is always 1, for networks without biases.

    Raises:
        ValueError: If the gate is unknown, the truth table has the wrong length or other digits, or
            ``inputs`` is out of range.
    """

    outputs = 1
    classes = 2

    def __init__(
        self, gate: str = "xor", inputs: int = 2, constant_input: bool = False, **table: Any
    ) -> None:
        super().__init__(**table)
        if not 1 <= inputs <= 12:
            raise ValueError(f"inputs={inputs}: a gate has from 1 to 12")
        self.gate, self.gate_inputs, self.constant_input = gate, inputs, constant_input
        self.inputs = inputs + constant_input
        self.truth = truth(gate, inputs)

    def tables(self) -> dict[str, Table]:
        table = (self.from_points(binary_rows(self.gate_inputs).float()), self.truth[:, None])
        return dict.fromkeys(("train", "val", "test", "all"), table)

    @property
    def point_width(self) -> int:
        return self.gate_inputs

    def from_points(self, points: Tensor) -> Tensor:
        return torch.nn.functional.pad(points, (0, self.constant_input), value=1.0)


def binary_rows(inputs: int) -> Tensor:
    """All rows of 0s and 1s ``(2^inputs, inputs)``, counted in binary."""
    return torch.arange(2**inputs)[:, None] >> torch.arange(inputs - 1, -1, -1) & 1


def truth(gate: str, inputs: int) -> Tensor:
    """Output of a gate for each row of its table ``(2^inputs,)``, as 0.0 and 1.0."""
    if gate in GATES:
        return GATES[gate](binary_rows(inputs).sum(1), inputs).float()
    if gate.isdecimal():
        if len(gate) != 2**inputs or gate.strip("01"):
            digits = f"{2**inputs} digits, each 0 or 1"
            raise ValueError(f"gate={gate!r}: a truth table of {inputs} inputs is {digits}")
        return torch.tensor([float(digit) for digit in gate])
    near = "".join(f"; did you mean {name}?" for name in get_close_matches(gate.lower(), GATES, 1))
    choices = f"{', '.join(GATES)}, or a truth table such as '0110'"
    raise ValueError(f"gate={gate!r}: choose one of {choices}{near}")


class Blobs(TableData):
    """Round clusters of points, one class each, from scikit-learn's ``make_blobs``.

    Two clusters have one output; more have an output for each.

    Args:
        n_samples: Number of points in all.
        centers: The clusters' centres, a list of coordinates for each, or how many to place at
            random.
        cluster_std: Standard deviation of each cluster.
        n_features: Number of coordinates, where ``centers`` is a count.
        random_state: Seed of the points and of the split.
        val_fraction: Share of the points kept to validate on; with 0 the training points serve.
        test_fraction: Share of the points kept to test on; with 0 all points serve.

    Raises:
        ValueError: If there are fewer than 2 centres or they differ in length, or a number is out
            of range.
    """

    def __init__(
        self,
        n_samples: int = 100,
        centers: int | list[list[float]] = 2,
        cluster_std: float = 1.0,
        n_features: int = 2,
        random_state: int = 0,
        val_fraction: float = 0.0,
        test_fraction: float = 0.0,
        **table: Any,
    ) -> None:
        super().__init__(**table)
        widths = (
            [n_features] * centers if isinstance(centers, int) else [len(one) for one in centers]
        )
        check_centers(centers, widths)
        check_ranges(n_samples, len(widths), cluster_std, n_features, random_state)
        check_fractions(val_fraction, test_fraction)
        self.inputs, self.classes = widths[0], len(widths)
        self.outputs = 1 if self.classes == 2 else self.classes
        self.make = {
            "n_samples": n_samples,
            "centers": centers,
            "cluster_std": cluster_std,
            "n_features": n_features,
        }
        self.random_state, self.fractions = random_state, (val_fraction, test_fraction)

    def tables(self) -> dict[str, Table]:
        from sklearn.datasets import make_blobs

        points, labels = make_blobs(**self.make, random_state=self.random_state)
        x, codes = torch.from_numpy(points).float(), torch.from_numpy(labels)
        y = codes[:, None] if self.classes == 2 else torch.nn.functional.one_hot(codes)
        return split_rows((x, y.float()), labels, *self.fractions, self.random_state)


def check_centers(centers: int | list[list[float]], widths: list[int]) -> None:
    if len(widths) < 2:
        raise ValueError(f"centers={centers}: there must be at least 2")
    if len(set(widths)) > 1:
        raise ValueError(f"centers={centers}: all must have the same number of coordinates")
    if not isinstance(centers, int) and not (widths[0] and np.isfinite(centers).all()):
        raise ValueError(f"centers={centers}: must have coordinates, which are finite")


def check_ranges(
    n_samples: int, classes: int, cluster_std: float, n_features: int, random_state: int
) -> None:
    if n_samples < classes:
        raise ValueError(f"n_samples={n_samples}: fewer points than the {classes} centres")
    if not 0 < cluster_std < float("inf"):
        raise ValueError(f"cluster_std={cluster_std}: must be above 0 and finite")
    if n_features < 1:
        raise ValueError(f"n_features={n_features}: must be at least 1")
    if not 0 <= random_state < 2**32:
        raise ValueError(f"random_state={random_state}: must be from 0 to {2**32 - 1}")


def check_fractions(val_fraction: float, test_fraction: float) -> None:
    for name, fraction in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if not 0 <= fraction < 1:
            raise ValueError(f"{name}={fraction}: must be at least 0 and below 1")
    if val_fraction + test_fraction >= 1:
        left = f"with test_fraction={test_fraction} no rows are left to train on"
        raise ValueError(f"val_fraction={val_fraction}: {left}")


def split_rows(
    table: Table, labels: Any, val_fraction: float, test_fraction: float, seed: int
) -> dict[str, Table]:
    """Rows to train, validate and test on, with the same share of every class.

    Args:
        table: All rows.
        labels: Class of each row ``(rows,)``, an array of integers.
        val_fraction: Share of the rows to validate on; 0: the training rows.
        test_fraction: Share of the rows to test on; 0: all rows.
        seed: Seed of the choice.
    """
    from sklearn.model_selection import train_test_split

    rows = everything = np.arange(len(labels))
    kept = {}
    for name, fraction in (("test", test_fraction), ("val", val_fraction)):
        if fraction:
            count, classes = round(fraction * len(labels)), len(np.unique(labels))
            for part, left in ((name, count), ("train", len(rows) - count)):
                if left < classes:
                    few = f"{left} of {len(labels)} rows for {part}"
                    raise ValueError(f"{name}_fraction={fraction}: {few}, with {classes} classes")
            try:
                rows, kept[name] = train_test_split(
                    rows, test_size=count, stratify=labels[rows], random_state=seed
                )
            except ValueError as mistake:
                raise ValueError(f"{name}_fraction={fraction}: {mistake}") from mistake
    chosen = {"train": rows, "val": rows, "test": everything, "all": everything} | kept
    return {name: tuple(column[rows] for column in table) for name, rows in chosen.items()}
