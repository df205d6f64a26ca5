"""Files of a run: written whole or not at all, and read without trusting what they hold."""

import csv
import io
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from .text import Columns

PARTIAL = re.compile(r"\..+\.(\d+)\.partial")
LARGEST = 64 * 2**20  # bytes of a file of text that is read
MOST = 1_000_000  # values in a file of settings; by aliases a small one can hold billions
# in C, where that is there, in a fifth of the time; reads only what this process has written: a
# file of a million brackets would end it
Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet computes cells that begin so


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that a crash at any moment leaves the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # in the same directory: only there a rename is one step
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as failure:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(failure, OSError):  # a full disk does not say of what
            failure.filename = str(path)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_partial(directory: Path) -> None:
    """Remove what killed processes have left half written below a directory, nothing else."""
    for path in directory.rglob(".*.partial"):
        found = PARTIAL.fullmatch(path.name)
        if found and path.is_file() and not path.is_symlink() and not is_running(int(found[1])):
            path.unlink(missing_ok=True)


def is_running(process: int) -> bool:
    """Whether there is a process with a number."""
    try:
        os.kill(process, 0)
    except PermissionError:  # another user's
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def write_json(path: Path, content: dict[str, Any]) -> None:
    write_whole(path, (json.dumps(content, indent=2) + "\n").encode())


def read_text(path: Path) -> str:
    """The text of a file of a run.

    Raises:
        ValueError: If it is no file, too large, or not text.
        OSError: If it cannot be read.
    """
    if not path.is_file():  # a pipe would wait for ever
        raise ValueError(f"{str(path)!r}: no such file")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{str(path)!r}: is larger than {LARGEST >> 20} MB")
    return path.read_text(encoding="utf-8")


def yaml_text(content: Any) -> str:
    return str(yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True))


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        ValueError: If it is not YAML, has a key twice, or holds more than it may.
        OSError: If it cannot be read.
    """
    try:
        content = yaml.load(read_text(path), UniqueKeys)
        if count_values(content, {}) > MOST:
            raise ValueError(f"holds itself, or more than {MOST:,} values")
        return content
    except UnicodeDecodeError as mistake:
        raise ValueError("is not text") from mistake
    except RecursionError as mistake:
        raise ValueError("is nested too deep") from mistake
    except yaml.YAMLError as mistake:
        mark = getattr(mistake, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(mistake, "problem", mistake)
        raise ValueError(f"is not YAML{where}: {problem}") from mistake


class UniqueKeys(yaml.SafeLoader):
    """A loader that refuses a key given twice, of which YAML's own would take the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        keys: set[str] = set()
        for key in (key for key, _ in pairs if isinstance(key, yaml.ScalarNode)):
            if key.value in keys:
                line = key.start_mark.line + 1
                raise ValueError(f"{key.value} is there twice, again in line {line}")
            keys.add(key.value)
        return super().construct_mapping(node, deep)


def count_values(content: Any, known: dict[int, int]) -> int:
    """How many values some content has, where an alias counts as what it is an alias of."""
    if not isinstance(content, dict | list):
        return 1
    if id(content) not in known:
        known[id(content)] = MOST + 1  # where it holds itself
        inner = content.values() if isinstance(content, dict) else content
        known[id(content)] = 1 + sum(count_values(each, known) for each in inner)
    return known[id(content)]


def read_json(path: Path) -> dict[str, Any]:
    """What a JSON file holds; nothing, where it is missing or holds something else."""
    try:
        content = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def write_csv(path: Path, columns: Columns) -> None:
    """Write columns as CSV; text that a spreadsheet would take for a formula gets a ``'``."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(map(no_formula, columns))
    for row in zip(*columns.values(), strict=True):
        writer.writerow(map(no_formula, row))
    write_whole(path, text.getvalue().encode("utf-8", "backslashreplace"))


def no_formula(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(FORMULA):
        return value
    with suppress(ValueError):
        float(value)
        return value
    return f"'{value}"
