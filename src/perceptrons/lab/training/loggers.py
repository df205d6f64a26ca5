"""Loggers that write into a run's directory without being told where that is."""

import csv
import inspect
import os
import re
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import loggers
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.loggers.logger import DummyLogger

# what loggers have as directory by default
BESIDE = ("", ".", "./mlruns")


class RunLogger(TensorBoardLogger):
    """TensorBoard's events right inside a run's directory.

    Args:
        save_dir: The directory; empty: the run's.
        purge: Update from which on earlier events are void: those of a run that is resumed.
    """

    def __init__(self, save_dir: str = "", purge: int | None = None) -> None:
        super().__init__(save_dir, "", "", default_hp_metric=False, purge_step=purge)
        if purge is not None:
            put_first(Path(save_dir))

    def save(self) -> None:
        # without Lightning's hparams.yaml: config.yaml has it all
        self.experiment.flush()


def put_first(directory: Path) -> None:
    """Have the files of events that are there come before those of this process.

    TensorBoard reads them by name, in which there is a time in seconds: it may be this second's,
    or a later one, where the clock has been put back.
    """
    pattern = re.compile(r"(events\.out\.tfevents\.)(\d+)(\..*)", re.ASCII)
    there = [*filter(None, (pattern.fullmatch(each.name) for each in directory.glob("*")))]
    for number, file in enumerate(sorted(there, key=lambda each: each[0])):
        latest = int(time.time()) - len(there) + number
        if int(file[2]) > latest:  # the oldest first, so that a kill keeps the order
            (directory / file[0]).rename(directory / f"{file[1]}{latest:010d}{file[3]}")


class CSVLogger(loggers.CSVLogger):
    """``metrics.csv`` in a run's directory: what is logged, a row for each time.

    Args:
        save_dir: Another directory; empty: the run's.
    """

    def __init__(self, save_dir: str = "", **settings: Any) -> None:
        super().__init__(save_dir, **settings)

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        if metrics:  # a report without any is no row
            super().log_metrics(metrics, step)

    def keep(self, rows: list[dict[str, Any]]) -> None:
        """Begin with the rows that a run had written before it was resumed."""
        self.experiment.metrics[:] = rows
        self.save()


class Later(DummyLogger):
    """A logger that is made once it is known which run it writes to."""

    def __init__(self, kind: type[Logger], *_: Any, **given: Any) -> None:
        super().__init__()
        given.pop("applied_instantiation_links", None)
        self.kind, self.given = kind, given

    def made(self, run: Path, purge: int | None) -> Logger:
        """The logger, in a run's directory if it has not been given another."""
        place = inspect.signature(self.kind).parameters.get("save_dir")
        if place is None or self.given.get("save_dir", place.default) != place.default:
            return self.kind(**self.given)
        if self.kind is RunLogger:
            return RunLogger(str(run), purge)
        if self.kind is not CSVLogger:
            # or MLflow would have a database, which takes seconds to make for each run
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            there = run / place.default.strip("./")
            return self.kind(**{**self.given, "save_dir": str(there)})
        rows = rows_before(run / "metrics.csv", purge)
        made = CSVLogger(**{**self.given, "save_dir": str(run), "name": "", "version": ""})
        made.keep(rows)
        return made


def lead_into(run: Path, trainer: Any, purge: int | None) -> None:
    """Let a trainer's loggers write to a run.

    Args:
        run: The run's directory.
        trainer: The trainer, whose loggers are to be made, or the default.
        purge: Update from which on earlier rows are void: those of a run that is resumed.
    """
    loggers = [each if isinstance(each, Later) else Later(RunLogger) for each in trainer.loggers]
    trainer.loggers = [each.made(run, purge) for each in loggers]


def log_settings(trainer: Any, settings: dict[str, Any]) -> None:
    """Note the settings of a run with loggers that have no other way to show them."""
    for logger in trainer.loggers:
        if not isinstance(logger, RunLogger):
            logger.log_hyperparams(settings)


def rows_before(file: Path, purge: int | None) -> list[dict[str, Any]]:
    """The rows of a run's ``metrics.csv`` before an update."""
    if purge is None or not file.is_file():
        return []
    with file.open(newline="") as opened:
        rows = [*csv.DictReader(opened)]
    return [row for row in rows if float(row["step"] or 0) < purge]


def without_defaults(settings: Any) -> Any:
    """Settings of a run without what a logger has as its place by default: it gets the run's."""
    trainer = settings.get("trainer") if isinstance(settings, dict) else None
    loggers = trainer.get("logger") if isinstance(trainer, dict) else None
    for logger in loggers if isinstance(loggers, list) else [loggers]:
        given = logger.get("init_args") if isinstance(logger, dict) else None
        if isinstance(given, dict) and given.get("save_dir") in BESIDE:
            del given["save_dir"]
    return settings
