"""What there is to see of a run: figures against the network that they show."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_rgb
from matplotlib.contour import ContourSet
from small_modules import (
    CORNERS,
    XOR,
    Parted,
    Plain,
    Points,
    dense,
    figures_of,
    solver,
    trained,
    trainer,
    xor,
)
from torch import nn

from perceptrons.lab.figures import diagrams, drawing, panels, plots
from perceptrons.lab.figures.panels import COLORS, caption, plain
from perceptrons.lab.figures.scene import Array, Scene, Study, best_line, evenly_changed
from perceptrons.lab.figures.snapshots import History, Snapshots, flat, load
from perceptrons.lab.figures.survey import survey
from perceptrons.lab.figures.trained import trained_by
from perceptrons.lab.studies.plan import Plan, make_study
from perceptrons.lab.studies.record import Study as Record
from perceptrons.lab.training.spans import use_spans


class Odd(nn.Sequential):
    """A network that is more than linear layers and activations."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Linear(inputs, 4), nn.LayerNorm(4), nn.Linear(4, outputs))


def scene_of(network: nn.Module, data: Any, history: History | None = None) -> Scene:
    module = Plain(network, getattr(data, "classes", 2) or 2)
    return survey(trained(module, data, history))


def spread(count: int, inputs: int, classes: int = 2, kind: type[Points] = Points) -> Points:
    """Random rows, whose class their first input says."""
    x = np.random.default_rng(0).normal(size=(count, inputs))
    return kind(x, np.digitize(x[:, 0], np.linspace(-1, 1, classes + 1)[1:-1]), classes)


def perceptron(*weights: float, bias: float) -> nn.Sequential:
    network = dense(len(weights), 1)
    with torch.no_grad():
        for parameter, values in zip(network.parameters(), ([weights], [bias]), strict=True):
            parameter.copy_(torch.tensor(values))
    return network


def test_a_class_has_one_colour_in_pictures_and_on_the_page() -> None:
    style = (Path(drawing.__file__).parent / "page" / "page.css").read_text()
    assert tuple(re.findall(r"--class\d: light-dark\((#\w{6})", style)) == COLORS


def side(color: Array) -> int:
    """The class whose colour a colour is a pale one of."""
    away = 1 - color
    likeness = [
        away @ (1 - np.array(to_rgb(each))) / np.linalg.norm(1 - np.array(to_rgb(each)))
        for each in COLORS[:2]
    ]
    return int(np.argmax(likeness))


def color_at(figure: Any, x: float, y: float) -> Array:
    """Colour of the plane at a point of the inputs."""
    (image,) = figure.axes[0].images
    left, right, bottom, top = image.get_extent()
    paint: Array = np.asarray(image.get_array())
    row = round((y - bottom) / (top - bottom) * (paint.shape[0] - 1))
    column = round((x - left) / (right - left) * (paint.shape[1] - 1))
    color: Array = paint[row, column]
    return color


def of_kind(axes: Any, kind: type) -> list[Any]:
    """What is drawn in axes, of a kind."""
    return [each for each in axes.get_children() if isinstance(each, kind)]


def crosses(figure: Any) -> Array:
    """Where rows are marked as missed ``(missed, 2)``."""
    return cast(Array, np.asarray(figure.axes[0].collections[-1].get_offsets()))


# the figures, against the network that they show


def test_the_boundary_of_an_mlp_separates_the_corners_of_xor() -> None:
    figure = plots.boundary(scene_of(solver(), xor()))
    assert [side(color_at(figure, *corner)) for corner in CORNERS] == XOR
    assert len(crosses(figure)) == 0


