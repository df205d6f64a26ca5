"""Commands that start from what is there, a run or a checkpoint; and stopping so that one can."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint

from perceptrons import checkpoints, replica, runs, trust
from perceptrons.classifier import Classifier
from perceptrons.configs import flat, read_config
from perceptrons.mistakes import PACKAGE, fail
from perceptrons.origins import Origins

# settings with which a run may go on otherwise than it began
FREE = (
    "trainer.max_epochs",
    "trainer.max_steps",
    "trainer.max_time",
    "trainer.enable_progress_bar",
    "figures",
)
# what each section of the settings is for
TAKES: dict[str, type] = {
    "data": L.LightningDataModule,
    "model": Classifier,
    "trainer": L.Trainer,
    "best": ModelCheckpoint,
    "last": ModelCheckpoint,
}


class Start(NamedTuple):
    """A command, completed.

    Attributes:
        words: Its words, with what the run or the checkpoint has to say put in.
        directory: Directory of the run that it writes to, where that is there already.
        resumed: Whether it goes on with that run.
    """

    words: list[str]
    directory: Path | None = None
    resumed: bool = False


def start(origins: Origins) -> Start:
    """Complete a command by the run or checkpoint that it names.

    Raises:
        SystemExit: If there is no such run or checkpoint.
    """
    root = Path(str(origins.value("trainer.default_root_dir") or "."), runs.ROOT)
    try:
        if origins.give("resume"):
            return from_run(str(origins.value("resume")), root, origins)
        if origins.value("ckpt_path") is not None:
            return from_checkpoint(str(origins.value("ckpt_path")), root, origins)
    except checkpoints.CheckpointError as mistake:
        key = "resume" if origins.give("resume") else "ckpt_path"
        origins.refuse(f"{key}={mistake}", mistake)
    except ValueError as mistake:
        fail(str(mistake), mistake)
    return Start(trust.without_trust(origins.all_words))


def from_run(asked: str, root: Path, origins: Origins) -> Start:
    """Go on with a run in its own directory, with its own settings."""
    if other := sorted(origins.flags.keys() - {*FREE, "resume", "name", "trust"}):
        fail(f"{other[0]}: a run goes on with its own settings, except {', '.join(FREE)}")
    named = str(origins.value("name")) if origins.give("name") else None
    found = runs.newest(root, named)[:1] if asked == "last" else [Path(asked)]
    if not found or not (found[0] / "config.yaml").is_file():
        instead = "; a checkpoint is started from by --ckpt_path" if asked.endswith(".ckpt") else ""
        fail(f"resume={asked!r}: there is no run, such as {root}/xor/version_0{instead}")
    directory = found[0].resolve()
    file = directory / "config.yaml"
    try:
        trusted = trust.trusted(origins.all_words)
        settings = trust.resumed(read_config(str(file)), TAKES, directory, trusted)
    except trust.TrustError as mistake:
        fail(f"{mistake} (in {file})", mistake)
    words = ["fit", "--config", trust.as_word(settings)]
    words += [f"--{key}={origins.flags[key]}" for key in FREE if key in origins.flags]
    if not checkpoints.saved(directory, "last"):
        print(f"{directory} has no checkpoint yet: it starts anew")
        return Start(words, directory, resumed=True)
    file = announced(*checkpoints.find(str(directory), root, None), asked)
    return Start([*words, "--ckpt_path", str(file)], directory, resumed=True)


def from_checkpoint(asked: str, root: Path, origins: Origins) -> Start:
    """Put the checkpoint's settings before the config's; evaluate a run in its own directory."""
    verb, *rest = trust.without_trust(origins.without("ckpt_path"))
    file = announced(*checkpoints.find(asked, root, origins.name()), asked)
    file = replica_of(file, verb, origins)
    trusted = trust.trusted(origins.all_words, [*origins.configs.values(), origins.flags])
    try:
        settings = trust.supplied(checkpoints.read(file)["settings"], TAKES, trusted)
    except trust.TrustError as mistake:
        fail(f"{mistake} (in {file})", mistake)
    model = {"class_path": f"{PACKAGE}classifier.Classifier", "init_args": settings["model"]}
    telling = flat({**settings, "model": model})  # without what is so by default
    telling.pop("model")
    supplied = [f"{key}={value}" for key, value in telling.items() if not origins.give(key)]
    if supplied:
        print(f"from the checkpoint: {' '.join(supplied)}")
    words = [verb, "--config", trust.as_word(settings), *rest, "--ckpt_path", str(file)]
    run = file.resolve().parent.parent
    evaluated = verb != "fit" and (run / "config.yaml").is_file()
    if file.resolve().parent.name == replica.DIRECTORY:  # what is said of one is not of the study
        run = file.resolve().with_suffix("")
    return Start(words, run if evaluated else None)


def replica_of(file: Path, verb: str, origins: Origins) -> Path:
    """The checkpoint of the replica that is asked for, where one is."""
    asked = origins.value("replica")
    if asked is None and verb == "predict" and replica.study_of(checkpoints.read(file)):
        asked = "best"
    if asked is None:
        return file
    made = replica.write(file, str(asked))
    print(f"replica: {made.stem} of {file}")
    return made


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


def announced(file: Path, passed_over: list[str], asked: str) -> Path:
    for line in passed_over:
        print(f"passed over {line}")
    if str(file) != asked:
        print(f"checkpoint: {file}")
    return file


@contextmanager
def stoppable(trainer: Any) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end what a trainer does: training after its next update, and saved.

    So does SIGUSR1, by which SLURM can tell that the time is nearly up. The exit status is the
    shell's for the signal: 130, 143 or 138. A second signal does not wait.
    """
    loop = trainer.fit_loop.epoch_loop

    # not by Lightning's own handlers: they would end with status 0, let processes wait for each
    # other that are not at the same update, and under SLURM start the job anew in another run
    trainer._signal_connector.register_signal_handlers = lambda: None

    def stop(number: int, _: Any) -> None:
        status = 128 + number
        if not loop.running or loop.stop:
            raise SystemExit(status)
        loop.stop = status

    in_main_thread = threading.current_thread() is threading.main_thread()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1) if in_main_thread else ()
    before = [signal.signal(number, stop) for number in signals]
    try:
        yield
        if loop.stop:  # it came after the last update
            raise SystemExit(loop.stop)
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
