"""Before a command runs: files imported, noise off, threads chosen, late mistakes found early."""

import importlib
import logging
import math
import pkgutil
import threading
import warnings
from pathlib import Path
from typing import Any, cast

import lightning as L
from lightning.pytorch.accelerators import AcceleratorRegistry
from torch.nn.parameter import is_lazy

import perceptrons
from perceptrons import checkpoints, runs
from perceptrons.classifier import Classifier
from perceptrons.commands import COMMANDS
from perceptrons.failures import as_given
from perceptrons.mistakes import choose, fail, imported, is_base, parameters
from perceptrons.origins import Origins
from perceptrons.parser import BASES
from perceptrons.raised import Raised, file_shown
from perceptrons.tables import TableData

# what Lightning finds late or never: the least and the most that a setting can be
RANGES = {
    "threads": (1, 1024),
    "trainer.check_val_every_n_epoch": (1, math.inf),
    "trainer.accumulate_grad_batches": (1, math.inf),
    "trainer.gradient_clip_val": (0, math.inf),
    "trainer.log_every_n_steps": (0, math.inf),
    "trainer.num_sanity_val_steps": (-1, math.inf),
    "trainer.min_epochs": (0, math.inf),
    "trainer.min_steps": (0, math.inf),
}
# settings of a ModelCheckpoint that no other may have all the same
SAVER_STATE = ("monitor", "mode", "every_n_train_steps", "every_n_epochs", "train_time_interval")

# numbers in an operation from which on torch shares it out to threads (its GRAIN_SIZE)
SHARED_OUT = 32_768
# files that are imported where they are needed: one runs the program, the others are slow
LATER = (
    *("__main__", "compiled"),
    *("panels", "plots", "diagrams", "drawing"),  # of a plot
    *("database", "sampling", "space", "standings", "trials", "watched", "workers"),  # of a sweep
)
# warnings of Lightning's that a user of this program can do nothing about
NO_NEWS = (
    r".*LeafSpec",  # Lightning 2.6 asks torch 2.13 in a way that torch has deprecated
    r".*smaller than the logging interval",  # reports go by epochs here
    r"The dirpath has changed",  # a checkpoint of one run is used in another, as asked
    r"Checkpoint directory .* exists",  # a run is gone on with, as asked
    r".*no `val_dataloader`",  # the training loss is reported then
    r"`ModelCheckpoint\(monitor='val/loss'\)` could not find",  # and there is no best
    r".*does not have many workers",  # a table in memory needs none
    r"LightningCLI's args parameter",  # a run is taken up by the words of its own command
    r"\s*Unable to serialize instance",  # a callback's default that is no setting
    r".*self\.log\('\w+/(loss|accuracy|solved)', \.\.\., sync_dist=True",  # they are that already
    r"The `srun` command is available",  # a machine of a cluster need not be for many processes
    r".*AMP with fp16 is not supported on CPU",  # which is refused
)

# its advertisements, what the reports say better, and that a signal has come
NO_NEWS_FROM = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.distributed",
    "lightning.fabric.utilities.seed",
    "lightning.pytorch.trainer.connectors.signal_connector",
)


def told_by(data: L.LightningDataModule, name: str) -> Any:
    """What the network is told by the data."""
    if not hasattr(data, name):
        fail(f"data={type(data).__name__!r}: must say how many {name} it has, by an attribute")
    return getattr(data, name)


def callbacks_of(trainer: Any) -> list[L.Callback]:
    return cast(list[L.Callback], trainer.callbacks)


def check_settings(settings: Any, origins: Origins) -> None:
    """Find what the types of the settings let pass."""
    for path in ("model.net.inputs", "model.net.outputs", "model.classes"):
        if origins.give(path):
            origins.refuse(f"{path}: comes from the data; leave it out")
    for path, (least, most) in RANGES.items():
        value = settings.get(path)
        if value is not None and not least <= value <= most:
            bounds = f"at least {least}" if most == math.inf else f"from {least} to {most}"
            origins.refuse(f"{path}={value}: must be {bounds}")
    if not 0 < settings.model.bias_lr_factor < math.inf:
        factor = settings.model.bias_lr_factor
        origins.refuse(f"model.bias_lr_factor={factor}: must be above 0 and finite")
    check_accelerator(settings.trainer.accelerator, origins)
    check_classes(settings, origins)
    check_places(settings, origins)
    check_savers(settings, origins)


