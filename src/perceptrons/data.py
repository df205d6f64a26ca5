"""The data: logic gates and blobs, each a small table held in memory, and the loader that hands it out.

Shapes: ``x (rows, inputs)``, ``y (rows, outputs)``. With two classes ``y`` is one column of 0 and 1 for each output;
with more it is one-hot, a column for each class.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

Table = tuple[Tensor, ...]  # (x, y), or (x,) where only the inputs are known

# the largest table that is evaluated in one piece; larger ones go in pieces of this many rows
EVALUATION_ROWS = 65_536

# truth of each named gate, given how many of its inputs are 1 and how many there are
GATES = {
    "and": lambda ones, inputs: ones == inputs,
    "or": lambda ones, inputs: ones > 0,
    "xor": lambda ones, inputs: ones % 2 == 1,
    "nand": lambda ones, inputs: ones < inputs,
    "nor": lambda ones, inputs: ones == 0,
    "xnor": lambda ones, inputs: ones % 2 == 0,
}


class TableLoader:
    """Hands out the batches of a table, going through it ``passes`` times.

    The order of the rows is a pure function of (seed, epoch, pass), so a run can be taken up at any batch. Batches
    in order are views, made once; a table that is one batch is handed out as it is.

    Args:
        table: ``x (rows, inputs)``, and ``y (rows, outputs)`` where it is known.
        batch_size: Rows in a batch; the last batch of a pass may have fewer. ``None``: the whole table.
        passes: How often the table is gone through.
        shuffle: Whether each pass takes the rows in a new random order.
        seed: Seed of the order.
    """

    def __init__(
        self, table: Table, batch_size: int | None = None, passes: int = 1, shuffle: bool = False, seed: int = 0
    ) -> None:
        self.table, self.rows = table, len(table[0])
        self.batch_size = batch_size or self.rows
        self.passes, self.shuffle, self.seed, self.epoch = passes, shuffle, seed, 0
        # where Lightning looks for whom to tell the epoch
        self.batch_sampler = SimpleNamespace(sampler=self)
        self.in_order = list(zip(*(column.split(self.batch_size) for column in table), strict=True))

    @property
    def device(self) -> torch.device:
        """Where the batches lie."""
        return self.table[0].device

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.passes * len(self.in_order)

    def __iter__(self) -> Iterator[Table]:
        for pass_ in range(self.passes):
            yield from self.shuffled(pass_) if self.shuffle else self.in_order

    def shuffled(self, pass_: int) -> Iterator[Table]:
        order = np.random.default_rng((self.seed, self.epoch, pass_)).permutation(self.rows)
        for rows in torch.from_numpy(order).to(self.device).split(self.batch_size):
            yield tuple(column[rows] for column in self.table)


class TableData(L.LightningDataModule, ABC):
    """A table split into training, validation and test rows, and gone through ``passes`` times per epoch.

    Args:
        passes: How often the training rows are gone through in one Lightning epoch, which is one report.
        batch_size: Rows in a batch. ``null``: all of them, which makes one update a pass.
        shuffle: Whether each pass takes the rows in a new random order.
        points: Inputs of your own for ``predict``, one list a point; without it ``predict`` takes the table's rows.

    Raises:
        ValueError: If ``passes`` or ``batch_size`` is below 1, or a point has the wrong number of inputs.
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
        self.passes, self.batch_size, self.shuffle, self.points = passes, batch_size, shuffle, points

    @abstractmethod
    def tables(self) -> dict[str, Table]:
        """The rows to ``train`` on, to ``val``idate on, to ``test`` on, and ``all`` of them."""

    @cached_property
    def split(self) -> dict[str, Table]:
        """:meth:`tables`, made once."""
        return self.tables()

    def setup(self, stage: str) -> None:
        rows = len(self.split["train"][0])
        if self.batch_size is not None and self.batch_size > rows:
            raise ValueError(f"batch_size={self.batch_size}: the table has {rows} rows to train on")
        for point in self.points or []:
            if len(point) != self.point_width:
                raise ValueError(f"points={point}: has {len(point)} inputs, the data has {self.point_width}")

    def train_dataloader(self) -> TableLoader:
        # the seed of the run, as seed_everything set it
        seed = torch.initial_seed()
        return TableLoader(self._on_device("train"), self.batch_size, self.passes, self.shuffle, seed)

    def val_dataloader(self) -> dict[str, TableLoader]:
        """Loaders by name: the training rows are measured along with the validation rows, after the same update."""
        return {name: TableLoader(self._on_device(name), EVALUATION_ROWS) for name in ("train", "val")}

    def test_dataloader(self) -> TableLoader:
        return TableLoader(self._on_device("test"), EVALUATION_ROWS)

    def predict_dataloader(self) -> TableLoader:
        return TableLoader((self.predicted,), EVALUATION_ROWS)

    @property
    def predicted(self) -> Tensor:
        """Inputs to predict ``(rows, inputs)``: the user's points, or else the whole table's."""
        return self.split["all"][0] if self.points is None else self.from_points(torch.tensor(self.points))

    @property
    def point_width(self) -> int:
        """How many numbers a point of the user's has."""
        return self.inputs

    def from_points(self, points: Tensor) -> Tensor:
        """What the network sees of points as the user gives them."""
        return points

    def _on_device(self, name: str) -> Table:
        # moved once, here: to Lightning's own transfer of each batch there is then nothing left to do
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        x, y = self.split[name]
        return x.to(device), y.to(device)


