"""What a page shows of a run, from one of the run's checkpoints."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...data.tables import TableData
from ...studies.record import Study as Record
from ...studies.record import best_of
from ...studies.study import StudyModule
from ...training.protocol import dense_layers
from ..scene import Scene
from ..snapshots import KEY, History, Snapshots, flat
from ..survey import scene_of, title_of, whole_history
from .page import Run, write_page

ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.Identity: "identity",
}
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bce": F.binary_cross_entropy_with_logits,
    "mse": lambda logits, y: F.mse_loss(torch.sigmoid(logits), y),
    "cross_entropy": F.cross_entropy,
}
OPTIMIZERS = ("SGD", "Adam", "AdamW")
# what a page calls an optimizer's tensors
STATE = {"momentum_buffer": "momentum", "exp_avg": "mean", "exp_avg_sq": "square"}
STATE |= {"max_exp_avg_sq": "largest"}
MOST_INPUTS, MOST_ROWS = 3, 1_000
DPI, COLOURS = 110, 64  # of pictures


def run_data(
    checkpoint: dict[str, Any], module: Any, data: Any, run: Path, pictures: bool = True
) -> Run:
    """A run as :func:`..page.write_page` takes it.

    Args:
        checkpoint: The checkpoint, which holds the snapshots.
        module: The run's module with the checkpoint's weights.
        data: Its data.
        run: Its directory.
        pictures: Whether to draw pictures where there is nothing to play with.

    Raises:
        ValueError: If the checkpoint's snapshots cannot be read.
    """
    history, update = whole_history(checkpoint, run)
    shown: Run = {
        "title": title_of(run),
        "settings": flattened(checkpoint.get("settings", {})),
        "curves": curves(history),
        "command": ["--config", str(run / "config.yaml")],
    }
    net: Any = getattr(module, "net", None)
    own = module
    if isinstance(module, StudyModule):
        (record := Record()).load_state_dict(checkpoint["callbacks"][record.state_key])
        best = best_of(record.last, record.since)
        net, own = module.members[best], module.user_module
        history.metrics = [{} for _ in history.metrics]  # they are means of all members
        whose = f"this is member {best}, the best, and the curves are means of all"
        shown["note"] = f"A study of {len(module.each):,} members: {whose}."
    try:
        found = playable(own, net, data, history, update)
        shown.update({**found, **trained(own, net, checkpoint, data)})
    except ValueError as why:
        what = "Curves and pictures" if pictures else "Curves"
        shown["note"] = f"{what} only: {why}."
        if pictures:
            shown["pictures"] = drawn(scene_of(module, data, checkpoint, run))
    return shown


def run_data_of_fit(trainer: Any, module: Any, run: Path, settings: dict[str, Any]) -> Run:
    """The same of a fit that has ended, without pictures."""
    kept = [each.history for each in trainer.callbacks if isinstance(each, Snapshots)]
    records = [each for each in trainer.callbacks if isinstance(each, Record)]
    checkpoint = {
        "global_step": trainer.global_step,
        "settings": settings,
        "optimizer_states": [each.state_dict() for each in trainer.optimizers],
        "callbacks": {each.state_key: each.state_dict() for each in records},
        KEY: (kept[0] if kept else History()).state(),
    }
    return run_data(checkpoint, module, trainer.datamodule, run, pictures=False)


def write_page_of_fit(
    trainer: Any, module: Any, run: Path, settings: dict[str, Any], file: Path
) -> str:
    """Write the page of a fit that has ended; a line that says where it is, or why it is not."""
    try:
        write_page(file, [run_data_of_fit(trainer, module, run, settings)])
    except Exception as failure:  # the user's own classes may raise anything, and the fit is done
        return f"no page: {str(failure).partition(chr(10))[0] or type(failure).__name__}"
    return f"page: {file}"


def flattened(settings: Any, name: str = "") -> dict[str, Any]:
    """Settings by their names in one level; a class by the name of its setting."""
    if not isinstance(settings, dict) or not settings:
        return {name: settings} if name else {}
    found: dict[str, Any] = {}
    for key, value in settings.items():
        level = name if key in ("class_path", "init_args") else f"{name}.{key}".lstrip(".")
        found |= flattened(value, level)
    return found


def curves(history: History) -> dict[str, list[list[float]]]:
    names = dict.fromkeys(name for each in history.metrics for name in each)
    reports = [*zip(history.reports, history.metrics, strict=True)]
    return {name: [[at, each[name]] for at, each in reports if name in each] for name in names}


def playable(module: Any, net: Any, data: Any, history: History, update: int) -> Run:
    """Network, frames and rows.

    Raises:
        ValueError: If the page has no room for such a network or such data; it says why.
    """
    if not isinstance(net, nn.Module):
        raise ValueError(f"{type(module).__name__} has no net")
    if not isinstance(data, TableData):
        raise ValueError(f"{type(data).__name__} has no table of rows")
    widths, activations, bias = described(net)
    encode = encoded(data)
    now = flat(net)
    if not len(now):
        raise ValueError(f"{type(net).__name__} has too many weights for snapshots")
    metrics = dict(zip(history.reports, history.metrics, strict=True))
    pairs = [*zip(history.updates, history.weights, strict=True)]
    earlier = [each for each in pairs if each[0] < update and len(each[1]) == len(now)]
    return {
        "widths": widths,
        "activations": activations,
        "bias": bias,
        "loss": loss_of(module, widths[-1]),
        "inputs": [*map(str, data.point_names)],
        "features": features(data, widths[0]),
        "encode": encode,
        "class_names": [*map(str, data.class_names)],
        "rows": rows_of(module, data, encode),
        "frames": [
            {"update": at, "weights": weights.tolist(), "metrics": metrics.get(at, {})}
            for at, weights in (*earlier, (update, now))
        ],
    }


def described(net: nn.Module) -> tuple[list[int], list[str], bool]:
    """Widths, activations, and whether there are biases."""
    layers = dense_layers(net)
    if layers is None:
        raise ValueError(f"{type(net).__name__} is not an nn.Sequential of linear layers")
    linears, activations = [each for each, _ in layers], [each for _, each in layers]
    biases = {linear.bias is not None for linear in linears}
    names = [ACTIVATIONS.get(type(each or nn.Identity())) for each in activations]
    if activations[-1] is not None or len(biases) > 1 or None in names:
        raise ValueError(f"the page has no such activations or biases as {type(net).__name__}")
    if any(isinstance(each, nn.LeakyReLU) and each.negative_slope != 0.01 for each in activations):
        raise ValueError("the page has leaky_relu with slope 0.01 alone")
    widths = [linears[0].in_features, *(linear.out_features for linear in linears)]
    return widths, [name for name in names[:-1] if name], biases == {True}


def loss_of(module: Any, outputs: int) -> str:
    """Which of the page's losses the module's is, found out by what it says."""
    loss = getattr(module, "loss", None)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(8, outputs, generator=generator)
    y = F.one_hot(torch.arange(8) % outputs, outputs).float() if outputs > 1 else logits.roll(1) > 0
    for name, known in LOSSES.items():
        if name == "cross_entropy" and outputs == 1:
            continue
        try:
            if loss and torch.allclose(loss(logits, y.float()), known(logits, y.float())):
                return name
        except Exception as failure:  # a loss of the user's own may raise anything
            raise ValueError(f"the loss takes other targets: {failure}") from failure
    raise ValueError("the page does not have the run's loss")


def encoded(data: TableData) -> dict[str, Any] | None:
    """How the network's inputs follow from a point; ``None``: they are its numbers.

    Raises:
        ValueError: If a point has too many numbers, or its inputs are not linear in them.
    """
    width = data.point_width
    if not 1 <= width <= MOST_INPUTS:
        raise ValueError(f"{width} inputs have no plane")
    origin = torch.zeros(1, width)
    try:
        offset = data.from_points(origin)[0]
        matrix = (data.from_points(torch.eye(width)) - offset).mT
        points = torch.randn(16, width, generator=torch.Generator().manual_seed(0))
        given = data.from_points(points)
    except Exception as failure:  # an encoder of the user's own may raise anything
        raise ValueError(f"its points cannot be encoded: {failure}") from failure
    if not torch.allclose(points @ matrix.mT + offset, given, atol=1e-4):
        raise ValueError("its inputs do not follow from a point by a sum")
    if torch.linalg.matrix_rank(matrix) < width:
        raise ValueError("a point does not follow from its inputs")
    if matrix.shape == (width, width) and torch.equal(matrix, torch.eye(width)):
        return None if not offset.any() else {"matrix": matrix.tolist(), "offset": offset.tolist()}
    return {"matrix": matrix.tolist(), "offset": offset.tolist()}


def features(data: TableData, inputs: int) -> list[str]:
    """Names of the network's inputs: those of a point, and 1 for a constant."""
    names = [*map(str, data.point_names)]
    return names + ["1"] * (inputs - len(names)) if inputs >= len(names) else names[:inputs]


