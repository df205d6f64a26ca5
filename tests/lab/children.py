"""Commands in processes of their own, forked from one that has imported everything already.

Such a process starts in milliseconds, and can be killed, signalled and kept from writing.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import TextIOWrapper
from multiprocessing import forkserver, get_context
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

from conftest import Finished

import perceptrons.__main__
from perceptrons.lab.runs.record import Report

PATIENCE = 180.0  # seconds until a test gives up on a process, which may compile first

Prepare = Callable[[], None]

# imports once, beside the tests that come first; then a child starts in milliseconds
FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "pytest",
        "perceptrons.lab.cli.command",
        "optuna",
        "sklearn.datasets",
        "sklearn.model_selection",
        "torch.utils.tensorboard",
    ]
)
with suppress(RuntimeError):  # a child, which imports this too, cannot
    forkserver.ensure_running()


class Child:
    """A command, as if it had been typed in a directory.

    Args:
        words: Its words, or a line of them.
        directory: Where it runs.
        prepare: What is done in the process before; a function of a module.
        said: Where what it says is kept; by default beside what it writes.
    """

    def __init__(
        self,
        words: str | list[str],
        directory: Path,
        prepare: Prepare | None = None,
        said: Path | None = None,
    ) -> None:
        self.said = said or directory
        typed = words.split() if isinstance(words, str) else words
        arguments = (typed, directory, self.said, prepare)
        self.process = FORKS.Process(target=perform, args=arguments, daemon=True)
        self.process.start()

    @property
    def out(self) -> str:
        return self.read("out")

    def read(self, stream: str) -> str:
        path = self.said / f"{self.process.pid}.{stream}"
        return path.read_text() if path.exists() else ""

    def wait(self) -> Finished:
        self.process.join(PATIENCE)
        status = self.process.exitcode
        assert status is not None, "it does not end"
        return Finished(status, self.out, self.read("err"))

    def wait_for(self, word: str) -> None:
        """Wait until it has said a word."""
        await_true(lambda: word in self.out or self.process.exitcode is not None)
        assert word in self.out, self.wait()

    def signal(self, *numbers: int) -> tuple[Finished, float]:
        """Send signals; how it ends then, and after how many seconds."""
        start = time.monotonic()
        for number in numbers:
            os.kill(self.process.pid or 0, number)
            time.sleep(0.1 * (len(numbers) > 1))  # two at once are one
        return self.wait(), time.monotonic() - start


def perform(words: list[str], directory: Path, said: Path, prepare: Prepare | None) -> None:
    """What the process of a child does."""
    os.chdir(directory)
    for number, stream in ((1, "out"), (2, "err")):
        os.dup2(os.open(said / f"{os.getpid()}.{stream}", os.O_WRONLY | os.O_CREAT, 0o644), number)
    assert isinstance(sys.stdout, TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=True)
    sys.argv = ["perceptrons", *words]
    if prepare:
        prepare()
    perceptrons.__main__.main()


def error_line(finished: Finished, status: int) -> str:
    """The one line that a command ended with, which is all it said of it."""
    assert finished.status == status, finished
    (line,) = finished.err.splitlines()
    assert line.startswith("error: "), line
    return line


def await_true(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def lacks(module: str) -> None:
    """Have a module not be installed."""
    sys.modules[module] = None  # type: ignore[assignment]


def dies_at_call(report: int, call: int) -> None:
    """Have the process killed at a call or return in Python, counted from a report on."""
    calls, reports = iter(range(call)), iter(range(report - 1))

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if next(calls, None) is None:
            die()

    def reported(self: Report, trainer: Any, pl_module: Any) -> None:
        original(self, trainer, pl_module)
        if next(reports, None) is None:
            sys.setprofile(count)

    original = Report.on_validation_end
    mock.patch.object(Report, "on_validation_end", reported).start()


def dies_at_save(name: str, save: int, stage: str) -> None:
    """Have the process killed as it writes a file for the nth time.

    Args:
        name: The file's name, such as ``last.ckpt``.
        save: Number of the save, from 1.
        stage: ``half written``, ``before`` it takes the place of the old one, or ``after``.
    """
    saves = iter(range(save - 1))

    def replace(source: Path, target: Path) -> None:
        now = target.name == name and next(saves, None) is None
        if now and stage == "half written":
            os.truncate(source, source.stat().st_size // 2)
        if now and stage != "after":
            die()
        original(source, target)
        if now:
            die()

    original = os.replace
    mock.patch("os.replace", replace).start()


def killed_at_call(report: int, call: int) -> Prepare:
    return partial(dies_at_call, report, call)


def killed_at_save(name: str, save: int, stage: str) -> Prepare:
    return partial(dies_at_save, name, save, stage)
