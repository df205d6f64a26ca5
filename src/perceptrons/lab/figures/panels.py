"""What a network says over its inputs, drawn into axes, and the rows that it learns from.

Orange and blue stay apart for every kind of colour blindness. A colour is always a class, and the
paler it is the less sure; a cross is a row that is missed. All else is in the colour of the text.
"""

from itertools import cycle

import numpy as np
from matplotlib import colormaps, rcParams
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, StrMethodFormatter

from .scene import Array, Scene, chances, leads

# those of the page
COLORS = ("#e66101", "#1f77d4", "#c9a400", "#d4569b", "#7a5c43", "#2aa7b8", "#6b6b6b", "#9b1b30")
MARKERS, SIGNS = "osD^vP", "\u25cf\u25a0\u25c6\u25b2\u25bc\u271a"
STRONG = 0.62  # how strong a colour is where the network is sure
DARK = {
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "#0d1117"),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), "#d8dee6"),
    **dict.fromkeys(("xtick.color", "ytick.color"), "#d8dee6"),
}


def ink() -> str:
    """The colour of text, lines and crosses, light or dark."""
    return str(rcParams["text.color"])


def size(times: float = 1.0) -> float:
    """A size of letters, as a multiple of the usual one."""
    return times * float(rcParams["font.size"])


def draw_space(axes: Axes, scene: Scene, frame: int) -> None:
    """What the network says over its one or two inputs."""
    if scene.inputs == 1:
        draw_axis(axes, scene, frame)
    else:
        draw_plane(axes, scene, frame)
    axes.tick_params(labelsize=size(0.9))


def draw_plane(axes: Axes, scene: Scene, frame: int) -> None:
    """The plane of two inputs in the colours of the classes, and the rows over it."""
    across, up = (np.unique(values) for values in scene.cells.T)
    logits = scene.logits[frame]
    shape = (len(up), len(across), -1)
    extent = (across[0], across[-1], up[0], up[-1])
    paint = blend(chances(logits, scene.classes)).reshape(shape)
    axes.imshow(paint, origin="lower", extent=extent, aspect="auto", interpolation="bilinear")
    ahead = leads(logits, scene.classes).reshape(shape)
    for number in range(ahead.shape[2]) if not scene.is_unsure(frame) else ():
        if ahead[..., number].min() < 0 < ahead[..., number].max():
            axes.contour(across, up, ahead[..., number], levels=[0], colors=ink(), linewidths=1.4)
    draw_rows(axes, scene, frame, scene.points[:, 0], scene.points[:, 1])
    axes.set(xlim=extent[:2], ylim=extent[2:], xlabel=scene.names[0], ylabel=scene.names[1])
    binary = set(np.unique(scene.points)) <= {0, 1}
    for axis in (axes.xaxis, axes.yaxis):  # few, because each takes a millisecond
        axis.set_major_locator(FixedLocator([0, 1]) if binary else MaxNLocator(4))
        axis.set_major_formatter(StrMethodFormatter("{x:.3g}"))


def draw_axis(axes: Axes, scene: Scene, frame: int) -> None:
    """The probability over the one input, and the rows at their right answers."""
    shares = chances(scene.logits[frame], scene.classes)
    for number in range(1, 2) if scene.classes == 2 else range(scene.classes):
        axes.plot(scene.cells[:, 0], shares[:, number], color=colors(scene.classes)[number])
    axes.axhline(0.5, color=ink(), linestyle=":")
    height = scene.right.astype(float) if scene.classes == 2 else np.ones(len(scene.right))
    draw_rows(axes, scene, frame, scene.points[:, 0], height)
    says = f"probability of {scene.class_names[1]}" if scene.classes == 2 else "probability"
    axes.set(xlabel=scene.names[0], ylabel=says, ylim=(-0.08, 1.08))