class Gates(TableData):
    """The truth table of a logic gate.

    Training, validation and test rows are the same rows: a gate has no others, so there is nothing to generalise to.

    Args:
        gate: ``and``, ``or``, ``xor`` (of more than two inputs: parity), ``nand``, ``nor``, ``xnor``, or a truth table
            of 2^inputs digits such as ``"0110"``, its rows counted in binary with the first input as the highest digit.
        inputs: Number of inputs, from 1 to 12.
        constant_input: Whether to add an input that is always 1, for networks without biases.

    Raises:
        ValueError: If the gate is unknown, the truth table has the wrong length, or ``inputs`` is out of range.
    """

    outputs = 1
    classes = 2

    def __init__(self, gate: str = "xor", inputs: int = 2, constant_input: bool = False, **table: Any) -> None:
        super().__init__(**table)
        if not 1 <= inputs <= 12:
            raise ValueError(f"inputs={inputs}: a gate has from 1 to 12 inputs")
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
        return torch.nn.functional.pad(points, (0, 1), value=1.0) if self.constant_input else points


def binary_rows(inputs: int) -> Tensor:
    """All rows of ``inputs`` digits ``(2^inputs, inputs)``, counted in binary, the first input the highest digit."""
    return torch.arange(2**inputs)[:, None] >> torch.arange(inputs - 1, -1, -1) & 1


def truth(gate: str, inputs: int) -> Tensor:
    """Output of a gate for each row of its table ``(2^inputs,)``, as 0.0 and 1.0."""
    if gate in GATES:
        return GATES[gate](binary_rows(inputs).sum(1), inputs).float()
    if gate and not gate.strip("0123456789"):
        if len(gate) != 2**inputs or gate.strip("01"):
            raise ValueError(f"gate={gate!r}: a truth table of {inputs} inputs is {2**inputs} digits, each 0 or 1")
        return torch.tensor([float(digit) for digit in gate])
    near = "".join(f"; did you mean {name!r}?" for name in get_close_matches(gate, GATES, 1))
    raise ValueError(f"gate={gate!r}: choose one of {', '.join(GATES)}, or a truth table such as '0110'{near}")


class Blobs(TableData):
    """Round clusters of points, one class each, from scikit-learn's ``make_blobs``.

    Two clusters are a binary problem with one output; more are multi-class, with an output for each.

    Args:
        n_samples: Number of points in all.
        centers: The clusters' centres, one list of coordinates each, or how many to place at random.
        cluster_std: Standard deviation of each cluster.
        n_features: Number of coordinates, where ``centers`` is a count.
        random_state: Seed of the points and of the split.
        val_fraction: Share of the points kept for validation; 0 keeps none: the training points serve.
        test_fraction: Share of the points kept for the test; 0 keeps none: all points serve.

    Raises:
        ValueError: If there are fewer than 2 centres, a spread is not positive, or a fraction is out of range.
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
        self.classes = centers if isinstance(centers, int) else len(centers)
        if self.classes < 2:
            raise ValueError(f"centers={centers}: there must be at least 2")
        if not 0 < cluster_std < float("inf"):
            raise ValueError(f"cluster_std={cluster_std}: must be above 0 and finite")
        check_fractions(val_fraction, test_fraction)
        self.inputs = n_features if isinstance(centers, int) else len(centers[0])
        self.outputs = 1 if self.classes == 2 else self.classes
        self.make = {"n_samples": n_samples, "centers": centers, "cluster_std": cluster_std, "n_features": n_features}
        self.random_state, self.fractions = random_state, (val_fraction, test_fraction)

    def tables(self) -> dict[str, Table]:
        from sklearn.datasets import make_blobs

        points, labels = make_blobs(**self.make, random_state=self.random_state)[:2]
        return split_table(points, labels, self.classes, *self.fractions, self.random_state)


def check_fractions(val_fraction: float, test_fraction: float) -> None:
    for name, fraction in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if not 0 <= fraction < 1:
            raise ValueError(f"{name}={fraction}: must be at least 0 and below 1")
    if val_fraction + test_fraction >= 1:
        raise ValueError(
            f"val_fraction={val_fraction}: with test_fraction={test_fraction} no rows are left to train on"
        )


def split_table(
    points: np.ndarray, labels: np.ndarray, classes: int, val_fraction: float, test_fraction: float, seed: int
) -> dict[str, Table]:
    """Rows to train, validate and test on, each with the same share of every class.

    Args:
        points: Inputs ``(rows, inputs)``.
        labels: Class of each row ``(rows,)``, counted from 0.
        classes: Number of classes.
        val_fraction: Share of the rows to validate on; 0: the training rows.
        test_fraction: Share of the rows to test on; 0: all rows.
        seed: Seed of the choice.
    """
    from sklearn.model_selection import train_test_split

    x, codes = torch.from_numpy(points).float(), torch.from_numpy(labels)
    y = codes[:, None].float() if classes == 2 else torch.nn.functional.one_hot(codes, classes).float()
    everything = rows = np.arange(len(labels))
    kept: dict[str, np.ndarray] = {}
    for name, fraction in (("test", test_fraction), ("val", val_fraction)):
        if fraction:
            rows, kept[name] = train_test_split(
                rows, test_size=round(fraction * len(x)), stratify=labels[rows], random_state=seed
            )
    chosen = {"train": rows, "val": rows, "test": everything, "all": everything} | kept
    return {name: (x[rows], y[rows]) for name, rows in chosen.items()}
