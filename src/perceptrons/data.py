"""The data: logic gates and blobs, each a small table in memory.

Shapes: ``x (rows, inputs)``, ``y (rows, outputs)``. With two classes each column of ``y`` holds the
0s and 1s of one output; with more, ``y`` is one-hot, a column for each class.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from perceptrons.loader import Rows
from perceptrons.tables import TableData, check_fractions, check_random_state, split_rows

# output of each named gate, given how many of its inputs are 1 (for each row) and how many it has
GATES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "and": lambda ones, inputs: ones == inputs,
    "or": lambda ones, _: ones > 0,
    "xor": lambda ones, _: ones % 2 == 1,
    "nand": lambda ones, inputs: ones < inputs,
    "nor": lambda ones, _: ones == 0,
    "xnor": lambda ones, _: ones % 2 == 0,
}


class Gates(TableData):
    """The truth table of a logic gate.

    Training, validation and test rows are the same rows: a gate has no others, so there is nothing
    to generalise to.

    Args:
        gate: ``and``, ``or``, ``xor`` (of more than two inputs: parity), ``nand``, ``nor``,
            ``xnor``, or a truth table of 2^inputs digits such as ``"0110"``, whose rows count in
            binary with the first input as the highest digit. ``all``: each gate that there is, an
            output for each of the 2^(2^inputs), in order of their truth tables; of at most 4
            inputs.
        inputs: Number of inputs, from 1 to 12.
        constant_input: Whether to add an input that is always 1, for networks without biases.

    Raises:
        ValueError: If the gate is unknown, the truth table has the wrong length or other digits, or
            ``inputs`` is out of range.
    """

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
        self.outputs = self.truth.shape[1]

    def tables(self) -> dict[str, Rows]:
        table = (self.from_points(binary_rows(self.gate_inputs).float()), self.truth)
        return dict.fromkeys(("train", "val", "test", "all"), table)

    @property
    def point_width(self) -> int:
        return self.gate_inputs

    def from_points(self, points: Tensor) -> Tensor:
        return torch.nn.functional.pad(points, (0, self.constant_input), value=1.0)

    def as_points(self, rows: int | None = None) -> Tensor:
        return super().as_points(rows)[:, : self.gate_inputs]


def binary_rows(inputs: int) -> Tensor:
    """All rows of 0s and 1s ``(2^inputs, inputs)``, counted in binary."""
    return torch.arange(2**inputs)[:, None] >> torch.arange(inputs - 1, -1, -1) & 1


def truth(gate: str, inputs: int) -> Tensor:
    """Output of a gate for each row of its table ``(2^inputs, 1)``, as 0.0 and 1.0."""
    if gate == "all":
        return every_truth(inputs)
    if gate in GATES:
        return GATES[gate](binary_rows(inputs).sum(1, keepdim=True), inputs).float()
    if gate.isdecimal():
        if len(gate) != 2**inputs or gate.strip("01"):
            digits = f"{2**inputs} digits, each 0 or 1"
            raise ValueError(f"gate={gate!r}: a truth table of {inputs} inputs is {digits}")
        return torch.tensor([[float(digit)] for digit in gate])
    choices = f"{', '.join(GATES)}, all, or a truth table such as '0110'"
    raise ValueError(f"gate={gate!r}: choose one of {choices}")


def every_truth(inputs: int) -> Tensor:
    """Outputs of all gates of some inputs ``(2^inputs, 2^(2^inputs))``."""
    if inputs > 4:
        raise ValueError(f"inputs={inputs}: gate='all' has at most 4, which make 65,536 gates")
    return binary_rows(2**inputs).mT.float()


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

    def tables(self) -> dict[str, Rows]:
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
    check_random_state(random_state)
