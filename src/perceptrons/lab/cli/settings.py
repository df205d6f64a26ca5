"""What the command line has beside Lightning's: settings, other defaults, and less noise."""

import logging
import os
import re
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from jsonargparse import Namespace
from jsonargparse.typing import restricted_number_type

from ..runs import directories
from ..runs.files import read_yaml
from ..runs.kinds import imported, parameters
from ..runs.text import say
from .errors import PACKAGE, Parser, fail, nearest, shown

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
        "Threads to compute with. null: 1 for a batch too small to divide, or else torch's.",
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
        "test and predict of a study: one of its members, best or its number. null: all of them.",
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
# what the help of a command shows, in order
SHOWN = (
    *("config", "seed_everything", "name", "resume", "ckpt_path", "trust"),
    *("seeds", "grid", "folds", "threads", "figures"),
    *("trainer.max_epochs", "trainer.max_steps", "trainer.max_time", "trainer.callbacks"),
    *("trainer.logger", "trainer.precision", "trainer.gradient_clip_val", "trainer.accelerator"),
    *("trainer.devices", "trainer.enable_progress_bar", "best.monitor", "best.mode"),
)
# settings of Lightning's that it checks late or never: the least that they can be
LEAST = {
    "trainer.check_val_every_n_epoch": 1,
    "trainer.accumulate_grad_batches": 1,
    "trainer.gradient_clip_val": 0,
    "trainer.log_every_n_steps": 0,
    "trainer.num_sanity_val_steps": -1,
    "trainer.min_epochs": 0,
    "trainer.min_steps": 0,
}
# what a network or a module is told by the data
TOLD = ("inputs", "outputs", "classes", "target_mean", "target_std")
HELP = ("-h", "--help")
# settings with which a run may be resumed otherwise than it began
FREE = (
    *("trainer.max_epochs", "trainer.max_steps", "trainer.max_time"),
    *("trainer.enable_progress_bar", "figures"),
)
# warnings of Lightning's that a user of this program can do nothing about
NO_NEWS = (
    r".*LeafSpec",  # Lightning 2.6 asks torch 2.13 in a way that torch has deprecated
    r".*smaller than the logging interval",  # reports go by epochs here
    r"The dirpath has changed",  # a checkpoint of one run is used in another, as asked
    r"Checkpoint directory .* exists",  # a run is resumed, as asked
    r".*no `val_dataloader`|.*have no `validation_step`",  # the training loss is reported then
    r"`ModelCheckpoint\(monitor='val/loss'\)` could not find",  # and there is no best
    r"Experiment logs directory .* exists",  # the run's, where a CSVLogger has nothing yet
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
    class_type = imported(getattr(settings, "class_path", None))
    for name, parameter in parameters(class_type).items():
        given = getattr(settings.init_args, name, ...) if "init_args" in settings else ...
        takes_none = re.search("None|Optional|Any", str(parameter.annotation))
        if given is None and not takes_none and parameter.default not in (None, parameter.empty):
            default = f"given null, the default is {parameter.default!r}"
            fail(f"{path}.{name}: must have a value; {default}")


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
    for name in ("best", "last"):
        file = Path(settings.get(f"{name}.filename") or name)
        if file.is_absolute() or ".." in file.parts:
            fail(f"{name}.filename={str(file)!r}: leads out of the run; use dirpath")


def quiet() -> None:
    """Keep Lightning from saying what is no news here."""
    for name in NO_NEWS_FROM:
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in NO_NEWS:
        warnings.filterwarnings("ignore", message=message)


class Start(NamedTuple):
    """A command, completed by the run or the checkpoint that it starts from.

    Attributes:
        words: Its words: settings of the checkpoint stand before those of config files and flags.
        directory: Directory of the run that it writes to, where that is there already.
        resumed: Whether it resumes that run.
    """

    words: list[str]
    directory: Path | None = None
    resumed: bool = False


def start(words: list[str]) -> Start:
    """Complete a command by the run or checkpoint that it names.

    Raises:
        ValueError: If there is no such run or checkpoint.
    """
    from ..runs import trusted

    parser = Parser(words[0], "")
    parser.add_argument("-c", "--config", action="append", default=[])
    for name in ("--ckpt_path", "--resume", "--name", "--trainer.default_root_dir"):
        parser.add_argument(name)
    parser.add_argument("--trust", action="append", default=[])
    given, rest = parser.parse_known_args([word for word in words[1:] if word not in HELP])
    for path in given.config:
        check_config(path)
    root = Path(getattr(given, "trainer.default_root_dir") or ".", directories.ROOT)
    if given.resume not in (None, "null"):
        return resume(words, given, rest, root)
    if given.ckpt_path not in (None, "null"):
        return start_from(words, given, root)
    return Start(trusted.without_trust(words))


def takes() -> dict[str, type]:
    """What each section of the settings is for."""
    import lightning as L
    from lightning.pytorch.callbacks import ModelCheckpoint

    sections: dict[str, type] = {"data": L.LightningDataModule, "model": L.LightningModule}
    return {**sections, "trainer": L.Trainer, "best": ModelCheckpoint, "last": ModelCheckpoint}


def resume(words: list[str], given: Any, rest: list[str], root: Path) -> Start:
    """Resume a run in its own directory, with its own settings."""
    from ..runs import checkpoints, trust, trusted
    from ..training import loggers

    if words[0] != "fit":
        raise ValueError("resume: only fit resumes a run; what it has learned so far: --ckpt_path")
    flags = [word.partition("=")[0].lstrip("-") for word in rest if word.startswith("--")]
    named = [name for name in ("config", "ckpt_path") if getattr(given, name)]
    if other := [flag for flag in (*named, *flags) if flag not in FREE]:
        raise ValueError(
            f"{other[0]}: a run is resumed with its own settings, except for {', '.join(FREE)}"
        )
    found = directories.named(given.resume, root, given.name)
    if found is None:
        raise ValueError(f"resume={given.resume!r}: there is no run, such as {root}/xor/version_0")
    run = found.resolve()
    directories.check_inside(run)
    settings = loggers.without_defaults(read_yaml(run / "config.yaml"))
    settings = trust.resumed(settings, takes(), run, trusted.names(words))
    completed = ["fit", "--config", trusted.as_word(settings), *rest]
    if not checkpoints.saved(run, "last"):
        say(f"{shown(run)} has no checkpoint yet: it starts anew")
        return Start(completed, run, resumed=True)
    file = announced(*checkpoints.find(str(run), root, None), str(run))
    return Start([*completed, "--ckpt_path", str(file)], run, resumed=True)


def start_from(words: list[str], given: Any, root: Path) -> Start:
    """Put a checkpoint's settings before the config's; evaluate a run in its own directory."""
    from ..runs import checkpoints, trust, trusted

    asked = given.ckpt_path
    if (root / asked).is_dir() and not Path(asked).exists():
        asked = str(root / asked)
    name = given.name or (Path(given.config[-1]).stem if given.config else None)
    file = announced(*checkpoints.find(asked, root, name), asked)
    configs = [read_yaml(Path(path)) for path in given.config if Path(path).is_file()]
    said = trusted.names(words, [*configs, flags_of(words)])
    settings = trust.supplied(checkpoints.read(file)["settings"], takes(), said)
    words = trusted.without_trust(words)
    at = [number for number, word in enumerate(words) if word.startswith("--ckpt_path")][-1]
    kept = words[1:at] + words[at + (1 if "=" in words[at] else 2) :]
    completed = [words[0], "--config", trusted.as_word(settings), *kept, "--ckpt_path", str(file)]
    run = file.resolve().parent.parent
    evaluated = words[0] != "fit" and (run / "config.yaml").is_file()
    if evaluated:
        directories.check_inside(run)
    return Start(completed, run if evaluated else None)


def flags_of(words: list[str]) -> dict[str, Any]:
    """The flags of a command by their names, as far as they are ``--name=value`` or two words."""
    return {
        word.lstrip("-").partition("=")[0]: word.partition("=")[2] or after
        for word, after in pairwise([*words, ""])
        if word.startswith("--")
    }


def sections(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that a checkpoint needs to be started from."""
    kept = {key: settings[key] for key in ("seed_everything", "data", "model")}
    kept |= {key: settings[key] for key in ("seeds", "grid", "folds") if settings.get(key)}
    if precision := settings["trainer"].get("precision"):
        kept["trainer"] = {"precision": precision}
    return kept


def announced(file: Path, passed_over: list[str], asked: str) -> Path:
    for line in passed_over:
        say(f"passed over {line}")
    if str(file) != asked:
        say(f"checkpoint: {shown(file)}")
    return file


def check_config(path: str) -> None:
    """Find a config file that is none.

    Raises:
        ValueError: If it cannot be read, or holds no settings.
    """
    file = Path(path)
    if path.lstrip().startswith("{"):
        return
    if path and file.is_dir():
        raise ValueError(f"config={path!r}: is a directory")
    if not path or not file.exists():
        there = [str(each) for each in file.parent.glob("*.yaml")]
        hint = nearest(str(file.with_suffix(".yaml")), there) if path else ""
        raise ValueError(f"config={path!r}: no such file{hint}")
    try:
        settings = read_yaml(file)
    except ValueError as mistake:
        raise ValueError(f"config={path!r}: {mistake}") from mistake
    if not isinstance(settings, dict):
        raise ValueError(f"config={path!r}: holds no settings, such as 'seed_everything: 777'")
    for name in ("trainer", "best", "last"):
        if not isinstance(settings.get(name, {}), dict):
            raise ValueError(f"{name}={settings[name]!r}: expected settings, a line for each")
    if "config" in settings or settings.get("resume") is not None:
        raise ValueError("config, resume: flags, which a config file does not hold")
