"""What there is to see of a run: figures against the network they show, TensorBoard's records."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from children import CONFIGS
from conftest import Command
from matplotlib.collections import LineCollection, PathCollection, QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.contour import ContourSet
from numpy_mlp import NumpyMLP
from outcome import checkpoint, differences, outcome
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from perceptrons import diagrams, drawing, figures, plots, survey
from perceptrons.classifier import Classifier
from perceptrons.data import Blobs, Gates
from perceptrons.datafile import Table
from perceptrons.fused import FusedEpochLoop
from perceptrons.network import MLP, Perceptron
from perceptrons.panels import COLORS
from perceptrons.plotting import scene_of as scene_of_run
from perceptrons.scene import Array, Scene
from perceptrons.tables import TableData

CORNERS = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]


class Odd(nn.Sequential):
    """A network that is no MLP."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Linear(inputs, 4), nn.LayerNorm(4), nn.Linear(4, outputs))


def solver() -> MLP:
    """XOR by hand: h1 is OR, h2 is AND, and the output is h1 and not h2."""
    network = MLP(2, hidden=[2])
    weights = [[[20.0, 20.0], [20.0, 20.0]], [-10.0, -30.0], [[20.0, -20.0]], [-10.0]]
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), weights, strict=True):
            parameter.copy_(torch.tensor(value))
    return network


def scene_of(network: nn.Module, data: TableData, loss: str = "bce") -> Scene:
    model = Classifier(network, data.classes, loss=loss)  # type: ignore[arg-type]
    return survey.survey(model, data, [], 7, "a run")


def xor_scene(network: nn.Module) -> Scene:
    return scene_of(network, Gates("xor"))


# the figures, against the network that they show


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


def test_the_boundary_of_an_mlp_separates_the_corners_of_xor() -> None:
    figure = plots.boundary(xor_scene(solver()))
    assert [side(color_at(figure, *corner)) for corner in CORNERS] == [0, 1, 1, 0]
    assert len(crosses(figure)) == 0


@pytest.mark.parametrize("seed", range(5))
def test_the_boundary_of_a_perceptron_is_one_straight_line_and_leaves_a_corner_of_xor_wrong(
    seed: int,
) -> None:
    torch.manual_seed(seed)
    network = Perceptron(2, init="normal")
    weight, bias = network.parameters()
    with torch.no_grad():  # a line through the middle
        bias.copy_(-weight.sum(1) / 2)
    figure = plots.boundary(xor_scene(network))
    (contour,) = of_kind(figure.axes[0], ContourSet)
    (line,) = contour.get_paths()[0].to_polygons(closed_only=False)
    assert np.linalg.matrix_rank(line - line[0], tol=1e-3) == 1
    assert len(crosses(figure)) >= 1
    sides = [side(color_at(figure, *corner)) for corner in CORNERS]
    wrong = {
        corner
        for corner, is_, ought in zip(CORNERS, sides, (0, 1, 1, 0), strict=True)
        if is_ != ought
    }
    assert {tuple(cross) for cross in crosses(figure).tolist()} == wrong


def test_a_row_is_in_the_colour_of_its_right_answer() -> None:
    figure = plots.boundary(xor_scene(solver()))
    colored = {}
    for rows in of_kind(figure.axes[0], PathCollection)[:2]:
        for x, y in rows.get_offsets().tolist():
            colored[x, y] = tuple(rows.get_facecolor()[0][:3])
    assert [colored[corner] for corner in CORNERS] == [to_rgb(COLORS[n]) for n in (0, 1, 1, 0)]


def test_a_network_that_is_not_sure_is_pale() -> None:
    scene = xor_scene(solver())
    doubtful = Perceptron(2)
    with torch.no_grad():
        for parameter in doubtful.parameters():
            parameter.mul_(1e-6)
    strong, pale = plots.boundary(scene), plots.boundary(xor_scene(doubtful))
    assert color_at(strong, 0, 1).min() < 0.6
    assert color_at(pale, 0, 1).min() > 0.85
    assert "unsure of all" in pale.get_suptitle()
    assert "unsure of all" not in strong.get_suptitle()


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_a_scene_holds_what_numpy_computes(activation: str) -> None:
    torch.manual_seed(3)
    network = MLP(2, hidden=[4, 3], activation=activation)  # type: ignore[arg-type]
    scene = xor_scene(network)
    state = [each.detach().double().numpy() for each in network.parameters()]
    matrices = [np.vstack([w.T, b]) for w, b in zip(state[::2], state[1::2], strict=True)]
    sums = NumpyMLP(matrices, activation, bias=True).sums(scene.cells.astype(float))
    assert len(scene.cells) > 1000
    np.testing.assert_allclose(scene.logits[-1], sums[-1], atol=1e-5)
    for layer, expected in zip(scene.layers, sums, strict=True):
        np.testing.assert_allclose(layer.sums[-1], expected, atol=1e-5)


