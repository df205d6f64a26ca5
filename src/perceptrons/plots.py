"""Figures: arrays in, matplotlib ``Figure`` out."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

# orange and blue stay apart for every kind of colour blindness; the third is between them
CLASS_COLORS = ("#e66100", "#1f77d0", "#5d3a9b", "#40b0a6", "#d35fb7", "#6b6b6b")
MARKERS = "osD^vP"


class Boundary(NamedTuple):
    """What a network with two inputs says over the plane.

    Attributes:
        title: What to write over it.
        points: The rows ``(rows, 2)``.
        classes: Right class of each row ``(rows,)``.
        probability: Gives the probability of each class ``(points, classes)`` for ``(points, 2)``.
    """

    title: str
    points: Array
    classes: NDArray[np.integer[Any]]
    probability: Callable[[Array], Array]


def boundaries(panels: Sequence[Boundary]) -> Figure:
    """Panels side by side: the plane in the colours of the classes, and the rows over it."""
    figure = Figure(figsize=(3.0 * len(panels), 3.2), dpi=120, layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw_boundary(axes, panel)
    return figure


def draw_boundary(axes: Axes, panel: Boundary) -> None:
    (left, bottom), (right, top) = panel.points.min(0), panel.points.max(0)
    margin = 0.35 * max(right - left, top - bottom)
    extent = (left - margin, right + margin, bottom - margin, top + margin)
    across, up = np.meshgrid(np.linspace(*extent[:2], 120), np.linspace(*extent[2:], 120))
    chances = panel.probability(np.stack([across.ravel(), up.ravel()], 1))
    axes.imshow(
        blend(chances).reshape(*across.shape, 3), origin="lower", extent=extent, aspect="auto"
    )
    winner = chances.argmax(1).reshape(across.shape)
    axes.contour(across, up, winner, levels=np.arange(chances.shape[1] - 1) + 0.5, colors="black")
    for number, color in enumerate(CLASS_COLORS[: chances.shape[1]]):
        x, y = panel.points[panel.classes == number].T
        axes.scatter(x, y, c=color, marker=MARKERS[number], edgecolors="white", s=45, zorder=3)
    axes.set_title(panel.title, fontsize=10)
    axes.set_xlabel("input 1")
    axes.set_ylabel("input 2")


def blend(chances: Array) -> Array:
    """Colour of each point ``(points, 3)``: the classes' colours, mixed by probability, paled."""
    colors = np.array([to_rgb(color) for color in CLASS_COLORS[: chances.shape[1]]])
    mixed: Array = 0.55 + 0.45 * chances @ colors
    return mixed
