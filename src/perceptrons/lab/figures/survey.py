"""A network looked at over its inputs, as it was at its snapshots: the arrays that figures show."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.tables import TableData
from ..studies.record import Study as Record
from ..studies.record import best_of
from ..studies.study import StudyModule
from ..studies.summary import summaries, varied
from ..training.protocol import dense_layers
from .partition import COUNTED, with_table
from .scene import (
    FEW,
    Array,
    Integers,
    Layer,
    Scene,
    Study,
    best_line,
    evenly_changed,
    winners,
)
from .snapshots import History, Snapshots, flat, history_of, load

# cells along an axis and along the sides of a plane; rows that are drawn
AXIS, SIDE, DRAWN = 200, 60, 1_000
MARGIN = 0.35  # round the rows, as a share of the space they are in
# frames, and those of them that show the inside; neurons of a layer that are drawn
FRAMES, INSIDE, NEURONS = 24, 6, 6
CHOOSING = 200  # rows to choose frames by
OF_PLANES = ("boundary", "neurons")


def scene_of_fit(trainer: Any, module: Any, run: Path) -> Scene:
    """What there is to see of a fit that has ended.

    Args:
        trainer: Its trainer.
        module: The module that it has trained.
        run: The run's directory.
    """
    kept = [each for each in trainer.callbacks if isinstance(each, Snapshots)]
    history = kept[0].history if kept else History()
    records = [each for each in trainer.callbacks if isinstance(each, Record)]
    whole = module, trainer.datamodule, history, trainer.global_step, title_of(run)
    return of_study(*whole, records[0]) if records else survey(*whole)


def whole_history(checkpoint: dict[str, Any], run: Path) -> tuple[History, int]:
    """The snapshots of a run's checkpoint with all reports up to it, and its number of updates.

    Raises:
        ValueError: If the snapshots cannot be read.
    """
    history, update = history_of(checkpoint), int(checkpoint["global_step"])
    if not history.reports:
        history.reports, history.metrics = reports_of(run)
    if update not in history.reports:
        history.add_report(update, dict(checkpoint.get("metrics", {})))
    return history, update


def scene_of(
    module: Any, data: Any, checkpoint: dict[str, Any], run: Path, frames: int = FRAMES
) -> Scene:
    """What there is to see of a run, as one of its checkpoints has it.

    Raises:
        ValueError: If the checkpoint's snapshots cannot be read.
    """
    history, update = whole_history(checkpoint, run)
    whole = module, data, history, update, title_of(run)
    if isinstance(module, StudyModule):
        (record := Record()).load_state_dict(checkpoint["callbacks"][record.state_key])
        return of_study(*whole, record)
    return survey(*whole, frames=frames)


def of_study(
    module: StudyModule, data: Any, history: History, update: int, title: str, record: Record
) -> Scene:
    """A scene of a study: its members, and the best of them as it is."""
    best = best_of(record.last, record.since)
    rows = record.rows([*module.each])
    groups = summaries(rows)
    settings = varied(rows) if len(groups) > 1 and "share" in groups[0] else []
    losses = torch.stack(record.curves).numpy()
    members = Study(f"member {best}", np.array(record.updates), losses, settings, groups)
    shown = {"net": module.members[best], "study": members}
    return survey(module.user_module, data, history, update, title, **shown)


def reports_of(run: Path) -> tuple[list[int], list[dict[str, float]]]:
    """The reports of a run that has no snapshots, as TensorBoard has them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run), {"scalars": 0, "images": 1, "histograms": 1}).Reload()
    found: dict[int, dict[str, float]] = {}
    for name in events.Tags()["scalars"]:
        if name.startswith(("train/", "val/")):
            for point in events.Scalars(name):
                found.setdefault(point.step, {})[name] = point.value
    return sorted(found), [found[update] for update in sorted(found)]


def title_of(run: Path) -> str:
    """What a run is called in its figures, as in TensorBoard."""
    return "/".join(run.parts[-2:])


