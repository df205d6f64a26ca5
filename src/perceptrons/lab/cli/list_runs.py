"""``perceptrons runs``: which runs there are, how they ended and in what they differ."""

import argparse
import csv
import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from ..runs import directories
from ..runs.files import read_json, read_text
from ..runs.text import aligned, say
from .errors import fail, nearest

Row = dict[str, Any]

# settings in which two runs of one experiment differ without being different experiments
NO_SETTINGS = ("name", "ckpt_path", "config", "trainer.enable_progress_bar")
RESULTS = ("run", "began", "updates", "loss", "accuracy", "status")


def show_runs(given: argparse.Namespace) -> None:
    """Show a row for each run, or what two of them differ in.

    Args:
        given: What the command line gives: ``root``, ``sort``, ``diff``, ``csv``, ``json``.
    """
    if given.diff:
        show(differences(*given.diff), given, "no difference")
        return
    rows = rows_of(given.root)
    if given.sort and rows:
        rows = in_order(rows, given.sort)
    show(rows, given, f"no runs in {given.root}")


def rows_of(root: Path) -> list[Row]:
    """A row for each run, the newest first, with the settings in which they differ."""
    runs = [run for run in directories.newest(root) if (run / "config.yaml").exists()]
    settings = {run: settings_of(run) for run in runs}
    readable = [each for each in settings.values() if each is not None]
    names = dict.fromkeys(name for each in readable for name in each)
    differing = [name for name in names if len({str(each.get(name)) for each in readable}) > 1]
    return [
        {**results_of(run, each), **{name: (each or {}).get(name) for name in differing}}
        for run, each in settings.items()
    ]


def results_of(run: Path, settings: Row | None) -> Row:
    """How a run ended; its measures are empty where it has had no end."""
    metrics, origin = read_json(run / "metrics.json"), read_json(run / "provenance.json")
    row: Row = dict.fromkeys(RESULTS)
    row["run"] = f"{run.parent.name}/{run.name}"
    if settings is None:
        return row | {"status": "unreadable"}
    began = origin.get("start")
    row["began"] = began[:16].replace("T", " ") if isinstance(began, str) else None
    for name, key in (("updates", "updates"), ("loss", "val/loss"), ("accuracy", "val/accuracy")):
        value = metrics.get(key)
        row[name] = value if isinstance(value, int | float) else None
    return row | {"status": status(origin)}


def status(origin: Row) -> str:
    """``ended`` or ``not ended``, or the command where it was not ``fit``."""
    words = str(origin.get("command") or "").split()
    if len(words) > 1 and words[1] != "fit":
        return words[1]
    resumed = origin.get("resumed")
    again = [each.get("start") for each in resumed if isinstance(each, dict)] if resumed else []
    starts = [str(start) for start in (origin.get("start"), *again) if start]
    end = origin.get("end")
    return "ended" if isinstance(end, str) and starts and end >= max(starts) else "not ended"


def settings_of(run: Path) -> Row | None:
    """A run's settings by the names of their flags; ``None`` where they cannot be read."""
    try:
        settings = yaml.safe_load(read_text(run / "config.yaml"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return None
    if not isinstance(settings, dict):
        return None
    every = flattened(settings)
    return {name: value for name, value in every.items() if name not in NO_SETTINGS}


def flattened(settings: dict[Any, Any], start: str = "") -> Row:
    """Settings by their paths; a class stands by its name, its arguments right below it."""
    found: Row = {}
    for key, value in settings.items():
        if not isinstance(value, dict):
            found[f"{start}{key}"] = value
            continue
        if "class_path" in value:
            found[f"{start}{key}"] = str(value["class_path"]).rpartition(".")[2]
            value = value.get("init_args") or {}
        found |= flattened(value, f"{start}{key}.") if isinstance(value, dict) else {}
    return found


def differences(first: Path, second: Path) -> list[Row]:
    """A row for each setting and each result in which two runs differ."""
    one, other = (
        {**(settings_of(run) or {}), **results_of(run, {}), "run": None} for run in (first, second)
    )
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    titles = [f"{run.parent.name}/{run.name}" for run in (first, second)]
    return [
        {"setting": name, titles[0]: one.get(name), titles[1]: other.get(name)} for name in names
    ]


def in_order(rows: list[Row], column: str) -> list[Row]:
    """Rows by a column, those that lack it last."""
    name = column.removeprefix("-")
    if name not in rows[0]:
        fail(f"--sort={column!r}: choose one of {', '.join(rows[0])}{nearest(name, rows[0])}")
    have = [row for row in rows if row[name] is not None]
    have.sort(key=lambda row: sort_key(row[name]), reverse=column.startswith("-"))
    return have + [row for row in rows if row[name] is None]


def sort_key(value: Any) -> tuple[bool, Any]:
    """A key by which numbers and other values can be sorted together."""
    number = isinstance(value, int | float)
    return not number, value if number else str(value)


def show(rows: list[Row], given: argparse.Namespace, nothing: str) -> None:
    if given.json:
        say(json.dumps(rows, indent=2))
    elif not rows:
        say(nothing)
    elif given.csv:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        say(text.getvalue().rstrip("\n"))
    else:
        columns = {
            name: ["-" if row[name] is None else row[name] for row in rows] for name in rows[0]
        }
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        say(aligned(columns, rows=len(rows), width=width, keep=RESULTS))
