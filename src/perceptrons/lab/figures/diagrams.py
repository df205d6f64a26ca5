"""Figures of what is inside a network: its neurons and weights; arrays in, ``Figure`` out.

A line is as wide as its weight is large; it is solid where that is positive, else dashed.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from contourpy import contour_generator
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from .panels import STRONG, blend, caption, colors, ink, plain, signed, size
from .scene import Array, Scene, chances, hidden_names, leads

# neurons of a layer that are drawn, and weights up to which each is written beside its line
MOST_SHOWN, MOST_WRITTEN = 6, 9
ACROSS, APART = 2.8, 1.5  # from a layer to the next, and from a neuron to the next
LONG, LONGEST = 4, 16  # letters of a name, from which on it goes beside its neuron; at most
TILE = 1.0
UP = np.array([0, TILE / 2 + 0.03])  # from a neuron to the text above it
NEAR = 0.27  # where on its line a weight is written, from its start: lines do not cross so soon
DASH, GAP = 2.2, 1.2  # of a line, in its widths
KEY = "solid: positive weight \u00b7 dashed: negative \u00b7 wide: large"


def network(scene: Scene, number: int = -1) -> Figure:
    """The network in one of the frames: neurons, and the weights between them.

    Over one or two inputs a neuron is a map of what it puts out, with a line where its sum is 0.
    """
    places = positions(scene)
    figure, axes = canvas(scene, number, places)
    written = sum(layer.weights[number].size for layer in scene.layers) <= MOST_WRITTEN
    draw_weights(axes, scene, number, places, written)
    for column, (nodes, names) in enumerate(zip(places, labels(scene), strict=True)):
        for one, (node, name) in enumerate(zip(nodes, names, strict=True)):
            if len(scene.cells):
                draw_tile(axes, scene, node, *seen(scene, number, column, one))
                axes.annotate(name, node + UP, ha="center", va="bottom", fontsize=size(0.9))
            else:
                draw_circle(axes, node, name, column == len(places) - 1)
            if column and written:
                text = f"bias {signed(scene.layers[column - 1].biases[number, one])}"
                axes.annotate(text, node - UP, ha="center", va="top", fontsize=size(0.85))
    for (*_, (x, y)), nodes, width in zip(places, places, widths(scene), strict=True):
        if width > len(nodes):
            more: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": size(0.85)}
            axes.text(x, y - 0.6, f"and {width - len(nodes)} more", **more)
    return figure


def draw_circle(axes: Axes, node: Array, name: str, last: bool) -> None:
    """A neuron with its name, in it or, where that is long, beside it."""
    x, y = node
    axes.scatter(x, y, 900, rcParams["axes.facecolor"], edgecolors=ink(), zorder=3)
    beside = (x + 0.47, "left") if last else (x - 0.47, "right")
    place, ha = beside if len(name) > LONG else (x, "center")
    axes.text(place, y, name, ha=ha, va="center", fontsize=size(), zorder=4)


def room(names: Sequence[str]) -> float:
    """How far the first or the last layer is from the edge, for its names."""
    longest = max(map(len, names))
    return 0.65 + 0.13 * longest if longest > LONG else 1.0


def canvas(scene: Scene, number: int, places: Sequence[Array]) -> tuple[Figure, Axes]:
    """An empty figure that has room for all neurons, with what it shows over it."""
    nodes = np.concatenate(places)
    (left, bottom), (right, top) = nodes.min(0), nodes.max(0)
    before, after = room(labels(scene)[0]), room(labels(scene)[-1])
    wide, tall = right - left + before + after, top - bottom + 1.6
    inches, line = min(1.0, max(0.55, 5.0 / wide)), size() / 72
    figure = Figure(figsize=(inches * wide, inches * tall + 5 * line))
    height = figure.get_figheight()
    axes = figure.add_axes((0, 1.8 * line / height, 1, 1 - 5 * line / height))
    axes.set_axis_off()
    axes.set(xlim=(left - before, right + after), ylim=(bottom - 0.8, top + 0.8))
    axes.set_aspect("equal")
    title = f"{plain(scene.title, 60)} · {caption(scene, number)}"
    figure.suptitle(title, fontsize=size(), y=1 - 0.08 / height, va="top")
    figure.text(0.5, 0.06 / height, KEY, ha="center", fontsize=size(0.85))
    return figure, axes


def widths(scene: Scene) -> list[int]:
    """Inputs, and neurons of each layer."""
    return [scene.layers[0].weights.shape[2], *(layer.weights.shape[1] for layer in scene.layers)]


def positions(scene: Scene) -> list[Array]:
    """Where the inputs and the shown neurons of each layer are ``(neurons, 2)``."""
    places = []
    for column, width in enumerate(widths(scene)):
        shown = min(width, MOST_SHOWN)
        up = (shown - 1) / 2 - np.arange(shown)
        places.append(np.stack([np.full(shown, ACROSS * column), up * APART], 1))
    return places


def labels(scene: Scene) -> list[list[str]]:
    """What to call the inputs and the shown neurons."""
    inputs, *hidden, outputs = (len(nodes) for nodes in positions(scene))
    names = [plain(name, LONGEST) for name in scene.names]
    if len(scene.given):
        constant = [np.ptp(values) == 0 for values in scene.given.T]
        names += [f"x{number}" for number in range(len(names) + 1, len(constant) + 1)]
        names = ["1" if each else name for name, each in zip(names, constant, strict=True)]
    elif len(names) != widths(scene)[0]:  # columns that the data has encoded
        names = [f"x{number}" for number in range(1, inputs + 1)]
    ends = ["p" if scene.classes else "y"]
    if outputs > 1 or scene.called:  # of two classes there is one output, the second's
        called = scene.class_names if outputs > 1 else scene.class_names[1:]
        ends = [f"p({plain(name, LONGEST - 4)})" for name in called[:outputs]]
    return [names[:MOST_SHOWN], *hidden_names(hidden), ends]


def draw_weights(
    axes: Axes, scene: Scene, frame: int, places: Sequence[Array], written: bool = False
) -> None:
    """A line for each weight between shown neurons, as wide as in any other frame."""
    largest = max(float(np.abs(layer.weights).max()) for layer in scene.layers) or 1.0
    side = np.array([TILE / 2 if len(scene.cells) else 0, 0])  # lines end where a map begins
    lines, values = [], []
    for before, after, layer in zip(places, places[1:], scene.layers, strict=False):
        for number, end in enumerate(after):
            lines += [(start + side, end - side) for start in before]
            values += list(layer.weights[frame, number, : len(before)])
    wide = [0.4 + 4.6 * abs(value) / largest for value in values]
    axes.apply_aspect()
    ends = axes.transData.transform(np.reshape(lines, (-1, 2))) * 72 / axes.figure.dpi
    lengths = np.linalg.norm(ends[1::2] - ends[::2], axis=1) / wide
    signs = ["-" if v > 0 else (0, dashes(each)) for v, each in zip(values, lengths, strict=True)]
    axes.add_collection(
        LineCollection(lines, colors="gray", linestyles=signs, linewidths=wide, zorder=1)
    )
    box = {"facecolor": rcParams["axes.facecolor"], "edgecolor": "none", "pad": 1.2}
    middle: dict[str, Any] = {"ha": "center", "va": "center", "bbox": box, "zorder": 2}
    for (start, end), value in zip(lines, values, strict=True) if written else ():
        x, y = start + NEAR * (end - start)
        axes.text(x, y, signed(value), fontsize=size(0.85), **middle)


def dashes(length: float) -> tuple[float, float]:
    """A dash and a gap in a line of a length in its widths, which begins and ends with a dash."""
    scale = length / (max(1, round((length - DASH) / (DASH + GAP))) * (DASH + GAP) + DASH)
    return DASH * scale, GAP * scale


def seen(scene: Scene, number: int, column: int, neuron: int) -> tuple[Array, Array, str]:
    """Over the cells, what is 0 on a neuron's line, how much it puts out, and in which colour."""
    if column == 0:
        values = scene.given[:, neuron]
        low, high = values.min(), values.max()
        share = (values - low) / (high - low) if high > low else np.ones(len(values))
        return np.ones(len(values)), share, ink()
    if column < len(scene.layers):
        layer = scene.layers[column - 1]
        return layer.sums[number, :, neuron], layer.shades[number, :, neuron], ink()
    one, logits = neuron if scene.classes > 2 else 1, scene.logits[number]
    ahead, share = leads(logits, scene.classes)[:, neuron], chances(logits, scene.classes)[:, one]
    return ahead + scene.is_unsure(number), share, colors(scene.classes)[one]


