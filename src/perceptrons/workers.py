"""The workers of a sweep: processes that run its trials, one at a time each."""

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

from optuna import Trial

from perceptrons import runs
from perceptrons.space import flags, values_of
from perceptrons.standings import Standings
from perceptrons.trials import Trials
from perceptrons.watched import Watch, run

POLL = 0.5  # seconds between two looks at what others do


class Signals:
    """Ctrl-C and SIGTERM end this process, but between two steps; a second one at once.

    While a run trains, it has its own way to end.
    """

    numbers = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.status = 0

    def __enter__(self) -> Self:
        self.before = [signal.signal(number, self.come) for number in self.numbers]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in zip(self.numbers, self.before, strict=True):
            signal.signal(number, handler)

    def come(self, number: int, _: object) -> None:
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


class Worker:
    """Runs trials in this process until none is left.

    Args:
        shared: Where they come from.
        command: Words of the command that they all are, but for those values.
        metric: What they are compared by.
        standings: Told of all that happens.
        signals: Ask this process to end.
    """

    def __init__(
        self,
        shared: Trials,
        command: list[str],
        metric: str,
        standings: Standings,
        signals: Signals,
    ) -> None:
        self.shared, self.command, self.metric = shared, command, metric
        self.standings, self.signals = standings, signals

    def work(self, parent: int | None = None) -> None:
        """Run trials until all are settled, those of other workers too, which may be killed.

        Args:
            parent: Process that this one ends with.
        """
        if parent:
            threading.Thread(target=end_with, args=(parent,), daemon=True).start()
        while True:
            more = self.step()
            trials = self.shared.all()
            self.standings.show(trials)
            if not more and len(self.shared.settled(trials)) >= self.standings.total:
                return
            if not more:
                time.sleep(POLL)

    def step(self) -> bool:
        """Run the next trial, if there is one."""
        self.signals.check()
        trial = self.shared.claim(self.standings.total)
        if trial is None:
            return False
        try:
            self.signals.check()
            with self.shared.alive(trial):
                self.shared.finish(trial, run(self.words(trial), self.watch(trial)))
        except SystemExit:
            self.shared.put_back(trial)
            raise
        return True

    def watch(self, trial: Trial) -> Watch:
        return Watch(
            self.metric,
            self.signals.check,
            lambda directory: self.begin(trial, directory),
            lambda *report: self.shared.unpromising(trial, *report),
            # a process for each run, which takes longer than many a trial
            figures=any(word.startswith("--figures") for word in self.command),
        )

    def words(self, trial: Trial) -> list[str]:
        """The command of a trial, or that which goes on with what is left of it."""
        left = Path(trial.user_attrs.get("run", ""))
        whose = runs.read_json(left / "provenance.json").get("sweep")
        own = whose == self.identity(trial) and (left / "config.yaml").is_file()
        if own and not lives(trial.user_attrs.get("before")):
            return ["fit", "--resume", str(left)]
        return [*self.command, *flags(values_of(self.shared.space, trial.params))]

    def begin(self, trial: Trial, directory: Path) -> None:
        """Let a trial and its run know of each other."""
        self.shared.note(trial, run=str(directory.resolve()), host=platform.node())
        record = runs.read_json(directory / "provenance.json")
        runs.write_json(directory / "provenance.json", {**record, "sweep": self.identity(trial)})

    def identity(self, trial: Trial) -> dict[str, Any]:
        """What tells a trial from those of all other sweeps; it keeps it when it is run again."""
        number = self.shared.first_number(trial)
        return {"name": self.shared.name, "id": self.shared.id, "trial": number}


def employ(
    jobs: int, words: list[str], shared: Trials, standings: Standings, signals: Signals
) -> None:
    """Have several processes work, and show how it goes until all have ended."""
    line = [sys.executable, "-m", __package__ or "", "sweep", *words, "--jobs=1"]
    line.append(f"--worker-of={os.getpid()}")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    nothing = subprocess.DEVNULL
    processes = [
        # in a session of its own: the terminal's Ctrl-C comes to it by this process, once
        subprocess.Popen(
            line, env=environment, stdin=nothing, stdout=nothing, start_new_session=True
        )
        for _ in range(jobs)
    ]
    try:
        while any(process.poll() is None for process in processes):
            standings.show(shared.all())
            time.sleep(POLL)
            signals.check()
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def lives(worker: str | None) -> bool:
    """Whether a worker that was taken for dead was suspended only, as far as can be told here."""
    host, _, process = (worker or "").rpartition(":")
    return host == platform.node() and Path("/proc", process).exists()


def end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL)
    os.kill(os.getpid(), signal.SIGTERM)