def rows_of(module: Any, data: TableData, encode: dict[str, Any] | None) -> dict[str, Any]:
    """Points and targets to train and to validate on; the latter only if they are others."""
    split = data.split
    other = not all(map(torch.equal, split["train"][:2], split["val"][:2]))
    targets = getattr(module, "targets", lambda y: y)
    found = {}
    for part in ("train", "val") if other else ("train",):
        x, y = (column[:MOST_ROWS] for column in split[part][:2])
        if encode:
            back = torch.linalg.pinv(torch.tensor(encode["matrix"]).double())
            x = (x.double() - torch.tensor(encode["offset"])) @ back.mT
        found[part] = {"x": x.tolist(), "y": targets(y).tolist()}
    return found


def trained(module: Any, net: nn.Module, checkpoint: dict[str, Any], data: TableData) -> Run:
    """How the run was trained, and how the page goes on with it."""
    if getattr(module, "optimizer", None) is None:
        raise ValueError(f"{type(module).__name__} says nothing of its optimizer")
    optimizer = module.optimizer([nn.Parameter(torch.zeros(1))])
    name = type(optimizer).__name__
    states = checkpoint.get("optimizer_states") or [{"state": {}, "param_groups": []}]
    groups = states[0]["param_groups"] or [optimizer.param_groups[0]]
    settings = {
        key: value
        for key, value in groups[0].items()
        if isinstance(value, bool | int | float | list | tuple) and key not in ("params", "foreach")
    }
    rates = [group["lr"] for group in groups]
    factor = rates[-1] / rates[0] if len(groups) == 2 and rates[0] else 1.0
    notes = []
    if name not in OPTIMIZERS:
        notes.append(f"The page trains by SGD in place of {name}.")
        settings = {"lr": settings["lr"]}
    if getattr(module, "scheduler", None) is not None:
        notes.append("The learning rate stays as it was at the end of the run.")
    if data.shuffle and data.batch_size:
        notes.append("The page shuffles the rows in an order of its own.")
    if len(data.split["train"][0]) > MOST_ROWS:
        notes.append(f"The page has the first {MOST_ROWS:,} rows.")
    state = state_of(net, states[0]["state"], groups) if name in OPTIMIZERS else {}
    shown = name if name in OPTIMIZERS else "SGD"
    return {
        "optimizer": {"name": shown, **settings, "bias_lr_factor": factor, "state": state},
        "batch_size": data.batch_size,
        "shuffle": data.shuffle,
        "training_note": " ".join(notes),
    }


