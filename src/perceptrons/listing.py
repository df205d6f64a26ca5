"""``perceptrons runs``: which runs there are, how they ended and in what they differ."""

import argparse
import csv
import json
import shutil
import sys
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml

from perceptrons import runs
from perceptrons.commands import COMMANDS
from perceptrons.configs import flat
from perceptrons.mistakes import choose, fail
from perceptrons.verbs import Parser

Row = dict[str, Any]

# settings in which two runs of one experiment differ without being different experiments
NO_SETTINGS = ("name", "ckpt_path", "trainer.enable_progress_bar")


# the columns before those of the settings
RESULTS = ("name", "version", "when", "updates", "loss", "accuracy", "status")
GAP = "  "
SOURCES = (
    "Of each run: when it began, and whether it has ended, both from its provenance.json (one that"
    " has not is still running, was stopped, or has failed); updates, and loss and accuracy on the"
    " validation rows, from metrics.json; and the settings in which the runs differ, from"
    " config.yaml, on a terminal as many as its width has room for."
)


def main(words: list[str]) -> None:
    """List the runs under ``lightning_logs/``, or compare two.

    Raises:
        SystemExit: With status 2 if the command is mistaken.
    """
    given = parser().parse_args(joined(words))
    check_root(given.root)
    if given.diff and given.sort:
        fail(f"--sort={given.sort!r}: not with --diff, whose rows are settings")
    if given.diff:
        first, second = (found(name, given.root, "--diff") for name in given.diff)
        show(differences(first, second), given)
        return
    rows = listed(given.root)
    if not rows:
        print(f"no runs in {given.root}")
        return
    if given.sort:
        rows = in_order(rows, given.sort)
    show(rows, given)


def parser() -> argparse.ArgumentParser:
    made = Parser(
        "perceptrons runs",
        description=COMMANDS["runs"][1],
        epilog=SOURCES,
        allow_abbrev=False,
    )
    formats = made.add_mutually_exclusive_group()
    made.add_argument("--sort", metavar="COLUMN", help="sort by a column; -COLUMN: the other way")
    formats.add_argument("--csv", action="store_true", help="as CSV")
    formats.add_argument("--json", action="store_true", help="as JSON")
    made.add_argument("--diff", nargs=2, metavar="RUN", help="what differs between two runs")
    made.add_argument("--root", type=Path, default=Path(runs.ROOT), help="where the runs are")
    return made


def check_root(root: Path) -> None:
    if root != Path(runs.ROOT) and not root.is_dir():
        fail(f"--root={str(root)!r}: no such directory")


def joined(words: list[str]) -> list[str]:
    """The words, with ``--sort -COLUMN`` as one: argparse takes the column for a flag."""
    if "--sort" not in words:
        return words
    at = words.index("--sort")
    return [*words[:at], "=".join(words[at : at + 2]), *words[at + 2 :]]


def listed(root: Path) -> list[Row]:
    """A row for each run, the newest first, with the settings in which they differ."""
    paths, settings = [], []
    for run in runs.newest(root, None):
        try:
            settings.append(settings_of(run))
        except FileNotFoundError:  # its config is the first that a run writes
            continue
        except (AttributeError, ValueError, yaml.YAMLError):
            print(f"passed over {run}: its config.yaml holds no settings", file=sys.stderr)
            continue
        paths.append(run)
    names = dict.fromkeys(name for each in settings for name in each)
    differing = [name for name in names if len({str(each.get(name)) for each in settings}) > 1]
    return [
        {**results_of(run), **{name: each.get(name) for name in differing}}
        for run, each in zip(paths, settings, strict=True)
    ]


def results_of(run: Path) -> Row:
    """How a run ended; its measures are those of its last end, and empty where it has had none."""
    metrics, origin = runs.read_json(run / "metrics.json"), runs.read_json(run / "provenance.json")
    starts = [origin.get("start"), *(again["start"] for again in origin.get("resumed", []))]
    _, verb, *_ = f"{origin.get('command', '')} fit fit".split()
    ended = origin.get("end") is not None and origin["end"] >= max(starts)
    return {
        "name": run.parent.name,
        "version": runs.number(run),
        "when": origin.get("start"),
        "updates": metrics.get("updates"),
        "loss": metrics.get("val/loss"),
        "accuracy": metrics.get("val/accuracy"),
        "status": verb if verb != "fit" else "ended" if ended else "not ended",
    }


def settings_of(run: Path) -> Row:
    """A run's settings, by the names of their flags."""
    every = flat(yaml.safe_load((run / "config.yaml").read_text()), whole=True)
    return {name: value for name, value in every.items() if name not in NO_SETTINGS}


def found(name: str, root: Path, argument: str) -> Path:
    """A run by its directory, or by ``<name>/version_<n>``, as an argument gives it."""
    for path in (Path(name), root / name):
        if (path / "config.yaml").exists():
            return path
    known = [f"{run.parent.name}/{run.name}" for run in runs.newest(root, None)]
    near = choose(name, known) if known else f"there is none in {root}"
    return fail(f"{argument}={name!r}: no such run; {near}")


def differences(first: Path, second: Path) -> list[Row]:
    """A row for each setting and each result in which two runs differ."""
    one, other = ({**settings_of(run), **results_of(run)} for run in (first, second))
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return [
        {"setting": name, str(first): one.get(name), str(second): other.get(name)} for name in names
    ]


def in_order(rows: list[Row], column: str) -> list[Row]:
    """Rows by a column, those that lack it last."""
    name = column.removeprefix("-")
    if name not in rows[0]:
        fail(f"--sort={column!r}: {choose(name, list(rows[0]))}")
    have = [row for row in rows if row[name] is not None]
    have.sort(key=lambda row: sortable(row[name]), reverse=column.startswith("-"))
    return have + [row for row in rows if row[name] is None]


def sortable(value: Any) -> tuple[bool, Any]:
    """A key by which numbers and other values can be sorted together."""
    number = isinstance(value, int | float)
    return not number, value if number else str(value)


def show(rows: list[Row], given: argparse.Namespace) -> None:
    if given.json:
        print(json.dumps(rows, indent=2))
    elif given.csv:
        writer = csv.DictWriter(sys.stdout, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
    else:
        on_terminal = sys.stdout.isatty() and not given.diff
        print(aligned(rows, shutil.get_terminal_size().columns if on_terminal else None))


def aligned(rows: list[Row], width: int | None = None) -> str:
    """Rows as lines with aligned columns.

    Args:
        rows: The rows.
        width: Width to keep to, by leaving settings out; ``None``: any.
    """
    if not rows:
        return "no difference"
    cells = [[name, *(cell(row[name]) for row in rows)] for name in rows[0]]
    widths = [max(map(len, column)) for column in cells]
    ends = accumulate(column + len(GAP) for column in widths)
    fitting = sum(width is None or end - len(GAP) <= width for end in ends)
    kept = max(fitting, len(RESULTS))
    lines = [
        GAP.join(map(str.ljust, line, widths)).rstrip() for line in zip(*cells[:kept], strict=True)
    ]
    if left_out := len(cells[kept:]):
        lines.append(f"and {left_out} settings more, which --csv and --json show too")
    return "\n".join(lines)


def cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
