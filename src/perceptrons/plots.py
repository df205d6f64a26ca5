"""Figures of what a network says, and of how it came to: arrays in, matplotlib ``Figure`` out.

Orange and blue stay apart for every kind of colour blindness. A colour is the answer, and the paler
it is the less sure; a cross is a row that is answered wrongly.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FixedLocator, MaxNLocator
from numpy.typing import NDArray

from perceptrons.scene import Array, Scene, chances, leads

COLORS = ("#e66100", "#1f77d0", "#5d3a9b", "#40b0a6", "#d35fb7", "#6b6b6b")
MARKERS, SIGNS = "osD^vP", "\u25cf\u25a0\u25c6\u25b2\u25bc\u271a"
CURVES = {"train": ("#1f77d0", "-"), "val": ("#e66100", "--")}
# how strong a colour is where the network is sure, and where it is not
STRONG, PALE = 0.62, 0.12
STRIP_ROWS = 40
FONT = 9


def boundary(scene: Scene, frame: int = -1, figure: Figure | None = None) -> Figure:
    """What the network says over its inputs in a frame, and the rows.

    Args:
        scene: What to draw.
        frame: Which of its frames.
        figure: The figure of another frame, to be drawn over: to make one takes longer.
    """
    if figure is None:
        count = len(scene.levels)
        figure = Figure(figsize=(0.9 + 3.0 * count, 4.0), dpi=90)
        sides = {"left": 0.16 / count, "right": 1 - 0.04 / count, "wspace": 0.12}
        for place in figure.add_gridspec(1, count, bottom=0.21, top=0.88, **sides):
            figure.add_subplot(place)
        draw_key(figure, scene)
    wipe(figure)
    draw_space(figure.axes, scene, frame)
    return titled(figure, scene, frame)


def wipe(figure: Figure) -> None:
    """Take away what is drawn in a figure's axes."""
    for axes in figure.axes:
        for artist in axes.get_children():
            if artist in (*axes.images, *axes.lines, *axes.collections, *axes.patches, *axes.texts):
                artist.remove()


def titled(figure: Figure, scene: Scene, frame: int) -> Figure:
    """A figure with what it shows over it."""
    figure.suptitle(f"{scene.title}\n{caption(scene, frame)}", fontsize=FONT, y=0.985, va="top")
    return figure


def curves(scene: Scene) -> Figure:
    """Loss and accuracy at each report."""
    figure = Figure(figsize=(6.0, 4.3), dpi=90)
    loss, accuracy = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    figure.subplots_adjust(left=0.1, right=0.97, bottom=0.11, top=0.92, hspace=0.1)
    for stage, (color, style) in CURVES.items():
        for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
            values = scene.measured.get(f"{stage}/{name}")
            if values is not None:
                axes.plot(scene.reports, values, style, color=color, label=stage, marker=".")
    draw_toss(loss, scene)
    loss.set_title(scene.title, fontsize=FONT + 1)
    loss.set_ylim(0, 1.08 * highest([scene]))
    loss.set_ylabel("loss")
    loss.legend(frameon=False, fontsize=FONT - 1)
    accuracy.set_ylim(-0.05, 1.05)
    accuracy.set_ylabel("accuracy")
    accuracy.set_xlabel("updates")
    return figure


def comparison(scenes: Sequence[Scene]) -> Figure:
    """Several networks in one figure: their losses together, and what each says in the end."""
    figure = Figure(figsize=(max(6.5, 3.4 * len(scenes)), 6.6), dpi=90, layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.25))
    axes = top.subplots()
    for number, scene in enumerate(scenes):
        name = "val/loss" if "val/loss" in scene.measured else "train/loss"
        style = ("-", "--", "-.", ":")[number // len(COLORS) % 4]
        color = COLORS[::-1][(number + 4) % len(COLORS)]
        values = scene.measured.get(name, np.zeros(0))
        axes.plot(scene.reports[: len(values)], values, style, color=color, label=scene.title)
    draw_toss(axes, scenes[0])
    axes.set(xlabel="updates", ylabel="loss")
    axes.set_ylim(0, 1.08 * highest(scenes))
    axes.legend(frameon=False, fontsize=FONT - 1)
    for scene, place in zip(scenes, bottom.subfigures(1, len(scenes), squeeze=False)[0], strict=True):
        draw_panel(place, scene, f"{scene.title}\n{caption(scene, -1)}")
    return figure


def gallery(scenes: Sequence[Scene], titles: Sequence[str], columns: int) -> Figure:
    """Panels of what several networks say, in rows, with a title each."""
    rows = -(-len(scenes) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.95 * rows), dpi=90, layout="constrained")
    places = figure.subfigures(rows, columns, squeeze=False).ravel()
    for scene, title, place in zip(scenes, titles, places, strict=False):
        draw_panel(place, scene, title)
    return figure


