"""Checkpoints: written whole or not at all, found, read without running their code, taken up."""

import io
import random
import time
from pathlib import Path
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO

from perceptrons import archives, runs

# what every checkpoint of this program has, and of which kind it is
OUTLINE: dict[str, type] = {
    **dict.fromkeys(("state_dict", "settings", "loops", "random", "measured"), dict),
    "optimizer_states": list,
    "global_step": int,
    "pytorch-lightning_version": str,
}


class CheckpointError(ValueError):
    """A checkpoint that is not there or cannot be read."""


class WholeCheckpointIO(TorchCheckpointIO):
    """Checkpoint files that are never half written, and never run code when they are read."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        runs.write_whole(Path(path), buffer.getbuffer())

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        return read(Path(path))


def read(path: Path) -> dict[str, Any]:
    """What a checkpoint file holds.

    Raises:
        CheckpointError: If it cannot be read, would run code, or is not one of this program's.
    """
    if not path.is_file():
        raise CheckpointError(f"{str(path)!r}: no such checkpoint")
    try:
        with path.open("rb") as file:
            archives.check(file)
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except archives.ArchiveError as mistake:
        raise CheckpointError(f"{str(path)!r}: {mistake}") from mistake
    except Exception as mistake:  # torch raises nearly anything here
        wrong = "cut short, or no checkpoint, or would run code"
        kind = "empty" if path.stat().st_size == 0 else wrong
        raise CheckpointError(f"{str(path)!r}: is {kind}") from mistake
    if not ours(checkpoint):
        raise CheckpointError(f"{str(path)!r}: is a checkpoint of another program")
    return cast(dict[str, Any], checkpoint)


def ours(checkpoint: Any) -> bool:
    """Whether a checkpoint's content has the outline of this program's."""
    content = checkpoint if isinstance(checkpoint, dict) else {}
    if not all(isinstance(content.get(name), kind) for name, kind in OUTLINE.items()):
        return False
    weights = content["state_dict"]
    return (
        content["settings"].keys() >= {"data", "model", "seed_everything"}
        and content["global_step"] >= 0
        and all(isinstance(value, torch.Tensor) for value in weights.values())
        and any(str(name).startswith("net.") for name in weights)
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
        candidates = [path for run in runs.newest(root, name) for path in saved(run, asked)]
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


class ExactResume(Callback):
    """Keeps in each checkpoint what Lightning leaves out, and saves one when a run is stopped.

    Args:
        directory: The run's directory.
        settings: The run's settings, which make a checkpoint enough to take it up.
        rates_given: Whether the optimizer's settings are those given, not the checkpoint's.
    """

    def __init__(self, directory: Path, settings: dict[str, Any], rates_given: bool) -> None:
        self.directory, self.settings = directory, settings
        self.rates_given = rates_given
        self.earlier, self.start = 0.0, time.monotonic()
        self.ended = False  # whether training had been found to be enough

    @property
    def seconds(self) -> float:
        """Seconds of fitting, those before an interruption included."""
        return self.earlier + time.monotonic() - self.start

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        self.start = time.monotonic()  # by now all processes are there

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["settings"] = self.settings
        checkpoint["measured"] = pl_module.measured
        checkpoint["ended"] = trainer.should_stop
        checkpoint["seconds"] = self.seconds
        checkpoint["random"] = random_state()

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        # the last of what Lightning does with random numbers before the first batch is over
        pl_module.measured = checkpoint["measured"]
        self.ended, self.earlier = checkpoint["ended"], checkpoint["seconds"]
        set_random_state(checkpoint["random"])

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        trainer.should_stop = self.ended
        groups = trainer.optimizers[0].param_groups
        if self.rates_given:  # to load an optimizer's state brings its old settings back
            for group, given in zip(groups, pl_module.given, strict=True):
                group |= {**given, "params": group["params"]}
        pl_module.rates = groups

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:
        if getattr(exception, "between_updates", False):
            last = self.directory / "checkpoints" / "last.ckpt"
            trainer.save_checkpoint(last, weights_only=False)


def random_state() -> dict[str, Any]:
    """State of every global generator, in types that load without running code."""
    name, keys, *rest = cast(tuple[Any, ...], np.random.get_state())
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
