"""Points of the plane in two shapes that no straight line parts: moons, circles, a spiral.

Shapes: ``x (rows, 2)``, ``y (rows, 1)``, 0 or 1.
"""

import math
from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from perceptrons.loader import Rows
from perceptrons.tables import TableData, check_fractions, check_random_state, split_rows

Drawn = tuple[NDArray[np.float64], NDArray[np.int64]]  # points (rows, 2) and classes (rows,)


class TwoShapes(TableData):
    """Points of two shapes in the plane, a class each.

    Args:
        n_samples: Number of points in all, half of them of each class.
        noise: How far the points lie off their shapes; 0: not at all.
        random_state: Seed of the points and of the split.
        val_fraction: Share of the points kept to validate on; with 0 the training points serve.
        test_fraction: Share of the points kept to test on; with 0 all points serve.

    Raises:
        ValueError: If a number is out of range.
    """

    inputs = 2
    outputs = 1
    classes = 2

    def __init__(
        self,
        n_samples: int = 200,
        noise: float = 0.0,
        random_state: int = 0,
        val_fraction: float = 0.0,
        test_fraction: float = 0.0,
        **table: Any,
    ) -> None:
        super().__init__(**table)
        if n_samples < 2:
            raise ValueError(f"n_samples={n_samples}: must be at least 2, a point of each class")
        if not 0 <= noise < math.inf:
            raise ValueError(f"noise={noise}: must be at least 0 and finite")
        check_random_state(random_state)
        check_fractions(val_fraction, test_fraction)
        self.n_samples, self.noise, self.random_state = n_samples, noise, random_state
        self.fractions = (val_fraction, test_fraction)

    @abstractmethod
    def draw(self) -> Drawn:
        """The points and their classes."""

    def tables(self) -> dict[str, Rows]:
        points, labels = self.draw()
        x, y = torch.from_numpy(points).float(), torch.from_numpy(labels)[:, None].float()
        return split_rows((x, y), labels, *self.fractions, self.random_state)


class Moons(TwoShapes):
    """Two half circles, each reaching into the other, from scikit-learn's ``make_moons``.

    Args:
        noise: Standard deviation of the points' distance from their half circles.
    """

    def __init__(self, noise: float = 0.1, **shapes: Any) -> None:
        super().__init__(noise=noise, **shapes)

    def draw(self) -> Drawn:
        from sklearn.datasets import make_moons

        drawn: Drawn = make_moons(self.n_samples, noise=self.noise, random_state=self.random_state)
        return drawn


class Circles(TwoShapes):
    """A circle round another, from scikit-learn's ``make_circles``.

    Args:
        noise: Standard deviation of the points' distance from their circles.
        factor: Radius of the inner circle, class 1; that of the outer is 1.
    """

    def __init__(self, noise: float = 0.1, factor: float = 0.5, **shapes: Any) -> None:
        super().__init__(noise=noise, **shapes)
        if not 0 <= factor < 1:
            raise ValueError(f"factor={factor}: must be at least 0 and below 1")
        self.factor = factor

    def draw(self) -> Drawn:
        from sklearn.datasets import make_circles

        drawn: Drawn = make_circles(
            self.n_samples, noise=self.noise, random_state=self.random_state, factor=self.factor
        )
        return drawn


class Spiral(TwoShapes):
    """Two arms of a spiral, one of each class, as TensorFlow Playground draws them.

    Point i of the n of an arm, from 1 on, lies at radius 5 i/n and angle 2 pi turns i/n, counted
    from the second axis; the arm of class 1 is the other turned by half a circle. (The Playground
    counts from 0, which gives both arms the point in the middle.) That two arms are hard to tell
    apart was shown by Lang and Witbrock (1988), with three turns and 97 points in each.

    Args:
        noise: Half the width of the square from which each point's shift is drawn.
        turns: How often an arm goes round the middle.
    """

    def __init__(self, noise: float = 0.0, turns: float = 1.75, **shapes: Any) -> None:
        super().__init__(noise=noise, **shapes)
        if not 0 < turns < math.inf:
            raise ValueError(f"turns={turns}: must be above 0 and finite")
        self.turns = turns

    def draw(self) -> Drawn:
        generator = np.random.default_rng(self.random_state)
        labels = np.arange(self.n_samples) % 2
        share = (np.arange(self.n_samples) // 2 + 1) / math.ceil(self.n_samples / 2)
        angle = 2 * np.pi * self.turns * share + np.pi * labels
        arms = 5 * share[:, None] * np.stack([np.sin(angle), np.cos(angle)], 1)
        return arms + generator.uniform(-self.noise, self.noise, arms.shape), labels