def test_a_neuron_is_seen_where_it_is_on_and_its_line_is_where_it_switches() -> None:
    scene = xor_scene(solver())
    first = scene.layers[0]
    total = scene.cells.sum(1)
    np.testing.assert_array_equal(first.sums[-1, :, 0] > 0, total > 0.5)  # OR
    np.testing.assert_array_equal(first.shades[-1, :, 1] > 0.5, total > 1.5)  # AND
    tiles = diagrams.neurons(scene).axes[0].images
    assert len(tiles) == 2 + 2 + 1  # inputs, neurons, output


def test_a_line_is_as_wide_as_its_weight_is_large_and_blue_where_that_is_positive() -> None:
    figure: Any = diagrams.network(xor_scene(solver()))
    (lines,) = of_kind(figure.axes[0], LineCollection)
    blue, orange = to_rgb(diagrams.POSITIVE), to_rgb(diagrams.NEGATIVE)
    shown = [tuple(color[:3]) for color in lines.get_colors()]
    assert shown == [blue, blue, blue, blue, blue, orange]
    assert len(set(lines.get_linewidths())) == 1  # all are 20 from 0
    written = [each.get_text() for each in figure.axes[0].texts]
    assert written.count("+20") == 5
    assert {"-20", "bias -30"} <= set(written)


def test_a_weight_of_nothing_has_hardly_a_line() -> None:
    network = solver()
    with torch.no_grad():
        next(network.parameters())[0, 0] = 1e-3
    (lines,) = of_kind(diagrams.network(xor_scene(network)).axes[0], LineCollection)
    thin, *others = lines.get_linewidths()
    assert 8 * thin < min(others)


CASES = {
    "one input": (MLP(1, hidden=[2]), Gates("10", inputs=1), "bce"),
    "an input that is always 1": (Perceptron(3), Gates("and", constant_input=True), "bce"),
    "three inputs": (Perceptron(3), Gates("xor", inputs=3), "bce"),
    "three coordinates": (Perceptron(3), Blobs(n_features=3), "bce"),
    "five inputs": (Perceptron(5), Gates("xor", inputs=5), "bce"),
    "three classes": (Perceptron(2, 3), Blobs(centers=3), "cross_entropy"),
    "nine classes": (Perceptron(2, 9), Blobs(centers=9), "cross_entropy"),
    "wide": (MLP(2, hidden=[50, 9]), Gates("xor"), "mse"),
    "not an MLP": (Odd(2, 1), Gates("xor"), "bce"),
}


@pytest.mark.parametrize("case", CASES)
def test_every_figure_is_drawn_or_a_line_says_why_not(case: str) -> None:
    scene = scene_of(*CASES[case])
    drawn = drawing.figures(scene)
    assert drawn.keys() | scene.missing.keys() == {"boundary", "neurons", "network", "loss"}
    assert not drawn.keys() & scene.missing.keys()
    for figure in drawn.values():
        picture = np.asarray(drawing.pixels(figure))
        assert picture.std() > 5
    expected = {
        "three inputs": {"neurons": "3 inputs have no plane"},
        "three coordinates": {"neurons": "3 inputs have no plane"},
        "five inputs": {"neurons": "5 inputs have no plane"},
        "not an MLP": dict.fromkeys(("neurons", "network"), "Odd is not an MLP"),
    }
    assert scene.missing == expected.get(case, {})


def test_a_gate_of_three_inputs_is_shown_by_two_planes_with_four_rows_each() -> None:
    figure = plots.boundary(scene_of(Perceptron(3), Gates("xor", inputs=3)))
    assert [axes.get_title() for axes in figure.axes] == ["x3 = 0", "x3 = 1"]
    for axes in figure.axes:
        of_no, of_yes, _ = of_kind(axes, PathCollection)
        assert len(of_no.get_offsets()) == len(of_yes.get_offsets()) == 2


