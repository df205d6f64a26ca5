"""Checkpoints: written whole or not at all, found, and read without running their code.

A file of a megabyte can be made to become gigabytes: by compression, by tensors that show one
number a billion times, or by objects that are made of a length alone. Such files are refused.
"""

import codecs
import copy
import io
import pickletools
import random
import re
import time
import zipfile
from ast import literal_eval
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from .directories import newest
from .files import write_whole

# what every checkpoint of this program has, and of which kind it is
OUTLINE: dict[str, type] = {
    **dict.fromkeys(("state_dict", "settings", "loops", "random", "metrics"), dict),
    "optimizer_states": list,
    "global_step": int,
    "pytorch-lightning_version": str,
}
# Lightning's counters in a checkpoint, each of all epochs and of this one
COUNTERS = ("epoch_progress", "epoch_loop.batch_progress")
COUNTED = ("total", "current")
# of the time, and seconds at first, that may go into writing checkpoints, and bytes that may wait
SHARE, AT_FIRST, MOST_WAITING = 0.1, 0.2, 2**26


class CheckpointError(ValueError):
    """A checkpoint that is not there or cannot be read."""


class WholeCheckpointIO(TorchCheckpointIO):
    """Checkpoint files that are never half written, and never run code when they are read.

    Where they come so fast that to write them would take more than a tenth of the time, the newest
    of each waits in memory, at most until the training ends.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[Path, io.BytesIO] = {}
        self.start, self.spent = time.monotonic(), 0.0

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        file, buffer = Path(path), io.BytesIO()
        torch.save(checkpoint, buffer)
        self.waiting.pop(file, None)
        self.waiting[file] = buffer  # the last
        allowed = SHARE * (time.monotonic() - self.start) + AT_FIRST
        if self.spent < allowed or buffer.tell() > MOST_WAITING or not file.exists():
            self.teardown()

    def teardown(self) -> None:
        """Write what waits, in the order in which it came: the last tells of the best."""
        start = time.monotonic()
        while self.waiting:
            file = next(iter(self.waiting))
            write_whole(file, self.waiting.pop(file).getbuffer())
        self.spent += time.monotonic() - start

    def remove_checkpoint(self, path: Any) -> None:
        self.waiting.pop(Path(path), None)
        super().remove_checkpoint(path)

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        self.teardown()
        return read(Path(path))


def read(path: Path) -> dict[str, Any]:
    """What a checkpoint file holds.

    Raises:
        CheckpointError: If it cannot be read, would run code, or is not one of this program's.
    """
    if not path.is_file():
        raise CheckpointError(f"{str(path)!r}: no such checkpoint")
    try:
        check_archive(path)
        # mapped, so that nothing takes memory before it is known how much there is of it
        mapped = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        check_size(mapped, path.stat().st_size)
        checkpoint = copy.deepcopy(mapped)
    except CheckpointError as mistake:
        raise CheckpointError(f"{str(path)!r}: {mistake}") from mistake
    except Exception as mistake:  # torch raises nearly anything here
        wrong = "cut short, or no checkpoint, or would run code"
        kind = "empty" if path.stat().st_size == 0 else wrong
        raise CheckpointError(f"{str(path)!r}: is {kind}") from mistake
    if not has_outline(checkpoint):
        raise CheckpointError(f"{str(path)!r}: is a checkpoint of another program")
    return cast(dict[str, Any], checkpoint)


def has_outline(checkpoint: Any) -> bool:
    """Whether a checkpoint's content has the outline of this program's."""
    content = checkpoint if isinstance(checkpoint, dict) else {}
    if not all(isinstance(content.get(name), kind) for name, kind in OUTLINE.items()):
        return False
    weights = content["state_dict"]
    return (
        content["settings"].keys() >= {"data", "model", "seed_everything"}
        and content["global_step"] >= 0
        and all(isinstance(value, torch.Tensor) for value in weights.values())
    )


def find(asked: str, root: Path, name: str | None) -> tuple[Path, list[str]]:
    """The checkpoint file that is asked for, and a line for each that was passed over.

    Args:
        asked: A file, a run's directory, ``last`` or ``best``.
        root: Where the runs are.
        name: Name of the runs to look through for ``last`` and ``best``; ``None``: all.

    Raises:
        CheckpointError: If there is none that can be read.
    """
    if asked in ("last", "best"):
        candidates = [
            path for run in newest(root, name, trained=True) for path in saved(run, asked)
        ]
        where = root / (name or "*")
    elif Path(asked).is_dir():
        candidates, where = saved(Path(asked), "last"), Path(asked)
    else:
        read(Path(asked))
        return Path(asked), []
    skipped = []
    for path in candidates:
        try:
            read(path)
        except CheckpointError as mistake:
            skipped.append(str(mistake))
        else:
            return path, skipped
    raise CheckpointError("; ".join(skipped) or f"{asked!r}: there is no checkpoint in {where}")


def saved(run: Path, kind: str) -> list[Path]:
    """Checkpoint files of a run, the one that is asked for before what stands in for it."""
    files = [run / "checkpoints" / f"{kind}.ckpt"]
    if kind == "last":
        others = sorted(run.glob("checkpoints/*.ckpt"), key=lambda path: -path.stat().st_mtime)
        files += [path for path in others if path not in files]
    return [path for path in files if path.exists()]


def differences(model: torch.nn.Module, state: dict[str, torch.Tensor]) -> str:
    """How a network differs from the one whose state this is; empty where it does not."""
    here = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    there = {name: tuple(value.shape) for name, value in state.items()}
    for name in [*here, *there]:
        if here.get(name) != there.get(name):
            return (
                f"{name} is {there.get(name, 'missing')} there and {here.get(name, 'missing')} here"
            )
    return ""


ENCODE = "_codecs encode"  # by which pickle writes bytes
# all that a checkpoint is made of; what torch would let pass beside it makes bytes of a number
KNOWN = re.compile(
    r"collections (OrderedDict|Counter)|(builtins|__builtin__) (set|complex)"
    rf"|{ENCODE}|torch\._utils _rebuild_(tensor_v2|parameter)"
    r"|torch (Size|device|\w+Storage)"
    r"|torch (float|int|uint|bfloat|bool|complex|double|half|long|short)\d*"
)
# a weight may be in a file under several names, but not under any number of them
TIMES, AT_LEAST = 8, 1 << 20


def check_archive(path: Path) -> None:
    """Find a file that holds less, or other things, than it says.

    Raises:
        CheckpointError: If it does.
        Exception: Of any kind, if it is no archive.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(each.compress_type or each.file_size != each.compress_size for each in entries):
            raise CheckpointError("is compressed, which no checkpoint is")
        if sum(each.file_size for each in entries) > path.stat().st_size:
            raise CheckpointError("says to hold more than it is large")
        names = [each.filename for each in entries]
        if len(names) != len({*names}):
            raise CheckpointError("holds a file twice")
        (outline,) = (name for name in names if re.fullmatch(r"[^/]+/data\.pkl", name))
        operations = [*pickletools.genops(archive.read(outline))]
    named = {str(what) for code, what, _ in operations if "GLOBAL" in code.name}
    if other := sorted(name for name in named if not KNOWN.fullmatch(name)):
        raise CheckpointError(f"holds {other[0].replace(' ', '.')}, which no checkpoint does")
    if ENCODE in named and any(grows(what) for _, what, _ in operations if isinstance(what, str)):
        raise CheckpointError("holds bytes that are encoded again and again")


