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


def new_run(root: Path, name: str) -> Path:
    """Make the next free ``<root>/<name>/version_<n>``; two processes at once never get the same one."""
    (root / name).mkdir(parents=True, exist_ok=True)
    taken = [int(path.name[8:]) for path in (root / name).glob("version_*") if path.name[8:].isdigit()]
    for version in count(max(taken, default=-1) + 1):
        directory = root / name / f"version_{version}"
        try:
            os.mkdir(directory)
        except FileExistsError:  # another process was faster
            continue
        return directory
    raise AssertionError("unreachable")


class RunLogger(TensorBoardLogger):
    """TensorBoard's files, right inside a run directory, and no file of hyperparameters: ``config.yaml`` has them."""

    def __init__(self, directory: Path) -> None:
        super().__init__(save_dir=directory, name="", version="", default_hp_metric=False)

    def save(self) -> None:
        self.experiment.flush()


Columns = dict[str, list[float]]


def text(columns: Columns) -> str:
    """Columns of numbers as aligned lines, the first rows of them."""
    cells = [[name, *(f"{number:.6g}" for number in numbers[:SHOWN_ROWS])] for name, numbers in columns.items()]
    widths = [max(map(len, column)) for column in cells]
    lines = ["  ".join(map(str.rjust, line, widths)) for line in zip(*cells, strict=True)]
    left = len(next(iter(columns.values()))) - SHOWN_ROWS
    return "\n".join(lines) + (f"\n... and {left} more" if left > 0 else "")


def write_csv(path: Path, columns: Columns) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
