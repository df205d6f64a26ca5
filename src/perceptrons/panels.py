"""What a network says over its inputs, drawn into axes, and the rows that it learns from.

Orange and blue stay apart for every kind of colour blindness. A colour is the answer, and the paler
it is the less sure; a cross is a row that is missed.
"""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray

from perceptrons.scene import Array, Scene, chances, leads

COLORS = ("#e66100", "#1f77d0", "#5d3a9b", "#40b0a6", "#d35fb7", "#6b6b6b")
MARKERS, SIGNS = "osD^vP", "\u25cf\u25a0\u25c6\u25b2\u25bc\u271a"
# how strong a colour is where the network is sure, and where it is not
STRONG, PALE = 0.62, 0.12
STRIP_ROWS = 40
FONT = 9


def draw_space(axes: Sequence[Axes], scene: Scene, frame: int) -> None:
    """What the network says over its inputs, as far as they can be drawn."""
    if scene.inputs == 1:
        draw_axis(axes[0], scene, frame)
    elif scene.inputs > 3:
        draw_strip(axes[0], scene, frame)
    else:
        for one, level in zip(axes, scene.levels, strict=True):
            draw_plane(one, scene, frame, level)
        for one in axes[1:]:
            one.set_ylabel("")
            one.set_yticklabels([])


def draw_plane(axes: Axes, scene: Scene, frame: int, level: float) -> None:
    """The plane of the first two inputs in the colours of the classes, and the rows over it."""
    here = scene.cells[:, 2] == level if scene.inputs == 3 else np.full(len(scene.cells), True)
    across, up = (np.unique(values) for values in scene.cells[here, :2].T)
    logits = scene.logits[frame][here]
    shape = (len(up), len(across), -1)
    extent = (across[0], across[-1], up[0], up[-1])
    paint = blend(chances(logits, scene.classes)).reshape(shape)
    axes.imshow(paint, origin="lower", extent=extent, aspect="auto", interpolation="bilinear")
    ahead = leads(logits, scene.classes).reshape(shape)
    for number in range(ahead.shape[2]):
        if ahead[..., number].min() < 0 < ahead[..., number].max():
            axes.contour(across, up, ahead[..., number], levels=[0], colors="black", linewidths=1.4)
    rows = np.full(len(scene.points), True)
    if scene.inputs == 3:
        rows = np.abs(scene.points[:, 2:] - scene.levels).argmin(1) == list(scene.levels).index(
            level
        )
        axes.set_title(f"{scene.names[2]} = {level:.3g}", fontsize=FONT)
    draw_rows(axes, scene, frame, scene.points[:, 0], scene.points[:, 1], rows)
    axes.set(xlim=extent[:2], ylim=extent[2:], xlabel=scene.names[0], ylabel=scene.names[1])
    axes.tick_params(labelsize=FONT - 1)
    binary = set(np.unique(scene.points)) <= {0, 1}
    for axis in (axes.xaxis, axes.yaxis):  # few, because each takes a millisecond
        axis.set_major_locator(FixedLocator([0, 1]) if binary else MaxNLocator(4))
        axis.set_major_formatter(StrMethodFormatter("{x:.3g}"))


def draw_axis(axes: Axes, scene: Scene, frame: int) -> None:
    """The probability over the one input, and the rows at their right answers."""
    shares = chances(scene.logits[frame], scene.classes)
    shown = range(1, 2) if scene.classes == 2 else range(scene.classes)
    for number in shown:
        color = colors(scene.classes)[number]
        axes.plot(scene.cells[:, 0], shares[:, number], color=color)
    axes.axhline(0.5, color="#6b6b6b", linestyle=":")
    height = scene.right.astype(float) if scene.classes == 2 else np.ones(len(scene.right))
    everywhere = np.full(len(scene.points), True)
    draw_rows(axes, scene, frame, scene.points[:, 0], height, everywhere)
    says = f"probability of {scene.called[1] if scene.called else 1}"
    axes.set(xlabel=scene.names[0], ylabel=says if scene.classes == 2 else "probability")
    axes.set_ylim(-0.08, 1.08)


