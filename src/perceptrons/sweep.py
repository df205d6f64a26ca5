"""``perceptrons sweep``: runs of a config with settings drawn from a space."""

import argparse
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perceptrons import runs
from perceptrons.listing import Parser
from perceptrons.mistakes import choose, fail, nearest

if TYPE_CHECKING:
    from perceptrons.origins import Origins
    from perceptrons.space import Space
    from perceptrons.trials import Trials

DESCRIPTION = """Run a config many times, each time with other settings, which Optuna draws from a
space; a run that is worse than most at the same report is ended early. The flags of
perceptrons fit are taken too, and are the same in all runs. The same command again goes on
with a sweep that was stopped or killed; given while it runs, here or with --storage on other
machines, it takes a share.
"""
EPILOG = """The space file has a line for each setting, by the name of its flag, such as
model.optimizer.lr: {low: 0.01, high: 10.0, log: true} or data.passes: {low: 100, high: 900, step:
100} or model.net.hidden: {choices: [[2], [4], [8]]}. Numbers are whole where all that is given is.
"""
LEAST = {"trials": 1, "jobs": 1, "retries": 0, "grace": 2}
DIRECTIONS, PRUNERS = ("minimize", "maximize"), ("median", "hyperband", "none")
TO_BE_HIGH = ("accuracy", "solved")
# flags that may differ from one worker of a sweep to another
OF_A_MACHINE = (
    "trainer.accelerator",
    "trainer.devices",
    "trainer.default_root_dir",
    "trainer.enable_progress_bar",
    "threads",
)
NOT_TAKEN = ("resume", "ckpt_path", "replica")


def main(words: list[str]) -> None:
    """Make a sweep, go on with it or join in.

    Raises:
        SystemExit: With status 2 if the command is mistaken, 1 if none of the trials succeeded or
            some are left, 130 or 143 if it was stopped by Ctrl-C or SIGTERM.
    """
    made = parser()
    given, rest = made.parse_known_args(words)
    check_given(given)
    check_rest(rest, list(made._option_string_actions))
    if find_spec("optuna") is None:
        fail("sweep: Optuna is not installed; pip install -e '.[sweep]' does it")
    sweep(given, rest, words)