def draw_panel(place: SubFigure, scene: Scene, title: str) -> None:
    """What a network says in its last frame, or why that cannot be drawn."""
    place.suptitle(title, fontsize=FONT)
    if "boundary" in scene.missing:
        place.text(0.5, 0.5, scene.missing["boundary"], ha="center", fontsize=FONT - 1, wrap=True)
        return
    draw_space(place.subplots(1, len(scene.levels), squeeze=False)[0], scene, -1)


def draw_toss(axes: Axes, scene: Scene) -> None:
    """The loss of a network that says the same of every row, and favours none."""
    if np.isfinite(scene.toss):
        says = "½" if scene.classes == 2 else f"1/{scene.classes}"
        label = f"{scene.toss:.3f}: {says} for every row, a coin toss"
        axes.axhline(scene.toss, color="#6b6b6b", linestyle=":", label=label)


def highest(scenes: Sequence[Scene]) -> float:
    """The highest loss, a coin toss's included."""
    curves = [each for scene in scenes for name, each in scene.measured.items() if "loss" in name]
    return float(np.nanmax(np.concatenate([*curves, [scene.toss for scene in scenes], [1e-9]])))


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
        rows = np.abs(scene.points[:, 2:] - scene.levels).argmin(1) == list(scene.levels).index(level)
        axes.set_title(f"input 3 = {level:.3g}", fontsize=FONT)
    draw_rows(axes, scene, frame, scene.points[:, 0], scene.points[:, 1], rows)
    axes.set(xlim=extent[:2], ylim=extent[2:], xlabel="input 1", ylabel="input 2")
    binary = set(np.unique(scene.points)) <= {0, 1}
    for axis in (axes.xaxis, axes.yaxis):  # few, because each takes a millisecond
        axis.set_major_locator(FixedLocator([0, 1]) if binary else MaxNLocator(4))


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
    axes.set(xlabel="input", ylabel="probability of a 1" if scene.classes == 2 else "probability")
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
        look = {"c": color, "marker": marker, "edgecolors": "white", "linewidths": 0.8}
        axes.scatter(x[of_class], y[of_class], s=size, zorder=3, **look)
    missed = shown & (scene.winners[frame] != scene.right)
    axes.scatter(x[missed], y[missed], s=max(30, 0.6 * size), c="black", marker="x", zorder=4)


def draw_key(figure: Figure, scene: Scene) -> None:
    """What the markers stand for; as text, because a legend takes a hundredth of a second."""
    name = "right answer {}" if scene.classes == 2 else "class {}"
    words = [
        (f"{sign} {name.format(number)}", color)
        for number, (sign, color) in enumerate(zip(SIGNS, colors(scene.classes), strict=False))
    ]
    words.append(("\u2715 missed", "black"))
    for number, (text, color) in enumerate(words):
        x = 0.1 + 0.8 * (number + 0.5) / len(words)
        figure.text(x, 0.03, text, color=color, ha="center", fontsize=FONT - 1)


def caption(scene: Scene, frame: int) -> str:
    """How far the training was, and what was right then."""
    update = int(scene.updates[frame])
    words = f"update {update:,}"
    at = np.flatnonzero(scene.reports == update)
    if len(at) and "train/loss" in scene.measured:
        words += f" · loss {scene.measured['train/loss'][at[0]]:.4f}"
    hits = (scene.winners[frame] == scene.right).sum()
    rows = len(scene.right)
    words += f" · {hits} of {rows} right" if rows <= 16 else f" · {hits / rows:.0%} right"
    sure = np.abs(chances(scene.at_rows[frame], scene.classes) - 1 / scene.classes)
    return words + (" · a coin toss" if sure.max() < 0.01 else "")


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
