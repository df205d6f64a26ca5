"""A network looked at over its inputs, as it was at each report: the arrays that figures show."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from perceptrons.network import MLP, ReplicaLinear
from perceptrons.scene import Array, Layer, Scene
from perceptrons.study import best_of
from perceptrons.tables import TableData

# weights of a network up to which they are noted at each report: they go into each checkpoint
SMALL = 5_000
# cells along an axis and along the sides of a plane; rows and neurons of a layer that are drawn
AXIS, SIDE, MOST_ROWS, MOST_NEURONS = 200, 60, 1_000, 6
MARGIN = 0.35  # round the rows, as a share of the space they are in
# loss of a network that favours no class, given how many there are
TOSSES: dict[str, Callable[[int], float]] = {
    "bce": math.log,
    "mse": lambda classes: 1 / classes**2,
    "cross_entropy": math.log,
}


class Note(NamedTuple):
    """A report.

    Attributes:
        update: Number of updates before it.
        measured: What was measured, by name.
        weights: All that the network's answers depend on; empty where that is much.
    """

    update: int
    measured: dict[str, float]
    weights: Tensor


def flat(net: nn.Module) -> Tensor:
    """All that a small network's answers depend on ``(numbers,)``; of a large one nothing."""
    values = [value for value in net.state_dict().values() if value.is_floating_point()]
    if sum(value.numel() for value in values) > SMALL:
        return torch.zeros(0)
    with torch.inference_mode(False):
        return torch.cat([value.flatten().cpu() for value in values])


@torch.no_grad()
def load(net: nn.Module, numbers: Tensor) -> None:
    """Give a network what :func:`flat` has taken from it."""
    values = [value for value in net.state_dict().values() if value.is_floating_point()]
    parts = torch.split(numbers, [value.numel() for value in values])
    for value, part in zip(values, parts, strict=True):
        value.copy_(part.view_as(value))


def survey(
    model: Any,
    data: Any,
    notes: Sequence[Note],
    update: int,
    title: str,
    study: Mapping[str, Any] | None = None,
) -> Scene:
    """A scene of a classifier as it was at each note, and as it is.

    Args:
        model: The classifier.
        data: Its data.
        notes: The reports.
        update: How many updates the classifier has had.
        title: What to call it.
        study: Where it has replicas, what is known of them: the best of them is looked at.
    """
    reports = [note for note in notes if note.update < update]
    measured = [*(note.measured for note in reports), model.measured]
    toss = TOSSES[model.loss_name](model.classes) if model.loss_name in TOSSES else math.nan
    best = best_of(study["losses"], study["since"]) if study and len(study["losses"]) else None
    told: dict[str, Any] = {
        "title": title if best is None else f"{title}, replica {best}",
        "classes": model.classes,
        "reports": np.array([*(note.update for note in reports), update]),
        "measured": {name: column(measured, name) for name in model.measured},
        "toss": toss,
    }
    if study and len(study["curves"]):
        told |= {"reports": np.array(study["updates"]), "measured": {}}
        told["losses"] = torch.stack([*study["curves"]]).numpy()
    if missing := unseen(model, data):
        return Scene(**told, missing=dict.fromkeys(("boundary", "neurons", "network"), missing))
    frames = [note for note in reports if len(note.weights)]
    updates = np.array([*(note.update for note in frames), update])
    looks = seen(model.net, data, [note.weights for note in frames], best)
    return Scene(**told, updates=updates, **looks, missing=closed(model.net, data))


def column(measured: Sequence[dict[str, float]], name: str) -> Array:
    return np.array([each.get(name, math.nan) for each in measured])


def unseen(model: Any, data: Any) -> str:
    """Why nothing but curves can be drawn; empty where more can."""
    if not isinstance(data, TableData):
        return f"{type(data).__name__} has no table of rows"
    if model.classes == 2 and data.outputs > 1:
        return f"{data.outputs} outputs, each a yes or no of its own"
    return ""


def closed(net: nn.Module, data: TableData) -> dict[str, str]:
    """Why the inside of a network cannot be drawn, by the figure's name."""
    if not isinstance(net, MLP):
        return dict.fromkeys(("neurons", "network"), f"{type(net).__name__} is not an MLP")
    if data.point_width > 2:
        return {"neurons": f"{data.point_width} inputs have no plane"}
    return {}


