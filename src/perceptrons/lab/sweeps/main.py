"""``sweep``: runs of a config with settings drawn from a space."""

import argparse
import os
from collections.abc import Callable
from contextlib import closing
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ..cli import start
from ..cli.errors import Parser, fail
from ..runs.directories import ROOT, checked_name

if TYPE_CHECKING:
    from .space import Space
    from .trials import Trials

DESCRIPTION = """Run a config many times, each time with other settings, which Optuna draws from a
space, and find the best. The flags of fit are taken too, and are the same in all runs. The same
command again resumes a sweep that was stopped or killed; given while it runs, here or with
--storage on other machines, it takes a part of the trials. A space file has a line for each
setting, by the name of its flag: model.optimizer.lr: {low: 0.01, high: 10.0, log: true} or
data.passes: {low: 100, high: 900, step: 100} or model.net.hidden: {choices: [[2], [4], [8]]}.
"""
MODES = {"min": "minimize", "max": "maximize", "minimize": "minimize", "maximize": "maximize"}
MINIMIZED, MAXIMIZED = ("loss", "error"), ("accuracy", "solved")
PRUNERS = ("median", "hyperband", "none")
# flags that may differ from one worker of a sweep to another
OF_A_MACHINE = (
    *("trainer.accelerator", "trainer.devices", "trainer.default_root_dir"),
    *("trainer.enable_progress_bar", "threads"),
)
NOT_TAKEN = ("resume", "ckpt_path", "trainer.fast_dev_run", "print_config")


def main(words: list[str], model: Any = None) -> None:
    """Make a sweep, resume it or join in.

    Args:
        words: Words of the command, after ``sweep``.
        model: The LightningModule that is trained where the settings name no other.

    Raises:
        SystemExit: With status 2 if the command is mistaken, 1 if none of the trials succeeded or
            some are left, 130 or 143 if it was stopped by Ctrl-C or SIGTERM.
    """
    given, rest = parser().parse_known_args(words)
    try:
        given.mode = given.mode or mode_of(given.metric)
        given.name = checked_name(given.name or f"{Path(given.space).stem}_sweep")
        flags = flags_of(rest)
        if find_spec("optuna") is None:
            raise ValueError("sweep: Optuna is not installed; pip install -e '.[sweep]' does it")
        left = sweep(given, rest, flags, words, model)
    except ValueError as error:
        fail(str(error), error)
    except SystemExit as ended:
        if ended.code in (130, 143) and not given.worker:
            print("\nstopped; the same command resumes the sweep")
        raise
    if left:
        fail(left, status=1)


def parser() -> argparse.ArgumentParser:
    made = Parser("sweep", DESCRIPTION)
    add = made.add_argument
    add("-c", "--config", action="append", required=True, help="the config; several are merged")
    add("--space", required=True, help="a YAML file: what each of some settings may be")
    add("--trials", type=between(1, 10**6), default=50, help="trials of the sweep in all (50)")
    add("--name", help="of the sweep and of its runs (the space file's name and _sweep)")
    metric = "any metric that the runs log (val/loss)"
    add("--metric", "--monitor", default="val/loss", help=metric)
    mode = "min or max (min for a loss, max for an accuracy)"
    add("--mode", "--direction", choices=MODES, metavar="MODE", help=mode)
    pruner = "ends runs early: median, hyperband or none (median)"
    add("--pruner", choices=PRUNERS, default="median", metavar="PRUNER", help=pruner)
    storage = (
        "database that machines share: postgresql://<user>@<host>/<database>"
        " (lightning_logs/<name>/sweep.db, of this machine)"
    )
    add("--storage", help=storage)
    jobs = "processes on this machine, a thread each (1)"
    add("--jobs", "--workers", type=between(1, 1000), default=1, help=jobs)
    retries = "how often a trial that fails is run again (2)"
    add("--retries", type=between(0, 1000), default=2, help=retries)
    grace = "seconds after which a silent worker is taken for dead (60)"
    add("--grace", type=between(2, 86400), default=60, help=grace)
    add("--worker", action="store_true", help=argparse.SUPPRESS)  # of --jobs
    return made


def between(least: int, most: int) -> Callable[[str], int]:
    """A whole number of a range, as a type of argparse's."""

    def number(text: str) -> int:
        if text.isdecimal() and least <= int(text[:20]) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r}: must be from {least} to {most}")

    return number


def mode_of(metric: str) -> str:
    """Whether a metric is to be low or high, where its name says so.

    Raises:
        ValueError: If it does not.
    """
    if metric.lower().endswith((*MINIMIZED, *MAXIMIZED)):
        return "min" if metric.lower().endswith(MINIMIZED) else "max"
    raise ValueError(f"mode: missing; is {metric} to be low or high? --mode min or --mode max")


def flags_of(rest: list[str]) -> dict[str, str]:
    """The flags of ``fit`` among the words, without dashes.

    Raises:
        ValueError: If one is none, or cannot be in a sweep.
    """
    found = {name.replace("init_args.", ""): it for name, it in start.flags_of(rest).items()}
    if name := next(filter(found.__contains__, NOT_TAKEN), None):
        raise ValueError(f"{name}: not in a sweep, whose trials are whole runs from the start")
    return found


def sweep(
    given: argparse.Namespace, rest: list[str], flags: dict[str, str], words: list[str], model: Any
) -> str | None:
    """Run a sweep, or a part of it; returns what is left undone."""
    # read when jsonargparse is imported: Lightning 2.6 calls it by names since deprecated
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
    # only now: it takes seconds, which --help need not wait for
    from ..cli.parser import import_files, import_model
    from ..cli.settings import quiet
    from . import runner, worker
    from .space import read_space
    from .standings import Standings
    from .trials import UNREACHABLE, reason

    configs = [word for config in given.config for word in ("--config", config)]
    space = read_space(given.space)
    if twice := [name for name in space if name.replace("init_args.", "") in flags]:
        raise ValueError(f"{twice[0]}: is in {given.space} already; leave out the flag")
    command = ["fit", *configs, *rest, f"--name={given.name}"]
    quiet()
    import_files()
    run = partial(runner.run, import_model(model), given.metric)
    if given.worker:
        worker.end_with_parent()
    else:
        runner.check(run, command, space, given.space)
    try:
        with closing(join(given, flags, space)) as trials:
            standings = Standings(trials)
            if given.jobs > 1:
                worker.employ(given.jobs, words, standings)
            else:
                worker.Worker(trials, command, run, standings).work()
            return None if given.worker else standings.end()
    except UNREACHABLE as failure:
        fail(f"storage: {reason(failure)}", failure, status=1)


def join(given: argparse.Namespace, flags: dict[str, str], space: "Space") -> "Trials":
    """Make a sweep, or join the one that there is."""
    from optuna.distributions import distribution_to_json

    from .trials import Trials, address

    root = Path(flags.get("trainer.default_root_dir", "."), ROOT)
    url = address(given.storage or f"sqlite:///{root / given.name / 'sweep.db'}")
    common: dict[str, Any] = {
        "config": [yaml.safe_load(Path(config).read_text()) for config in given.config],
        "flags": {key: it for key, it in flags.items() if key not in OF_A_MACHINE},
        "space": {name: distribution_to_json(each) for name, each in space.items()},
        "metric": given.metric,
        "direction": MODES[given.mode],
    }
    how = given.trials, given.pruner, given.retries, given.grace
    return Trials(url, given.name, common, space, *how)
