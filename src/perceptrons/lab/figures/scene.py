"""What there is to see of a run, as arrays: what figures are drawn from, in any process."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

# farthest from one half, or from one in as many as there are classes, that still says nothing
UNSURE = 1e-3
FEW = 16  # rows of which the best line is sought


@dataclass(frozen=True)
class Layer:
    """A layer of neurons in each frame."""

    weights: Array  # (frames, neurons, inputs)
    biases: Array  # (frames, neurons)
    sums: Array  # over the cells (frames, cells, neurons), 0 where a neuron switches
    shades: Array  # what these neurons put out there, 0 for the least and 1 for the most


@dataclass(frozen=True)
class Part:
    """The training, validation or test set of a table, and what the network says in the end."""

    right: Any  # right class, or numeric target (rows,)
    says: Array  # probability of each class (rows, classes), or the predicted number (rows,)


@dataclass(frozen=True)
class Study:
    """Many members of one experiment, of which the other figures show one."""

    updates: Integers  # at each report (reports,)
    losses: Array  # training loss there (reports, members)
    settings: Sequence[str] = ()  # what varies, such as "lr"
    groups: Sequence[dict[str, Any]] = ()  # of each setting, share, share_low, share_high


@dataclass(frozen=True)
class Scene:
    """A network at some of its snapshots, which are the frames, and the rows that it learns from.

    What is unknown is empty, and ``missing`` says why, by the name of the figure.
    """

    title: str
    classes: int  # 0 where there are none
    reports: Integers  # updates at each report (reports,)
    metrics: dict[str, Array]  # what was measured there, such as "val/loss" (reports,)
    chance: float = float("nan")  # loss of a network that favours no class
    missing: dict[str, str] = field(default_factory=dict)
    names: Sequence[str] = ()  # of the inputs
    called: Sequence[str] = ()  # the classes; empty: by their numbers
    points: Array = field(default_factory=lambda: np.zeros((0, 2)))  # rows as the user gives them
    right: Integers = field(default_factory=lambda: np.zeros(0, int))  # class of each (rows,)
    # where the network is looked at (cells, inputs), on an axis or a plane; what it is given there
    cells: Array = field(default_factory=lambda: np.zeros((0, 2)))
    given: Array = field(default_factory=lambda: np.zeros((0, 2)))
    updates: Integers = field(default_factory=lambda: np.zeros(0, int))  # at each frame (frames,)
    # what the network says of the cells and of the rows (frames, cells or rows, outputs)
    logits: Array = field(default_factory=lambda: np.zeros((0, 0, 1)))
    at_rows: Array = field(default_factory=lambda: np.zeros((0, 0, 1)))
    hits: Integers = field(default_factory=lambda: np.zeros(0, int))  # right rows (frames,)
    rows: int = 0  # of how many
    sampled: bool = False  # whether these are some of the rows
    sets: Sequence[str] = ()  # of which they are: train, val and test, where these are others
    line: int | None = None  # rows that the best line gets right, for a perceptron of few rows
    layers: Sequence[Layer] = ()
    parts: dict[str, Part] = field(default_factory=dict)  # of a table that has no plane
    worst: dict[str, list[Any]] = field(default_factory=dict)  # its worst rows, by column
    # loss of accuracy, or of R2, where an input is shuffled, and its standard deviation (inputs, 2)
    importance: Array = field(default_factory=lambda: np.zeros((0, 2)))
    study: Study | None = None

    @property
    def inputs(self) -> int:
        return int(self.points.shape[1])

    @property
    def class_names(self) -> list[str]:
        return [*map(str, self.called or range(self.classes))]

    def missed(self, frame: int) -> NDArray[np.bool_]:
        """Which rows are not right in a frame ``(rows,)``; none where the network says nothing."""
        wrong: NDArray[np.bool_] = winners(self.at_rows[frame], self.classes) != self.right
        return wrong & (not self.is_unsure(frame))

    def is_unsure(self, frame: int) -> bool:
        """Whether no row's probabilities favour a class."""
        away = np.abs(chances(self.at_rows[frame], self.classes) - 1 / self.classes)
        return bool(away.max() < UNSURE)


def winners(logits: Array, classes: int) -> Integers:
    """The class that each row is given ``(..., rows)``."""
    found: Integers = (logits[..., 0] > 0).astype(int) if classes == 2 else logits.argmax(-1)
    return found


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


def evenly_changed(values: Any, count: int) -> list[int]:
    """Which of some states to keep so that about as much changes from each to the next.

    Half of the choice goes by how much changed, half by their number, so that a standstill is seen
    to last. The first and the last are always kept.

    Args:
        values: The states ``(states, numbers)``.
        count: How many to keep at most, from 2.
    """
    states = len(values)
    if states <= count:
        return [*range(states)]
    steps = np.linalg.norm(np.nan_to_num(np.diff(np.asarray(values, float), axis=0)), axis=1)
    steps = np.minimum(steps, 1e100)
    way = np.concatenate([[0.0], np.cumsum(steps)])
    share = np.linspace(0, 1, states) + (way / way[-1] if way[-1] > 0 else 0)
    wanted = np.linspace(0, share[-1], count)
    return sorted({int(np.abs(share - each).argmin()) for each in wanted})


def best_line(points: Array, right: Integers) -> int:
    """How many rows of two classes the best line gets right ``points (rows, 2)``."""
    # the best one can be turned and moved until it all but touches two points
    best = max(int((right == one).sum()) for one in (0, 1))
    for first, second in combinations(np.unique(points, axis=0), 2):
        for turn in (-1e-4, 1e-4):
            for shift in (-1e-3, 0.0, 1e-3):
                along = second - first
                across = np.array([-along[1], along[0]]) + turn * along
                side = (points - (first + second) / 2) @ across > shift * (along @ along)
                hits = int((side == right).sum())
                best = max(best, hits, len(right) - hits)
    return best


def hidden_names(widths: Sequence[int]) -> list[list[str]]:
    """What the neurons of hidden layers are called: ``h2.1`` is the first of the second layer."""
    numbers = [f"{layer}." if len(widths) > 1 else "" for layer in range(1, len(widths) + 1)]
    return [
        [f"h{number}{neuron}" for neuron in range(1, width + 1)]
        for number, width in zip(numbers, widths, strict=True)
    ]
