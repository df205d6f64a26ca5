"""What the command line has beside Lightning's: settings, other defaults, and less noise."""

import copy
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from jsonargparse.typing import restricted_number_type
from lightning.pytorch.cli import LightningArgumentParser
from torch import nn

from ..data.tables import EVALUATION_ROWS, TableData, first_batch, sizes_of
from ..runs.kinds import imported_class, parameters
from ..runs.text import say
from .errors import PACKAGE, fail

Threads = restricted_number_type("Threads", int, [(">=", 1), ("<=", 1024)])

TRAINER_DEFAULTS: dict[str, Any] = {
    "devices": 1,  # more are slower for so small a network
    "max_epochs": 10,
    "log_every_n_steps": 1000,
    "num_sanity_val_steps": -1,  # all of it: the report before any update
    "enable_model_summary": False,
}
CHECKPOINT_DEFAULTS = {
    "best.filename": "best",
    "best.monitor": "val/loss",
    "best.enable_version_counter": False,
    "last.filename": "last",
    "last.save_on_train_epoch_end": True,
    "last.enable_version_counter": False,
}
ARGUMENTS: dict[str, tuple[Any, Any, str]] = {
    "seed_everything": (
        int | bool,
        0,
        "Seed of the initial weights and the order of the rows. true: one drawn at random, which"
        " config.yaml records.",
    ),
    "name": (
        str | None,
        None,
        "The run is lightning_logs/<name>/version_<n>. null: the config file's name.",
    ),
    "threads": (
        Threads | None,
        None,
        "Threads to compute with; by default 1 where no layer is large, or else torch's choice.",
    ),
    "figures": (
        bool,
        True,
        "fit: whether to draw figures for TensorBoard: the boundary, the neurons, the network.",
    ),
    "seeds": (
        int | None,
        None,
        "Train from this many seeds at once, counting up from seed_everything. null: one.",
    ),
    "grid": (
        dict[str, Any] | None,
        None,
        "Train with each combination of these values too: '{model.optimizer.lr: [0.1, 1]}'.",
    ),
    "folds": (
        int | None,
        None,
        "Cut the data into this many folds; each is validated on once. null: the data's split.",
    ),
    "member": (
        str | None,
        None,
        "Of a study, for test and predict: a member, best or its number. null: the mean of all,"
        " of a grid those of the best setting.",
    ),
    "compile": (
        bool,
        False,
        "fit: whether to make several updates in one function, which is compiled first.",
    ),
    "resume": (
        str | None,
        None,
        "fit: resume this run (its directory, or last) in its own directory.",
    ),
    "trust": (
        str | None,
        None,
        "A package whose classes a checkpoint or a resumed run may name; more by repeating it.",
    ),
}
# settings of Lightning's that it checks late or never: the least that they can be
LEAST = {
    "trainer.check_val_every_n_epoch": 1,
    "trainer.accumulate_grad_batches": 1,
    "trainer.gradient_clip_val": 0,
    "trainer.log_every_n_steps": 0,
    "trainer.num_sanity_val_steps": -1,
    "trainer.min_epochs": 0,
    "trainer.min_steps": 0,
    "best.every_n_epochs": 1,
    "last.every_n_epochs": 1,
}
# what a network or a module is told by the data
TOLD = ("inputs", "outputs", "classes", "target_mean", "target_std")
LINKED = {
    f"model.init_args.{path}{name}": name
    for path in ("", "net.init_args.")
    for name in TOLD[: 2 if path else None]
}
# warnings of Lightning's that a user of this program can do nothing about
NO_NEWS = (
    r".*LeafSpec",  # Lightning 2.6 asks torch 2.13 in a way that torch has deprecated
    r".*smaller than the logging interval",  # reports go by epochs here
    r"The dirpath has changed",  # a checkpoint of one run is used in another, as asked
    r"Checkpoint directory .* exists",  # a run is resumed, as asked
    r".*no `val_dataloader`|.*have no `validation_step`",  # the training loss is reported then
    r"`ModelCheckpoint\(monitor='val/loss'\)` could not find",  # and there is no best
    r"Experiment logs directory .* exists",  # the run's, where a CSVLogger has nothing yet
    r"You're resuming from a checkpoint that ended before",  # by the order it had
    r"Be aware that when using `ckpt_path`",  # a checkpoint of a run with other callbacks
    r".*does not have many workers",  # a table in memory needs none
    r"LightningCLI's args parameter",  # a run is resumed by the settings of its own command
    r"\s*Unable to serialize instance",  # a callback's default that is no setting
    r"The `srun` command is available",  # a machine of a cluster need not be for many processes
    r"The lr scheduler dict contains the key",  # stepped by the lab where a step has many updates
    r".*AMP with fp16 is not supported on CPU",  # which is refused
)
# its advertisements, what the reports say better, and that a signal has come
NO_NEWS_FROM = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.distributed",
    "lightning.fabric.utilities.seed",
    "lightning.pytorch.trainer.connectors.signal_connector",
)


# multiplications in the largest layer, below which threads cost more than they save: half a
# million take 30 us on one core, and to wake another takes 5 to 50, more where it has other work
LARGE = 2**19


def threads_for(module: nn.Module, data: Any) -> int:
    """Threads to compute with: 1 where no layer is large enough to be shared, or else torch's."""
    weights = [*module.parameters()]
    # of a convolution's weights each is multiplied for every pixel
    if not isinstance(data, TableData) or any(each.ndim > 3 for each in weights):
        return torch.get_num_threads()
    rows = min(len(data.split["train"][0]), data.batch_size or EVALUATION_ROWS)
    largest = rows * max((each.numel() for each in weights), default=0)
    return 1 if largest < LARGE else torch.get_num_threads()