def draw_strip(axes: Axes, scene: Scene, frame: int) -> None:
    """The probability of the right answer of each row, as bars: more inputs have no plane."""
    count = min(len(scene.points), STRIP_ROWS)
    shares = chances(scene.at_rows[frame, :count], scene.classes)
    right, places = scene.right[:count], np.arange(count)
    paint = [colors(scene.classes)[number] for number in right]
    axes.bar(places, shares[places, right], color=paint, width=0.8)
    axes.axhline(0.5, color="#6b6b6b", linestyle=":")
    missed = scene.winners[frame, :count] != right
    axes.plot(places[missed], np.full(missed.sum(), 1.04), "x", color="black")
    more = len(scene.points) - count
    axes.set_xlabel(f"row ({more} more)" if more else "row")
    axes.set(ylim=(0, 1.1), ylabel="probability of the right answer")
    if set(np.unique(scene.points)) <= {0, 1} and count <= 16:
        names = ["".join(f"{int(bit)}" for bit in point) for point in scene.points]
        axes.set_xticks(places, names, rotation=90, fontsize=FONT - 2)


def draw_rows(
    axes: Axes, scene: Scene, frame: int, x: Array, y: Array, shown: NDArray[np.bool_]
) -> None:
    """The rows in the colours of their right answers, with a cross over those that are missed."""
    size = 110 if len(scene.points) <= 16 else 22
    for number, color in enumerate(colors(scene.classes)):
        of_class, marker = shown & (scene.right == number), MARKERS[number % len(MARKERS)]
        place = x[of_class], y[of_class], size, color
        axes.scatter(*place, marker=marker, edgecolors="white", linewidths=0.8, zorder=3)
    missed = shown & (scene.winners[frame] != scene.right)
    axes.scatter(x[missed], y[missed], s=max(30, 0.6 * size), c="black", marker="x", zorder=4)


def draw_key(figure: Figure, scene: Scene) -> None:
    """What the markers stand for; as text, because a legend takes a hundredth of a second."""
    name = "right answer {}" if scene.classes == 2 else "class {}" if scene.classes < 5 else "{}"
    signs = zip(cycle(SIGNS), colors(scene.classes), strict=False)
    called = scene.called or [name.format(number) for number in range(scene.classes)]
    words = [(f"{sign} {one}", color) for one, (sign, color) in zip(called, signs, strict=True)]
    words.append(("\u2715 missed", "black"))
    for number, (text, color) in enumerate(words):
        x = 0.1 + 0.8 * (number + 0.5) / len(words)
        figure.text(x, 0.03, text, color=color, ha="center", fontsize=FONT - 1)


def caption(scene: Scene, frame: int) -> str:
    """How far the training was, and what was right then."""
    if not len(scene.updates):
        return f"update {int(scene.reports[-1]):,}"
    update = int(scene.updates[frame])
    words = f"update {update:,}"
    at = np.flatnonzero(scene.reports == update)
    if len(at) and "train/loss" in scene.measured:
        words += f" · loss {scene.measured['train/loss'][at[0]]:.4f}"
    hits = (scene.winners[frame] == scene.right).sum()
    rows = len(scene.right)
    words += f" · {hits} of {rows} right" if rows <= 16 else f" · {hits / rows:.0%} right"
    sure = np.abs(chances(scene.at_rows[frame], scene.classes) - 1 / scene.classes)
    return words + (" · unsure of all" if sure.max() < 0.01 else "")


def blend(shares: Array) -> Array:
    """Colour of each cell ``(cells, 3)``: the likeliest class's, paled by doubt."""
    count = shares.shape[1]
    likeliest = np.array([to_rgb(color) for color in colors(count)])[shares.argmax(1)]
    sure = (count * shares.max(1, keepdims=True) - 1) / (count - 1)
    paint: Array = 1 - (PALE + (STRONG - PALE) * sure) * (1 - likeliest)
    return paint


def colors(classes: int) -> list[str]:
    """A colour for each class."""
    if classes <= len(COLORS):
        return list(COLORS[:classes])
    return [to_hex(color) for color in colormaps["viridis"](np.linspace(0, 1, classes))]
