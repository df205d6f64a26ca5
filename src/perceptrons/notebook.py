"""A run in a notebook."""

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from lightning.pytorch.utilities.seed import isolate_rng

from perceptrons import checkpoints
from perceptrons.classifier import Classifier
from perceptrons.cli import CLI
from perceptrons.preflight import quiet
from perceptrons.tables import TableData


def load_run(directory: str | Path, kind: str = "last") -> tuple[Classifier, TableData]:
    """A run's trained classifier and its data, to go on with in a notebook.

    Args:
        directory: The run's directory, such as ``lightning_logs/xor/version_0``.
        kind: Which of its checkpoints: ``last`` or ``best``.

    Raises:
        ValueError: If the run has no such checkpoint that can be read.
    """
    saved = checkpoints.saved(Path(directory), kind)
    if not saved:
        raise checkpoints.CheckpointError(f"{str(directory)!r}: has no checkpoint {kind}")
    quiet()
    with isolate_rng(), redirect_stdout(StringIO()):
        loaded = Loaded(["predict", "--ckpt_path", str(saved[0])])
    loaded.model.load_state_dict(checkpoints.read(saved[0])["state_dict"])
    loaded.datamodule.setup("predict")
    return loaded.model.eval(), loaded.datamodule


class Loaded(CLI):
    """A command that is made ready and not run."""

    def _run_subcommand(self, subcommand: str) -> None:
        pass
