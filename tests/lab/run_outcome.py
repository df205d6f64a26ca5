"""What a run ended with, to be compared with another to the bit."""

import json
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Points = dict[str, list[tuple[int, float]]]


def outcome(run: Path) -> dict[str, Any]:
    """Checkpoints, metrics and TensorBoard's points of a run, but for where it is and seconds."""
    metrics = json.loads((run / "metrics.json").read_text())
    metrics.pop("seconds")
    kept = {kind: checkpoint(run, kind) for kind in ("best", "last")}
    return {**kept, "metrics": metrics, "points": points(run)}


def checkpoint(run: Path, kind: str = "last") -> dict[str, Any]:
    """All that a checkpoint holds, but for where the run is and the seconds it took."""
    content = torch.load(run / "checkpoints" / f"{kind}.ckpt", weights_only=True)
    content.pop("seconds")
    for state in content["callbacks"].values():
        state.pop("current_score", None)  # Lightning saves it, and never takes it up
    kept: dict[str, Any] = portable(content, str(run))
    return kept


def portable(content: Any, place: str) -> Any:
    """Content without the name of a place in its strings."""
    if isinstance(content, str):
        return content.replace(place, "")
    if isinstance(content, dict):
        return {portable(key, place): portable(value, place) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [portable(value, place) for value in content]
    return content


def points(run: Path) -> Points:
    """What TensorBoard shows: updates and values by name."""
    events = EventAccumulator(str(run)).Reload()
    return {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two outcomes differ; nothing, where they are the same to the bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [*one, *(key for key in other if key not in one)]
        pairs = [(one.get(key), other.get(key), f"{path}/{key}") for key in keys]
        return [line for pair in pairs for line in differences(*pair)]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) != len(other):
            return [f"{path}: {len(one)} and {len(other)} values"]
        numbered = enumerate(zip(one, other, strict=True))
        return [line for at, (a, b) in numbered for line in differences(a, b, f"{path}/{at}")]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        same = torch.equal(one, other)
    else:
        same = type(one) is type(other) and one == other
    return [] if same else [f"{path}: {one} and {other}"]
