"""A run in a notebook."""

import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import torch
from lightning.pytorch.utilities.seed import isolate_rng

from perceptrons import checkpoints
from perceptrons.classifier import Classifier
from perceptrons.cli import CLI
from perceptrons.preflight import quiet
from perceptrons.tables import TableData


def load_run(
    directory: str | Path, kind: str = "last", trust: Sequence[str] = ()
) -> tuple[Classifier, TableData]:
    """A run's trained classifier and its data, to go on with in a notebook.

    Args:
        directory: The run's directory, such as ``lightning_logs/xor/version_0``.
        kind: Which of its checkpoints: ``last`` or ``best``.
        trust: Packages, beside the project's own, torch and Lightning, whose classes it may name.

    Raises:
        ValueError: If the run has no such checkpoint that can be read.
    """
    saved = checkpoints.saved(Path(directory), kind)
    if not saved:
        raise checkpoints.CheckpointError(f"{str(directory)!r}: has no checkpoint {kind}")
    return load(saved[0], trust)


def load(file: Path, trust: Sequence[str] = ()) -> tuple[Classifier, TableData]:
    """The classifier that a checkpoint file holds, and the data it was trained on.

    Raises:
        ValueError: If it cannot be read.
    """
    trusted = [f"--trust={name}" for name in trust]
    loaded = made_ready(["validate", "--ckpt_path", str(file), *trusted])
    checkpoint, data = checkpoints.read(file), loaded.datamodule
    loaded.model.load_state_dict(checkpoint["state_dict"])
    data.setup("predict")
    if kept := checkpoint.get(type(data).__qualname__):
        data.load_state_dict(kept)
    return loaded.model.eval(), data


def made_ready(words: list[str]) -> "Loaded":
    """A command that is not run, and leaves the notebook's process as it was."""
    threads, said = torch.get_num_threads(), StringIO()
    try:
        with isolate_rng(), warnings.catch_warnings(), redirect_stdout(said), redirect_stderr(said):
            quiet()
            return Loaded(words)
    except SystemExit as ended:
        raise ValueError(said.getvalue().strip().rpartition("error: ")[2]) from ended
    finally:
        torch.set_num_threads(threads)


class Loaded(CLI):
    """A command that is made ready and not run."""

    def _run_subcommand(self, subcommand: str) -> None:
        pass
