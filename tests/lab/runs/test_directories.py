"""Run directories: one for each run, locked while it trains, found again."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from perceptrons.lab.cli.errors import line_of
from perceptrons.lab.runs import directories
from perceptrons.lab.runs.directories import (
    check_inside,
    checked_name,
    list_runs,
    locked,
    new_run,
    newest,
)
from perceptrons.lab.runs.files import (
    is_running,
    read_yaml,
    remove_partial,
    write_json,
    write_whole,
)

HOLD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from {package}.lab.runs.directories import locked
with locked(Path(sys.argv[2])):
    print("held", flush=True)
    time.sleep(60)
"""
SOURCE = str(Path(directories.__file__).parents[3])
PACKAGE = directories.__name__.partition(".")[0]


def make(root: Path, config: bool = True, verb: str | None = None) -> Path:
    run = new_run(root, "r")
    if config:
        (run / "config.yaml").write_text("a: 1")
    if verb:
        write_json(run / "provenance.json", {"verb": verb})
    return run


def several(root: Path) -> list[str]:
    return [new_run(root, "r").name for _ in range(10)]


def test_racing_processes_never_get_the_same_directory(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        made = [name for names in pool.map(several, [tmp_path] * 4) for name in names]
    assert sorted(made, key=lambda name: int(name[8:])) == [f"version_{n}" for n in range(40)]


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "a\nb", "a" * 256])
def test_a_name_that_can_be_no_directory_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^name="):
        new_run(tmp_path, name)
    assert not list(tmp_path.iterdir())
    assert checked_name("xor 2") == "xor 2"


def test_the_newest_run_is_by_number_and_odd_names_are_none(tmp_path: Path) -> None:
    for version in ("version_2", "version_10", "version_x", "version_²"):
        (tmp_path / "r" / version).mkdir(parents=True)
    (tmp_path / "r" / "version_11").touch()
    assert [run.name for run in newest(tmp_path, "r")] == ["version_10", "version_2"]
    assert make(tmp_path).name == "version_12" or make(tmp_path).name == "version_13"


def test_only_runs_that_trained_are_last(tmp_path: Path) -> None:
    fitted, saved = make(tmp_path, verb="fit"), make(tmp_path)
    (saved / "checkpoints").mkdir()
    (saved / "checkpoints" / "last.ckpt").touch()
    make(tmp_path, verb="predict")
    make(tmp_path, config=False, verb="fit")  # killed before its settings were written
    assert newest(tmp_path, "r", trained=True) == [saved, fitted]
    assert len(newest(tmp_path, None)) == 4


LINKED: dict[str, Callable[[Path, Path], None]] = {
    "metrics.json": lambda path, victim: path.symlink_to(victim),
    ".lock": lambda path, victim: path.symlink_to(victim),
    "checkpoints": lambda path, victim: path.symlink_to(victim.parent),
    "figures": lambda path, _: os.mkfifo(path),
}


@pytest.mark.parametrize("name", LINKED)
def test_a_run_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    run, victim = make(tmp_path / "logs"), tmp_path / "victim"
    check_inside(run)
    (run / "version.ckpt").symlink_to("config.yaml")  # as Lightning's save_last: link has it
    check_inside(run)
    victim.write_text("mine")
    LINKED[name](run / name, victim)
    with pytest.raises(ValueError, match=rf"{name}: (leads out|is neither)"):
        check_inside(run)


ALIASES = "a: &a [1, 1]\n" + "".join(
    f"{key}: &{key} [{', '.join([f'*{before}'] * 9)}]\n" for before, key in pairwise("abcdefghijk")
)


@pytest.mark.parametrize(
    "text", [ALIASES, "a: &a {b: *a}", "[" * 1_000_000, "a: 1\na: 2", "a: [", "\x01"]
)
def test_a_run_with_odd_settings_is_listed_as_unreadable(text: str, tmp_path: Path) -> None:
    run = make(tmp_path)
    (run / "config.yaml").write_text(text)
    assert list_runs(tmp_path)[0]["status"] == "unreadable"
    with pytest.raises(ValueError, match=r"holds itself|nested|twice|YAML"):
        read_yaml(run / "config.yaml")


def test_a_second_process_is_told_who_trains_in_a_run(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD.format(package=PACKAGE), SOURCE, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="is training") as refused, locked(tmp_path):
            pass
        said = f"{tmp_path}: process {holder.pid} is training in it"
        assert line_of(refused.value).startswith(said)
        assert (tmp_path / ".lock").read_text() == str(holder.pid)
        holder.kill()
        holder.wait()
    with locked(tmp_path):  # the lock has gone with the process
        assert (tmp_path / ".lock").read_text() == str(os.getpid())
    assert not list(tmp_path.iterdir())


def test_only_what_dead_processes_half_wrote_is_removed(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    assert not is_running(dead.pid)
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    kept = [tmp_path / ".notes", folder / f".last.ckpt.{os.getpid()}.partial"]
    kept += [tmp_path / ".a.partial", tmp_path / f"a.{dead.pid}.partial"]
    for path in kept:
        path.touch()
    (tmp_path / f".folder.{dead.pid}.partial").mkdir()
    half = folder / f".last.ckpt.{dead.pid}.partial"
    half.touch()
    remove_partial(tmp_path)
    assert not half.exists()
    assert all(path.exists() for path in kept)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(tmp_path / "file", b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "file", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
