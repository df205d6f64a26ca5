"""Figures of what networks say, and of how they came to; arrays in, matplotlib ``Figure`` out."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any, cast

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from .panels import caption, colors, draw_key, draw_space, ink, plain, score, size
from .scene import Scene, Study

STYLES = {"train": "-", "val": "--"}
SEVERAL = ("#440154", "#21918c", "#b5367a", "#90d743", "#31688e")  # of these, none is a class
ONE_LINE = 18  # letters of a title that a caption goes beside
MOST_POINTS = 500  # of a part of a table
MARKED = 30  # points of a curve, from which on they have no marks
MOST_CLASSES = 10  # whose numbers are written into a confusion matrix


def boundary(scene: Scene, frame: int = -1) -> Figure:
    """What the network says over its inputs in a frame, and the rows."""
    figure = Figure()
    title = plain(scene.title, 40)
    title += ("\n" if len(title) > ONE_LINE else " \u00b7 ") + caption(scene, frame)
    line, lines = 1.35 * size() / 72 / figure.get_figheight(), title.count("\n") + 1.6
    sides = {"bottom": 4 * line, "top": 1 - lines * line, "left": 0.16, "right": 0.97}
    axes = figure.subplots(gridspec_kw=sides)
    draw_key(figure, scene, bool(scene.missed(frame).any()))
    draw_space(axes, scene, frame)
    figure.suptitle(title, fontsize=size(), y=0.98, va="top")
    return figure


def sheet(title: str, rows: int = 1, columns: int = 1, **settings: Any) -> tuple[Figure, Any]:
    """A figure with a title, as large as curves are, and its axes ``(rows, columns)``."""
    height = min(4.6, 1.05 * float(rcParams["figure.figsize"][1]))
    large = settings.pop("figsize", (1.35 * height, height))
    figure = Figure(figsize=large, layout="constrained")
    figure.suptitle(title, fontsize=size())
    return figure, figure.subplots(rows, columns, **settings)


def legend(axes: Axes, **settings: Any) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=size(0.9), labelcolor=ink(), **settings)


def curves(scenes: Sequence[Scene]) -> Figure:
    """Loss, and accuracy or what else was measured, of one run or of several together."""
    other = second(scenes)
    several = len(scenes) > 1
    title = "" if several else plain(scenes[0].title, 60)
    figure, every = sheet(title, 1 + bool(other), sharex=True, squeeze=False)
    every = every[:, 0]
    for scene, color in zip(scenes, cycle(SEVERAL), strict=False):
        for stage, style in STYLES.items():
            label = f"{plain(scene.title, 40)} {stage}" if several else stage
            for axes, name in zip(every, ("loss", other), strict=False):
                values = scene.metrics.get(f"{stage}/{name}")
                train = scene.metrics.get(f"train/{name}", np.zeros(0))
                if values is None:
                    continue
                if stage == "train" or not np.array_equal(values, train, equal_nan=True):
                    there = np.isfinite(values)
                    marker = "." if there.sum() < MARKED else ""
                    shown = {"color": color if several else ink(), "label": label}
                    if name == "accuracy":  # which jumps
                        shown["drawstyle"] = "steps-post"
                    axes.plot(scene.reports[there], values[there], style, marker=marker, **shown)
    draw_chance(every[0], scenes)
    highest = [values for one in scenes for name, values in one.metrics.items() if "loss" in name]
    top = np.nanmax(np.concatenate([*highest, [1e-9]])) if highest else 1.0
    every[0].set(ylabel="loss", ylim=(min(0, *every[0].get_ylim()), 1.08 * top))
    legend(every[0])
    if other:
        every[1].set(ylabel=other, **({"ylim": (-0.05, 1.05)} if other == "accuracy" else {}))
    every[-1].set_xlabel("updates")
    return figure


def second(scenes: Sequence[Scene]) -> str:
    """What is drawn beside the loss."""
    names = {name.partition("/")[2] for scene in scenes for name in scene.metrics} - {"loss", ""}
    return next((name for name in ("accuracy", "r2", *sorted(names)) if name in names), "")


def draw_chance(axes: Axes, scenes: Sequence[Scene]) -> None:
    """The loss of a network that says the same of every row, and favours none."""
    if len({(scene.classes, scene.chance) for scene in scenes}) == 1:
        scene = scenes[0]
        if np.isfinite(scene.chance):
            says = "\u00bd" if scene.classes == 2 else f"1/{scene.classes}"
            label = f"{scene.chance:.3f}: p = {says} for every row"
            axes.axhline(scene.chance, color=ink(), alpha=0.7, linestyle=":", label=label)


def members(scene: Scene) -> Figure:
    """The losses of a study's members, and their quantiles."""
    study = cast(Study, scene.study)
    losses, count = study.losses, study.losses.shape[1]  # of evenly chosen members
    # of nearly all as they begin, and the median: those that diverge would hide all others
    every = sum(row.get("members", 0) for row in study.groups)
    some = f"{count:,} of {every:,}" if every > count else f"{count:,}"
    figure, axes = sheet(f"{plain(scene.title.rpartition(',')[0], 50)}: losses of {some} members")
    top = 1.08 * max(np.nanpercentile(losses[0], 99), np.nanmax(np.nanmedian(losses, axis=1)))
    pale = min(0.3, 12 / count)
    axes.plot(study.updates, losses, color=ink(), alpha=pale, linewidth=0.8, rasterized=True)
    for share, style in ((10, ":"), (50, "-"), (90, ":")):
        label = {50: "median", 90: "10 % and 90 %"}.get(share)
        values = np.nanpercentile(losses, share, axis=1)
        axes.plot(study.updates, values, style, color=ink(), label=label, linewidth=2)
    draw_chance(axes, [scene])
    axes.set(xlabel="updates", ylabel="training loss", ylim=(0, top))
    # matplotlib's search for the best place takes seconds with so many curves
    legend(axes, loc="upper right")
    return figure


