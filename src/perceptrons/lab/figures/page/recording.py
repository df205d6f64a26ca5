"""What a page shows of a run, from one of the run's checkpoints."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...data.tables import TableData
from ...training.on_paper import SLOPES, layers_of, rule_of
from ..drawing import draw_beside
from ..snapshots import small
from ..survey import survey
from ..trained import Trained, trained_by
from .page import PAGE, Run, write_page

OPTIMIZERS = ("SGD", "Adam", "AdamW")
# what a page calls an optimizer's tensors
STATE = {"momentum_buffer": "momentum", "exp_avg": "mean", "exp_avg_sq": "square"}
STATE |= {"max_exp_avg_sq": "largest"}
MOST_INPUTS, MOST_ROWS = 3, 1_000


def run_data(run: Trained, config: Path) -> Run:
    """A run as :func:`..page.write_page` takes it, without pictures.

    Args:
        run: The run.
        config: Its config file.
    """
    history = run.history
    names = dict.fromkeys(name for each in history.metrics for name in each)
    reports = [*zip(history.reports, history.metrics, strict=True)]
    shown: Run = {
        "title": run.title,
        "settings": flattened(run.settings),
        "curves": {
            name: [[at, each[name]] for at, each in reports if name in each] for name in names
        },
        "command": ["--config", str(config)],
        "note": run.note,
    }
    try:
        shown.update({**playable(run), **training(run)})
        if len(shown["frames"]) == 1:
            shown["note"] = f"{run.note} There are no snapshots: this is the end.".lstrip()
    except ValueError as why:
        shown["note"] = f"{run.note} Curves and pictures only: {why}.".lstrip()
    return shown


def show_fit(trainer: Any, module: Any, run: Path, settings: dict[str, Any], board: bool) -> str:
    """Write the page of a fit that has ended, and have pictures drawn meanwhile.

    Args:
        trainer: Its trainer.
        module: The module that it has trained.
        run: Its directory.
        settings: Its settings.
        board: Whether to draw for TensorBoard too.

    Returns:
        A line that says where the page is, or why there is none.
    """
    page, said = None, f"page: {run / PAGE}"
    trained = trained_by(trainer, module, run, settings)
    try:
        page = run / PAGE, run_data(trained, run / "config.yaml")
        write_page(page[0], [page[1]])
    except Exception as failure:  # the user's own classes may raise anything, and the fit is done
        said = str(failure).partition("\n")[0] or type(failure).__name__
        page, said = None, f"no page: {said}"
    draw_beside(survey(trained), run, board, page)
    return said


def flattened(settings: Any, name: str = "") -> dict[str, Any]:
    """Settings by their names in one level; a class by the name of its setting."""
    if not isinstance(settings, dict) or not settings:
        return {name: settings} if name else {}
    found: dict[str, Any] = {}
    for key, value in settings.items():
        level = name if key in ("class_path", "init_args") else f"{name}.{key}".lstrip(".")
        found |= flattened(value, level)
    return found


def playable(run: Trained) -> Run:
    """Network, frames and rows.

    Raises:
        ValueError: If the page has no room for such a network or such data; it says why.
    """
    module, net, data = run.module, run.net, run.data
    if not isinstance(net, nn.Module):
        raise ValueError(f"{type(module).__name__} has no net")
    if not isinstance(data, TableData):
        raise ValueError(f"{type(data).__name__} has no table of rows")
    layers = layers_of(net)
    biases = {linear.bias is not None for linear, _ in layers}
    if len(biases) > 1:
        raise ValueError("some layers have biases, and some have none")
    widths = [layers[0][0].in_features, *(linear.out_features for linear, _ in layers)]
    encode = encoding_of(data)
    if not small(run):
        raise ValueError(f"{type(net).__name__} has too many weights for snapshots")
    names, rule = [*map(str, data.point_names)], rule_of(module, widths[-1])
    return {
        "widths": widths,
        "activations": [SLOPES[type(each)][0] for _, each in layers[:-1]],
        "bias": biases == {True},
        "loss": rule.name,
        "target": target_of(run) if rule.name == "squared_error" else None,
        "inputs": names,
        "features": (names + ["1"] * widths[0])[: widths[0]],
        "encode": encode,
        "class_names": [*map(str, data.class_names)],
        "rows": rows_of(module, data, encode),
        "frames": [{"update": at, "weights": weights.numpy()} for at, weights in run.frames],
    }


def target_of(run: Trained) -> dict[str, Any]:
    """What a predicted number is called, and what the network's 0 and 1 mean.

    Raises:
        ValueError: If several numbers are predicted.
    """
    if run.data.outputs > 1:
        raise ValueError(f"{run.data.outputs} numbers are predicted at once")
    predictions = getattr(run.module, "predictions", lambda outputs: {"prediction": outputs})
    mean, one = predictions(torch.tensor([[0.0], [1.0]]))["prediction"].flatten().tolist()
    name = str(getattr(run.data, "target_name", "prediction"))
    return {"name": name, "mean": mean, "std": one - mean}


def encoding_of(data: TableData) -> dict[str, Any] | None:
    """How the network's inputs follow from a point; ``None``: they are its numbers.

    Raises:
        ValueError: If a point has too many numbers, or its inputs are not linear in them.
    """
    width = data.point_width
    if not 1 <= width <= MOST_INPUTS:
        raise ValueError(f"{width} inputs have no plane")
    try:
        offset = data.from_points(torch.zeros(1, width))[0]
        matrix = (data.from_points(torch.eye(width)) - offset).mT
        points = torch.randn(16, width, generator=torch.Generator().manual_seed(0))
        given = data.from_points(points)
    except Exception as failure:  # an encoder of the user's own may raise anything
        raise ValueError(f"its points cannot be encoded: {failure}") from failure
    if not torch.allclose(points @ matrix.mT + offset, given, atol=1e-4):
        raise ValueError("its inputs do not follow from a point by a sum")
    if torch.linalg.matrix_rank(matrix) < width:
        raise ValueError("a point does not follow from its inputs")
    if (
        matrix.shape == (width, width)
        and torch.equal(matrix, torch.eye(width))
        and not offset.any()
    ):
        return None
    return {"matrix": matrix.tolist(), "offset": offset.tolist()}


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


def training(run: Trained) -> Run:
    """How the run was trained, and how the page goes on with it."""
    if getattr(run.module, "optimizer", None) is None:
        raise ValueError(f"{type(run.module).__name__} says nothing of its optimizer")
    optimizer, data = run.module.optimizer([nn.Parameter(torch.zeros(1))]), run.data
    name = type(optimizer).__name__
    groups = run.state["param_groups"] or [optimizer.param_groups[0]]
    settings = {
        key: value
        for key, value in groups[0].items()
        if isinstance(value, bool | int | float | list | tuple) and key not in ("params", "foreach")
    }
    rates = [group["lr"] for group in groups]
    factor = rates[-1] / rates[0] if len(groups) == 2 and rates[0] else 1.0
    trainer = run.settings.get("trainer", {})
    clip = trainer.get("gradient_clip_val"), trainer.get("gradient_clip_algorithm") or "norm"
    notes = []
    if name not in OPTIMIZERS:
        notes.append(f"The page trains by SGD in place of {name}.")
        settings = {"lr": settings["lr"]}
    if run.study:
        notes.append("The optimizer begins anew.")
    if getattr(run.module, "scheduler", None) is not None:
        notes.append("The learning rate stays as it was at the end of the run.")
    if data.shuffle and data.batch_size:
        notes.append("The page shuffles the rows in an order of its own.")
    if len(data.split["train"][0]) > MOST_ROWS:
        notes.append(f"The page has the first {MOST_ROWS:,} rows.")
    known = name in OPTIMIZERS
    state = state_of(run.net, run.state["state"], groups) if known else {}
    said = {"name": name if known else "SGD", **settings, "bias_lr_factor": factor, "state": state}
    return {
        "optimizer": {**said, "clip": clip if clip[0] else None},
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
