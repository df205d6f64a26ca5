"""The workers of a sweep: processes that run its trials, one at a time each."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import optuna

from ..cli.errors import PACKAGE
from ..runs.directories import locked
from ..runs.files import read_json
from .runner import FailedError, Watch
from .space import draw, flags, sampler
from .standings import Standings
from .trials import UNREACHABLE, Trials, reason

POLL = 0.5  # seconds between two looks at what others do

Run = Callable[[list[str], Watch], float]


class Worker:
    """Runs trials in this process until none is left.

    Args:
        trials: Where they come from.
        command: Words of the command that they all are, but for those values.
        run: Runs a command under a watch, and returns the metric at its end.
        standings: Told of all that happens.
    """

    def __init__(self, trials: Trials, command: list[str], run: Run, standings: Standings) -> None:
        self.trials, self.command, self.run, self.standings = trials, command, run, standings
        self.number: int | None = None  # of the trial that is running

    def work(self) -> None:
        """Run trials until all are settled, those of other workers too, which may be killed."""
        while True:
            try:
                more = self.step()
                self.standings.show()
                if not more and all(trial.state.is_finished() for trial in self.trials.all()):
                    return
            except UNREACHABLE as failure:  # what is left of it is found again as that of the dead
                print(f"storage: {reason(failure)}", file=sys.stderr)
                more = False
            time.sleep(0 if more else POLL)

    def step(self) -> bool:
        """Run the next trial, if there is one."""
        self.number = None
        try:
            with ExitStack() as claim:
                claim.enter_context(self.trials.locked())
                if not self.trials.prepare():
                    return False
                objective = partial(self.objective, claim)
                self.trials.study.optimize(objective, n_trials=1, catch=(FailedError,))
        except ValueError:  # from Optuna, of a trial that another worker has taken over
            if not self.is_finished():
                raise
        except SystemExit:
            if not self.is_finished():
                self.trials.put_back(self.number or 0)
            raise
        return True

    def is_finished(self) -> bool:
        """Whether the trial that was running here has ended, or is another worker's."""
        return self.number is None or self.trials.all()[self.number].state.is_finished()

    def objective(self, claim: ExitStack, trial: optuna.Trial) -> float:
        """Run a trial; ``claim`` holds the lock until the trial is this worker's."""
        self.number = trial.number
        # seeded by the number: a sweep made again draws the same, and no two workers do
        self.trials.study.sampler = sampler(self.trials.space, trial.number)
        values = draw(self.trials.space, trial)
        claim.close()
        watch = Watch(self.trials.settings["metric"], trial, self.trials.name)
        try:
            value = self.run(self.words(trial, flags(values)), watch)
            if math.isnan(value) and not watch.pruned:
                raise FailedError(f"metric={watch.metric!r}: {value} is not a number", final=True)
        except FailedError as failure:
            trial.set_user_attr("reason", str(failure))
            if failure.final:
                trial.set_user_attr("final", True)
            raise
        if watch.pruned:
            raise optuna.TrialPruned
        return value

    def words(self, trial: optuna.Trial, given: list[str]) -> list[str]:
        """The command of a trial, or that which resumes what is left of it."""
        known, left = trial.user_attrs, Path(trial.user_attrs.get("run", ""))
        record = read_json(left / "provenance.json").get("sweep", {})
        if known.get("token") and record.get("token") == known["token"]:
            # or else a worker that was suspended still trains there
            with suppress(ValueError, OSError), locked(left):
                return ["fit", "--resume", str(left)]
        return [*self.command, *given]


def employ(jobs: int, words: list[str], standings: Standings) -> None:
    """Have several processes work, and show how it goes until all have ended."""
    line = [sys.executable, "-m", PACKAGE, "sweep", *words, "--jobs=1", "--worker"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    processes = [
        # in a session of its own: the terminal's Ctrl-C comes to it by this process, once
        subprocess.Popen(line, env=environment, stdin=pipe, stdout=nothing, start_new_session=True)
        for _ in range(jobs)
    ]
    try:
        while any(process.poll() is None for process in processes):
            standings.show()
            time.sleep(POLL)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.communicate()


def end_with_parent() -> None:
    """End this process when the one that started it ends, however it does."""

    def wait() -> None:
        os.read(0, 1)  # nothing comes, until the other end is closed
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