def solved(scene: Scene) -> Figure:
    """The share of a study's members that are solved, by what varies, with 95 % intervals."""
    study = cast(Study, scene.study)
    figure, axes = sheet(plain(scene.title.rpartition(",")[0], 50))
    along, *others = study.settings
    lines: dict[str, list[dict[str, Any]]] = {}
    for row in study.groups:
        label = ", ".join(f"{plain(name)} {plain(row[name])}" for name in others)
        lines.setdefault(label, []).append(row)
    values = [*dict.fromkeys(str(row[along]) for row in study.groups)]
    for (label, rows), color in zip(lines.items(), cycle(SEVERAL), strict=False):
        keys = ("share", "share_low", "share_high")
        share, low, high = np.array([[row[key] for row in rows] for key in keys])
        x = [values.index(str(row[along])) for row in rows]
        reach = [(share - low).clip(0), (high - share).clip(0)]
        axes.errorbar(x, share, reach, color=color, marker="o", capsize=3, label=label or None)
    axes.set_xticks(range(len(values)), [plain(value, 12) for value in values])
    axes.set(ylim=(-0.03, 1.03), xlabel=plain(along), ylabel="share solved")
    legend(axes)
    return figure


def confusion(scene: Scene) -> Figure:
    """How many rows of each class are given which class, in each part of the table."""
    names = [plain(name, 10) for name in scene.class_names]
    count, title = len(scene.parts), plain(scene.title, 60)
    large = 1.2 + 1.9 * count, 3.3
    figure, every = sheet(title, 1, count, figsize=large, squeeze=False, sharey=True)
    for axes, (part, rows) in zip(every[0], scene.parts.items(), strict=True):
        counts = np.zeros((scene.classes, scene.classes), int)
        np.add.at(counts, (rows.right, rows.says.argmax(1)), 1)
        share = counts / counts.sum(1, keepdims=True).clip(1)
        axes.imshow(share, cmap="Greys", vmin=0, vmax=1.6)
        for at, count in np.ndenumerate(counts) if scene.classes <= MOST_CLASSES else ():
            axes.text(at[1], at[0], f"{count:,}", ha="center", va="center", color="black")
        axes.set_xticks(range(len(names)), names, rotation=40)
        axes.set_yticks(range(len(names)), names)
        axes.set_title(f"{part}\n{np.trace(counts):,} of {len(rows.right):,}", fontsize=size())
        axes.set_xlabel("given class")
    every[0, 0].set_ylabel("right class")
    return figure


