"""A run's trained module and its data: for notebooks, for figures, and for other programs."""

import html
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import lightning as L
import torch
from lightning.pytorch.utilities.seed import isolate_rng

from ..runs import checkpoints, directories
from .command import Command
from .errors import fail
from .parser import import_files, import_model
from .settings import quiet

if TYPE_CHECKING:
    from ..figures.page.page import Run
    from ..figures.trained import Trained


def load_run(
    directory: str | Path, kind: str = "last", trust: Sequence[str] = ()
) -> tuple[L.LightningModule, L.LightningDataModule]:
    """A run's trained module and its data, to work with in a notebook.

    Args:
        directory: The run: its directory, ``xor/version_0``, or ``last``.
        kind: Which of its checkpoints: ``last`` or ``best``.
        trust: Packages whose classes it may name, beside your own, torch's and Lightning's.

    Raises:
        ValueError: If the run has no such checkpoint that can be read.
    """
    run = directories.find_run(str(directory), Path(directories.ROOT))
    if run is None:
        raise ValueError(f"{str(directory)!r}: no such run")
    saved = checkpoints.saved(run, kind)
    if not saved:
        raise ValueError(f"{str(directory)!r}: has no checkpoint {kind}")
    return LoadedRun(*load(saved[0], trust), run)


class LoadedRun(tuple[L.LightningModule, L.LightningDataModule]):
    """A run's module and data, a pair, which a notebook shows as the page of the run."""

    checkpoint: dict[str, Any]
    run: Path

    def __new__(cls, module: Any, data: Any, checkpoint: dict[str, Any], run: Path) -> Self:
        made = super().__new__(cls, (module, data))
        made.checkpoint, made.run = checkpoint, run
        return made

    def _repr_html_(self) -> str:
        from ..figures.page.page import page
        from ..figures.trained import trained_in

        trained = trained_in(self.checkpoint, *self, self.run)
        text = html.escape(page([page_run(trained, self.run)]))
        # in a frame, which cannot touch the notebook
        size = 'width="100%" height="900" style="border:0"'
        return f'<iframe sandbox="allow-scripts" {size} srcdoc="{text}"></iframe>'


def load(file: Path, trust: Sequence[str] = ()) -> tuple[Any, Any, dict[str, Any]]:
    """The module that a checkpoint file holds, the data it was trained on, and the checkpoint.

    Raises:
        ValueError: If it cannot be read.
    """
    trusted = [f"--trust={each}" for each in trust]
    made = prepare_command(["validate", "--ckpt_path", str(file), *trusted])
    checkpoint, data = checkpoints.read(file), made.datamodule
    made.model.load_state_dict(checkpoint["state_dict"])
    data.setup("predict")
    if kept := checkpoint.get(type(data).__qualname__):
        data.load_state_dict(kept)
    return made.model.eval(), data, checkpoint


def prepare_command(words: list[str], model: Any = None) -> Command:
    """A command that is not run, and leaves the process of the notebook as it was."""
    threads, said = torch.get_num_threads(), StringIO()
    try:
        with isolate_rng(), warnings.catch_warnings(), redirect_stdout(said), redirect_stderr(said):
            quiet()
            import_files()
            return Command(import_model(model), words, runs=False)
    except SystemExit:
        raise ValueError(said.getvalue().strip().rpartition("error: ")[2]) from None
    finally:
        torch.set_num_threads(threads)


def trained_run(run: Path) -> "Trained":
    """A run to look at, as its last checkpoint that can be read has it."""
    from ..figures.trained import trained_in

    try:
        file, _ = checkpoints.find(str(run), run, None)
        module, data, checkpoint = load(file)
        return trained_in(checkpoint, module, data, run)
    except ValueError as mistake:
        fail(f"run={str(run)!r}: {mistake}", mistake)


def page_run(run: "Trained", directory: Path) -> "Run":
    """What a page shows of a run, with pictures."""
    from ..figures.page.page import add_pictures
    from ..figures.page.recording import run_data
    from ..figures.survey import survey

    return add_pictures(run_data(run, directory / "config.yaml"), survey(run))