def state_of(net: nn.Module, states: dict[int, Any], groups: list[Any]) -> dict[str, Any]:
    """The optimizer's state, in the order of the weights; empty where it has none."""
    named = [*net.named_parameters()]
    if len(groups) == 2:  # the biases have a group of their own, after the weights
        named.sort(key=lambda each: each[0].endswith("bias"))
    if len(states) != len(named):
        return {}
    by_name = {name: states[number] for number, (name, _) in enumerate(named)}
    ordered = [by_name[name] for name, _ in net.named_parameters()]
    state: dict[str, Any] = {"step": int(ordered[0].get("step", 1))}
    for key, name in STATE.items():
        if all(isinstance(each.get(key), Tensor) for each in ordered):
            state[name] = torch.cat([each[key].flatten() for each in ordered]).tolist()
    return state


def drawn(scene: Scene) -> dict[str, str]:
    """The last picture of each figure, as addresses that hold it."""
    from matplotlib import rc_context
    from PIL import Image

    from ..drawing import FILES, figures, png

    found = {}
    with rc_context(FILES):
        for name, frames in figures(scene).items():
            if name == "loss":  # the page has curves of its own
                continue
            file = io.BytesIO()
            picture = Image.open(io.BytesIO(png(frames[-1][1], DPI))).convert("RGB")
            picture.quantize(COLOURS).save(file, "png", optimize=True)
            found[name] = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    return found
