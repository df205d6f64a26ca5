"""What a command starts from: configs, and the run or checkpoint that it names."""

from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from ..runs import directories
from ..runs.files import read_yaml
from ..runs.text import say
from .errors import Parser, nearest, relative_path

HELP = ("-h", "--help")
# settings with which a run may be resumed otherwise than it began
FREE = (
    *("trainer.max_epochs", "trainer.max_steps", "trainer.max_time"),
    *("trainer.enable_progress_bar", "figures"),
)


class Start(NamedTuple):
    """A command, completed by the run or the checkpoint that it starts from.

    Attributes:
        words: Its words: settings of the checkpoint stand before those of config files and flags.
        directory: Directory of the run that it writes to, where that is there already.
        resumed: Whether it resumes that run.
        learned: What a checkpoint says of its data, by the class, and of its ``folds``.
    """

    words: list[str]
    directory: Path | None = None
    resumed: bool = False
    learned: dict[str, Any] = {}  # noqa: RUF012  of a tuple, and never written to


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


def section_types() -> dict[str, type]:
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
    found = directories.find_run(given.resume, root, given.name)
    if found is None:
        raise ValueError(f"resume={no_such_run(given.resume, root)}")
    run = found.resolve()
    directories.check_inside(run)
    settings = loggers.without_defaults(read_yaml(run / "config.yaml"))
    settings = trust.resumed(settings, section_types(), run, trusted.names(words))
    completed = ["fit", "--config", trusted.as_word(settings), *rest]
    if not checkpoints.saved(run, "last"):
        say(f"{relative_path(run)} has no checkpoint yet: it starts anew")
        return Start(completed, run, resumed=True)
    file = announce(*checkpoints.find(str(run), root, None), str(run))
    return Start([*completed, "--ckpt_path", str(file)], run, resumed=True)


def start_from(words: list[str], given: Any, root: Path) -> Start:
    """Put a checkpoint's settings before the config's; evaluate a run in its own directory."""
    from ..runs import checkpoints, trust, trusted

    asked = given.ckpt_path
    if asked not in ("last", "best") and not Path(asked).exists():
        asked = str(directories.find_run(asked, root) or asked)
    if not (Path(asked).exists() or asked in ("last", "best") or asked.endswith(".ckpt")):
        raise ValueError(f"ckpt_path={no_such_run(asked, root)}")
    name = given.name or (Path(given.config[-1]).stem if given.config else None)
    try:
        file = announce(*checkpoints.find(asked, root, name), asked)
    except ValueError as mistake:
        raise ValueError(f"ckpt_path={mistake}") from mistake
    configs = [read_yaml(Path(path)) for path in given.config if Path(path).is_file()]
    said = trusted.names(words, [*configs, flags_of(words)])
    checkpoint = checkpoints.read(file)
    settings = trust.supplied(checkpoint["settings"], section_types(), said)
    words = trusted.without_trust(words)
    at = [number for number, word in enumerate(words) if word.startswith("--ckpt_path")][-1]
    kept = words[1:at] + words[at + (1 if "=" in words[at] else 2) :]
    completed = [words[0], "--config", trusted.as_word(settings), *kept, "--ckpt_path", str(file)]
    run = file.resolve().parent.parent
    evaluated = words[0] != "fit" and (run / "config.yaml").is_file()
    if evaluated:
        directories.check_inside(run)
    names = "folds", settings["data"]["class_path"].rpartition(".")[2]
    learned = {name: checkpoint[name] for name in names if name in checkpoint}
    return Start(completed, run if evaluated else None, learned=learned)


def no_such_run(name: str, root: Path) -> str:
    """That there is no run of a name, and which there are."""
    known = [f"{run.parent.name}/{run.name}" for run in directories.newest(root, trained=True)]
    there = f"there are {', '.join(known[:8])}" if known else f"there is none in {root}"
    more = f" and {len(known) - 8} more" if len(known) > 8 else ""
    return f"{name!r}: no such run; {there}{more}{nearest(name, known)}"


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


def announce(file: Path, passed_over: list[str], asked: str) -> Path:
    for line in passed_over:
        say(f"passed over {line}")
    if str(file) != asked:
        say(f"checkpoint: {relative_path(file)}")
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
    except (ValueError, OSError) as mistake:
        raise ValueError(f"config={path!r}: {mistake}") from mistake
    if not isinstance(settings, dict):
        raise ValueError(f"config={path!r}: holds no settings, such as 'seed_everything: 777'")
    for name in ("trainer", "best", "last"):
        if not isinstance(settings.get(name, {}), dict):
            raise ValueError(f"{name}={settings[name]!r}: expected settings, a line for each")
    if "config" in settings or settings.get("resume") is not None:
        raise ValueError("config, resume: flags, which a config file does not hold")
