"""The workers of a sweep: processes that run its trials, one at a time each."""

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.samplers import TPESampler

from ..runs.files import read_json, write_json
from .space import draw, flags
from .standings import Standings
from .storage import UNREACHABLE, reason
from .trials import Trials, history
from .watch import FailedError, Watch

POLL = 0.5  # seconds between two looks at what others do
PACKAGE = (__package__ or "").partition(".")[0]

Run = Callable[[list[str], Watch], float]


class Signals:
    """Ctrl-C and SIGTERM end this process, but between two steps; a second one at once.

    While a run trains, it has its own way to end.
    """

    numbers = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.status = 0

    def __enter__(self) -> Self:
        self.before = [signal.signal(number, self.receive) for number in self.numbers]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in zip(self.numbers, self.before, strict=True):
            signal.signal(number, handler)

    def receive(self, number: int, _: object) -> None:
        second, self.status = self.status, 128 + number
        if second:
            raise SystemExit(self.status)

    def check(self) -> None:
        """End, if that is asked for.

        Raises:
            SystemExit: With the shell's status for the signal.
        """
        if self.status:
            raise SystemExit(self.status)


class LostError(BaseException):
    """This worker was taken for dead; Optuna is to leave the trial as it is, another's."""


class Worker:
    """Runs trials in this process until none is left.

    Args:
        trials: Where they come from.
        run: Runs a command under a watch, and returns the metric at its end.
        command: Words of the command that they all are, but for those values.
        standings: Told of all that happens.
        signals: Ask this process to end.
    """

    def __init__(
        self,
        trials: Trials,
        run: Run,
        command: list[str],
        standings: Standings,
        signals: Signals,
    ) -> None:
        self.trials, self.run, self.command = trials, run, command
        self.standings, self.signals = standings, signals
        self.number: int | None = None  # of the trial that is running

    def work(self) -> None:
        """Run trials until all are settled, those of other workers too, which may be killed."""
        while True:
            self.signals.check()
            more = True
            try:
                more = self.step()
                trials = self.trials.all()
                self.standings.show(trials)
            except UNREACHABLE as failure:  # what is left of it is found again as that of the dead
                print(f"storage: {reason(failure)}", file=sys.stderr)
            if not more and len(self.trials.settled(trials)) == len(trials):
                return
            if not more:
                time.sleep(POLL)

    def step(self) -> bool:
        """Run the next trial, if there is one."""
        try:
            with ExitStack() as claim:
                claim.enter_context(self.trials.locked())
                if not self.trials.prepare(self.standings.total):
                    return False
                objective = partial(self.objective, claim)
                self.trials.study.optimize(objective, n_trials=1, catch=(FailedError,))
        except (LostError, UpdateFinishedTrialError):
            pass
        except ValueError:
            if self.taken_over():  # Optuna tells nothing of a trial that is finished
                return True
            raise
        except SystemExit:
            if self.number is not None and not self.taken_over():
                self.trials.put_back(self.number)
            raise
        self.number = None
        return True

    def taken_over(self) -> bool:
        """Whether the trial that was running here was given to another worker."""
        return self.number is None or self.trials.all()[self.number].state.is_finished()

    def objective(self, claim: ExitStack, trial: optuna.Trial) -> float:
        """Run a trial.

        Args:
            claim: Holds the lock, which is given up once the trial is this worker's.
            trial: The trial.
        """
        self.number = trial.number
        trial.set_user_attr("worker", f"{platform.node()}:{os.getpid()}")
        # seeded by the number: a sweep made again draws the same, and no two workers do
        self.trials.study.sampler = TPESampler(seed=trial.number)
        values = draw(self.trials.space, trial)
        claim.close()
        watch = Watch(
            str(self.trials.settings["metric"]), trial, partial(self.begin, trial), self.signals.check
        )
        self.signals.check()
        try:
            value = self.run(self.words(trial, flags(values)), watch)
        except FailedError as failure:
            if watch.lost:
                raise LostError from failure
            trial.set_user_attr("reason", str(failure))
            if failure.final:
                trial.set_user_attr("final", True)
            raise
        if watch.pruned:
            raise optuna.TrialPruned
        return value

    def words(self, trial: optuna.Trial, given: list[str]) -> list[str]:
        """The command of a trial, or that which resumes what is left of it."""
        left = Path(trial.user_attrs.get("run", ""))
        own = read_json(left / "provenance.json").get("sweep") == self.identity(trial)
        if own and (left / "config.yaml").is_file() and is_free(left):
            return ["fit", "--resume", str(left)]
        return [*self.command, *given]

    def begin(self, trial: optuna.Trial, directory: Path) -> None:
        """Let a trial and its run know of each other."""
        trial.set_user_attr("run", str(directory.resolve()))
        trial.set_user_attr("host", platform.node())
        record = read_json(directory / "provenance.json")
        write_json(directory / "provenance.json", {**record, "sweep": self.identity(trial)})

    def identity(self, trial: optuna.Trial) -> dict[str, Any]:
        """What tells a trial from those of all other sweeps; it keeps it when it is run again."""
        number = [*history(self.trials.all()[trial.number]), trial.number][0]
        return {"name": self.trials.name, "id": self.trials.id, "trial": number}


def employ(
    jobs: int, words: list[str], trials: Trials, standings: Standings, signals: Signals
) -> None:
    """Have several processes work, and show how it goes until all have ended.

    Args:
        jobs: How many.
        words: Words of the sweep's command.
        trials: The trials.
        standings: Shows how it goes.
        signals: Ask this process to end.
    """
    line = [sys.executable, "-m", PACKAGE, "sweep", *words, "--jobs=1", "--worker"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    processes = [
        # in a session of its own: the terminal's Ctrl-C comes to it by this process, once
        subprocess.Popen(
            line,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(jobs)
    ]
    try:
        while any(process.poll() is None for process in processes):
            standings.show(trials.all())
            time.sleep(POLL)
            signals.check()
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.communicate()


def end_with_parent() -> None:
    """End this process when the one that started it ends, however it does."""

    def wait() -> None:
        sys.stdin.buffer.read()  # nothing comes, until the other end is closed
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
