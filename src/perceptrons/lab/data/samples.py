"""Data that needs no file: two shapes in the plane, and tables that scikit-learn ships."""

import math
from typing import Any

import numpy as np
from jsonargparse.typing import PositiveInt

from .columns import Column
from .encoding import ColumnData
from .ranges import FiniteNonNegative, FinitePositive, Fraction
from .split import PointData


class TwoShapes(PointData):
    """Points of two shapes in the plane that no straight line separates, one class each.

    ``random_state`` is the seed of the points too.

    Args:
        n_samples: Number of points in all, half of them of each class.
        noise: How far the points lie off their shapes; 0: not at all.

    Raises:
        ValueError: If there are fewer than two points, or the noise is too large to compute with.
    """

    inputs = 2
    outputs = 1
    classes = 2

    def __init__(
        self, n_samples: PositiveInt = 200, noise: FiniteNonNegative = 0.0, **split: Any
    ) -> None:
        super().__init__(**split)
        if n_samples < 2:
            raise ValueError(f"n_samples={n_samples}: must be at least 2, a point of each class")
        if not 0 <= noise < 1e30:
            raise ValueError(f"noise={noise}: must be at least 0 and below 1e30")
        self.n_samples, self.noise = n_samples, noise


class Moons(TwoShapes):
    """Two half circles, each reaching into the other, from scikit-learn's ``make_moons``.

    Args:
        noise: Standard deviation of the points' distance from their half circles.
    """

    def __init__(self, noise: FiniteNonNegative = 0.1, **shapes: Any) -> None:
        super().__init__(noise=noise, **shapes)

    def draw(self) -> tuple[Any, Any]:
        from sklearn.datasets import make_moons

        how = {"noise": self.noise, "random_state": self.random_state}
        return tuple(make_moons(self.n_samples, **how))


class Circles(TwoShapes):
    """A circle round another, from scikit-learn's ``make_circles``.

    Args:
        noise: Standard deviation of the points' distance from their circles.
        factor: Radius of the inner circle, class 1; that of the outer is 1.
    """

    def __init__(
        self, noise: FiniteNonNegative = 0.1, factor: Fraction = 0.5, **shapes: Any
    ) -> None:
        super().__init__(noise=noise, **shapes)
        self.factor = factor

    def draw(self) -> tuple[Any, Any]:
        from sklearn.datasets import make_circles

        how = {"noise": self.noise, "random_state": self.random_state, "factor": self.factor}
        return tuple(make_circles(self.n_samples, **how))


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

    def __init__(
        self, noise: FiniteNonNegative = 0.0, turns: FinitePositive = 1.75, **shapes: Any
    ) -> None:
        super().__init__(noise=noise, **shapes)
        self.turns = turns

    def draw(self) -> tuple[Any, Any]:
        generator = np.random.default_rng(self.random_state)
        labels = np.arange(self.n_samples) % 2
        distance = (np.arange(self.n_samples) // 2 + 1) / math.ceil(self.n_samples / 2)
        angle = 2 * np.pi * self.turns * distance + np.pi * labels
        arms = 5 * distance[:, None] * np.stack([np.sin(angle), np.cos(angle)], 1)
        return arms + generator.uniform(-self.noise, self.noise, arms.shape), labels


class BreastCancer(ColumnData):
    """Tumours, malignant or benign, by 30 measures of their cells: 569 rows from scikit-learn.

    The measures are standardised by the training rows.
    """

    def read(self) -> tuple[dict[str, Column], Column]:
        from sklearn.datasets import load_breast_cancer

        table = load_breast_cancer()
        columns = dict(zip(table.feature_names.tolist(), map(Column, table.data.T), strict=True))
        return columns, Column(1 - table.target, ("benign", "malignant"))


class Diabetes(ColumnData):
    """How far diabetes has gone after a year, by ten measures: 442 patients, from scikit-learn.

    A regression. The measures and the target are standardised by the training rows.
    """

    def read(self) -> tuple[dict[str, Column], Column]:
        from sklearn.datasets import load_diabetes

        table = load_diabetes(scaled=False)
        columns = dict(zip(table.feature_names, map(Column, table.data.T), strict=True))
        return columns, Column(table.target)
