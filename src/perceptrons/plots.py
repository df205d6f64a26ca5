"""Figures of what networks say, and of how they came to: arrays in, matplotlib ``Figure`` out."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import NullLocator

from perceptrons.panels import FONT, caption, draw_key, draw_space
from perceptrons.scene import Scene

# replicas of a study that are drawn as lines, and cells of the density of more
FEW_LINES, CELLS = 60, 160
CURVES = {"train": ("#1f77d0", "-"), "val": ("#e66100", "--")}
TOLD_APART = ("#1f77d0", "#e66100", "#111111", "#40b0a6", "#d35fb7")  # curves of several runs


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
        sides = {"left": 0.18 / count, "right": 1 - 0.04 / count, "wspace": 0.12}
        top = 0.88 if count == 1 else 0.84
        figure.subplots(1, count, gridspec_kw={"bottom": 0.21, "top": top, **sides})
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
    """Loss and accuracy at each report; of a study, the losses of its replicas."""
    if scene.losses.size:
        return replicas(scene)
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


def replicas(scene: Scene) -> Figure:
    """The losses of a study's replicas: as lines, or where they are many, how dense these are."""
    figure = Figure(figsize=(6.0, 4.3), dpi=90, layout="constrained")
    axes = figure.subplots()
    losses, count = scene.losses, scene.losses.shape[1]
    if count <= FEW_LINES:
        axes.plot(scene.reports, losses, color=CURVES["train"][0], alpha=0.3, linewidth=0.8)
    else:
        draw_density(axes, scene)
    for share, style in ((10, ":"), (50, "-"), (90, ":")):
        label = "median" if share == 50 else "10 % and 90 %" if share == 90 else None
        values = np.nanpercentile(losses, share, axis=1)
        axes.plot(scene.reports, values, style, color=CURVES["val"][0], label=label)
    draw_toss(axes, scene)
    axes.set_title(f"{study_of(scene)}: losses of {count} replicas", fontsize=FONT + 1)
    axes.set(xlabel="updates", ylabel="loss", ylim=(0, 1.08 * highest([scene])))
    # matplotlib's search for the best place takes seconds with so many curves
    axes.legend(loc="upper right", framealpha=0.8, edgecolor="none", fontsize=FONT - 1)
    return figure


def draw_density(axes: Axes, scene: Scene) -> None:
    """How many losses there are at each height between two reports."""
    across = np.linspace(scene.reports[0], scene.reports[-1], 5 * CELLS)
    lines = [np.interp(across, scene.reports, each) for each in scene.losses.T]
    places, heights = np.tile(across, len(lines)), np.concatenate(lines)
    within = np.isfinite(heights)
    bins = [
        np.linspace(across[0], across[-1], CELLS),
        np.linspace(0, 1.08 * highest([scene]), CELLS),
    ]
    counts, _, _ = np.histogram2d(places[within], heights[within], bins)
    shade = np.log1p(counts.T)
    axes.pcolormesh(*bins, np.ma.masked_equal(shade, 0), cmap="Blues", rasterized=True)


def shares(scene: Scene) -> Figure:
    """The share of a study's replicas that are solved, by learning rate and by scale."""
    figure = Figure(figsize=(6.0, 4.3), dpi=90, layout="constrained")
    axes = figure.subplots()
    rates = {row["lr"] for row in scene.shares}
    along, other = ("lr", "init_scale") if len(rates) > 1 else ("init_scale", "lr")
    for value, color in zip(
        sorted({row[other] for row in scene.shares}), cycle(TOLD_APART), strict=False
    ):
        rows = [row for row in scene.shares if row[other] == value]
        x, share = ([row[name] for row in rows] for name in (along, "share"))
        low, high = ([row[f"share_{name}"] for row in rows] for name in ("low", "high"))
        reach = [np.subtract(share, low).clip(0), np.subtract(high, share).clip(0)]
        axes.errorbar(
            x, share, reach, color=color, marker="o", capsize=3, label=f"{other} {value:g}"
        )
    names = {"lr": "learning rate", "init_scale": "scale of the initial weights"}
    axes.set(xscale="log", ylim=(-0.03, 1.03), xlabel=names[along], ylabel="share solved")
    values = sorted({row[along] for row in scene.shares})
    axes.set_xticks(values, [f"{value:g}" for value in values], minor=False)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_title(study_of(scene), fontsize=FONT + 1)
    if len({row[other] for row in scene.shares}) > 1:
        axes.legend(frameon=False, fontsize=FONT - 1)
    return figure


def comparison(scenes: Sequence[Scene]) -> Figure:
    """Several networks in one figure: their losses together, and what each says in the end."""
    columns = min(len(scenes), 4)
    rows = -(-len(scenes) // columns)
    figure = Figure(figsize=(3.5 * columns, 3.0 + 3.6 * rows), dpi=90, layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(3.0, 3.6 * rows))
    top, bottom = parts
    axes = top.subplots()
    styles = [(color, style) for style in ("-", "--", "-.", ":") for color in TOLD_APART]
    for scene, (color, style) in zip(scenes, cycle(styles), strict=False):
        values = scene.measured.get("val/loss", scene.measured.get("train/loss"))
        label = scene.title
        if scene.losses.size:
            values = np.nanmedian(scene.losses, axis=1)
            label = f"{study_of(scene)}: median of {scene.losses.shape[1]} replicas"
        if values is not None:
            axes.plot(scene.reports, values, style, color=color, label=label)
    if len({(scene.classes, scene.toss) for scene in scenes}) == 1:
        draw_toss(axes, scenes[0])
    stage = "validation rows" if "val/loss" in scenes[0].measured else "training rows"
    axes.set(xlabel="updates", ylabel=f"loss, {stage}", ylim=(0, 1.08 * highest(scenes)))
    axes.legend(frameon=False, fontsize=FONT - 1)
    titles = [f"{scene.title}\n{caption(scene, -1)}" for scene in scenes]
    draw_panels(bottom, scenes, titles, columns)
    return figure


def gallery(scenes: Sequence[Scene], titles: Sequence[str], columns: int) -> Figure:
    """What several networks say in the end, in rows, with a title each."""
    rows = -(-len(scenes) // columns)
    figure = Figure(figsize=(2.75 * columns, 3.05 * rows), dpi=90, layout="constrained")
    draw_panels(figure, scenes, titles, columns)
    return figure


def draw_panels(
    figure: Figure | SubFigure, scenes: Sequence[Scene], titles: Sequence[str], columns: int
) -> None:
    rows = -(-len(scenes) // columns)
    places: Any = figure.subfigures(rows, columns, squeeze=False)
    for scene, title, place in zip(scenes, titles, places.ravel(), strict=False):
        draw_panel(place, scene, title)


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


def study_of(scene: Scene) -> str:
    """What the study is called, one of whose replicas a scene shows."""
    return scene.title.rpartition(",")[0]


def highest(scenes: Sequence[Scene]) -> float:
    """The highest loss, a coin toss's included.

    Of a study, of nearly all as they begin, and the median: those that go beyond all measure would
    leave nothing to be seen of the others.
    """
    single = [scene for scene in scenes if not scene.losses.size]
    curves = [each for scene in single for name, each in scene.measured.items() if "loss" in name]
    for scene in scenes:
        if scene.losses.size:
            start = [np.nanpercentile(scene.losses[0], 99)]
            curves += [np.nanmedian(scene.losses, axis=1), np.array(start)]
    return float(np.nanmax(np.concatenate([*curves, [scene.toss for scene in scenes], [1e-9]])))
