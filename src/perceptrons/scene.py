"""What there is to see of a network, as arrays: what figures are drawn from, in any process."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Layer:
    """A layer of neurons in each frame.

    Attributes:
        weights: ``(frames, neurons, inputs)``.
        biases: ``(frames, neurons)``.
        sums: Weighted sums over the cells ``(frames, cells, neurons)``, of the first neurons; they
            are 0 where a neuron switches.
        shades: What these neurons put out there, 0 for the least and 1 for the most.
    """

    weights: Array
    biases: Array
    sums: Array
    shades: Array


@dataclass(frozen=True)
class Scene:
    """A network at some of its reports, which are the frames, and the rows that it learns from.

    Attributes:
        title: What to call it.
        classes: Number of classes.
        reports: Number of updates at each report ``(reports,)``.
        measured: What was measured there by name, such as ``val/loss`` ``(reports,)``.
        toss: The loss of a network that says 1/2, or 1/3, ... of every row; NaN if unknown.
        missing: Why a figure is left out, by its name.
        names: What the inputs are called.
        called: What the classes are called; empty: by their numbers.
        points: The rows, as the user gives them ``(rows, inputs)``.
        right: Right class of each ``(rows,)``.
        cells: Points at which the network is looked at ``(cells, inputs)``: none, an axis, a plane,
            or a plane for each of some values of the third input.
        given: What the network is given there ``(cells, its inputs)``.
        updates: Number of updates at each frame ``(frames,)``.
        logits: What it says of the cells ``(frames, cells, outputs)``.
        at_rows: What it says of the rows ``(frames, rows, outputs)``.
        layers: The layers, where the network is one whose neurons can be told apart.
        losses: Of a study, the losses of its replicas at each report ``(reports, replicas)``.
        shares: Of a study, a row for each learning rate and scale, as ``metrics.json`` has it.
    """

    title: str
    classes: int
    reports: Integers
    measured: dict[str, Array]
    toss: float
    missing: dict[str, str]
    names: Sequence[str] = ()
    called: Sequence[str] = ()
    points: Array = field(default_factory=lambda: np.zeros((0, 2)))
    right: Integers = field(default_factory=lambda: np.zeros(0, int))
    cells: Array = field(default_factory=lambda: np.zeros((0, 2)))
    given: Array = field(default_factory=lambda: np.zeros((0, 2)))
    updates: Integers = field(default_factory=lambda: np.zeros(0, int))
    logits: Array = field(default_factory=lambda: np.zeros((0, 0, 1)))
    at_rows: Array = field(default_factory=lambda: np.zeros((0, 0, 1)))
    layers: Sequence[Layer] = ()
    losses: Array = field(default_factory=lambda: np.zeros((0, 0)))
    shares: Sequence[dict[str, Any]] = ()

    @property
    def inputs(self) -> int:
        return int(self.points.shape[1])

    @property
    def levels(self) -> Array:
        """Values of the third input, where there are planes for some; else a single 0."""
        return np.unique(self.cells[:, 2]) if self.inputs == 3 else np.zeros(1)

    @property
    def winners(self) -> Integers:
        """The class that each row is given in each frame ``(frames, rows)``."""
        if self.classes == 2:
            return (self.at_rows[..., 0] > 0).astype(int)
        likeliest: Integers = self.at_rows.argmax(-1)
        return likeliest


def chances(logits: Array, classes: int) -> Array:
    """Probability of each class ``(..., classes)``."""
    if classes == 2:
        yes = 0.5 + 0.5 * np.tanh(logits[..., 0].astype(float) / 2)
        return np.stack([1 - yes, yes], -1)
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    shares: Array = powers / powers.sum(-1, keepdims=True)
    return shares


def leads(logits: Array, classes: int) -> Array:
    """By how much each class but the first of two leads the others; 0 on a boundary."""
    if classes == 2:
        return logits
    others = [np.delete(logits, one, -1).max(-1) for one in range(classes)]
    ahead: Array = logits - np.stack(others, -1)
    return ahead