def test_the_boundary_of_a_perceptron_is_one_straight_line_and_leaves_a_corner_of_xor_wrong() -> (
    None
):
    figure = plots.boundary(scene_of(perceptron(3.0, 2.0, bias=-1.0), xor()))
    (contour,) = of_kind(figure.axes[0], ContourSet)
    (line,) = contour.get_paths()[0].to_polygons(closed_only=False)
    assert np.linalg.matrix_rank(line - line[0], tol=1e-3) == 1
    sides = [side(color_at(figure, *corner)) for corner in CORNERS]
    wrong = {c for c, is_, ought in zip(CORNERS, sides, XOR, strict=True) if is_ != ought}
    assert {tuple(cross) for cross in crosses(figure).tolist()} == wrong == {(1.0, 1.0)}


def test_a_row_is_in_the_colour_of_its_right_answer() -> None:
    figure = plots.boundary(scene_of(solver(), xor()))
    colored = {}
    for rows in of_kind(figure.axes[0], PathCollection)[:2]:
        for x, y in rows.get_offsets().tolist():
            colored[x, y] = tuple(rows.get_facecolor()[0][:3])
    assert [colored[corner] for corner in CORNERS] == [to_rgb(COLORS[n]) for n in XOR]


def test_a_network_that_says_one_half_of_all_has_no_line_no_colour_and_no_cross() -> None:
    scene = scene_of(perceptron(1e-7, -1e-7, bias=1e-7), xor())
    figure = plots.boundary(scene)
    assert "p = \u00bd everywhere; the best a line can do is 3 of 4" in caption(scene, -1)
    assert len(crosses(figure)) == 0
    assert not of_kind(figure.axes[0], ContourSet)
    assert color_at(figure, 0, 1) == pytest.approx(1, abs=1e-3)
    *_, lines = of_kind(diagrams.network(scene).axes[0], LineCollection)
    assert not lines.get_segments()
    sure = caption(scene_of(perceptron(3.0, 2.0, bias=-1.0), xor()), -1)
    assert "everywhere" not in sure
    assert "3 of 4 rows right" in sure


@pytest.mark.parametrize(("truth", "best"), [("0110", 3), ("1001", 3), ("0001", 4), ("1111", 4)])
def test_the_best_line_gets_as_many_rows_right_as_a_line_can(truth: str, best: int) -> None:
    assert best_line(np.array(CORNERS), np.array([*map(int, truth)])) == best


def test_one_row_missed_of_many_is_not_rounded_away() -> None:
    x = np.linspace(-1, 1, 1000)[:, None] @ np.array([[1.0, 0.0]])
    labels = (x[:, 0] > 0).astype(int)
    labels[0] = 1
    scene = scene_of(perceptron(9.0, 0.0, bias=0.0), Points(x, labels))
    assert "999 of 1,000 rows right" in caption(scene, -1)
    assert "100" not in caption(scene, -1).replace("1,000", "")


def test_of_a_large_table_some_rows_are_counted_and_the_caption_says_so() -> None:
    scene = scene_of(perceptron(9.0, 0.0, bias=0.0), spread(30_000, 2))
    assert caption(scene, -1).endswith("20,000 of 20,000 sampled rows right")
    assert len(scene.points) == 1000


@pytest.mark.parametrize("activation", [nn.Sigmoid, nn.Tanh, nn.ReLU, nn.GELU])
def test_a_scene_holds_what_the_network_computes(activation: type[nn.Module]) -> None:
    torch.manual_seed(3)
    network = dense(2, 4, 3, 1, activation=activation)
    scene = scene_of(network, xor())
    x = torch.from_numpy(scene.cells).float()
    assert len(x) == 3600
    with torch.no_grad():
        for layer, until in zip(scene.layers, (1, 3, 5), strict=True):
            expected = nn.Sequential(*[*network][:until])(x)
            np.testing.assert_allclose(layer.sums[-1], expected, atol=1e-5)
        np.testing.assert_allclose(scene.logits[-1], network(x), atol=1e-5)


def test_a_neuron_is_seen_where_it_is_on_and_its_line_is_where_it_switches() -> None:
    scene = scene_of(solver(), xor())
    first = scene.layers[0]
    total = scene.cells.sum(1)
    np.testing.assert_array_equal(first.sums[-1, :, 0] > 0, total > 0.5)  # OR
    np.testing.assert_array_equal(first.shades[-1, :, 1] > 0.5, total > 1.5)  # AND
    assert len(diagrams.network(scene).axes[0].images) == 2 + 2 + 1  # inputs, neurons, output