def test_a_table_of_the_users_is_shown_in_its_own_units_and_names(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    path = tmp_path / "table.csv"
    ages, incomes = np.linspace(20, 80, 12), np.linspace(10_000, 90_000, 12)[::-1]
    lines = [
        f"{age},{income},{'old' if age > 50 else 'young'}"
        for age, income in zip(ages, incomes, strict=True)
    ]
    path.write_text("\n".join(["age,income,kind", *lines]))
    data = Table(path=str(path), target="kind")
    scene = scene_of(network := MLP(2, hidden=[3]), data)
    np.testing.assert_allclose(np.sort(scene.points[:, 0]), ages, rtol=1e-6)
    with torch.no_grad():
        expected = network(data.from_points(torch.from_numpy(scene.cells)))
    np.testing.assert_allclose(scene.logits[-1], expected, atol=1e-6)
    figure = plots.boundary(scene)
    assert [figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()] == ["age", "income"]
    assert [each.get_text()[2:] for each in figure.texts[:3]] == ["old", "young", "missed"]


def test_several_answers_at_once_have_curves_only_and_a_line_says_why() -> None:
    scene = scene_of(Perceptron(2, 16), Gates("all"))
    assert set(drawing.figures(scene)) == {"loss"}
    assert scene.missing["boundary"] == "16 outputs, each a yes or no of its own"


def test_a_figure_drawn_over_that_of_another_frame_is_the_figure_drawn_anew() -> None:
    torch.manual_seed(5)
    before, after = (MLP(2, hidden=[3], init="normal", init_scale=5.0) for _ in range(2))
    note = survey.Note(3, {}, survey.flat(before))
    scene = survey.survey(Classifier(after), Gates("xor"), [note], 9, "two frames")
    for make in drawing.FIGURES.values():
        over = drawing.pixels(make(scene, 1, make(scene, 0)))
        assert over == drawing.pixels(make(scene, 1))
        assert over != drawing.pixels(make(scene, 0))


@pytest.mark.parametrize("number", [0, 2])
def test_a_replica_alone_says_what_it_says_among_the_others(number: int) -> None:
    network = MLP(2, 3, hidden=[4], activation="tanh", replicas=3)
    x = torch.rand(7, 2)
    with torch.no_grad():
        alone = survey.alone(network, number)
        torch.testing.assert_close(alone(x), network(x)[..., number])


def test_of_a_study_the_best_replica_is_shown_the_losses_of_all_and_the_shares(
    command: Command,
) -> None:
    grid = "--model.net.replicas 30 --model.lr_grid [1,3] --data.passes 300 --figures true"
    assert command(f"fit --config configs/xor.yaml {grid} --trainer.max_epochs 3").status == 0
    run = Path("lightning_logs/xor/version_0")
    scene = scene_of_run(run, Path("lightning_logs"))
    with (run / "replicas.csv").open() as file:
        rows = list(csv.DictReader(file))
    best = min((row for row in rows if row["solved"] == "1"), key=lambda row: float(row["loss"]))
    assert scene.title == f"xor/version_0, replica {best['replica']}"
    assert (scene.winners[-1] == scene.right).all()
    np.testing.assert_allclose(scene.losses[-1], [float(row["loss"]) for row in rows], rtol=1e-6)
    assert [row["lr"] for row in scene.shares] == [1.0, 3.0]
    assert set(drawing.figures(scene)) == {"boundary", "neurons", "network", "shares", "loss"}
    figures.wait()
    (images,) = run.glob("*.figures")
    tags = EventAccumulator(str(images)).Reload().Tags()["images"]
    assert {"figures/shares", "figures/loss", "figures/boundary"} <= set(tags)


@pytest.mark.parametrize("count", [20, 300])
def test_few_losses_are_lines_and_many_a_density(count: int) -> None:
    losses = np.linspace(1, np.linspace(0, 0.9, count), 5)
    scene = replace(xor_scene(solver()), losses=losses, reports=np.arange(5))
    (axes,) = plots.curves(scene).axes
    lines = len(axes.lines) - 4  # three quantiles, and the coin toss
    assert (lines, len(of_kind(axes, QuadMesh))) == ((20, 0) if count == 20 else (0, 1))


# what a fit notes, and how many


def test_a_frame_is_the_network_after_so_many_updates(command: Command) -> None:
    fit = "fit --config configs/xor.yaml --data.passes 50"
    assert (
        command(f"{fit} --trainer.max_epochs 3 --figures true --trainer.logger false").status == 0
    )
    assert command(f"{fit} --trainer.max_epochs 2 --name shorter").status == 0
    long = checkpoint(Path("lightning_logs/xor/version_0"))
    short = checkpoint(Path("lightning_logs/shorter/version_0"))
    notes = long["figures"]
    assert notes["updates"] == [0, 50, 100, 150]
    flat = torch.cat([weights.flatten() for weights in short["state_dict"].values()])
    assert torch.equal(notes["weights"][2], flat)
    assert notes["measured"][2] == short["measured"]


def test_of_many_reports_some_are_kept_evenly_the_first_among_them(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MOST", 6)
    fit = "fit --config configs/xor.yaml --data.passes 1 --figures true --trainer.logger false"
    assert command(f"{fit} --trainer.max_epochs 15").status == 0
    whole, resumed = (Path(f"lightning_logs/xor/version_{number}") for number in (0, 1))
    assert checkpoint(whole)["figures"]["updates"] == [0, 4, 8, 12]
    # and so where the run was resumed
    assert command(f"{fit} --trainer.max_epochs 7").status == 0
    assert command(f"fit --resume {resumed} --trainer.max_epochs 15").status == 0
    assert not differences(checkpoint(resumed), checkpoint(whole))


def test_a_large_network_is_not_noted_but_drawn_as_it_ends(command: Command) -> None:
    wide = "--model.net.hidden [2000] --data.passes 2 --trainer.max_epochs 2 --figures true"
    assert command(f"fit --config configs/xor.yaml {wide}").status == 0
    figures.wait()
    run = Path("lightning_logs/xor/version_0")
    assert checkpoint(run)["figures"]["weights"].numel() == 0
    images = EventAccumulator(str(run), {"images": 0}).Reload().Images("figures/boundary")
    assert [image.step for image in images] == [4]


def test_a_run_started_from_a_checkpoint_notes_its_own_reports_only(command: Command) -> None:
    fit = "fit --config configs/xor.yaml --data.passes 5 --figures true --trainer.logger false"
    assert command(f"{fit} --trainer.max_epochs 2").status == 0
    first = "lightning_logs/xor/version_0"
    assert command(f"{fit} --ckpt_path {first} --trainer.max_epochs 3").status == 0
    notes = checkpoint(Path("lightning_logs/xor/version_1"))["figures"]
    assert notes["updates"] == [10, 15]


def test_figures_change_no_weight(command: Command) -> None:
    for answer in ("true", "false"):
        fit = f"fit --config configs/xor.yaml --data.passes 30 --figures {answer}"
        assert command(f"{fit} --trainer.max_epochs 2").status == 0
    one, other = (outcome(Path(f"lightning_logs/xor/version_{number}")) for number in (0, 1))
    for kind in ("last", "best"):
        one[kind].pop("figures")
    assert not differences(one, other)


def test_updates_are_fused_with_figures_as_without(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    fused: list[int] = []

    def run_unseen(self: FusedEpochLoop, data_fetcher: Any, count: int) -> None:
        fused.append(count)
        original(self, data_fetcher, count)

    original = FusedEpochLoop.run_unseen
    monkeypatch.setattr(FusedEpochLoop, "run_unseen", run_unseen)
    fit = "fit --config configs/xor.yaml --data.passes 30 --figures true --trainer.max_epochs 2"
    assert command(fit).status == 0
    assert fused == [29, 29]  # all but the one that is reported


# processes


@pytest.mark.parametrize("answer", ["true", "false"])
def test_a_command_imports_no_matplotlib_and_has_ended_only_when_its_figures_are_there(
    answer: str, tmp_path: Path
) -> None:
    fit = f"fit --config {CONFIGS / 'and.yaml'} --trainer.max_epochs 1 --figures {answer}"
    words = [sys.executable, "-X", "importtime", "-m", "perceptrons", *fit.split()]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "torch" in imported
    assert not {"matplotlib", "matplotlib.pyplot"} & imported
    drawn = list(tmp_path.glob("lightning_logs/and/version_0/*.figures"))
    assert len(drawn) == (answer == "true")


def test_a_run_that_is_taken_away_before_it_is_drawn_is_no_mistake(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    figures.draw_beside(xor_scene(solver()), tmp_path / "gone")
    figures.wait()
    assert figures.BESIDE.pop(tmp_path / "gone").returncode == 0
    assert capfd.readouterr() == ("", "")
