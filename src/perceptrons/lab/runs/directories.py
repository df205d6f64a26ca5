"""Run directories, ``lightning_logs/<name>/version_<n>``: made, locked, found, listed."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from .files import read_json, read_yaml

ROOT = "lightning_logs"
LONGEST = 255  # bytes that the name of a directory may have
LOCK = ".lock"
RUN = re.compile(r"version_[0-9]{1,19}")
# columns that the list of runs always has
RESULTS = ("updates", "val/loss", "val/accuracy")
COLUMNS = ("run", "began", *RESULTS, "status")
# settings in which two runs of one experiment differ without being different experiments
NO_SETTINGS = ("name", "ckpt_path", "resume", "trust", "trainer.enable_progress_bar")


def new_run(root: Path, name: str) -> Path:
    """Make the next free ``<root>/<name>/version_<n>``; no two processes ever get the same.

    Raises:
        ValueError: If the name cannot be the name of a directory.
    """
    directory = root / checked_name(name)
    for version in count(max(map(number, runs_of(directory)), default=-1) + 1):
        run = directory / f"version_{version}"
        directory.mkdir(parents=True, exist_ok=True)
        # another process was faster, or has removed a directory that was empty
        with suppress(FileExistsError, FileNotFoundError):
            os.mkdir(run)
            return run
    raise AssertionError("count() does not end")


def remove_run(run: Path) -> None:
    """Remove a run, and the directories above it that hold no other."""
    shutil.rmtree(run)
    with suppress(OSError):
        run.parent.rmdir()
        run.parent.parent.rmdir()


def checked_name(name: str) -> str:
    """A name for runs, if it can be the name of a directory.

    Raises:
        ValueError: If it cannot.
    """
    if not name or name.startswith(".") or set(name) & set("/\\") or not name.isprintable():
        expected = "must be the name of a directory, without slashes, and no dot first"
        raise ValueError(f"name={name!r}: {expected}")
    if len(os.fsencode(name)) > LONGEST:
        raise ValueError(f"name={name[:20] + '...'!r}: must have at most {LONGEST} letters")
    return name


def number(run: Path) -> int:
    return int(run.name.removeprefix("version_"))


def runs_of(directory: Path) -> list[Path]:
    """Run directories of one name, in no order."""
    found = directory.glob("version_*")
    return [path for path in found if RUN.fullmatch(path.name) and path.is_dir()]


def newest(root: Path, name: str | None = None, trained: bool = False) -> list[Path]:
    """Run directories, the newest first: of one name by number, of all names by time.

    Args:
        root: Where the runs are.
        name: Name of the runs; ``None``: all.
        trained: Whether only runs that trained are asked for, not those of an evaluation.
    """
    if name is not None:
        found = sorted(runs_of(root / name), key=number, reverse=True)
    else:
        every = (run for directory in root.glob("*") for run in runs_of(directory))
        found = sorted(every, key=lambda run: (start_time(run), number(run)), reverse=True)
    return [run for run in found if not trained or has_trained(run)]


def find_run(name: str, root: Path, last_of: str | None = None) -> Path | None:
    """A run by its directory, by ``<name>/version_<n>``, the newest of a name, or ``last``.

    Args:
        name: What it is called by.
        root: Where the runs are.
        last_of: Of which name the ``last`` is; ``None``: of all.
    """
    found = newest(root, last_of, trained=True)[:1] if name == "last" else []
    found += [each for each in (Path(name), root / name) if (each / "config.yaml").is_file()]
    found += newest(root, name, trained=True)[:1] if Path(name).name == name else []
    return found[0] if found else None


def start_time(run: Path) -> float:
    """When a run began or was resumed: its directory changes when it is evaluated too."""
    for path in (run / "config.yaml", run):
        with suppress(OSError):  # a run that never started removes itself
            return path.stat().st_mtime
    return 0.0


def has_trained(run: Path) -> bool:
    """Whether a run is one of ``fit``."""
    if not (run / "config.yaml").is_file():  # killed before it began
        return False
    record = read_json(run / "provenance.json")
    return record.get("verb") == "fit" or any(run.glob("checkpoints/*.ckpt"))


def check_inside(run: Path) -> None:
    """Find out that writing into a run, which may be a stranger's, would write elsewhere.

    Raises:
        ValueError: If it holds a link that leads out of it, or what is neither file nor directory.
    """
    for path in run.rglob("*"):
        parts = path.relative_to(run).parts
        if parts[0] == "wandb" and len(parts) > 2:
            continue  # of an earlier wandb run, to which none is added: it links to its logs
        if not path.resolve().is_relative_to(run.resolve()):
            raise ValueError(f"{path}: leads out of the run")
        if not (path.is_file() or path.is_dir() or path.is_symlink()):
            raise ValueError(f"{path}: is neither a file nor a directory")


def with_own_files(state: dict[str, Any], callback: Any) -> dict[str, Any]:
    """The state of a checkpoint callback, with the files that are where it writes.

    A run may have been moved. And Lightning removes a file that is the best no longer: in a
    stranger's checkpoint that could be any.
    """
    directory = Path(str(callback.dirpath))

    def own(path: str) -> str:
        file = directory / Path(path).name
        return str(file) if file.suffix == callback.FILE_EXTENSION and file.is_file() else ""

    paths = {name: own(each) for name, each in state.items() if name.endswith("_path")}
    best = {own(path): score for path, score in state["best_k_models"].items() if own(path)}
    return {**state, **paths, "best_k_models": best, "dirpath": callback.dirpath}


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Keep other processes from training in a run, until this ends or the process does.

    Raises:
        ValueError: If another process trains in it.
    """
    path = run / LOCK
    file = open_lock(path)
    try:
        os.truncate(file, 0)
        os.write(file, str(os.getpid()).encode())
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(file)