def renew_defaults(settings: Any, origins: Origins) -> None:
    """Give a class that a flag chooses its own defaults: it was parsed with the last one's."""
    for path in BASES:
        class_path = settings.get(f"{path}.class_path")
        if path not in origins.flags or not class_path:
            continue
        for name, parameter in parameters(class_path).items():
            key = f"{path}.init_args.{name}"
            has = key in settings and parameter.default is not parameter.empty
            if not has or settings[key] == parameter.default:  # 0 and 0.0 are written otherwise
                continue
            if not origins.give(f"{path}.{name}"):
                settings[key] = parameter.default


def check_accelerator(name: Any, origins: Origins) -> None:
    """Find a device that is not here."""
    names = ["auto", "gpu", *AcceleratorRegistry.available_accelerators()]
    if isinstance(name, str) and name not in names:
        origins.refuse(f"trainer.accelerator={name!r}: {choose(name, names)}")
    wanted = ("cuda", "mps") if name == "gpu" else (name,)
    known = [AcceleratorRegistry[each] for each in wanted if each in AcceleratorRegistry]
    if known and not any(each["accelerator"].is_available() for each in known):
        shown = "GPU" if name in ("gpu", "cuda") else name
        origins.refuse(
            f"trainer.accelerator={name!r}: there is no {shown} here; choose cpu or auto"
        )


def check_classes(settings: Any, origins: Origins) -> None:
    """Find a base class where one of its subclasses is wanted."""
    for path, base in BASES.items():
        given = settings.get(f"{path}.class_path")
        if given and imported(given) is base and path != "model.loss":
            origins.refuse(is_base(path, base))


def check_places(settings: Any, origins: Origins) -> None:
    """Find what is to be a directory and is, or is below, a file; and a name that is none's."""
    for path in ("trainer.default_root_dir", "best.dirpath", "last.dirpath"):
        place = settings.get(path)
        there = next(filter(Path.exists, [Path(place), *Path(place).parents])) if place else None
        if there and not there.is_dir():
            origins.refuse(f"{path}={place!r}: must be a directory, and {there} is a file")
    try:
        runs.checked("run" if settings.name is None else settings.name)
    except ValueError as mistake:
        origins.refuse(str(mistake), mistake)


def check_savers(settings: Any, origins: Origins) -> None:
    """Find that the two savers of checkpoints have the same state: Lightning keeps it by these."""
    if all(settings.best.get(name) == settings.last.get(name) for name in SAVER_STATE):
        saver = "last" if origins.give("last.monitor") else "best"
        other = "best" if saver == "last" else "last"
        monitor = as_given(settings[saver].monitor)
        origins.refuse(f"{saver}.monitor={monitor}: must differ from {other}.monitor")


def threads_for(data: L.LightningDataModule, model: Classifier) -> int | None:
    """1 where no operation is large enough for torch to share it out; ``None`` where some may be.

    Two threads that wait for each other at every small operation take up to ten times as long when
    the machine has other work.
    """
    weights = list(model.net.parameters())
    if not isinstance(data, TableData) or any(map(is_lazy, weights)):
        return None
    rows = data.batch_size or len(data.split["train"][0])
    widest = max((side for weight in weights for side in weight.shape), default=1)
    return 1 if rows * widest < SHARED_OUT else None


def check_monitors(trainer: L.Trainer, model: Classifier) -> None:
    """Find a callback that waits for a measure that never comes, before the training."""
    if type(model) is not Classifier:  # one of the user's may log more
        return
    measures = ("loss", "accuracy", *(["solved"] if model.replicas is not None else []))
    names = [f"{stage}/{name}" for stage in ("train", "val") for name in measures]
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
    own = {file for file, _ in COMMANDS.values()} | set(LATER)
    for module in pkgutil.iter_modules(perceptrons.__path__):
        if module.name not in own:
            try:
                importlib.import_module(f"perceptrons.{module.name}")
            except Exception as failure:  # a file of the user's may raise anything
                file = Path(getattr(module.module_finder, "path", ""), f"{module.name}.py")
                raised = Raised(failure)
                told = f"cannot be imported: {raised.said}{raised.place()}"
                fail(f"{file_shown(file)}: {told}", failure)


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