def draw_tile(axes: Axes, scene: Scene, node: Array, sums: Array, share: Array, color: str) -> None:
    """What a neuron makes of the inputs: a plane, or a curve over one input."""
    left, bottom = node - TILE / 2
    corners = (left, left + TILE, bottom, bottom + TILE)
    border: dict[str, Any] = {"edgecolor": ink(), "zorder": 3}
    ground = np.array(to_rgb(rcParams["axes.facecolor"]))
    if scene.inputs == 1:
        x = np.linspace(*corners[:2], len(scene.cells))
        axes.add_patch(Rectangle((left, bottom), TILE, TILE, facecolor=ground, **border))
        axes.plot(x, bottom + TILE * (0.08 + 0.84 * share), color=color, zorder=4)
        return
    across, up = (np.unique(values) for values in scene.cells.T)
    shape = (len(up), len(across))
    paint = ground + STRONG * share[:, None] * (np.array(to_rgb(color)) - ground)
    if color != ink() and scene.classes == 2:
        paint = blend(np.stack([1 - share, share], 1))
    image = AxesImage(axes, extent=corners, origin="lower", interpolation="bilinear", zorder=3)
    image.set_data(paint.reshape(*shape, 3))  # not by imshow, which measures the axes anew
    axes.add_image(image)
    x, y = np.linspace(*corners[:2], len(across)), np.linspace(*corners[2:], len(up))
    lines = cast(list[Array], contour_generator(x, y, sums.reshape(shape)).lines(0))
    axes.add_collection(LineCollection(lines, colors=ink(), linewidths=1, zorder=4))
    axes.add_patch(Rectangle((left, bottom), TILE, TILE, facecolor="none", **border))