def survey(
    module: Any,
    data: Any,
    history: History,
    update: int,
    title: str,
    net: nn.Module | None = None,
    study: Study | None = None,
    frames: int = FRAMES,
) -> Scene:
    """A scene of a module as it was at its snapshots, and as it is.

    Args:
        module: A LightningModule; what is missing of ``net`` and ``classes`` is left out.
        data: Its data.
        history: Snapshots and reports.
        update: How many updates it has had.
        title: What to call it.
        net: The network to look at, in place of ``module.net``: of a study, the best member.
        study: Of a study, its members.
        frames: How many snapshots to show.
    """
    net = getattr(module, "net", None) if net is None else net
    classes = getattr(module, "classes", None) or getattr(data, "classes", None) or 0
    scene = Scene(
        title=f"{title}, {study.member}" if study else title,
        classes=classes,
        reports=np.array(history.reports, int),
        metrics=columns(history.metrics),
        study=study,
    )
    if why := unseen(module, net, data, classes):
        return replace(scene, missing=dict.fromkeys((*OF_PLANES, "network"), why))
    try:
        with one_thread():
            return Survey(module, net, data, classes).fill(scene, history, update, frames)
    except Exception as failure:  # the user's own network may raise anything, and a run goes on
        reason = str(failure).partition("\n")[0] or type(failure).__name__
        missing = dict.fromkeys((*OF_PLANES, "network"), f"{type(net).__name__}: {reason}")
        return replace(scene, missing=missing)


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch compute with one thread: small pieces of work are slower with more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def columns(rows: Sequence[dict[str, float]]) -> dict[str, Array]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}


def unseen(module: Any, net: Any, data: Any, classes: int) -> str:
    """Why nothing but curves can be drawn; empty where more can."""
    if not isinstance(net, nn.Module):
        return f"{type(module).__name__} has no net"
    if not isinstance(data, TableData):
        return f"{type(data).__name__} has no table of rows"
    if not classes:
        return f"{type(module).__name__} has no classes"
    if classes == 2 and data.outputs > 1:
        return f"{data.outputs} outputs, each a yes or no of its own"
    return ""


