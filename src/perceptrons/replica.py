"""``perceptrons export-replica``: a replica of a study, as an ordinary run has it."""

import argparse
from copy import deepcopy
from pathlib import Path
from typing import Any

from torch import Tensor

from perceptrons import runs
from perceptrons.commands import COMMANDS
from perceptrons.mistakes import fail
from perceptrons.verbs import Parser

Checkpoint = dict[str, Any]

DIRECTORY = "replicas"


def main(words: list[str]) -> None:
    """Write one replica of a study as an ordinary checkpoint.

    Raises:
        SystemExit: With status 2 if the command is mistaken.
    """
    given = parser().parse_args(words)
    from perceptrons import checkpoints  # seconds, which --help does not need

    try:
        run = Path(runs.ROOT, given.run)
        asked = str(run) if (run / "config.yaml").is_file() else given.run
        file, _ = checkpoints.find(asked, Path(runs.ROOT), None)
        made = write(file, given.replica, given.out)
    except ValueError as mistake:
        fail(str(mistake), mistake)
    print(f"{made}\nperceptrons predict --ckpt_path {made}")


def parser() -> argparse.ArgumentParser:
    made = Parser("perceptrons export-replica", description=COMMANDS["export-replica"][1])
    made.add_argument("run", metavar="RUN", help="the study's directory, or one of its checkpoints")
    made.add_argument("--replica", default="best", help="best, or a number from 0; default: best")
    made.add_argument(
        "--out", type=Path, metavar="FILE", help="default: RUN/replicas/<number>.ckpt"
    )
    return made


def write(file: Path, asked: str, out: Path | None = None) -> Path:
    """Write one replica of a study's checkpoint as a checkpoint of its own, and say where.

    Args:
        file: The study's checkpoint.
        asked: ``best`` or the replica's number.
        out: Where to write it; by default beside the study's checkpoints.

    Raises:
        ValueError: If it is no study, or has no such replica.
    """
    from perceptrons import checkpoints

    checkpoint = checkpoints.read(file)
    number = which(checkpoint, asked, file)
    path = out or file.parent.parent / DIRECTORY / f"{number}.ckpt"
    checkpoints.WholeCheckpointIO().save_checkpoint(single(checkpoint, number), path)
    return path


def study_of(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """What a study's checkpoint tells of its replicas; ``None`` where it is no study."""
    found: dict[str, Any] | None = checkpoint.get("callbacks", {}).get("Study")
    return found


def which(checkpoint: Checkpoint, asked: str, file: Path) -> int:
    """Number of the replica that is asked for."""
    from perceptrons.study import best_of

    study = study_of(checkpoint)
    if study is None:
        raise ValueError(f"replica={asked!r}: {str(file)!r} has no replicas")
    losses = study["losses"]
    if asked == "best":
        return best_of(losses, study["since"])
    if not asked.isdecimal() or int(asked) >= len(losses):
        raise ValueError(f"replica={asked!r}: best, or a number from 0 to {len(losses) - 1}")
    return int(asked)


def single(checkpoint: Checkpoint, number: int) -> Checkpoint:
    """The checkpoint that the run of one replica alone would have."""
    settings = deepcopy(checkpoint["settings"])
    model, net = settings["model"], settings["model"]["net"]["init_args"]
    seeds, rates = net.pop("replicas") or 1, model.pop("lr_grid", None) or []
    scales = net.pop("init_scale_grid", None) or [net.get("init_scale", 1.0)]
    segment, place = divmod(number, seeds * len(scales))
    net["init_scale"] = scales[place // seeds]
    settings["seed_everything"] += place % seeds
    if rates:
        model["optimizer"]["init_args"]["lr"] = rates[segment]
    of = segment, max(1, len(rates))
    return {
        **{name: part for name, part in checkpoint.items() if name != "figures"},
        "settings": settings,
        "hyper_parameters": {},
        "state_dict": {name: alone(w, number) for name, w in checkpoint["state_dict"].items()},
        "optimizer_states": [
            optimizer(each, *of, place) for each in checkpoint["optimizer_states"]
        ],
        "lr_schedulers": [scheduler(each, *of) for each in checkpoint["lr_schedulers"]],
        "measured": {},
        "callbacks": {k: v for k, v in checkpoint["callbacks"].items() if k != "Study"},
    }


def alone(tensor: Tensor, number: int) -> Tensor:
    """One replica of a weight, as ``nn.Linear`` has it."""
    one = tensor[..., number]
    return (one.mT if one.ndim == 2 else one).clone()


def optimizer(state: dict[str, Any], segment: int, of: int, place: int) -> dict[str, Any]:
    """The optimizer's state that one replica alone would have."""
    groups = [dict(group) for group in share(state["param_groups"], segment, of)]
    old = [index for group in groups for index in group["params"]]
    new = {index: number for number, index in enumerate(old)}
    for group in groups:
        group["params"] = [new[index] for index in group["params"]]
    states = {
        new[index]: {
            name: alone(value, place) if isinstance(value, Tensor) and value.ndim else value
            for name, value in state["state"][index].items()
        }
        for index in old
        if index in state["state"]
    }
    return {"state": states, "param_groups": groups}


def scheduler(state: dict[str, Any], segment: int, of: int) -> dict[str, Any]:
    """A scheduler's state, with the learning rates of one segment."""
    groups = len(state.get("base_lrs", []))
    return {
        name: share(value, segment, of)
        if isinstance(value, list) and len(value) == groups
        else value
        for name, value in state.items()
    }


def share(values: list[Any], segment: int, of: int) -> list[Any]:
    each = len(values) // of
    return values[segment * each : (segment + 1) * each]