def parser() -> argparse.ArgumentParser:
    made = Parser(
        "perceptrons sweep",
        description=DESCRIPTION,
        epilog=EPILOG,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("-c", "--config", action="append", metavar="FILE", help="the config; several are merged")
    add("--space", metavar="FILE", help="a YAML file: what each of some settings may be")
    add("--trials", default="50", metavar="N", help="trials of the sweep in all (50)")
    add("--name", help="of the sweep and of its runs (the space file's name and _sweep)")
    add("--metric", default="val/loss", help="what runs are compared by, at their end (val/loss)")
    add("--direction", help="minimize or maximize (maximize for accuracy and solved)")
    add("--pruner", default="median", help="ends runs early: median, hyperband or none (median)")
    add(
        "--storage",
        metavar="URL",
        help="database that machines share: postgresql://<user>@<host>/<database>"
        " (lightning_logs/<name>/sweep.db, of this machine)",
    )
    add("--jobs", default="1", metavar="N", help="processes on this machine, a thread each (1)")
    add("--retries", default="2", metavar="N", help="how often a trial that fails is run again (2)")
    add(
        "--grace",
        default="60",
        metavar="SECONDS",
        help="without a sign of life, after which another worker takes up a trial (60)",
    )
    add("--worker-of", type=int, help=argparse.SUPPRESS)  # process that --jobs was given to
    return made


def check_given(given: argparse.Namespace) -> None:
    """Find what is wrong with the sweep's own flags, and put in what depends on others."""
    for name in ("config", "space"):
        if not getattr(given, name):
            example = "--config configs/xor.yaml --space configs/sweeps/xor.yaml"
            fail(f"{name}: missing; for example {example}")
    for name, least in LEAST.items():
        text = getattr(given, name)
        if not text.removeprefix("-").isdecimal():
            fail(f"{name}={text!r}: expected int")
        if int(text) < least:
            fail(f"{name}={text}: must be at least {least}")
        setattr(given, name, int(text))
    given.direction = given.direction or DIRECTIONS[given.metric.endswith(TO_BE_HIGH)]
    for name, choices in (("direction", DIRECTIONS), ("pruner", PRUNERS)):
        if getattr(given, name) not in choices:
            text = getattr(given, name)
            fail(f"{name}={text!r}: {choose(text, list(choices))}")
    given.name = given.name or f"{Path(given.space).stem}_sweep"
    try:
        runs.checked(given.name)
    except ValueError as mistake:
        fail(str(mistake), mistake)


def check_rest(rest: list[str], own: list[str]) -> None:
    """Find, among flags of ``perceptrons fit``, what is none or cannot be in a sweep."""
    for word in rest:
        flag = word.partition("=")[0]
        if flag.removeprefix("--") in NOT_TAKEN:
            fail(f"{flag.removeprefix('--')}: not in a sweep, whose runs all start anew")
        if flag.startswith("--") and "." not in flag and (hint := nearest(flag, own)):
            fail(f"{flag}: no such argument{hint}")


def sweep(given: argparse.Namespace, rest: list[str], words: list[str]) -> None:
    # only now: it takes seconds, which --help need not wait for
    from perceptrons.database import UNREACHABLE, SweepError
    from perceptrons.origins import Origins
    from perceptrons.preflight import quiet
    from perceptrons.space import read_space, size
    from perceptrons.standings import Standings
    from perceptrons.workers import Signals, Worker, employ

    quiet()
    configs = [word for config in given.config for word in ("--config", config)]
    command = ["fit", *configs, *rest, f"--name={given.name}"]
    origins, space = Origins(command), read_space(given.space)
    if not given.worker_of:
        check_trials(given, command, origins, space)
    try:
        with Signals() as signals, closing(join(given, origins, space)) as shared:
            if size(space) < given.trials:
                print(f"{given.space} has {size(space)} sets of values, and none is run twice")
            total = int(min(given.trials, size(space)))
            standings = Standings(shared, total, shown=not given.worker_of)
            if given.jobs > 1:
                employ(given.jobs, words, shared, standings, signals)
            else:
                worker = Worker(shared, command, given.metric, standings, signals)
                worker.work(given.worker_of)
            standings.end()
    except SweepError as mistake:
        fail(str(mistake), mistake)
    except (ConnectionError, *UNREACHABLE) as failure:
        fail(str(failure), failure, status=1)
    except SystemExit as ended:
        if ended.code in (130, 143) and not given.worker_of:
            print("\nstopped; the same command goes on with the sweep")
        raise


def check_trials(
    given: argparse.Namespace, command: list[str], origins: "Origins", space: "Space"
) -> None:
    """Make the command of a trial ready with each end of each setting's range, and run none."""
    from perceptrons.space import ends, flags
    from perceptrons.watched import check

    def in_space(line: str) -> str:
        about = [name for name in space if line.lstrip("-").startswith(name)]
        return f"{line} (in {given.space})" if about else line

    for name in space:
        if name in origins.flags:
            fail(f"{name}: is in {given.space} already; leave out the flag")
    for values in ends(space):
        check([*command, *flags(values)], given.metric, in_space)


def join(given: argparse.Namespace, origins: "Origins", space: "Space") -> "Trials":
    from perceptrons.database import Database
    from perceptrons.trials import Trials

    root = Path(str(origins.value("trainer.default_root_dir") or "."), runs.ROOT)
    url = given.storage or f"sqlite:///{root / given.name / 'sweep.db'}"
    left_out = (*OF_A_MACHINE, "config", "name")
    settings: dict[str, Any] = {
        "config": list(origins.configs.values()),
        "flags": {key: it for key, it in origins.flags.items() if key not in left_out},
        "space": {name: each._asdict() for name, each in space.items()},
        "metric": given.metric,
        "direction": given.direction,
    }
    kept = Database(url), given.name, settings, space
    return Trials(*kept, given.pruner, given.retries, given.grace)