def open_lock(path: Path) -> int:
    """An open file, locked: the lock goes with the process, however it ends.

    Raises:
        ValueError: If another process holds it.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as held:
        holder = os.pread(file, 20, 0).decode("ascii", "replace") or "another"
        os.close(file)
        raise ValueError(f"{path.parent}: process {holder} is training in it") from held
    except OSError:  # a file system without locks
        return file
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(file), os.stat(path)):
            return file
    os.close(file)  # its holder has removed it meanwhile
    return open_lock(path)


def list_runs(root: Path) -> list[dict[str, Any]]:
    """A row for each run, the newest first: how it ended, and the settings in which they differ."""
    every = [(run, results_of(run), settings_of(run)) for run in newest(root)]
    every = [each for each in every if (each[0] / "config.yaml").exists()]
    # those that have been resumed since, too
    every.sort(key=lambda each: (str(each[1]["began"]), number(each[0])), reverse=True)
    measured = dict.fromkeys(name for _, results, _ in every for name in results)
    names = dict.fromkeys(name for _, _, settings in every for name in settings)
    differing = [
        name for name in names if len({str(settings.get(name)) for _, _, settings in every}) > 1
    ]
    return [
        {name: results.get(name) for name in measured}
        | {name: settings.get(name) for name in differing}
        for _, results, settings in every
    ]


def results_of(run: Path) -> dict[str, Any]:
    """How a run ended; its metrics are those of its last end, and missing where it had none."""
    metrics, origin = read_json(run / "metrics.json"), read_json(run / "provenance.json")
    again = [each for each in origin.get("resumed") or [] if isinstance(each, dict)]
    starts = [str(each["start"]) for each in (origin, *again) if each.get("start")]
    verb, end = origin.get("verb", "fit"), origin.get("end")
    status = "ended" if isinstance(end, str) and starts and end >= max(starts) else "not ended"
    status = "unreadable" if not settings_of(run) else status if verb == "fit" else str(verb)
    numbers = {name: v for name, v in metrics.items() if isinstance(v, int | float)}
    own = sorted({*numbers} - {*RESULTS, "seconds"}, key=lambda name: not name.startswith("val"))
    return {
        "run": f"{run.parent.name}/{run.name}",
        "began": str(origin.get("start", ""))[:16].replace("T", " "),
        **{name: numbers.get(name) for name in RESULTS},
        "status": status,
        **{name: numbers[name] for name in own},
    }


def settings_of(run: Path) -> dict[str, Any]:
    """A run's settings, by the names of their flags; none where they cannot be read."""
    try:
        return flattened(read_yaml(run / "config.yaml"))
    except (OSError, ValueError, AttributeError):
        return {}


def flattened(settings: dict[str, Any], start: str = "") -> dict[str, Any]:
    """Settings by the names of their flags, classes by their short names."""
    flags: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict) and "class_path" in value:
            flags[start + key] = str(value["class_path"]).rpartition(".")[2]
            value = value.get("init_args") or {}
        if isinstance(value, dict):
            flags |= flattened(value, f"{start}{key}.")
        elif start + key not in NO_SETTINGS:
            flags[start + key] = value
    return flags


def differences(first: Path, second: Path) -> list[dict[str, Any]]:
    """A row for each setting and each result in which two runs differ."""
    one, other = ({**settings_of(run), **results_of(run)} for run in (first, second))
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    heads = (one["run"], other["run"]) if "run" in names else (str(first), str(second))
    names = [name for name in names if name != "run"]
    return [{"setting": n, heads[0]: one.get(n), heads[1]: other.get(n)} for n in names]


def sorted_rows(rows: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    """Rows by a column, or with ``-`` before it the other way; those that lack it last."""
    name = column.removeprefix("-")

    def key(row: dict[str, Any]) -> tuple[bool, Any]:
        number = isinstance(row[name], int | float)
        return not number, row[name] if number else str(row[name])

    have = sorted(
        (row for row in rows if row[name] is not None), key=key, reverse=column.startswith("-")
    )
    return have + [row for row in rows if row[name] is None]
