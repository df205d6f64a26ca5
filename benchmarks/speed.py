"""Time of ``perceptrons fit`` beside others' on the same work; status 1 if it is too slow.

All train in this process, on one thread, in turns; a time is the median over the rounds of what the
processor spent, since other programs take some of its time. Ratios last; seconds differ by machine.
``python benchmarks/speed.py 5`` makes five rounds. A peer that is not installed is left out.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
if hasattr(os, "sched_setaffinity"):  # before any library counts the processors
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import json
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import peers

from perceptrons.__main__ import main as perceptrons
from perceptrons.lab.runs.directories import ROOT, newest
from perceptrons.lab.runs.trusted import PACKAGE

CONFIG = Path(__file__).parent.parent / "configs" / "xor.yaml"
RESULTS = Path(__file__).parent / "results"
UPDATES = 10_000
DEEP = (10, 10, 10)

Work = Callable[[], float]  # gives its seconds
LOOP, DEEP_LOOP, TABLE = (
    "PyTorch loop",
    "PyTorch loop, 2-10-10-10-1",
    "PyTorch loop, a million rows",
)
CLOCK = "--trainer.callbacks+=peers.Clock"
SHORT, IMPORT = "what a short command may take", "import lightning, and the updates"
MANY = "JAX, scan and vmap, 8,192 networks"


class Row(NamedTuple):
    """A line of the table.

    Attributes:
        name: What is timed.
        seconds: Times it, for one update or one row.
        other: What it is compared with.
        wanted: Its time to the other's, at most.
    """

    name: str
    seconds: Work
    other: str = LOOP
    wanted: float | None = None


def timed(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def each(work: Callable[[], object], updates: int) -> Work:
    return lambda: timed(work) / updates


def fit(directory: str, *more: str, passes: int = UPDATES // 10) -> float:
    """Seconds of a whole fit of XOR, with ten reports."""
    words = ["fit", f"--config={CONFIG}", f"--trainer.default_root_dir={directory}"]
    words += ["--figures=false", f"--data.passes={passes}", *more]
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        return timed(lambda: perceptrons(words))


def whole_update(directory: str, *more: str) -> float:
    return fit(directory, *more) / UPDATES


def further(directory: str, *more: str, passes: int = UPDATES) -> Work:
    """Times one more update, with its part of a report, in the last of two epochs."""

    def work() -> float:
        fit(
            directory,
            CLOCK,
            "--trainer.max_epochs=2",
            *more,
            passes=passes,
        )
        before, after = peers.Clock.moments[-2:]
        return (after - before) / passes

    return work


def reports(directory: str, count: int = 5_000) -> tuple[float, float]:
    """Time of a late report, and size of the last checkpoint, to those of an early one."""
    sizes = []
    for epochs in (count // 20, count):
        more = "--trainer.callbacks+=peers.Pace", f"--trainer.max_epochs={epochs}"
        fit(directory, *more, passes=1)
        last = newest(Path(directory, ROOT))[0] / "checkpoints" / "last.ckpt"
        sizes.append(last.stat().st_size)
    some = count // 20
    return median(peers.Pace.taken[-some:]) / median(peers.Pace.taken[:some]), sizes[1] / sizes[0]


def program(directory: str, *words: str) -> float:
    """Seconds that the processor spends on a Python program, whose modules are compiled."""
    kept = os.environ | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": directory}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, *words]
    subprocess.run(command, env=kept, cwd=directory, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def commands(directory: str) -> Iterator[Row]:
    """Commands as one types them: what trains nothing is there at once."""
    yield Row(SHORT, lambda: 0.3, SHORT)
    for words in ("--help", "--version", "runs", "compare --help"):
        work = partial(program, directory, "-m", PACKAGE, *words.split())
        yield Row(f"{PACKAGE} {words}", work, SHORT, 1.0)
    update = further(directory)
    imports = partial(program, directory, "-c", "import lightning")
    yield Row(IMPORT, lambda: imports() + UPDATES * update(), IMPORT)
    work = partial(program, directory, "-m", PACKAGE, "fit", f"--config={CONFIG}")
    yield Row(f"{PACKAGE} fit, with page and figures", work, IMPORT, 1.1)


def rows(directory: str) -> Iterator[Row]:
    """What is timed, in order."""
    hand, compiled, deep = "--model.gradients=by_hand", "--compile=true", "--model.net.hidden="
    deep += str([*DEEP])
    yield Row(LOOP, each(lambda: peers.loop((2,), UPDATES), UPDATES))
    yield Row("scikit-learn", each(lambda: peers.scikit_learn((2,), UPDATES), UPDATES))
    yield Row("Lightning, as in its tutorials", each(lambda: peers.lightning(300), 300))
    yield Row("JAX, scan", lambda: peers.jax((2,), UPDATES))
    for name, more, whole, one in (
        ("fit", [], 1.05, None),
        ("fit by hand", [hand], 0.55, 0.32),
        ("fit compiled", [compiled], 0.3, 0.04),
    ):
        yield Row(name, partial(whole_update, directory, *more), LOOP, whole)
        passes = 5 * UPDATES if more == [compiled] else UPDATES
        yield Row(f"{name}, a further update", further(directory, *more, passes=passes), LOOP, one)
    yield Row("start, ten reports and end", lambda: fit(directory, passes=1) / UPDATES, LOOP, 0.2)
    yield Row(DEEP_LOOP, each(lambda: peers.loop(DEEP, 2_000), 2_000), DEEP_LOOP)
    work = further(directory, compiled, deep, passes=3 * UPDATES)
    yield Row("fit compiled, 2-10-10-10-1, a further update", work, DEEP_LOOP, 0.11)
    yield Row(TABLE, peers.loop_over_table, TABLE)
    yield Row("fit, a million rows", peers.fit_table, TABLE, 1.15)
    yield Row("scikit-learn, a million rows", peers.scikit_learn_table, TABLE)
    yield Row(MANY, lambda: peers.jax((2,), 2_000, 8_192), MANY)
    work = further(directory, "--seeds=8192", compiled, passes=2_000)
    yield Row("fit --seeds 8192 compiled, a further update", work, MANY, 0.5)
    yield from commands(directory)


def measure(table: list[Row], rounds: int) -> dict[str, list[float]]:
    """Seconds of each row, round by round."""
    taken: dict[str, list[float]] = {row.name: [] for row in table}
    missing: set[str] = set()
    for number in range(rounds + 1):  # the first, with imports and compiling, is left out
        for row in table:
            try:
                seconds = row.seconds() if row.name not in missing else 0
            except ImportError as absent:
                missing.add(row.name)
                print(f"{row.name}: left out, {absent.name} is not installed")
            if number and row.name not in missing:
                taken[row.name].append(seconds)
    return {name: times for name, times in taken.items() if times}


def said(seconds: float) -> str:
    if seconds >= 0.01:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e6:.1f} us" if seconds >= 1e-6 else f"{seconds * 1e9:.0f} ns"


def results(table: list[Row], taken: dict[str, list[float]]) -> Iterator[dict[str, object]]:
    for row in table:
        if {row.name, row.other} <= taken.keys():
            pairs = zip(taken[row.name], taken[row.other], strict=True)
            ratio = median(mine / its for mine, its in pairs)
            yield line(row.name, said(median(taken[row.name])), ratio, row.wanted)


def line(name: str, time_: str, ratio: float, wanted: float | None) -> dict[str, object]:
    holds = wanted is None or ratio <= wanted
    verdict = "" if wanted is None else "holds" if holds else "MISSED"
    print(f"{name:<46}{time_:>11}{ratio:>9.3g}{wanted or '':>8}  {verdict}", flush=True)
    return {"name": name, "time": time_, "ratio": ratio, "wanted": wanted, "holds": holds}


def machine() -> dict[str, str | int | None]:
    """What it was measured on and with."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", info.read_text()) if info.exists() else None
    there: dict[str, str | int | None] = {
        "cpu": found[1] if found else platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }
    for name in ("torch", "lightning", "scikit-learn", "jax"):
        try:
            there[name] = version(name)
        except PackageNotFoundError:
            there[name] = None
    return there


def main(rounds: int = 3) -> None:
    here = machine()
    with TemporaryDirectory() as directory:
        table = [*rows(directory)]
        taken = measure(table, rounds)
        print(f"{'':<46}{'time':>11}{'ratio':>9}{'wanted':>8}")
        found = [*results(table, taken)]
        times, sizes = reports(directory)
        found.append(line("a late report to an early one", "", times, 1.1))
        found.append(line("a late checkpoint's size to an early one's", "", sizes, 1.5))
    RESULTS.mkdir(exist_ok=True)
    name = re.sub("[^A-Za-z0-9]+", "_", str(here["cpu"])).strip("_")
    text = json.dumps({"machine": here, "results": found}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    sys.exit(not all(each["holds"] for each in found))


if __name__ == "__main__":
    rounds = [int(each) for each in sys.argv[1:]]
    sys.argv[1:] = []
    main(*rounds)