def probability(scene: Scene) -> Figure:
    """How probable the network calls the right class of each row, by class."""
    figure, axes = sheet(plain(scene.title, 60))
    part, rows = [*scene.parts.items()][-1]
    two = scene.classes == 2
    values = rows.says[:, 1] if two else rows.says[np.arange(len(rows.right)), rows.right]
    by_class = [values[rows.right == number] for number in range(scene.classes)]
    names = [plain(name) for name in scene.class_names]
    edges = np.linspace(0, 1, 21).tolist()
    shown: dict[str, Any] = {"color": colors(scene.classes), "label": names, "stacked": True}
    axes.hist(by_class, edges, edgecolor=rcParams["axes.facecolor"], linewidth=0.5, **shown)
    axes.axvline(1 / scene.classes, color=ink(), linestyle=":")
    of = f"probability of {names[1]}" if two else "probability of the right class"
    axes.set(xlabel=of, ylabel=f"rows ({part})", xlim=(0, 1))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    legend(axes, title="right class", loc="upper center", bbox_to_anchor=(0.28, 1))
    return figure


def predicted(scene: Scene) -> Figure:
    """The predicted number of each row over its target, in each part of the table."""
    figure, axes = sheet(plain(scene.title, 60))
    for (name, part), marker, color in zip(scene.parts.items(), "oxs", SEVERAL, strict=False):
        few = max(1, len(part.right) // MOST_POINTS)
        x, y = part.right[::few], part.says[::few]
        axes.scatter(x, y, s=14, marker=marker, color=color, alpha=0.7, label=name)
    axes.axline((float(part.right[0]),) * 2, slope=1, color=ink(), linestyle=":")
    axes.set(xlabel="target", ylabel="predicted")
    legend(axes)
    return figure


def importance(scene: Scene) -> Figure:
    """How much accuracy is lost where one input is shuffled, the largest first."""
    mean, deviation = scene.importance.T
    order = mean.argsort()[::-1][:10][::-1]
    more = len(mean) - len(order)
    note = f", {more} lesser inputs left out" if more else ""
    title, large = plain(scene.title, 60) + note, (5.2, 1.2 + 0.24 * len(order))
    figure, axes = sheet(title, figsize=large)
    names = [plain(scene.names[one]) for one in order]
    axes.barh(names, mean[order], xerr=deviation[order], color=ink(), alpha=0.6)
    axes.tick_params(axis="y", labelsize=size(0.9))
    axes.set_xlabel(f"{'accuracy' if scene.classes else 'R2'} lost by shuffling the input")
    return figure


def worst(scene: Scene) -> Figure:
    """The rows whose right class is least probable, or that are farthest off, as a table."""
    name, part = [*scene.parts.items()][-1]
    all_right = scene.classes and (part.says.argmax(1) == part.right).all()
    what = "all are right; the least certain" if all_right else "the worst rows"
    head = [plain(name, 12) for name in scene.worst]
    cells = [[short(cell) for cell in row] for row in zip(*scene.worst.values(), strict=True)]
    title = f"{plain(scene.title, 40)}, {name}: {what}"
    large = 0.95 * len(head), 0.55 + 0.24 * (1 + len(cells))
    figure, axes = sheet(title, figsize=large)
    axes.set_axis_off()
    whole = Bbox.unit()
    table = axes.table(cells, colLabels=head, bbox=whole, cellLoc="right", edges="horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(size(0.85))
    return figure


def short(value: Any) -> str:
    if isinstance(value, float):  # nothing is rounded up to 1
        return "> 0.999" if 0.9995 <= value < 1 else f"{value:.4g}"
    return "-" if value is None else plain(value, 12)


def gallery(scenes: Sequence[Scene], columns: int) -> Figure:
    """What several networks say in the end, in rows, with a title each and a key below."""
    rows = -(-len(scenes) // columns)
    figure = Figure(figsize=(2.75 * columns, 3.0 * rows + 0.4))
    room = 0.32 / figure.get_figheight()
    figure.set_layout_engine("constrained", rect=(0, room, 1, 1 - room))
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for scene, axes in zip(scenes, places, strict=False):
        says = score(scene, -1) if len(scene.updates) else ""
        says = says.replace("the best a line can do is", "best line:").replace(" (", "\n(")
        axes.set_title(f"{plain(scene.title, 40)}\n{says}", fontsize=size())
        if "boundary" in scene.missing:
            axes.set_axis_off()
            axes.text(0.5, 0.5, plain(scene.missing["boundary"], 60), ha="center", wrap=True)
        else:
            draw_space(axes, scene, -1)
    for axes in places[len(scenes) :]:
        axes.set_axis_off()
    missed = any(len(scene.updates) and scene.missed(-1).any() for scene in scenes)
    draw_key(figure, max(scenes, key=lambda scene: scene.classes), missed, 0.25 * room)
    return figure