def grows(name: str) -> bool:
    """Whether it is the name of an encoding of bytes as more bytes, such as ``hex``."""
    try:
        codecs.lookup(name)
        "".encode(name)
    except (LookupError, ValueError) as failure:
        return "is not a text encoding" in str(failure)
    return False


def check_size(content: Any, size: int) -> None:
    """Find content that would take many times what its file does.

    Raises:
        CheckpointError: If it would.
    """
    taken = sum(each.numel() * each.element_size() for each in tensors(content))
    if taken > TIMES * size + AT_LEAST:
        raise CheckpointError(f"would take {taken:,} bytes, and is one of {size:,}")


def tensors(content: Any) -> Iterator[torch.Tensor]:
    """All tensors of a checkpoint, at any depth."""
    left, seen = [content], set()
    while left:
        each = left.pop()
        if isinstance(each, torch.Tensor):
            yield each
        elif isinstance(each, dict | list | tuple | set) and id(each) not in seen:
            seen.add(id(each))  # content may hold itself
            left += each.values() if isinstance(each, dict) else each


def start_of(file: str | None, model: torch.nn.Module, trainer: Any = None) -> dict[str, Any]:
    """The checkpoint that a command starts from; empty without one.

    Args:
        file: The checkpoint's file.
        model: The module that is to have its weights.
        trainer: The trainer's settings, if it is to train.

    Raises:
        ValueError: If it does not fit.
    """
    if not file:
        return {}
    checkpoint = read(Path(file))
    check_state(file, checkpoint)
    if other := differences(model, checkpoint["state_dict"]):
        raise ValueError(f"ckpt_path={file!r}: is of another network: {other}")
    if trainer is not None:
        check_end(trainer, checkpoint)
    return checkpoint


