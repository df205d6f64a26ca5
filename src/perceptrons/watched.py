"""A trial of a sweep: an ordinary run in this process, watched."""

import math
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from perceptrons.classifier import Classifier, NonFiniteLossError
from perceptrons.cli import CLI
from perceptrons.measures import MEASURES
from perceptrons.mistakes import choose, fail
from perceptrons.preflight import callbacks_of
from perceptrons.trials import Ended

ERROR = "perceptrons: error: "
WARNED: set[str] = set()
THREADS = torch.get_num_threads()  # before a run has chosen its own


class Watch(Callback):
    """Hands a run's reports on, and ends it where it is not worth going on.

    Args:
        metric: What is handed on.
        check: Called as training starts and at each report; ends the process if it is asked to end.
        began: Told the run's directory.
        unpromising: Told the number of a report, from 1, the metric, and whether it is in the last
            epoch; whether to end.
        figures: Whether the run's figures are drawn.
    """

    def __init__(
        self,
        metric: str,
        check: Callable[[], None],
        began: Callable[[Path], None],
        unpromising: Callable[[int, float, bool], bool],
        figures: bool,
    ) -> None:
        self.metric, self.check, self.figures = metric, check, figures
        self.began, self.unpromising = began, unpromising

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.check()

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.check()
        value = measured(trainer, self.metric)
        if trainer.state.fn != "fit" or trainer.sanity_checking or value is None:
            return
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if self.unpromising(report_number(trainer), value, last):
            # as a callback of Lightning's stops it: with the epoch's checkpoints and results
            trainer.should_stop = True


class Watched(CLI):
    """A command that is watched."""

    def __init__(self, words: list[str], watch: Watch) -> None:
        self.watcher = watch
        super().__init__(words)

    def open_run(self) -> None:
        super().open_run()
        if self.directory:
            self.watcher.began(self.directory)
        callbacks_of(self.trainer).insert(0, self.watcher)

    def add_figures(self, directory: Path) -> None:
        super().add_figures(directory)
        if not self.watcher.figures:  # there is a note of all, from which they can be drawn
            self.figures = None


class Checked(CLI):
    """A command that is made ready and not run."""

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        trainer = super().instantiate_trainer(**kwargs)
        if trainer.num_devices * trainer.num_nodes > 1:
            fail("trainer.devices: a trial of a sweep has one process; several at once by --jobs")
        return trainer

    def _run_subcommand(self, subcommand: str) -> None:
        pass


def measured(trainer: L.Trainer, metric: str) -> float | None:
    """A metric as it was reported last; ``None`` where it was not."""
    own: dict[str, float] = getattr(trainer.lightning_module, "measured", {})
    if metric in own:
        return own[metric]
    logged = trainer.callback_metrics.get(metric)
    return None if logged is None else logged.item()


def report_number(trainer: Any) -> int:
    """Number of a report in its run, from 1; the same when the run is gone on with."""
    every: float = trainer.val_check_batch
    done = trainer.fit_loop.epoch_loop.batch_progress.total.ready
    return math.ceil(done / every) if math.isfinite(every) else int(trainer.current_epoch) + 1


def check(words: list[str], metric: str, described: Callable[[str], str]) -> None:
    """Find out what is wrong with a command before any trial is made of it.

    Args:
        words: The command's words.
        metric: What its runs are compared by.
        described: What to say for the line of a mistake.

    Raises:
        SystemExit: With status 2, if something is.
    """
    said = StringIO()
    try:
        with redirect_stderr(said):
            checked = Checked(words)
    except SystemExit as ended:
        lines = said.getvalue().splitlines()
        if not ended.code or not lines or not lines[-1].startswith(ERROR):
            raise
        fail(described(lines[-1].removeprefix(ERROR)), ended)
    if checked.settings.trainer.fast_dev_run:
        fail("trainer.fast_dev_run: not in a sweep, which is made of whole runs")
    measures = (*MEASURES, *(["solved"] if checked.model.replicas is not None else []))
    metrics = [f"{stage}/{name}" for stage in ("val", "train") for name in measures]
    if type(checked.model) is Classifier and metric not in metrics:
        fail(f"metric={metric!r}: {choose(metric, metrics)}")


def run(words: list[str], watch: Watch) -> Ended:
    """Run a command to its end.

    Raises:
        SystemExit: If this process is asked to end.
    """
    torch.set_num_threads(THREADS)
    said = StringIO()
    try:
        with redirect_stdout(StringIO()), redirect_stderr(said):
            watched = Watched(words, watch)
    except SystemExit as ended:
        if isinstance(ended.code, int) and ended.code > 2:
            raise
        reason = said.getvalue().strip().rpartition(ERROR)[2]
        # the same settings give the same run: what is wrong with them stays wrong, unlike a
        # RuntimeError, such as too little memory
        cause = ended.__context__
        mistaken = ended.code == 2 and not isinstance(cause, RuntimeError)
        return Ended(reason=reason, final=mistaken or isinstance(cause, NonFiniteLossError))
    except Exception as failure:  # whatever it is, the next trial may go well
        first = re.split("\n", str(failure).strip())[0]
        return Ended(reason=f"{type(failure).__name__}: {first}")
    finally:
        warn(said.getvalue())
    value = measured(watched.trainer, watch.metric)
    if value is None:
        return Ended(reason=f"{watch.metric} was never reported", final=True)
    return Ended(value)


def warn(said: str) -> None:
    """Say what a run said beside its reports and its mistake, where none has said it before."""
    for line in said.splitlines():
        if line not in WARNED and not line.startswith(ERROR):
            WARNED.add(line)
            print(line, file=sys.stderr)