def test_a_line_is_as_wide_as_its_weight_is_large_and_dashed_where_that_is_negative() -> None:
    network = solver()
    with torch.no_grad():
        next(network.parameters())[0, 0] = 1e-3
    figure: Any = diagrams.network(scene_of(network, xor()))
    lines = of_kind(figure.axes[0], LineCollection)[0]
    solid = [dashes is None for _, dashes in lines.get_linestyles()]
    assert solid == [True, True, True, True, True, False]
    thin, *others = lines.get_linewidths()
    assert len(set(others)) == 1
    assert 8 * thin < others[0]
    written = [each.get_text() for each in figure.axes[0].texts]
    assert written.count("+20.00") == 4
    assert {"\u221220.00", "bias \u221230.00"} <= set(written)


def test_a_dashed_line_begins_and_ends_with_a_dash() -> None:
    for length in np.linspace(1, 200, 50):
        dash, gap = diagrams.dashes(length)
        number = (length - dash) / (dash + gap)
        assert number == pytest.approx(round(number))


def test_a_title_names_the_sets_whose_rows_it_counts() -> None:
    assert panels.caption(scene_of(solver(), xor()), -1).endswith("4 of 4 rows right")
    scene = replace(scene_of(solver(), xor()), sets=["train", "val"])
    assert panels.caption(scene, -1).endswith("4 of 4 rows right (train + val)")


def test_what_comes_out_is_called_by_its_class() -> None:
    scene = scene_of(solver(), xor())
    assert diagrams.labels(scene)[-1] == ["p"]
    assert diagrams.labels(replace(scene, called=["ham", "spam"]))[-1] == ["p(spam)"]
    assert diagrams.labels(scene_of(dense(2, 3), spread(30, 2, 3)))[-1] == ["p(0)", "p(1)", "p(2)"]


def test_misses_are_in_the_key_only_where_there_are_some() -> None:
    right, wrong = scene_of(solver(), xor()), scene_of(dense(2, 2, 1), xor())
    words = [[each.get_text() for each in plots.boundary(one).texts] for one in (right, wrong)]
    assert ["✕ missed" in each for each in words] == [False, True]


def test_the_label_of_a_weight_lies_on_its_line_and_nearer_to_it_than_to_any_other() -> None:
    figure: Any = diagrams.network(scene_of(solver(), xor()))
    (axes,) = figure.axes
    lines = of_kind(axes, LineCollection)[0]
    ends = [np.asarray(segment) for segment in lines.get_segments()]
    spots = [
        each.get_position() for each in axes.texts if each.get_text() in ("+20.00", "\u221220.00")
    ]
    assert len(spots) == len(ends)
    for number, spot in enumerate(spots):
        away = [distance(np.array(spot), start, end) for start, end in ends]
        assert away[number] < 1e-6
        assert min(away[:number] + away[number + 1 :]) > 0.25


def distance(spot: Array, start: Array, end: Array) -> float:
    along = end - start
    share = np.clip((spot - start) @ along / (along @ along), 0, 1)
    return float(np.linalg.norm(spot - start - share * along))


def test_hidden_neurons_are_numbered_by_layer_where_there_are_several() -> None:
    assert diagrams.labels(scene_of(dense(2, 2, 1), xor()))[1] == ["h1", "h2"]
    _, first, second, _ = diagrams.labels(scene_of(dense(2, 2, 2, 1), xor()))
    assert (first, second) == (["h1.1", "h1.2"], ["h2.1", "h2.2"])


