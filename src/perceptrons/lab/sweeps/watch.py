"""A trial of a sweep: an ordinary run of the command line in this process, watched."""

import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import lightning as L
import optuna
import torch
from lightning.pytorch.callbacks import Checkpoint
from optuna.exceptions import UpdateFinishedTrialError

from ..cli.errors import line_of, nearest
from .storage import UNREACHABLE

ERROR = "error: "
WARNED: set[str] = set()
THREADS = torch.get_num_threads()  # before a run has chosen its own


class FailedError(Exception):
    """A run that has failed.

    Attributes:
        mistake: Whether its settings are at fault, or else the loss or the machine.
        final: Whether it would fail again.
    """

    def __init__(self, reason: str, mistake: bool = False, final: bool = False) -> None:
        super().__init__(reason)
        self.mistake, self.final = mistake, mistake or final


class Watch(Checkpoint):
    """Hands a run's reports to Optuna, and ends the run where Optuna prunes it.

    It saves nothing: Lightning calls callbacks of this kind last, when all is logged.

    Args:
        metric: What is reported: any metric that the run logs.
        trial: The trial that the run is.
        begin: Told the run's directory.
        check: Called as training starts and at each report; ends the process if it is asked to end.

    Attributes:
        pruned: Whether the run was ended early.
        lost: Whether this worker was taken for dead, and the trial is another's.
    """

    def __init__(
        self,
        metric: str,
        trial: optuna.Trial,
        begin: Callable[[Path], None],
        check: Callable[[], None],
    ) -> None:
        self.metric, self.trial, self.begin, self.check = metric, trial, begin, check
        self.pruned = self.lost = False

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.check()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.check()
        value = trainer.callback_metrics.get(self.metric)
        if value is not None:
            self.report(trainer.current_epoch + 1, value.item())
            # as a callback of Lightning's stops it: with the epoch's checkpoints and results
            trainer.should_stop |= self.pruned and not is_last(trainer)
            self.pruned &= trainer.should_stop

    def report(self, number: int, value: float) -> None:
        """Hand a report on.

        Raises:
            UpdateFinishedTrialError: If this worker was taken for dead.
        """
        try:
            self.trial.report(value, number)
            self.pruned = self.trial.should_prune()
        except UpdateFinishedTrialError:
            self.lost = True
            raise
        except UNREACHABLE:  # the next report may find the database again
            self.pruned = False


def is_last(trainer: L.Trainer) -> bool:
    """Whether an epoch is the last in any case: then nothing is saved by pruning."""
    done = trainer.current_epoch + 1 == trainer.max_epochs
    return done or 0 <= trainer.max_steps <= trainer.global_step


def run(make: Callable[[list[str]], L.Trainer], words: list[str], metric: str) -> float:
    """Run a command to its end.

    Args:
        make: Runs the command.
        words: Its words.
        metric: What is asked for.

    Returns:
        The metric, as it was logged last.

    Raises:
        FailedError: If the run fails.
        SystemExit: If this process is asked to end.
    """
    torch.set_num_threads(THREADS)
    said = StringIO()
    try:
        with redirect_stdout(StringIO()), redirect_stderr(said):
            trainer = make(words)
    except SystemExit as ended:
        if ended.code not in (1, 2):
            raise
        reason = said.getvalue().strip().rpartition(ERROR)[2]
        # settings stay wrong, and a loss not finite; memory or disk may have room the next time
        cause = ended.__context__
        mistake = ended.code == 2 and not isinstance(cause, RuntimeError | OSError)
        raise FailedError(reason, mistake, final="NonFinite" in type(cause).__name__) from ended
    except Exception as failure:  # whatever it is, the next trial may go well
        raise FailedError(line_of(failure)) from failure
    finally:
        warn(said.getvalue())
    logged = trainer.callback_metrics
    if metric not in logged:
        names = sorted(set(logged) - {"step"})
        hint = nearest(metric, names)
        line = f"metric={metric!r}: is not logged; logged are {', '.join(names)}{hint}"
        raise FailedError(line, mistake=True)
    return logged[metric].item()


def check(make: Callable[[list[str]], L.Trainer], words: list[str], metric: str) -> None:
    """Find out what is wrong with a command: by one batch of it, which leaves nothing behind.

    Args:
        make: Runs the command.
        words: Its words.
        metric: What its runs are compared by.

    Raises:
        ValueError: If something is.
    """
    try:
        run(make, [*words, "--trainer.fast_dev_run=1"], metric)
    except FailedError as failure:
        if failure.mistake:
            raise ValueError(str(failure)) from failure


def warn(said: str) -> None:
    """Say what a run said beside its reports and its mistake, where none has said it before."""
    for line in said.splitlines():
        if line not in WARNED and not line.startswith(ERROR):
            WARNED.add(line)
            print(line, file=sys.stderr)
