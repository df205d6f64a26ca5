"""A network looked at over its inputs, as it was at its snapshots: the arrays that figures show."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.tables import TableData
from ..training.protocol import dense_layers
from .scene import (
    FEW,
    Array,
    Integers,
    Layer,
    Part,
    Scene,
    best_line,
    chances,
    evenly_changed,
    winners,
)
from .snapshots import load
from .trained import Trained, one_thread

# cells along an axis and along the sides of a plane; rows that are drawn, and counted
AXIS, SIDE, DRAWN, COUNTED = 200, 60, 1_000, 20_000
MARGIN = 0.35  # round the rows, as a share of the space they are in
FRAMES, NEURONS = 16, 6  # snapshots, and neurons of a layer, that are drawn
# rows and inputs that importance is asked of; worst rows, and their inputs, that are shown
ASKED, ASKED_INPUTS, WORST, WORST_INPUTS = 1_000, 60, 8, 5


def survey(run: Trained, frames: int = FRAMES) -> Scene:
    """A scene of a run's network as it was at its snapshots, and as it is.

    Args:
        run: The run; what is missing of its parts is left out.
        frames: How many snapshots to show.
    """
    classes = getattr(run.module, "classes", None) or getattr(run.data, "classes", None) or 0
    scene = Scene(
        title=run.title,
        classes=classes,
        reports=np.array(run.history.reports, int),
        metrics=columns(run.history.metrics),
        study=run.study,
    )
    if why := unseen(run, classes):
        return replace(scene, missing=dict.fromkeys(("boundary", "network"), why))
    try:
        with one_thread():
            return Survey(run, classes).fill(scene, frames)
    except Exception as failure:  # the user's own network may raise anything, and a run goes on
        reason = str(failure).partition("\n")[0] or type(failure).__name__
        why = f"{type(run.net).__name__}: {reason}"
        return replace(scene, missing=dict.fromkeys(("boundary", "network"), why))


def columns(rows: Sequence[dict[str, float]]) -> dict[str, Array]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}


def unseen(run: Trained, classes: int) -> str:
    """Why nothing but curves can be drawn; empty where more can."""
    if not isinstance(run.net, nn.Module):
        return f"{type(run.module).__name__} has no net"
    if not isinstance(run.data, TableData):
        return f"{type(run.data).__name__} has no table of rows"
    if not classes and not hasattr(run.module, "predictions"):
        return f"{type(run.module).__name__} has no classes"
    if classes in (0, 2) and run.data.outputs > 1:
        return f"{run.data.outputs} outputs, each an answer of its own"
    return ""


class Survey:
    """Looks at a network, as it is or with earlier weights.

    Args:
        run: The run.
        classes: Number of classes; 0: it predicts a number.
    """

    def __init__(self, run: Trained, classes: int) -> None:
        self.run, self.module, self.data, self.classes = run, run.module, run.data, classes
        self.net = copy.deepcopy(run.net).cpu().float().eval()

    @torch.inference_mode()
    def fill(self, scene: Scene, frames: int) -> Scene:
        """A scene with all that can be seen."""
        x, y = self.data.split["all"][:2]
        counted = evenly(len(x), COUNTED)
        right = self.right_of(y[counted])
        x, drawn = x[counted].float(), evenly(len(counted), DRAWN)
        points = self.data.as_points()[counted][drawn].float().flatten(1).numpy()
        plane = points.shape[1] <= 2 and self.classes > 0
        every = self.run.frames
        chosen = evenly_changed(torch.stack([weights for _, weights in every]), frames)
        cells = grid(points) if plane else points[:0]
        given = self.data.from_points(torch.from_numpy(cells).float()) if plane else x[:0]
        looks = [self.look(every[one][1], x, given) for one in chosen]
        at_all, logits, layers = zip(*looks, strict=True)
        few = len(dense_layers(self.net) or ()) == 1 and len(x) <= FEW and points.shape[1] == 2
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
            updates=np.array([every[one][0] for one in chosen]),
            logits=np.stack(logits),
            at_rows=np.stack(at_all)[:, drawn],
            hits=(winners(np.stack(at_all), self.classes) == right).sum(1),
            rows=len(x),
            sampled=len(x) < len(y),
            sets=sets_of(self.data.split),
            line=best_line(points, right) if plane and few else None,
            layers=[
                Layer(*map(np.stack, zip(*one, strict=True))) for one in zip(*layers, strict=True)
            ],
        )
        return scene if plane else self.with_parts(scene)

    def look(self, weights: Tensor, x: Tensor, given: Tensor) -> tuple[Any, Any, Any]:
        """With some weights, what is said of the rows and of the cells, and the layers there."""
        load(self.net, weights)
        return self.say(x), self.say(given), self.inside(given)

    def say(self, x: Tensor) -> Array:
        logits: Array = self.net(x).numpy().astype(np.float32)
        outputs = self.classes if self.classes > 2 else 1
        if logits.shape != (len(x), outputs):
            shape = f"logits {tuple(logits.shape)}, expected {(len(x), outputs)}"
            raise ValueError(f"{shape} for {self.classes} classes")
        return logits

    def right_of(self, y: Tensor) -> Any:
        """Right class of each row, or its number in units of its own ``(rows,)``."""
        if not self.classes:
            return self.predicted(self.module.targets(y).float())
        if y.ndim == 1:
            return y.int().numpy()
        return (y[:, 0].int() if self.classes == 2 else y.argmax(1)).numpy()

    def predicted(self, outputs: Tensor) -> Array:
        found: Array = self.module.predictions(outputs)["prediction"][:, 0].numpy()
        return found

    def loss_of_chance(self, y: Tensor) -> float:
        """The loss of a network that favours no class, where the module's loss says so."""
        loss = getattr(self.module, "measured_loss", None) or getattr(self.module, "loss", None)
        if loss is None or y.ndim != 2 or not self.classes:
            return float("nan")
        return float(loss(torch.zeros(len(y), 1 if self.classes == 2 else self.classes), y.float()))

    def missing(self, inputs: int) -> dict[str, str]:
        """Why a figure cannot be drawn, by its name."""
        found = {}
        if not self.classes:
            found["boundary"] = "a predicted number has no boundary"
        elif inputs > 2:
            found["boundary"] = f"{inputs} inputs have no plane"
        if not dense_layers(self.net):
            found["network"] = f"{type(self.net).__name__} is not an nn.Sequential of linear layers"
        return found

    def inside(self, x: Tensor) -> list[tuple[Array, ...]]:
        """Weights, biases, weighted sums and shades of each layer, as :class:`Layer` says."""
        found = []
        for linear, activation in dense_layers(self.net) or []:
            sums = linear(x)
            x = activation(sums) if activation else sums
            shades = x[:, :NEURONS]
            if len(shades) and not isinstance(activation, nn.Sigmoid):
                shades = 0.5 + 0.5 * shades / shades.abs().amax(0).clamp(min=1e-9)
            biases = torch.zeros(len(linear.weight)) if linear.bias is None else linear.bias
            kept = (linear.weight, biases, sums[:, :NEURONS], shades)
            found.append(tuple(each.clone().numpy() for each in kept))
        return found

    def with_parts(self, scene: Scene) -> Scene:
        """A scene with what is said of each part of a table, and what matters."""
        parts: dict[str, Part] = {}
        split = self.data.split
        for name in scene.sets:
            x, y = (column[:COUNTED] for column in split[name][:2])
            parts[name] = Part(self.right_of(y), self.answers(x.float()))
        parts = {"all": parts["train"]} if len(parts) == 1 else parts
        scene = replace(scene, parts=parts, worst=self.worst(*[*parts.items()][-1]))
        if scene.inputs > ASKED_INPUTS or split["all"][0].ndim > 2:
            why = f"{scene.inputs} inputs are too many to shuffle each"
            return replace(scene, missing=scene.missing | {"importance": why})
        return replace(scene, importance=self.importance(scene))

    def answers(self, x: Tensor) -> Array:
        """Probabilities ``(rows, classes)``, or predicted numbers ``(rows,)``."""
        logits = self.say(x)
        if self.classes:
            return chances(logits, self.classes)
        return self.predicted(torch.from_numpy(logits))

    def importance(self, scene: Scene) -> Array:
        """By how much accuracy, or R2, falls where an input's values are shuffled."""
        from sklearn.inspection import permutation_importance
        from sklearn.metrics import r2_score

        class Fitted:
            """The network as scikit-learn takes it."""

            def fit(self) -> None: ...

        def score(_: Fitted, points: Array, right: Integers) -> float:
            given = self.data.from_points(torch.from_numpy(points).float())
            says = self.answers(given.float())
            return float(
                (says.argmax(1) == right).mean() if self.classes else r2_score(right, says)
            )

        rows = scene.points[:ASKED], scene.right[:ASKED]
        found = permutation_importance(Fitted(), *rows, scoring=score, random_state=0)
        return np.stack([found.importances_mean, found.importances_std], 1)

    def worst(self, name: str, part: Part) -> dict[str, list[Any]]:
        """The rows of a part that the network is most wrong about, by column."""
        right, says = part.right, part.says
        if self.classes:
            of_right = says[np.arange(len(right)), right]
            rows = of_right.argsort(kind="stable")[:WORST]
            called = [*map(str, self.data.class_names or range(self.classes))]
            shown = {"right": [called[one] for one in right[rows]]}
            shown["p of right"] = of_right[rows].tolist()
        else:
            rows = (-np.abs(says - right)).argsort(kind="stable")[:WORST]
            shown = {"target": right[rows].tolist(), "predicted": says[rows].tolist()}
        table = self.data.split[name][0].ndim == 2
        inputs = self.data.named(name, COUNTED) if table else {}
        columns = {key: [inputs[key][row] for row in rows] for key in [*inputs][:WORST_INPUTS]}
        return {"row": [int(row) + 1 for row in rows], **shown, **columns}


def sets_of(split: Any) -> list[str]:
    """Those of the training, validation and test set that are others than the ones before."""
    found: list[str] = []
    for name in ("train", "val", "test"):
        found += [name] if all(split[name] is not split[other] for other in found) else []
    return found


def evenly(count: int, most: int) -> Tensor:
    """Numbers of evenly chosen rows, of all where they are few."""
    return torch.linspace(0, count - 1, min(count, most), dtype=torch.float64).long()


def grid(points: Array) -> Array:
    """Where to look at a network of 1 or 2 inputs, round its rows ``(cells, inputs)``."""
    low, high = points.min(0), points.max(0)
    margin = MARGIN * np.where(high > low, high - low, 1.0)
    if points.shape[1] == 1:
        return np.linspace(low - margin, high + margin, AXIS)
    axes = [np.linspace(low[n] - margin[n], high[n] + margin[n], SIDE) for n in (0, 1)]
    across, up = np.meshgrid(*axes)
    return np.stack([across.ravel(), up.ravel()], 1)
