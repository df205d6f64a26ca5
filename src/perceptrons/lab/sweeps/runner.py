"""A trial of a sweep as an ordinary run of the command line, in this process."""

import platform
import sys
import uuid
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import lightning as L
import optuna
import torch
from lightning.pytorch.callbacks import Checkpoint

from ..cli.command import Command
from ..cli.errors import fail, line_of, nearest
from ..runs.files import read_json, write_json
from ..runs.record import measured
from .space import Space, ends, flags
from .trials import UNREACHABLE

ERROR = "error: "
STUDIES = ("seeds", "grid", "folds")
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
        name: The sweep's.

    Attributes:
        pruned: Whether the run was ended early.
    """

    takes_spans = True

    def __init__(self, metric: str, trial: optuna.Trial, name: str) -> None:
        self.metric, self.trial, self.name, self.pruned = metric, trial, name, False

    def begin(self, run: Path) -> None:
        """Let the trial and the directory of its run know of each other."""
        token = self.trial.user_attrs.get("token") or uuid.uuid4().hex
        self.trial.set_user_attr("token", token)
        self.trial.set_user_attr("run", str(run.resolve()))
        self.trial.set_user_attr("host", platform.node())
        record = {"name": self.name, "trial": self.trial.number, "token": token}
        file = run / "provenance.json"
        write_json(file, {"sweep": record, **read_json(file)})

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        value = trainer.callback_metrics.get(self.metric)
        if value is None:
            return
        with suppress(*UNREACHABLE):  # the next report may find the database again
            self.trial.report(value.item(), trainer.current_epoch + 1)
            # in the last epoch there is nothing left to save
            last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
            last |= 0 <= trainer.max_steps <= trainer.global_step
            self.pruned = not last and self.trial.should_prune()
        # as a callback of Lightning's stops it: with the epoch's checkpoints and results
        trainer.should_stop |= self.pruned


class Trial(Command):
    """A run of a sweep, watched where it is more than a try of its settings."""

    def __init__(
        self, model: type[L.LightningModule] | None, words: list[str], watch: Watch | None
    ):
        self.watch = watch
        super().__init__(model, words)

    def before_instantiate_classes(self) -> None:
        for name in STUDIES:
            if self.settings[name]:
                fail(f"{name}={self.settings[name]}: a study is not swept; leave {name} out")
        super().before_instantiate_classes()

    def open_run(self, stack: ExitStack) -> None:
        super().open_run(stack)
        if self.watch and self.directory:
            self.watch.begin(self.directory)
            self.trainer.callbacks.append(self.watch)  # type: ignore[attr-defined]

    def after_fit(self) -> None:
        # drawn by a process for each run, which takes longer than many a trial
        self.settings.figures &= any(word.startswith("--figures") for word in self.words)
        super().after_fit()


def run(
    model: type[L.LightningModule] | None,
    metric: str,
    words: list[str],
    watch: Watch | None = None,
) -> float:
    """Run a command to its end; returns the metric, as it was logged last.

    Raises:
        FailedError: If the run fails.
        SystemExit: If this process is asked to end.
    """
    torch.set_num_threads(THREADS)
    said = StringIO()
    try:
        with redirect_stdout(StringIO()), redirect_stderr(said):
            done = Trial(model, words, watch)
    except SystemExit as ended:
        if ended.code not in (1, 2):
            raise
        reason, cause = said.getvalue().strip().rpartition(ERROR)[2], ended.__context__
        # settings stay wrong, and a loss not finite; memory or disk may have room another time
        mistake = ended.code == 2 and not isinstance(cause, RuntimeError | OSError)
        raise FailedError(reason, mistake, isinstance(cause, ArithmeticError)) from ended
    except Exception as failure:  # whatever it is, the next trial may go well
        raise FailedError(line_of(failure)) from failure
    finally:
        warn(said.getvalue())
    logged = measured(done.trainer) or done.measured_before
    if metric not in logged:
        names = sorted(logged)
        line = f"is not logged; logged are {', '.join(names)}{nearest(metric, names)}"
        raise FailedError(f"metric={metric!r}: {line}", mistake=True)
    return logged[metric]


def check(run: Callable[[list[str]], float], command: list[str], space: Space, file: str) -> None:
    """Try one batch with each end of each range and each choice; nothing is left of it.

    Raises:
        ValueError: If a command is mistaken.
    """
    for values in ends(space):
        try:
            run([*command, *flags(values), "--trainer.fast_dev_run=1"])
        except FailedError as failure:
            if failure.mistake:
                about = any(str(failure).lstrip("-").startswith(name) for name in space)
                raise ValueError(f"{failure} (in {file})" if about else str(failure)) from failure


def warn(said: str) -> None:
    """Say what a run said beside its reports and its mistake, where none has said it before."""
    for line in said.splitlines():
        if line not in WARNED and not line.startswith(ERROR):
            WARNED.add(line)
            print(line, file=sys.stderr)
