"""``sweep``: runs of a config with settings drawn from a space."""

import argparse
from contextlib import closing
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ..cli.errors import PACKAGE, Parser, fail, nearest
from ..runs.directories import ROOT, checked_name

if TYPE_CHECKING:
    from .space import Space
    from .trials import Trials

DESCRIPTION = """Run a config many times, each time with other settings, which Optuna draws from a
space; a run that is worse than most at the same report is ended early. The flags of fit are taken
too, and are the same in all runs. The same command again resumes a sweep that was stopped or
killed; given while it runs, here or with --storage on other machines, it takes a part of the
trials. A space file has a line for each setting, by the name of its flag, such as
model.optimizer.lr: {low: 0.01, high: 10.0, log: true} or data.passes: {low: 100, high: 900, step:
100} or model.net.hidden: {choices: [[2], [4], [8]]}. Numbers are whole where all that is given is.
"""
DAY = 24 * 60 * 60
RANGES = {"trials": (1, 10**6), "jobs": (1, 1000), "retries": (0, 1000), "grace": (2, DAY)}
MODES = {"min": "minimize", "max": "maximize", "minimize": "minimize", "maximize": "maximize"}
MINIMIZED, MAXIMIZED = ("loss", "error"), ("accuracy", "solved", "f1", "r2")
PRUNERS = ("median", "hyperband", "none")
# flags that may differ from one worker of a sweep to another
OF_A_MACHINE = (
    "trainer.accelerator",
    "trainer.devices",
    "trainer.default_root_dir",
    "trainer.enable_progress_bar",
    "threads",
)
NOT_TAKEN = ("resume", "ckpt_path", "seeds", "grid", "folds", "trainer.fast_dev_run")


def main(words: list[str], model_class: Any = None) -> None:
    """Make a sweep, resume it or join in.

    Args:
        words: Words of the command, after ``sweep``.
        model_class: The LightningModule that a config means which names none.

    Raises:
        SystemExit: With status 2 if the command is mistaken, 1 if none of the trials succeeded or
            some are left, 130 or 143 if it was stopped by Ctrl-C or SIGTERM.
    """
    given, rest = parser().parse_known_args(words)
    try:
        check_given(given)
        flags = flags_of(rest)
        if find_spec("optuna") is None:
            raise ValueError("sweep: Optuna is not installed; pip install -e '.[sweep]' does it")
        left = sweep(given, rest, flags, words, model_class)
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
    add("-c", "--config", action="append", metavar="FILE", help="the config; several are merged")
    add("--space", metavar="FILE", help="a YAML file: what each of some settings may be")
    add("--trials", default="50", metavar="N", help="trials of the sweep in all (50)")
    add("--name", help="of the sweep and of its runs (the space file's name and _sweep)")
    add(
        *("--metric", "--monitor"),
        default="val/loss",
        help="what runs are compared by: any metric that they log (val/loss)",
    )
    add(
        *("--mode", "--direction"),
        help="min or max (min for a loss, max for an accuracy; else to be given)",
    )
    add("--pruner", default="median", help="ends runs early: median, hyperband or none (median)")
    add(
        "--storage",
        metavar="URL",
        help="database that machines share: postgresql://<user>@<host>/<database>"
        " (lightning_logs/<name>/sweep.db, of this machine)",
    )
    add(
        *("--jobs", "--workers"),
        default="1",
        metavar="N",
        help="processes on this machine, a thread each (1)",
    )
    add("--retries", default="2", metavar="N", help="how often a trial that fails is run again (2)")
    add(
        "--grace",
        default="60",
        metavar="SECONDS",
        help="without a sign of life, after which another worker takes up a trial (60)",
    )
    add("--worker", action="store_true", help=argparse.SUPPRESS)  # one of those of --jobs
    return made


def check_given(given: argparse.Namespace) -> None:
    """Check the sweep's own flags, and put in what depends on others.

    Raises:
        ValueError: If one is mistaken.
    """
    for name in ("config", "space"):
        if not getattr(given, name):
            example = "--config configs/xor.yaml --space configs/sweeps/xor.yaml"
            raise ValueError(f"{name}: missing; for example {example}")
    for name, (least, most) in RANGES.items():
        text = getattr(given, name)
        if not (text.isascii() and text.removeprefix("-").isdecimal() and len(text) < 1000):
            raise ValueError(f"{name}={text[:40]!r}: expected int")
        if not least <= int(text) <= most:
            raise ValueError(f"{name}={text[:40]}: must be from {least} to {most}")
        setattr(given, name, int(text))
    given.mode = given.mode or mode_of(given.metric)
    for name, choices in (("mode", MODES), ("pruner", PRUNERS)):
        if (text := getattr(given, name)) not in choices:
            hint = nearest(text, choices)
            raise ValueError(f"{name}={text!r}: choose one of {', '.join(choices)}{hint}")
    given.name = checked_name(given.name or f"{Path(given.space).stem}_sweep")


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
    own = [flag for action in parser()._actions for flag in action.option_strings]
    found: dict[str, str] = {}
    for word, after in pairwise([*rest, ""]):
        flag, equals, value = word.partition("=")
        if not flag.startswith("--"):
            continue
        name = flag.removeprefix("--").replace("init_args.", "")
        if name in NOT_TAKEN:
            raise ValueError(f"{name}: not in a sweep, whose trials are whole runs from the start")
        if "." not in name and (hint := nearest(flag, own)):
            raise ValueError(f"{flag}: no such argument{hint}")
        found[name] = value if equals else after
    return found


def sweep(
    given: argparse.Namespace,
    rest: list[str],
    flags: dict[str, str],
    words: list[str],
    model_class: Any,
) -> str | None:
    """Run a sweep, or a part of it; returns what is left undone."""
    # only now: it takes seconds, which --help need not wait for
    from .runner import Runner, check_trials
    from .space import read_space
    from .standings import Standings
    from .storage import UNREACHABLE, reason
    from .worker import Signals, Worker, employ, end_with_parent

    configs = [word for config in given.config for word in ("--config", config)]
    command = ["fit", *configs, *rest, f"--name={given.name}"]
    space = read_space(given.space)
    runner = Runner(model_class, command, given.metric)
    if given.worker:
        end_with_parent()
    else:
        check_trials(runner, space, flags, given.space)
    try:
        with Signals() as signals, closing(join(given, flags, space)) as trials:
            standings = Standings(trials, total_of(given, space), visible=not given.worker)
            if given.jobs > 1:
                employ(given.jobs, words, trials, standings, signals)
            else:
                Worker(trials, runner, standings, signals).work()
            return standings.end()
    except UNREACHABLE as failure:
        fail(f"storage: {reason(failure)}", failure, status=1)
