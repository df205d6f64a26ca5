"""The program: what it answers itself, the verbs that train nothing, and Lightning's commands."""

import importlib
import os
import signal
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from types import FrameType
from typing import TYPE_CHECKING, Any

from .errors import PACKAGE, fail, nearest

if TYPE_CHECKING:  # seconds, which the verbs that train nothing do not need
    from lightning import LightningModule

# what a verb does, and the module that does it, whose main takes the words after the verb
TRAINER = {
    "fit": "Train: perceptrons fit --config configs/xor.yaml",
    "validate": "Measure a checkpoint on the validation rows.",
    "test": "Measure a checkpoint on the test rows.",
    "predict": "Write what a checkpoint predicts to predictions.csv.",
}
VERBS = {
    "runs": ("List the runs, or compare two.", ".list_runs"),
    "plot": ("Draw a run's figures into files, or compare runs.", ".plot"),
    "sweep": ("Run a config with many settings, and find the best.", "..sweeps.cli"),
    "export": ("Write a run's network as ONNX, verified against PyTorch.", ".export"),
}
VERSIONS = (PACKAGE, "lightning", "torch")
INTERRUPTED = 128  # exit statuses of signals begin there


def main(model: "type[LightningModule] | str | None" = None, args: list[str] | None = None) -> None:
    """Run a command, from ``args`` or else from the command line.

    Args:
        model: The LightningModule that is trained where the settings name no other; as text its
            place in the package, such as ``classifier.Classifier``, imported when it is needed.
        args: The words of the command.

    Raises:
        SystemExit: With status 2 if the command is mistaken, 1 if the run failed, 130 or 143 if it
            was stopped by Ctrl-C or SIGTERM.
    """
    if args is not None:
        return dispatch(args, model)
    prepare()
    try:
        dispatch(sys.argv[1:], model)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads this has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(INTERRUPTED + signal.SIGPIPE)
    return None


def prepare() -> None:
    """Have what a process of its own needs: open streams, and signals that end it quietly."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # where the shell has closed it
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115

    def stop(number: int, _: FrameType | None) -> None:
        sys.exit(INTERRUPTED + number)

    for number in (signal.SIGINT, signal.SIGTERM):  # until the training has its own way to stop
        signal.signal(number, stop)
    # or threads that wait keep the processor that other work needs: ten times as slow beside it
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def dispatch(words: list[str], model: Any) -> None:
    verb = words[0] if words else ""
    if verb in ("-h", "--help"):
        print(overview())
    elif verb == "--version":
        print(versions())
    elif verb in VERBS:
        importlib.import_module(VERBS[verb][1], __package__).main(words[1:])
    elif verb in TRAINER:
        # read when jsonargparse is imported: Lightning 2.6 calls it by names since deprecated
        os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
        importlib.import_module(".command", __package__).run(words, model)
    elif not verb:
        fail(f"no command; choose one of {', '.join([*TRAINER, *VERBS])}")
    elif verb.startswith("-"):
        fail(f"{verb}: goes after the command, as in {PACKAGE} fit {verb}")
    else:
        known = [*TRAINER, *VERBS]
        fail(f"{verb}: no such command; choose one of {', '.join(known)}{nearest(verb, known)}")


def overview() -> str:
    said = {**TRAINER, **{verb: text for verb, (text, _) in VERBS.items()}}
    lines = [f"  {verb:10}{text.replace('perceptrons', PACKAGE)}" for verb, text in said.items()]
    return "\n".join(
        [
            f"usage: {PACKAGE} COMMAND [settings]",
            "",
            *lines,
            "",
            f"{PACKAGE} COMMAND --help shows a command's settings, {PACKAGE} --version the versions.",
        ]
    )


def versions() -> str:
    try:
        own, *others = (f"{name} {version(name)}" for name in VERSIONS)
    except PackageNotFoundError as missing:
        fail(f"{missing.name}: is not installed; make install does it", missing)
    return f"{own} ({', '.join(others)}, Python {python_version()})"