@torch.inference_mode()
def seen(
    net: nn.Module, data: TableData, earlier: Sequence[Tensor], replica: int | None
) -> dict[str, Any]:
    """What a network says of the rows and all over its inputs, with earlier weights and its own.

    Args:
        net: The network.
        data: Its data.
        earlier: The earlier weights, as :func:`flat` has taken them.
        replica: Which of its replicas to look at, where it has some.
    """
    net = copy.deepcopy(net).cpu().float().eval()
    x, y = data.split["all"]
    rows = torch.linspace(0, len(x) - 1, min(len(x), MOST_ROWS)).long()
    points = data.as_points()[rows].numpy()
    cells = grid(points)
    given = data.from_points(torch.from_numpy(cells).float())
    now = copy.deepcopy(net.state_dict())
    frames = []
    for weights in (*earlier, None):
        net.load_state_dict(now) if weights is None else load(net, weights)
        one = net if replica is None else alone(cast(MLP, net), replica)
        frames.append((one(x[rows].float()).numpy(), one(given).numpy(), inside(one, given)))
    at_rows, logits, layers = zip(*frames, strict=True)
    right = y[rows, 0].int() if data.classes == 2 else y[rows].argmax(1)
    return {
        "names": data.point_names,
        "called": data.class_names,
        "points": points,
        "right": right.numpy(),
        "cells": cells,
        "given": given.numpy(),
        "logits": np.stack(logits),
        "at_rows": np.stack(at_rows),
        "layers": [
            Layer(*map(np.stack, zip(*each, strict=True))) for each in zip(*layers, strict=True)
        ],
    }


def alone(net: MLP, number: int) -> MLP:
    """One replica, as an ordinary network."""
    one = MLP.__new__(MLP)
    nn.Module.__init__(one)
    layers: list[nn.Module] = []
    for layer in net.layers:
        if isinstance(layer, ReplicaLinear):
            inputs, outputs = layer.weight.shape[:2]
            linear = cast(Any, nn.utils.skip_init)(
                nn.Linear, inputs, outputs, layer.bias is not None
            )
            for parameter, each in zip(linear.parameters(), layer.parameters(), strict=True):
                parameter.copy_(each[..., number].movedim(0, -1))  # as nn.Linear has it
            layers.append(linear.to(layer.weight.dtype))
        else:
            layers.append(layer)
    one.layers = nn.ModuleList(layers)
    return one


def inside(net: nn.Module, x: Tensor) -> list[tuple[Array, ...]]:
    """Weights, biases, weighted sums and shades of each layer of an MLP, as :class:`Layer` says."""
    if not isinstance(net, MLP):
        return []
    layers = []
    modules = [*cast(Any, net.layers), nn.Sigmoid()]
    for linear, activation in zip(modules[::2], modules[1::2], strict=True):
        sums = linear(x)
        x = activation(sums)
        shown = x[:, :MOST_NEURONS]
        largest = shown.abs().amax(0).clamp(min=1e-9) if len(x) else 1.0
        shades = shown if isinstance(activation, nn.Sigmoid) else 0.5 + 0.5 * shown / largest
        weights = linear.weight
        biases = linear.bias if linear.bias is not None else weights.new_zeros(len(weights))
        kept = (weights, biases, sums[:, :MOST_NEURONS], shades)
        layers.append(tuple(each.clone().numpy() for each in kept))
    return layers


def grid(points: Array) -> Array:
    """Where to look at a network of up to 3 inputs, round its rows ``(cells, inputs)``."""
    inputs = points.shape[1]
    low, high = points.min(0), points.max(0)
    margin = MARGIN * np.where(high > low, high - low, 1.0)
    if inputs == 1:
        return np.linspace(low - margin, high + margin, AXIS)
    if inputs > 3:
        return points[:0]
    axes = [np.linspace(low[n] - margin[n], high[n] + margin[n], SIDE) for n in (0, 1)]
    levels = [np.unique(points[:, 2])] if inputs == 3 else []
    if levels and len(levels[0]) > 3:
        levels = [np.quantile(points[:, 2], (1 / 6, 1 / 2, 5 / 6))]
    # the first input varies fastest, the third slowest
    spread = np.meshgrid(*levels, *axes[::-1], indexing="ij")
    return np.stack([values.ravel() for values in reversed(spread)], 1)