class Survey:
    """Looks at a network, as it is or with earlier weights.

    Args:
        module: The module, for its loss.
        net: The network.
        data: Its data.
        classes: Number of classes.
    """

    def __init__(self, module: Any, net: Any, data: TableData, classes: int) -> None:
        self.module, self.data, self.classes = module, data, classes
        self.net = copy.deepcopy(net).cpu().float().eval()
        self.now = copy.deepcopy(self.net.state_dict())

    @torch.inference_mode()
    def fill(self, scene: Scene, history: History, update: int, frames: int) -> Scene:
        """A scene with all that can be seen."""
        x, y = self.data.split["all"][:2]
        counted = evenly(len(x), COUNTED)
        right = self.right_of(y[counted])
        x, drawn = x[counted].float(), evenly(len(counted), DRAWN)
        points = self.data.as_points()[counted][drawn].float().numpy()
        updates, weights = self.chosen(history, update, x[evenly(len(x), CHOOSING)], frames)
        cells = grid(points)
        given = self.data.from_points(torch.from_numpy(cells).float())
        says = [self.with_weights(each, lambda: (self.say(x), self.say(given))) for each in weights]
        at_all = np.stack([each[0] for each in says])
        inside = evenly_changed(at_all.reshape(len(says), -1), INSIDE)
        few = len(dense_layers(self.net) or ()) == 1 and len(x) <= FEW
        scene = replace(
            scene,
            chance=self.loss_of_chance(y[counted]),
            missing=self.missing(points.shape[1]),
            names=self.data.point_names,
            called=[*map(str, self.data.class_names)],
            points=points,
            right=right[drawn],
            cells=cells,
            given=given.numpy(),
            updates=np.array(updates),
            logits=np.stack([each[1] for each in says]),
            at_rows=at_all[:, drawn],
            hits=(winners(at_all, self.classes) == right).sum(1),
            rows=len(x),
            sampled=len(x) < len(y),
            line=best_line(points, right) if few and points.shape[1] == 2 else None,
            inside=inside,
            layers=self.layers([weights[one] for one in inside], given),
        )
        return scene if points.shape[1] <= 2 else with_table(self, scene)

    def chosen(
        self, history: History, update: int, x: Tensor, frames: int
    ) -> tuple[list[int], list[Tensor | None]]:
        """The snapshots to show, by how much the answers changed, and the present as the last."""
        size = len(flat(self.net))
        pairs = zip(history.updates, history.weights, strict=True)
        earlier = [each for each in pairs if each[0] < update and len(each[1]) == size]
        updates: list[int] = [*(at for at, _ in earlier), update]
        weights: list[Tensor | None] = [*(each for _, each in earlier), None]
        says = [self.with_weights(each, lambda: self.say(x).ravel()) for each in weights]
        kept = evenly_changed(np.stack([squashed(each) for each in says]), frames)
        return [updates[one] for one in kept], [weights[one] for one in kept]

    def with_weights(self, weights: Tensor | None, look: Callable[[], Any]) -> Any:
        """What is seen with earlier weights, or the present ones."""
        if weights is None:
            self.net.load_state_dict(self.now)
        else:
            load(self.net, weights)
        return look()

    def say(self, x: Tensor) -> Array:
        logits: Array = self.net(x).numpy().astype(np.float32)
        outputs = 1 if self.classes == 2 else self.classes
        if logits.shape != (len(x), outputs):
            shape = f"logits {tuple(logits.shape)}, expected {(len(x), outputs)}"
            raise ValueError(f"{shape} for {self.classes} classes")
        return logits

    def right_of(self, y: Tensor) -> Integers:
        """Right class of each row."""
        if y.ndim == 1:
            return y.int().numpy()
        return (y[:, 0].int() if self.classes == 2 else y.argmax(1)).numpy()

    def loss_of_chance(self, y: Tensor) -> float:
        """The loss of a network that favours no class, where the module's loss says so."""
        loss = getattr(self.module, "measured_loss", None) or getattr(self.module, "loss", None)
        if loss is None or y.ndim != 2:
            return float("nan")
        return float(loss(torch.zeros(len(y), 1 if self.classes == 2 else self.classes), y.float()))

    def missing(self, inputs: int) -> dict[str, str]:
        """Why a figure cannot be drawn, by its name."""
        plane = f"{inputs} inputs have no plane"
        found = dict.fromkeys(OF_PLANES, plane) if inputs > 2 else {}
        if not dense_layers(self.net):
            why = f"{type(self.net).__name__} is not an nn.Sequential of linear layers"
            found = {"neurons": why, "network": why} | found
        return found

    def layers(self, weights: Sequence[Tensor | None], given: Tensor) -> list[Layer]:
        """The layers of the network, with each of some weights."""
        frames = [self.with_weights(each, lambda: self.inside(given)) for each in weights]
        by_layer = zip(*frames, strict=True)
        return [Layer(*map(np.stack, zip(*each, strict=True))) for each in by_layer]

    def inside(self, x: Tensor) -> list[tuple[Array, ...]]:
        """Weights, biases, weighted sums and shades of each layer, as :class:`Layer` says."""
        layers, found = dense_layers(self.net) or [], []
        for number, (linear, activation) in enumerate(layers, 1):
            sums = linear(x)
            x = activation(sums) if activation else sums
            shown = torch.sigmoid(sums) if number == len(layers) else x
            shown = shown[:, :NEURONS]
            low, high = (shown.aminmax(dim=0) if len(shown) else (shown, shown))[:2]
            if not isinstance(activation, nn.Sigmoid) and number < len(layers):
                largest = torch.maximum(low.abs(), high.abs()).clamp(min=1e-9)
                shown = 0.5 + 0.5 * shown / largest if len(shown) else shown
            biases = linear.bias
            if biases is None:
                biases = linear.weight.new_zeros(linear.out_features)
            kept = (linear.weight, biases, sums[:, :NEURONS], shown)
            found.append(tuple(each.clone().numpy() for each in kept))
        return found


def evenly(count: int, most: int) -> Tensor:
    """Numbers of evenly chosen rows, of all where they are few."""
    return torch.linspace(0, count - 1, min(count, most), dtype=torch.float64).long()


def squashed(logits: Array) -> Array:
    """Logits as what they mean: from 5 to 50 little changes."""
    return np.tanh(np.nan_to_num(logits) / 4)


def grid(points: Array) -> Array:
    """Where to look at a network of 1 or 2 inputs, round its rows ``(cells, inputs)``."""
    inputs = points.shape[1]
    low, high = points.min(0), points.max(0)
    margin = MARGIN * np.where(high > low, high - low, 1.0)
    if inputs == 1:
        return np.linspace(low - margin, high + margin, AXIS)
    if inputs > 2:
        return points[:0]
    axes = [np.linspace(low[n] - margin[n], high[n] + margin[n], SIDE) for n in (0, 1)]
    across, up = np.meshgrid(*axes)
    return np.stack([across.ravel(), up.ravel()], 1)
