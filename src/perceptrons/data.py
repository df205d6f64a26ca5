"""The data: logic gates and blobs, each a small table."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jsonargparse.typing import PositiveInt
from torch import Tensor

from .lab.data.loader import Rows
from .lab.data.ranges import FinitePositive
from .lab.data.split import PointData
from .lab.data.tables import TableData

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
    """Outputs of a gate for each row of its table ``(2^inputs, outputs)``, as 0.0 and 1.0."""
    if gate == "all" and inputs > 4:
        raise ValueError(f"inputs={inputs}: gate='all' has at most 4, which make 65,536 gates")
    if gate == "all":
        return binary_rows(2**inputs).mT.float()
    if gate in GATES:
        return GATES[gate](binary_rows(inputs).sum(1, keepdim=True), inputs).float()
    if not gate.isdecimal():
        choices = f"{', '.join(GATES)}, all, or a truth table such as '0110'"
        raise ValueError(f"gate={gate!r}: choose one of {choices}")
    if len(gate) != 2**inputs or gate.strip("01"):
        digits = f"{2**inputs} digits, each 0 or 1"
        raise ValueError(f"gate={gate!r}: a truth table of {inputs} inputs is {digits}")
    return torch.tensor([[float(digit)] for digit in gate])


class Blobs(PointData):
    """Round clusters of points, one class each, from scikit-learn's ``make_blobs``.

    Two clusters have one output; more have an output for each. ``random_state`` is the seed of the
    points too.

    Args:
        n_samples: Number of points in all.
        centers: The clusters' centres, a list of coordinates for each, or how many to place at
            random.
        cluster_std: Standard deviation of each cluster.
        n_features: Number of coordinates, where ``centers`` is a count.
    """

    def __init__(
        self,
        n_samples: PositiveInt = 100,
        centers: int | list[list[float]] = 2,
        cluster_std: FinitePositive = 1.0,
        n_features: PositiveInt = 2,
        **split: Any,
    ) -> None:
        super().__init__(**split)
        places = [[0.0] * n_features] * centers if isinstance(centers, int) else centers
        check_centers(places, n_samples)
        self.inputs, self.classes = len(places[0]), len(places)
        self.outputs = 1 if self.classes == 2 else self.classes
        self.n_samples, self.n_features = n_samples, n_features
        self.centers, self.cluster_std = centers, cluster_std

    def draw(self) -> tuple[Any, Any]:
        from sklearn.datasets import make_blobs  # takes a second

        points, labels = make_blobs(
            self.n_samples,
            self.n_features,
            centers=self.centers,
            cluster_std=self.cluster_std,
            random_state=self.random_state,
        )
        return points, labels


def check_centers(centers: list[list[float]], points: int) -> None:
    if len(centers) < 2:
        raise ValueError(f"centers={centers}: there must be at least 2")
    if len({len(center) for center in centers}) > 1:
        raise ValueError(f"centers={centers}: all must have the same number of coordinates")
    if not (centers[0] and np.isfinite(centers).all()):
        raise ValueError(f"centers={centers}: must have coordinates, which are finite")
    if points < len(centers):
        raise ValueError(f"n_samples={points}: fewer points than the {len(centers)} centres")
