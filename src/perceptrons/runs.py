"""Run directories: made, found, read, recorded."""

import csv
import json
import os
from itertools import count
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger

ROOT = "lightning_logs"
SHOWN_ROWS = 16

Columns = dict[str, list[float]]


def new_run(root: Path, name: str) -> Path:
    """Make the next free ``<root>/<name>/version_<n>``; no two processes ever get the same."""
    (root / name).mkdir(parents=True, exist_ok=True)
    taken = [path.name[8:] for path in (root / name).glob("version_*")]
    first = max((int(version) for version in taken if version.isdecimal()), default=-1) + 1
    for version in count(first):
        directory = root / name / f"version_{version}"
        try:
            os.mkdir(directory)
        except FileExistsError:  # another process was faster
            continue
        return directory
    raise AssertionError("count() does not end")


class RunLogger(TensorBoardLogger):
    """TensorBoard's events right inside a run directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(save_dir=directory, name="", version="", default_hp_metric=False)

    def save(self) -> None:
        # without Lightning's hparams.yaml: config.yaml has it all
        self.experiment.flush()


def text(columns: Columns) -> str:
    """The first rows of columns of numbers, as aligned lines."""
    cells = [
        [name, *(f"{number:.6g}" for number in numbers[:SHOWN_ROWS])]
        for name, numbers in columns.items()
    ]
    widths = [max(map(len, column)) for column in cells]
    lines = ["  ".join(map(str.rjust, line, widths)) for line in zip(*cells, strict=True)]
    more = len(next(iter(columns.values()))) - SHOWN_ROWS
    return "\n".join(lines) + (f"\n... and {more} more rows" if more > 0 else "")


def write_csv(path: Path, columns: Columns) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