def draw_rows(axes: Axes, scene: Scene, frame: int, x: Array, y: Array) -> None:
    """The rows in the colours of their right answers, with a cross over those that are missed."""
    large = 110 if len(scene.points) <= 16 else 22
    for number, color in enumerate(colors(scene.classes)):
        of_class, marker = scene.right == number, MARKERS[number % len(MARKERS)]
        place = x[of_class], y[of_class], large, color
        axes.scatter(*place, marker=marker, edgecolors="white", linewidths=0.8, zorder=3)
    missed = scene.missed(frame)
    axes.scatter(x[missed], y[missed], s=max(30, 0.6 * large), c=ink(), marker="x", zorder=4)


def draw_key(figure: Figure, scene: Scene, missed: bool, height: float = 0.02) -> None:
    """What the markers stand for; as text, because a legend takes a hundredth of a second."""
    signs = zip(cycle(SIGNS), colors(scene.classes), strict=False)
    name = "{}" if scene.called else "right answer {}" if scene.classes == 2 else "class {}"
    called = [name.format(plain(each, 14)) for each in scene.class_names]
    words = [(f"{sign} {one}", color) for one, (sign, color) in zip(called, signs, strict=True)]
    for number, (text, color) in enumerate(words[:8]):
        x = 0.04 + 0.76 * number / min(8, len(words))
        figure.text(x, height, text, color=color, fontsize=size(0.9))
    if missed:
        figure.text(0.97, height, "\u2715 missed", color=ink(), ha="right", fontsize=size(0.9))


def caption(scene: Scene, frame: int) -> str:
    """How far the training was, and what was right then: whole numbers, which round nothing up."""
    words = f"update {int(scene.updates[frame]):,}"
    at = np.flatnonzero(scene.reports == scene.updates[frame])
    stage = next((name for name in ("train/loss", "val/loss") if name in scene.metrics), None)
    if len(at) and stage:
        words += f" · {stage} {scene.metrics[stage][at[-1]]:.4g}"
    return f"{words}\n{score(scene, frame)}" if scene.classes else words


def score(scene: Scene, frame: int) -> str:
    """How many rows are right; of a network that says nothing, what the best line could do."""
    if not scene.is_unsure(frame):
        kind = "sampled rows" if scene.sampled else "rows"
        sets = f" ({' + '.join(scene.sets)})" if len(scene.sets) > 1 else ""
        return f"{scene.hits[frame]:,} of {scene.rows:,} {kind} right{sets}"
    chance = "\u00bd" if scene.classes == 2 else f"1/{scene.classes}"
    best = f"; the best a line can do is {scene.line} of {scene.rows}"
    return f"p = {chance} everywhere{best if scene.line else ''}"


def blend(shares: Array) -> Array:
    """Colour of each cell ``(cells, 3)``: the likeliest class's, paled by doubt."""
    count = shares.shape[1]
    likeliest = np.array([to_rgb(color) for color in colors(count)])[shares.argmax(1)]
    sure = (count * shares.max(1, keepdims=True) - 1) / (count - 1)
    ground = np.array(to_rgb(rcParams["axes.facecolor"]))
    paint: Array = ground + STRONG * np.sqrt(sure.clip(0)) * (likeliest - ground)
    return paint


def colors(classes: int) -> list[str]:
    """A colour for each class."""
    if classes <= len(COLORS):
        return [*COLORS[:classes]]
    return [to_hex(color) for color in colormaps["viridis"](np.linspace(0, 1, classes))]


def plain(text: object, longest: int = 24) -> str:
    """Text from a file as it may stand in a picture: one line, no formula of matplotlib's."""
    line = " ".join(str(text).split()).replace("$", r"\$")
    end = longest // 2  # which tells more than the middle: a version, a value of a column
    return line if len(line) <= longest else f"{line[: longest - end - 1]}\u2026{line[-end:]}"


def signed(value: float) -> str:
    """A weight or a bias, as the page has it."""
    return f"{value:+.2f}".replace("-", "\u2212")
