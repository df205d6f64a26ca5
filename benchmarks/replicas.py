"""Time and memory of thousands of networks at once, against other ways to train as many.

Every way trains XOR by full-batch gradient descent (``contestants.py``), in a process of its own,
once on one thread and once on as many as it takes by itself. The steady time is the least over
spans of updates, without the first, and without start-up and compiling, which the total has. On one
thread it is what the processor spent, since other programs may take some of it, else by the clock:
then little else should run. This project's runs have all their logging on, JAX has none. Memory is
what more replicas add to it.
"""

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import contestants

RESULTS = Path(__file__).parent / "results"
NETS = {"2-2-1": [2], "2-10-10-10-1": [10, 10, 10]}
SIZES = (1, 64, 1024, 8192, 65536)
SINGLE = ("PyTorch loop", "scikit-learn", "Lightning")
COLUMNS = "{:<13} {:>7}  {:<13} {:>9} {:>16} {:>8} {:>8} {:>9} {:>8} {:>12}"
HEADS = "network|threads|way|replicas|ns/model/update|to JAX|to loop|updates|total s|bytes/model"

Result = dict[str, Any]


class Target(NamedTuple):
    """What is wanted: a time of this project's at most so many times another's.

    Attributes:
        net: The network.
        replicas: How many.
        way: This project's way.
        other: The way, and how many replicas it has.
        ratio: Of the one time to the other, at most.
    """

    net: str
    replicas: int
    way: str
    other: tuple[str, int]
    ratio: float


TARGETS = (
    Target("2-2-1", 8192, "compiled", ("JAX", 8192), 0.5),
    Target("2-10-10-10-1", 1024, "compiled", ("JAX", 1024), 0.35),
    Target("2-2-1", 1024, "eager", ("PyTorch loop", 1), 1 / 200),
    Target("2-2-1", 65536, "compiled", ("compiled", 1024), 1.0),
    Target("2-10-10-10-1", 65536, "compiled", ("compiled", 1024), 1.0),
)


def measured(net: str, threads: str, way: str) -> Iterator[Result]:
    """Run a way in a process of its own, for each number of replicas."""
    sizes = (1,) if way in SINGLE else SIZES
    command = [sys.executable, contestants.__file__, way, json.dumps(NETS[net]), threads]
    process = subprocess.run([*command, *map(str, sizes)], capture_output=True, text=True)
    if process.returncode:
        print(f"{net} {way}: {process.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    found = [json.loads(line) for line in process.stdout.splitlines()]
    for number, each in enumerate(found):
        ns = each["cpu_ns" if threads == "one" else "wall_ns"]
        memory = added(found[number - 1], each) if each["replicas"] == max(SIZES) else None
        yield {"network": net, "threads": threads, "way": way, **each, "ns": ns, "bytes": memory}


def added(few: Result, many: Result) -> int | None:
    """Bytes for each replica more."""
    if many["peak_bytes"] is None:
        return None
    grown, more = (many[name] - few[name] for name in ("peak_bytes", "replicas"))
    return int(grown / more)


def find(
    results: Sequence[Result], net: str, threads: str, way: str, replicas: int
) -> float | None:
    """A time, in nanoseconds for each model and update."""
    wanted = {"network": net, "threads": threads, "way": way, "replicas": replicas}
    return next((each["ns"] for each in results if wanted.items() <= each.items()), None)


def compare(results: list[Result], result: Result) -> Result:
    """A result with its ratios to JAX, and to the loop by hand."""
    net, threads, replicas = (result[name] for name in ("network", "threads", "replicas"))
    for name, other in (
        ("to_jax", find(results, net, threads, "JAX", replicas)),
        ("to_loop", find(results, net, threads, "PyTorch loop", 1)),
    ):
        result[name] = other and result["ns"] / other
    return result


def line(result: Result) -> str:
    names = ("network", "threads", "way", "replicas")
    ns, total, memory = result["ns"], result["total_seconds"], result["bytes"]
    ratios = (result[name] for name in ("to_jax", "to_loop"))
    return COLUMNS.format(
        *(result[name] for name in names),
        f"{ns:,.0f}" if ns >= 100 else f"{ns:.1f}",
        *("" if ratio is None else f"{ratio:.3g}" for ratio in ratios),
        result["updates"],
        f"{total:.1f}",
        "" if memory is None else memory,
    )


def verdicts(results: list[Result]) -> Iterator[Result]:
    for target in TARGETS:
        for threads in ("one", "all"):
            mine = find(results, target.net, threads, target.way, target.replicas)
            its = find(results, target.net, threads, *target.other)
            if mine and its:
                holds = mine / its <= target.ratio
                yield {**target._asdict(), "threads": threads, "found": mine / its, "holds": holds}


def said(verdict: Result) -> str:
    (other, count), threads = verdict["other"], verdict["threads"]
    mine = f"{verdict['net']}, {threads} thread{'s' * (threads == 'all')}:"
    mine += f" {verdict['replicas']:,} {verdict['way']} to {count:,} {other}"
    held = "holds" if verdict["holds"] else "MISSED"
    return f"{mine:<66} {verdict['found']:.3g} (wanted: at most {verdict['ratio']:.3g})  {held}"


def machine() -> Result:
    """What it was measured on and with."""
    told = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", told.read_text()) if told.exists() else None
    versions: dict[str, str | None] = {}
    for name in ("torch", "lightning", "scikit-learn", "jax"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "cpu": found[1] if found else platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        **versions,
    }


def results_of(ways: Sequence[str]) -> Iterator[Result]:
    """Results as they come, each with its ratios to those before it."""
    results: list[Result] = []
    for net, threads, way in product(NETS, ("one", "all"), ways):
        for result in measured(net, threads, way):
            results.append(compare(results, result))
            yield results[-1]


def main() -> None:
    here = machine()
    lines = [", ".join(f"{name} {value}" for name, value in here.items())]
    lines += ["", COLUMNS.format(*HEADS.split("|"))]
    print("\n".join(lines))
    results = []
    # JAX before what is compared with it
    for result in results_of([*SINGLE, *(["JAX"] if here["jax"] else []), "eager", "compiled"]):
        results.append(result)
        lines.append(line(result))
        print(lines[-1], flush=True)
    found = [*verdicts(results)]
    print("\n".join(["", *map(said, found)]))
    RESULTS.mkdir(exist_ok=True)
    name = re.sub("[^A-Za-z0-9]+", "_", here["cpu"]).strip("_")
    whole = {"machine": here, "targets": found, "results": results}
    (RESULTS / f"{name}.json").write_text(json.dumps(whole, indent=1) + "\n")
    (RESULTS / f"{name}.txt").write_text("\n".join([*lines, "", *map(said, found), ""]))
    print(f"\n{RESULTS / name}.txt and .json")


if __name__ == "__main__":
    main()
