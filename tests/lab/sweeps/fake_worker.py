"""Workers in processes of their own, whose runs only wait: to be raced, killed and suspended."""

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import closing, suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from optuna.storages import _heartbeat

from perceptrons.lab.sweeps.runner import Watch
from perceptrons.lab.sweeps.space import Space, distribution
from perceptrons.lab.sweeps.standings import Standings
from perceptrons.lab.sweeps.trials import UNREACHABLE, Trials, address
from perceptrons.lab.sweeps.worker import Worker

PATIENCE = 60.0  # seconds until a test gives up
SETTINGS = {"metric": "val/loss", "direction": "minimize"}
SPACE: Space = {"x": distribution("x", {"low": 0.0, "high": 1.0})}
REPORTS = 4

# imports once; then a worker starts in milliseconds
FORKS = get_context("forkserver")
FORKS.set_forkserver_preload([Worker.__module__])


def joined(url: str, total: int = 4, space: Space = SPACE, **how: Any) -> Trials:
    return Trials(address(url), "s", SETTINGS, space, total, "none", **how)


def wait_and_report(words: list[str], watch: Watch) -> float:
    """A run that takes some time, and notes in the working directory that it was there."""
    run = Path(f"run{os.getpid()}-{watch.trial.number}")
    if words[1] == "--resume":
        run = Path(words[2])
    run.mkdir(exist_ok=True)
    watch.begin(run)
    with Path("log").open("a") as log:
        log.write(json.dumps([watch.trial.number, words]) + "\n")
    for report in range(1, REPORTS + 1):
        time.sleep(0.1)
        watch.trial.report(report * watch.trial.params["x"], report)
    return float(watch.trial.params["x"])


def work(url: str, directory: Path, dies_in_claim: bool, **how: Any) -> None:
    """Work until nothing is left, and say so by a file."""
    os.chdir(directory)
    if dies_in_claim:  # the trial is taken, and nothing is known of it
        _heartbeat.HeartbeatThread.start = lambda self: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
    with closing(joined(url, **how)) as trials:
        Worker(trials, ["fit"], wait_and_report, Standings(trials)).work()


def started(url: str, directory: Path, dies_in_claim: bool = False, **how: Any) -> BaseProcess:
    process = FORKS.Process(
        target=work, args=(url, directory, dies_in_claim), kwargs=how, daemon=True
    )
    process.start()
    return process


def ended(process: BaseProcess) -> int | None:
    process.join(PATIENCE)
    return process.exitcode


def await_true(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        with suppress(*UNREACHABLE):
            if condition():
                return
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)