def check_state(path: str, checkpoint: dict[str, Any]) -> None:
    """Find out that a checkpoint's state of the training is none.

    Raises:
        CheckpointError: If a part of it is missing, or of another shape.
    """
    metrics = checkpoint["metrics"]
    numbers = (*metrics.values(), checkpoint.get("seconds"))
    schedulers = checkpoint.get("lr_schedulers")
    states = [*checkpoint["optimizer_states"], *(schedulers if type(schedulers) is list else [0])]
    whole = {
        "metrics": all(isinstance(each, str) for each in metrics)
        and all(isinstance(each, int | float) for each in numbers),
        "optimizer_states": all(isinstance(each, dict) for each in states),
        "callbacks": isinstance(checkpoint.get("callbacks"), dict),
        "ended": isinstance(checkpoint.get("ended"), bool),
        "loops": has_counters(checkpoint["loops"]),
        "random": is_random_state(checkpoint["random"])
        and is_random_state(checkpoint.get("drawn_from") or checkpoint["random"]),
    }
    if wrong := [name for name, right in whole.items() if not right]:
        raise CheckpointError(f"ckpt_path={path!r}: its {wrong[0]} cannot be read")


def has_counters(loops: dict[str, Any]) -> bool:
    """Whether Lightning's counters are there that say how far a run is."""
    fit = loops.get("fit_loop")
    if not isinstance(fit, dict) or not all(isinstance(fit.get(each), dict) for each in COUNTERS):
        return False
    return all(
        isinstance(counts := fit[name].get(time), dict)
        and counts.keys() >= {"ready", "completed", "started", "processed"}
        and all(isinstance(count, int) and count >= 0 for count in counts.values())
        for name in COUNTERS
        for time in COUNTED
    )


def is_random_state(state: dict[str, Any]) -> bool:
    """Whether generators of their own can be set to a state."""
    try:
        random.Random().setstate(literal_eval(state["python"]))
        np.random.RandomState().set_state(literal_eval(state["numpy"]))
        for each in (state["torch"], *state.get("loaders", [])):
            torch.Generator().set_state(each)
        return isinstance(state["cuda"], list)
    except Exception:  # each of them raises what it likes
        return False


def check_end(trainer: Any, checkpoint: dict[str, Any]) -> None:
    """Find out that training is to end before it goes on.

    Args:
        trainer: The trainer's settings.
        checkpoint: What it starts from.

    Raises:
        ValueError: If more is done already than is to be done.
    """
    epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    done = {"max_epochs": epochs, "max_steps": checkpoint["global_step"]}
    for name, count in done.items():
        if trainer[name] is not None and 0 <= trainer[name] < count:
            raise ValueError(f"{name}={trainer[name]}: the checkpoint has done {count} already")
