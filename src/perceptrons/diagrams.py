"""Figures of what is inside a network: its neurons and weights; arrays in, ``Figure`` out.

Blue is a positive weight or an output near its largest, orange a negative one or one near its
least; a line is as wide as its weight is large.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
from contourpy import contour_generator
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from perceptrons.panels import COLORS, FONT, MARKERS, blend, colors
from perceptrons.plots import titled, wipe
from perceptrons.scene import Array, Scene, chances, leads

# neurons of a layer that are drawn, and weights up to which each is written beside its line
MOST_SHOWN, MOST_WRITTEN = 6, 9
MOST_POINTS = 100  # rows that are drawn into each tile
SPACING = 1.7  # between two layers
NEGATIVE, POSITIVE = COLORS[:2]
LONG = 3  # letters, of a name that goes beside its neuron and not into it
TILE = 0.8  # of the distance between two neurons


def network(scene: Scene, frame: int = -1, figure: Figure | None = None) -> Figure:
    """The network's neurons and the weights between them in a frame.

    Args:
        scene: What to draw.
        frame: Which of its frames.
        figure: The figure of another frame, to be drawn over: to make one takes longer.
    """
    places = positions(scene)
    figure = figure or canvas(places)
    (axes,) = figure.axes
    wipe(figure)
    written = sum(layer.weights[frame].size for layer in scene.layers) <= MOST_WRITTEN
    draw_weights(axes, scene, frame, places, written)
    for column, (nodes, names) in enumerate(zip(places, labels(scene), strict=True)):
        axes.scatter(nodes[:, 0], nodes[:, 1], 620, "white", edgecolors="black", zorder=3)
        for (x, y), name in zip(nodes, names, strict=True):
            if len(name) > LONG:
                axes.text(x - 0.3, y, name, ha="right", va="center", fontsize=FONT)
            else:
                axes.text(x, y, name, ha="center", va="center", fontsize=FONT, zorder=4)
        if column and written:
            biases = scene.layers[column - 1].biases[frame]
            for (x, y), bias in zip(nodes, biases, strict=False):
                text = f"bias {bias:+.3g}"
                axes.text(x, y - 0.3, text, ha="center", va="top", fontsize=FONT - 2, zorder=4)
    draw_more(axes, scene, places)
    return titled(figure, scene, frame)


def neurons(scene: Scene, frame: int = -1, figure: Figure | None = None) -> Figure:
    """What each neuron makes of the inputs in a frame, in its place in the network.

    Args:
        scene: What to draw.
        frame: Which of its frames.
        figure: The figure of another frame, to be drawn over: to make one takes longer.
    """
    places = positions(scene)
    figure = figure or canvas(places)
    (axes,) = figure.axes
    wipe(figure)
    draw_weights(axes, scene, frame, places)
    for column, (nodes, names) in enumerate(zip(places, labels(scene), strict=True)):
        for number, (node, name) in enumerate(zip(nodes, names, strict=True)):
            draw_tile(axes, scene, node, *seen(scene, frame, column, number))
            x, y = node
            axes.text(x, y + TILE / 2 + 0.02, name, ha="center", va="bottom", fontsize=FONT - 1)
    draw_points(axes, scene, places[1:])
    draw_more(axes, scene, places)
    return titled(figure, scene, frame)


def canvas(places: Sequence[Array]) -> Figure:
    """An empty figure that has room for all neurons."""
    nodes = np.concatenate(places)
    (left, bottom), (right, top) = nodes.min(0), nodes.max(0)
    tall = top - bottom + 1.5
    figure = Figure(figsize=(max(4.6, 1.7 * len(places)), 0.5 + 1.05 * tall), dpi=90)
    height = 1 - 0.5 / figure.get_figheight()
    axes = figure.add_axes((0.02, 0.01, 0.96, height))
    axes.set_axis_off()
    axes.set(xlim=(left - 1.1, right + 0.8), ylim=(bottom - 0.75, top + 0.75))
    axes.set_aspect("equal")
    return figure


def draw_more(axes: Axes, scene: Scene, places: Sequence[Array]) -> None:
    """How many neurons of each layer are not shown."""
    for nodes, width in zip(places, widths(scene), strict=True):
        if width > len(nodes):
            x, y = nodes[-1]
            text = f"and {width - len(nodes)} more"
            axes.text(x, y - 0.55, text, ha="center", va="top", fontsize=FONT - 2)


def widths(scene: Scene) -> list[int]:
    """Inputs, and neurons of each layer."""
    return [scene.layers[0].weights.shape[2], *(layer.weights.shape[1] for layer in scene.layers)]


def positions(scene: Scene) -> list[Array]:
    """Where the inputs and the shown neurons of each layer are ``(neurons, 2)``."""
    places = []
    for column, width in enumerate(widths(scene)):
        shown = min(width, MOST_SHOWN)
        up = (shown - 1) / 2 - np.arange(shown)
        places.append(np.stack([np.full(shown, SPACING * column), up * 1.2], 1))
    return places


def labels(scene: Scene) -> list[list[str]]:
    """What to call the inputs and the shown neurons."""
    *hidden, outputs = (len(nodes) for nodes in positions(scene)[1:])
    constant = [len(scene.given) > 0 and np.ptp(values) == 0 for values in scene.given.T]
    names = [
        *scene.names,
        *(f"x{number}" for number in range(len(scene.names) + 1, len(constant) + 1)),
    ]
    short = [name if len(name) < 9 else f"{name[:7]}\u2026" for name in names]
    inputs = ["1" if each else name for name, each in zip(short, constant, strict=True)]
    ends = ["p"] if outputs == 1 else [f"p{number}" for number in range(outputs)]
    return [
        inputs[:MOST_SHOWN],
        *([f"h{number}" for number in range(1, n + 1)] for n in hidden),
        ends,
    ]


def draw_weights(
    axes: Axes, scene: Scene, frame: int, places: Sequence[Array], written: bool = False
) -> None:
    """A line for each weight between shown neurons, as wide as in any other frame."""
    largest = max(float(np.abs(layer.weights).max()) for layer in scene.layers) or 1.0
    lines, values = [], []
    for before, after, layer in zip(places, places[1:], scene.layers, strict=False):
        for number, end in enumerate(after):
            lines += [(start, end) for start in before]
            values += list(layer.weights[frame, number, : len(before)])
    signs = [POSITIVE if value > 0 else NEGATIVE for value in values]
    wide = [0.4 + 5 * abs(value) / largest for value in values]
    axes.add_collection(LineCollection(lines, colors=signs, linewidths=wide, zorder=1, alpha=0.8))
    for (start, end), value in zip(lines, values, strict=True) if written else ():
        x, y = start + 0.36 * (end - start)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
        text = f"{value:+.3g}"
        axes.text(x, y, text, ha="center", va="center", fontsize=FONT - 2, zorder=2, bbox=box)


def seen(scene: Scene, frame: int, column: int, number: int) -> tuple[Array, Array]:
    """Over the cells, what a neuron's or an input's line is at 0, and the share of a yes."""
    if column == 0:
        values = scene.given[:, number]
        low, high = values.min(), values.max()
        share = (values - low) / (high - low) if high > low else np.ones(len(values))
        return np.ones(len(values)), share
    if column < len(scene.layers):
        layer = scene.layers[column - 1]
        return layer.sums[frame, :, number], layer.shades[frame, :, number]
    logits = scene.logits[frame]
    shares = chances(logits, scene.classes)
    return leads(logits, scene.classes)[:, number], shares[:, number if scene.classes > 2 else 1]


def draw_tile(axes: Axes, scene: Scene, node: Array, sums: Array, share: Array) -> None:
    """What a neuron makes of the inputs: a plane in colours, or a curve over one input."""
    left, bottom = node - TILE / 2
    corners = (left, left + TILE, bottom, bottom + TILE)
    if scene.inputs == 1:
        draw_curve_tile(axes, scene, corners, share)
        return
    across, up = (np.unique(values) for values in scene.cells.T)
    shape = (len(up), len(across))
    paint = blend(np.stack([1 - share, share], 1)).reshape(*shape, 3)
    image = AxesImage(axes, extent=corners, origin="lower", interpolation="bilinear", zorder=3)
    image.set_data(paint)  # not by imshow, which measures the axes anew for each
    axes.add_image(image)
    x, y = np.linspace(*corners[:2], len(across)), np.linspace(*corners[2:], len(up))
    lines = cast(list[Array], contour_generator(x, y, sums.reshape(shape)).lines(0))
    axes.add_collection(LineCollection(lines, colors="black", linewidths=1, zorder=4))
    axes.add_patch(frame_of(corners))


def draw_curve_tile(axes: Axes, scene: Scene, corners: tuple[float, ...], share: Array) -> None:
    """A neuron's output over one input."""
    left, right, bottom, _ = corners
    x = np.linspace(left, right, len(scene.cells))
    axes.add_patch(frame_of(corners, "white"))
    axes.plot(x, bottom + TILE * (0.08 + 0.84 * share), color=POSITIVE, zorder=4)


def frame_of(corners: tuple[float, ...], color: str = "none") -> Rectangle:
    left, _, bottom, _ = corners
    return Rectangle((left, bottom), TILE, TILE, facecolor=color, edgecolor="black", zorder=3)


def draw_points(axes: Axes, scene: Scene, places: Sequence[Array]) -> None:
    """The rows in every tile, where they are few enough."""
    if scene.inputs != 2 or len(scene.points) > MOST_POINTS:
        return
    low, high = scene.cells.min(0), scene.cells.max(0)
    within = TILE * ((scene.points - low) / (high - low) - 0.5)
    for number, (color, marker) in enumerate(zip(colors(scene.classes), MARKERS, strict=False)):
        spots = [node + within[scene.right == number] for nodes in places for node in nodes]
        x, y = np.concatenate(spots).T
        size = 26 if len(scene.points) <= 16 else 6
        axes.scatter(x, y, c=color, marker=marker, s=size, edgecolors="white", lw=0.6, zorder=5)
