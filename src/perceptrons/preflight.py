"""Before a command runs: files imported, noise off, threads chosen, late mistakes found early."""

import importlib
import logging
import pkgutil
import threading
import warnings
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch

import perceptrons
from perceptrons import checkpoints
from perceptrons.classifier import Classifier
from perceptrons.mistakes import choose, fail
from perceptrons.parser import Origins
from perceptrons.tables import TableData

# numbers in an operation from which on torch shares it out to threads (its GRAIN_SIZE)
SHARED_OUT = 32_768
# files that hold no class to be named in a config, and run, are slow or need an extra
NO_CLASSES = (
    "__main__",
    "plots",
    "sweep",
    *("database", "sampling", "space", "standings", "trials", "watched", "workers"),  # of a sweep
)
# warnings of Lightning's that a user of this program can do nothing about
NO_NEWS = (
    r".*LeafSpec",  # Lightning 2.6 asks torch 2.13 in a way that torch has deprecated
    r".*smaller than the logging interval",  # reports go by epochs here
    r"The dirpath has changed",  # a checkpoint of one run is used in another, as asked
    r"Checkpoint directory .* exists",  # a run is gone on with, as asked
    r"LightningCLI's args parameter",  # a run is taken up by the words of its own command
)

# its advertisements, what the reports say better, and that a signal has come
NO_NEWS_FROM = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.seed",
    "lightning.pytorch.trainer.connectors.signal_connector",
)


def callbacks_of(trainer: Any) -> list[L.Callback]:
    return cast(list[L.Callback], trainer.callbacks)


def check_settings(settings: Any, origins: Origins) -> None:
    """Find what the types of the settings let pass."""
    gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    if settings.trainer.accelerator == "gpu" and not gpu:
        fail("trainer.accelerator='gpu': there is no GPU here; choose cpu or auto")
    if settings.threads is not None and settings.threads < 1:
        fail(f"threads={settings.threads}: must be at least 1")
    for name in ("inputs", "outputs"):
        if origins.give(f"model.net.{name}"):
            fail(f"model.net.{name}: comes from the data; leave it out")


def threads_for(data: L.LightningDataModule, model: Classifier) -> int | None:
    """1 where no operation is large enough for torch to share it out; ``None`` where some may be.

    Two threads that wait for each other at every small operation take up to ten times as long when
    the machine has other work.
    """
    if not isinstance(data, TableData):
        return None
    rows = data.batch_size or len(data.split["train"][0])
    widest = max(max(weight.shape) for weight in model.net.parameters())
    return 1 if rows * widest < SHARED_OUT else None


def check_monitors(trainer: L.Trainer, model: Classifier) -> None:
    """Find a callback that waits for a measure that never comes, before the training."""
    if type(model) is not Classifier:  # one of the user's may log more
        return
    names = [f"{stage}/{name}" for stage in ("train", "val") for name in ("loss", "accuracy")]
    monitors = [getattr(callback, "monitor", None) for callback in callbacks_of(trainer)]
    for monitor in (*monitors, *model.monitors):
        if monitor is not None and monitor not in names:
            raise ValueError(f"monitor={monitor!r}: {choose(monitor, names)}")


def check_fits(path: str | None, model: Classifier) -> None:
    """Find out that a checkpoint is of another network before anything is made of it."""
    if path and (
        other := checkpoints.differences(model, checkpoints.read(Path(path))["state_dict"])
    ):
        raise ValueError(f"ckpt_path={path!r}: is of another network: {other}")


def import_files() -> None:
    """Import every file of the package, so that a class in a new one goes by its short name."""
    for module in pkgutil.iter_modules(perceptrons.__path__):
        if module.name not in NO_CLASSES:
            importlib.import_module(f"perceptrons.{module.name}")


def quiet() -> None:
    """Keep Lightning from saying what is no news here."""
    for name in NO_NEWS_FROM:
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in NO_NEWS:
        warnings.filterwarnings("ignore", message=message)
    threading.excepthook = thread_failed


def thread_failed(failure: threading.ExceptHookArgs) -> None:
    """Leave out what TensorBoard's writer ends with: it is raised again where one writes to it."""
    if not type(failure.thread).__module__.startswith("tensorboard"):
        threading.__excepthook__(failure)