def check_nulls(settings: Any, path: str = "") -> None:
    """Refuse null for an argument of a class that takes none: jsonargparse lets it pass.

    Raises:
        SystemExit: If there is one.
    """
    if not isinstance(settings, Namespace):
        return
    for key, value in vars(settings).items():
        where = f"{path}.{key}".strip(".")
        for each in value if isinstance(value, list) else [value]:
            check_nulls(each, where if key != "init_args" else path)
    class_type = imported_class(getattr(settings, "class_path", None))
    for name, parameter in parameters(class_type).items():
        given = getattr(settings.init_args, name, ...) if "init_args" in settings else ...
        takes_none = re.search("None|Optional|Any", str(parameter.annotation))
        if given is None and not takes_none and parameter.default not in (None, parameter.empty):
            default = f"given null, the default is {parameter.default!r}"
            fail(f"{path}.{name}: must have a value; {default}")


def listed(setting: Any) -> list[Any]:
    """What a setting has that may be none, one or a list of some."""
    return setting if isinstance(setting, list) else [] if setting is None else [setting]


def check_settings(settings: Any) -> None:
    """Find what is missing or null, a number out of its range, a file's name that is a path.

    Raises:
        SystemExit: If there is one.
    """
    check_nulls(settings)
    named = {name: settings.get(name) for name in ("data", "model")}
    if missing := [name for name, each in named.items() if "class_path" not in (each or ())]:
        example = f"as in {PACKAGE} fit --config configs/xor.yaml"
        fail(f"{', '.join(missing)}: must be given, {example}")
    for path, least in LEAST.items():
        value = settings.get(path)
        if value is not None and not value >= least:  # nan is not either
            fail(f"{path}={value}: must be at least {least}")
    devices, most = str(settings.trainer.devices), max(4, os.cpu_count() or 1)
    if devices.isdecimal() and not 1 <= int(devices) <= most:
        fail(f"trainer.devices={devices}: must be from 1 to {most} on this machine")
    strategy = settings.trainer.strategy
    if found := re.search(r"spawn|fork|notebook", str(strategy)):
        why = f"a process that is made by {found[0]} hands nothing back of what a run keeps"
        fail(f"trainer.strategy={strategy}: {why}; ddp starts each as a program")
    for name in ("best", "last"):
        file = Path(settings.get(f"{name}.filename") or name)
        if file.is_absolute() or ".." in file.parts:
            fail(f"{name}.filename={str(file)!r}: leads out of the run; use dirpath")


def link_to_data(parser: LightningArgumentParser, settings: Callable[[], Any]) -> None:
    """Let a module and its network be told by the data what they need to know of it."""
    for target, name in LINKED.items():
        say = partial(linked_value, name=name, target=target, settings=settings)
        say.__name__ = f"{name} of "  # type: ignore[attr-defined]  # for the help
        parser.link_arguments("data", target, say, apply_on="instantiate")


def with_linked(settings: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Settings with what the data might say where that is among some values, and only there."""
    settings = copy.deepcopy(settings)
    for path in LINKED:
        *above, name = path.split(".")
        holder: Any = settings
        for key in above:
            holder = holder.setdefault(key, {}) if path in values else (holder or {}).get(key)
        if path in values:  # of a subclass, such as PositiveInt, a plain number
            holder[name] = values[path].real
        elif holder:
            holder.pop(name, None)
    return settings


def linked_value(data: Any, name: str, target: str, settings: Callable[[], Any]) -> Any:
    """What the data says of itself, or the user, or the first batch to train on, in this order.

    Only the data's word may not be contradicted. What the batch says is noted as if typed.
    """
    given, chosen = settings()
    class_type = imported_class(given.get(target.replace(f"init_args.{name}", "class_path")))
    typed, parameter = chosen.get(target), parameters(class_type).get(name)
    if parameter is None:
        return given.get(target)
    check_task(data, name, parameter.default, class_type)
    if hasattr(data, name):
        said = getattr(data, name)
        if typed not in (None, said):
            setting = target.replace("init_args.", "")
            fail(f"{setting}={typed}: the data has {said}; leave it out")
        return said
    if typed is None and name in TOLD[:3]:
        typed = sizes_of(first_batch(data), chosen.get("model.init_args.classes")).get(name)
        if typed is not None:
            chosen[target] = typed
    return given.get(target) if typed is None else typed


def check_task(data: Any, name: str, default: Any, class_type: type) -> None:
    """Find a module for classes where the target is numeric, or the other way round."""
    learns, classes = class_type.__name__, getattr(data, "classes", 0)
    if name == "classes" and classes is None and default is not None:
        fail(f"{learns}: learns classes, and the target is numeric; --model Regressor learns it")
    if name == "target_mean" and classes:
        names = getattr(data, "class_names", ())
        whole = names and all(name.lstrip("-").isdecimal() for name in names)
        advice = "; data.task=regression makes numbers of them" if whole else ""
        fail(f"{learns}: learns a numeric target, and this has {classes} classes{advice}")


def say_tested(data: TableData, folds: int | None, flags: Iterable[str]) -> None:
    """Say which rows are tested on, where others could be expected."""
    changed = any(each.startswith("data.") for each in flags)
    count, of = (len(data.split[part][0]) for part in ("test", "all"))
    if data.split["test"] is data.split["all"]:
        those = "each fold's own are taken" if folds else "all are taken, those trained on too"
        say(f"the data keeps no rows to test on: {those}")
    elif changed:
        say(f"{count:,} of {of:,} rows are those to test on; --data.test_fraction 0 takes all")


def quiet() -> None:
    """Keep Lightning from saying what is no news here."""
    for name in NO_NEWS_FROM:
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in NO_NEWS:
        warnings.filterwarnings("ignore", message=message)