def test_the_colours_of_classes_are_used_for_nothing_else() -> None:
    classes = {to_rgb(color) for color in COLORS[:2]}
    scene = replace(scene_of(solver(), xor()), reports=np.arange(2))
    scene = replace(scene, metrics={f"{s}/loss": np.arange(2.0) + i for i, s in enumerate("tv")})
    curves: Any = plots.curves([scene, scene])
    used = {to_rgb(line.get_color()) for axes in curves.axes for line in axes.lines}
    lines = of_kind(diagrams.network(scene).axes[0], LineCollection)[0]
    used |= {tuple(color[:3]) for color in lines.get_colors()}
    assert not used & classes


# what can be drawn, and why not

PLANE = {"boundary", "network"}
TABLE = {"confusion", "probability", "importance", "worst"}
CASES: dict[str, tuple[Any, Any, set[str], dict[str, str]]] = {
    "one input": (dense(1, 2, 1), Points([[0.0], [1.0]], [1, 0]), PLANE, {}),
    "three classes": (dense(2, 4, 3), spread(60, 2, 3), PLANE, {}),
    "nine classes": (dense(2, 9), spread(90, 2, 9), PLANE, {}),
    "wide": (dense(2, 50, 9, 1), xor(), PLANE, {}),
    "five inputs": (
        dense(5, 3, 1),
        spread(50, 5, kind=Parted),
        {"network", *TABLE},
        {"boundary": "5 inputs have no plane"},
    ),
    "not dense": (
        Odd(2, 1),
        xor(),
        {"boundary"},
        {"network": "Odd is not an nn.Sequential of linear layers"},
    ),
    "too few outputs": (
        dense(2, 2),
        spread(60, 2, 3),
        set(),
        dict.fromkeys(
            ("boundary", "network"),
            "Sequential: logits (60, 2), expected (60, 3) for 3 classes",
        ),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_figure_is_drawn_or_a_line_says_why_not(case: str) -> None:
    network, data, drawn, missing = CASES[case]
    scene = scene_of(network, data)
    figures = figures_of(scene)
    assert set(figures) == drawn | {"loss"}
    assert scene.missing == missing
    for _, figure in (frames[-1] for frames in figures.values()):
        assert len(drawing.png(figure, 50)) > 1000


def test_of_a_module_without_the_parts_there_are_curves_and_a_line_says_why() -> None:
    class Bare(Plain):
        net, classes = None, None  # type: ignore[assignment]

        def __init__(self) -> None:
            super(Plain, self).__init__()

    history = History(reports=[0, 5], metrics=[{"val/loss": 2.0}, {"val/loss": 1.0}])
    scene = survey(trained(Bare(), object(), history, 5))
    assert scene.missing["boundary"] == "Bare has no net"
    assert set(figures_of(scene)) == {"loss"}
    assert scene.metrics["val/loss"].tolist() == [2.0, 1.0]


def test_several_answers_at_once_have_curves_only_and_a_line_says_why() -> None:
    data = xor()
    data.outputs = 16
    assert scene_of(dense(2, 16), data).missing["network"] == (
        "16 outputs, each an answer of its own"
    )


def test_the_figures_of_a_table_say_what_the_network_says_of_each_part() -> None:
    data = spread(90, 5, kind=Parted)
    network = perceptron(9.0, 0.0, 0.0, 0.0, 0.0, bias=1.0)
    scene = scene_of(network, data)
    figure: Any = plots.confusion(scene)
    assert len(figure.axes) == 3
    for axes, name in zip(figure.axes, ("train", "val", "test"), strict=True):
        x, y = data.split[name]
        with torch.no_grad():
            given = (network(x) > 0).int()
        expected = [int(((y == r) & (given == g)).sum()) for r in (0, 1) for g in (0, 1)]
        assert [int(text.get_text()) for text in axes.texts] == expected
        right = expected[0] + expected[3]
        assert axes.get_title() == f"{name}\n{right} of 30"
    # the first input alone is of importance
    assert scene.importance[0, 0] > 0.2
    assert scene.importance[1:].tolist() == [[0, 0]] * 4
    assert scene.worst["p of right"] == sorted(scene.worst["p of right"])
    row, x1 = scene.worst["row"][0], scene.worst["x1"][0]
    assert data.split["test"][0][row - 1, 0] == pytest.approx(x1)


def test_the_figures_of_a_predicted_number_show_it_over_its_target() -> None:
    class Number(Plain):
        def predictions(self, outputs: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"prediction": 10 * outputs + 5}

        def targets(self, y: torch.Tensor) -> torch.Tensor:
            return y

    data = spread(90, 5, kind=Parted)
    data.y, data.classes = 2 * data.x[:, :1], 0
    module = Number(perceptron(2.0, 0.0, 0.0, 0.0, 0.0, bias=0.1), 0)
    scene = survey(trained(module, data))
    assert set(figures_of(scene)) == {"loss", "network", "predicted", "importance", "worst"}
    figure: Any = plots.predicted(scene)
    spots = np.concatenate([each.get_offsets() for each in figure.axes[0].collections])
    expected = 20 * data.x[:, 0].double() + 5
    np.testing.assert_allclose(np.sort(spots[:, 0]), expected.sort().values, atol=1e-4)
    np.testing.assert_allclose(spots[:, 1] - spots[:, 0], 1, atol=1e-4)
    assert scene.importance[0, 0] > 1
    assert scene.missing == {"boundary": "a predicted number has no boundary"}


def test_a_network_of_images_has_the_figures_of_a_table() -> None:
    data = spread(60, 16, 3, kind=Parted)
    data.x = data.x.view(60, 1, 4, 4)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    scene = scene_of(network, data)
    assert set(figures_of(scene)) == {"loss", "confusion", "probability", "worst"}
    assert set(scene.worst) == {"row", "right", "p of right"}
    assert scene.missing["network"] == "Sequential is not an nn.Sequential of linear layers"


def test_text_of_a_file_stands_in_a_picture_as_it_is() -> None:
    assert plain("a\nb  $c$") == r"a b \$c\$"
    assert len(plain("x" * 99)) == 24
    data = Points(CORNERS, XOR, names=("$\\frac$", "<b>"))
    assert len(drawing.png(plots.boundary(scene_of(solver(), data)), 50)) > 1000


# frames


def test_frames_are_chosen_by_how_much_changed() -> None:
    values = np.zeros((101, 1))
    values[51:, 0] = np.linspace(1, 100, 50)
    kept = evenly_changed(values, 11)
    assert (kept[0], kept[-1], len(kept)) == (0, 100, 11)
    assert sum(one > 50 for one in kept) >= 7
    assert evenly_changed(np.zeros((101, 1)), 11) == [*range(0, 101, 10)]
    assert evenly_changed(np.full((9, 1), np.nan), 5) == [0, 2, 4, 6, 8]


def test_a_bend_between_two_reports_is_seen() -> None:
    still, moved = dense(2, 1), solver()
    steps = [
        torch.lerp(flat(dense(2, 2, 1)) * 0, flat(moved), max(0, n - 150) / 49) for n in range(200)
    ]
    history = History(updates=[*range(200)], weights=steps, reports=[0, 200], metrics=[{}, {}])
    updates = survey(trained(Plain(moved), xor(), history, 200)).updates
    assert sum(150 < update < 200 for update in updates) > len(updates) / 2
    # weights of another network are no frames
    assert survey(trained(Plain(still), xor(), history, 200)).updates.tolist() == [200]


def test_curves_bend_between_two_reports_where_the_loss_is_the_modules_own() -> None:
    torch.manual_seed(1)
    data = xor()
    data.passes = 500
    module = Plain(dense(2, 2, 1))
    loop = trainer(2, kept := Snapshots())
    use_spans(loop, module, data)
    loop.fit(module, datamodule=data)
    assert kept.history.reports == [500, 1000]
    run = trained_by(loop, module, Path("runs/xor/version_0"), {})
    between = [update for update in run.history.reports if 500 < update < 1000]
    assert len(between) > 50
    assert {500, 1000} <= set(run.history.reports)
    with torch.no_grad():
        load(module.net, kept.history.weights[kept.history.updates.index(between[9])])
        expected = float(module.loss(module.net(data.x), data.y))
    measured = run.history.metrics[run.history.reports.index(between[9])]
    assert measured["train/loss"] == pytest.approx(expected)
    module.measured_loss = lambda logits, y: torch.tensor(3.0)  # type: ignore[assignment]
    other = trained_by(loop, module, Path("runs/xor/version_0"), {})
    assert other.history.reports == [500, 1000]


def test_a_frame_is_the_network_with_the_weights_of_its_snapshot() -> None:
    torch.manual_seed(5)
    before, after = dense(2, 3, 1), dense(2, 3, 1)
    history = History(updates=[3], weights=[flat(before)])
    scene = survey(trained(Plain(after), xor(), history, 9))
    assert scene.updates.tolist() == [3, 9]
    with torch.no_grad():
        for frame, network in enumerate((before, after)):
            expected = network(torch.tensor(CORNERS))
            np.testing.assert_allclose(scene.at_rows[frame], expected, atol=1e-6)


# studies


def test_of_a_study_the_best_member_is_shown_and_what_all_say_together() -> None:
    class Module(Plain):
        def correct(self, logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return (logits > 0) == (y > 0.5)

    def build(setting: dict[str, Any]) -> Plain:
        return Module(dense(2, 2, 1), rate=setting["lr"])

    data = xor()
    data.passes = 200
    study = make_study(Plan(0, 12, {"lr": [0.5, 9.0]}), data, build, None, (None, None))
    record = Record()
    loop = trainer(3, Snapshots(), record)
    study.hand_out_by(loop, data)
    loop.fit(study, datamodule=data)
    run = trained_by(loop, study, Path("runs/study/version_0"), {})
    scene = survey(run)
    solved, losses = record.since >= 0, record.last["train/loss"]
    assert solved.any()
    best = int(losses.masked_fill(~solved, torch.inf).argmin())
    assert scene.title == f"study/version_0, member {best}"
    torch.testing.assert_close(run.history.weights[-1], flat(study.members[best]))
    assert run.history.metrics[-1]["train/loss"] == pytest.approx(float(losses[best]), rel=1e-4)
    torch.manual_seed(study.each[best].seed)
    torch.testing.assert_close(run.history.weights[0], flat(dense(2, 2, 1)))
    with torch.no_grad():
        expected = study.members[best](data.split["all"][0])
    np.testing.assert_allclose(scene.at_rows[-1], expected, atol=1e-5)
    assert scene.hits[-1] == 4
    assert {"members", "solved", "boundary", "loss"} <= set(figures_of(scene))
    assert scene.study is not None
    assert [row["lr"] for row in scene.study.groups] == [0.5, 9.0]


def test_the_losses_of_the_members_are_drawn_with_their_quantiles() -> None:
    losses = np.linspace(1, np.linspace(0, 0.9, 20), 5)
    run = trained(Plain(solver()), xor(), title="a run, member 3")
    scene = survey(replace(run, study=Study(np.arange(5), losses)))
    (axes,) = figures_of(scene)["members"][0][1].axes
    assert len(axes.lines) == 20 + 3 + 1  # three quantiles, and chance
    median: Any = axes.lines[21].get_ydata()
    np.testing.assert_allclose(median, np.median(losses, axis=1))


def test_the_share_solved_is_drawn_by_what_varies() -> None:
    groups = [
        {"lr": lr, "hidden": hidden, "share": 0.5, "share_low": 0.4, "share_high": 0.6}
        for lr in (0.1, 1.0)
        for hidden in ("[2]", "[4]")
    ]
    study = Study(np.arange(2), np.zeros((2, 0)), ["lr", "hidden"], groups)
    scene = survey(replace(trained(Plain(solver()), xor()), study=study))
    (axes,) = figures_of(scene)["solved"][0][1].axes
    legend: Any = axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["hidden [2]", "hidden [4]"]
