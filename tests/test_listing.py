"""``perceptrons runs``: what it says of each run, in the width that there is."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import lightning
import pytest
import torch
from conftest import Command
from perceptrons.commands import COMMANDS
from perceptrons.listing import RESULTS, aligned

from perceptrons.__main__ import run

SHORT = "--config configs/xor.yaml --data.passes 1 --trainer.max_epochs 1"
ROW = dict.fromkeys(RESULTS, 1) | {"data.gate": "xor", "data.passes": 1000, "threads": 1}
# commands whose help needs nothing that takes seconds
LIGHT = set(COMMANDS) - {"export", "export-replica"}
WHOLE = len(aligned([ROW]).splitlines()[0])


def statuses(command: Command) -> list[str]:
    return [row["status"] for row in json.loads(command("runs --json").out)]


@pytest.mark.parametrize(
    ("width", "left_out"), [(WHOLE, 0), (WHOLE - 1, 1), (WHOLE - 10, 2), (9, 3)]
)
def test_settings_that_do_not_fit_a_terminal_are_left_out_and_counted(
    width: int, left_out: int
) -> None:
    names, *_, last = aligned([ROW], width).splitlines()
    assert names.split() == list(ROW)[: len(ROW) - left_out]
    assert len(names) <= width or names.split() == list(RESULTS)
    assert last.startswith(f"and {left_out} settings more") == bool(left_out)


def test_where_there_is_no_terminal_nothing_is_left_out(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(f"fit {SHORT}")
    command("fit --config configs/blobs.yaml --data.passes 1 --trainer.max_epochs 1")
    monkeypatch.setenv("COLUMNS", "80")
    names, *rows = command("runs").out.splitlines()
    assert len(rows) == 2
    assert {"data.gate", "data.centers"} < set(names.split())
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    *rows, last = command("runs").out.splitlines()
    assert max(map(len, rows)) <= 80
    assert "settings more" in last


def test_a_run_is_said_to_have_ended_when_it_has(command: Command) -> None:
    command(f"fit {SHORT}")
    assert statuses(command) == ["ended"]
    record = Path("lightning_logs/xor/version_0/provenance.json")
    ended = json.loads(record.read_text())
    record.write_text(json.dumps({**ended, "end": None}))
    assert statuses(command) == ["not ended"]
    later = [{"command": "", "start": "9999-01-01T00:00:00+00:00"}]
    record.write_text(json.dumps({**ended, "resumed": later}))
    assert statuses(command) == ["not ended"]


def test_a_run_that_trains_nothing_has_its_command_as_status(command: Command) -> None:
    command("predict --config configs/xor.yaml")
    assert statuses(command) == ["predict"]


def test_what_is_no_run_is_passed_over(command: Command) -> None:
    command(f"fit {SHORT}")
    runs = Path("lightning_logs", "odd")
    for number, config in enumerate(("", "a", "{", "a: 1")):
        (runs / f"version_{number}").mkdir(parents=True)
        (runs / f"version_{number}" / "config.yaml").write_text(config)
    (runs / "version_3" / "metrics.json").write_text("[1]")
    (runs / "version_3" / "provenance.json").touch()
    (runs / "version_4").symlink_to("nowhere")
    (runs / "version_5").mkdir()
    listed = command("runs --json")
    names = {(row["name"], row["version"]) for row in json.loads(listed.out)}
    assert names == {("xor", 0), ("odd", 3)}
    said = [line.partition(":")[0] for line in listed.err.splitlines()]
    assert sorted(said) == [f"passed over {runs / f'version_{number}'}" for number in range(3)]
    assert command("test --ckpt_path last").status == 0


# argparse itself stops when nobody reads its help
@pytest.mark.parametrize(
    ("words", "status"),
    [
        *(("runs", 141), ("--version", 141), ("runs -h", 0)),
        pytest.param("fit --config configs/and.yaml", 141, marks=pytest.mark.slow),
    ],
)
def test_a_reader_who_has_read_enough_ends_the_command_silently(
    in_tmp: Path, words: str, status: int
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    line = [sys.executable, "-m", "perceptrons", *words.split()]
    ended = subprocess.run(line, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (status, b"")


@pytest.mark.slow
def test_where_nothing_can_be_said_a_run_is_made_all_the_same(in_tmp: Path) -> None:
    line = f"{sys.executable} -m perceptrons fit --config configs/and.yaml"
    assert subprocess.run(f"{line} >&- 2>&-", shell=True, check=False).returncode == 0
    assert Path("lightning_logs/and/version_0/metrics.json").exists()


# what every command says of itself


def test_the_version_is_said_with_those_of_what_it_runs_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["perceptrons", "--version"])
    run()
    below = f"lightning {lightning.__version__}, torch {torch.__version__}"
    own = f"perceptrons {version('perceptrons')}"
    line = f"{own} ({below}, Python {platform.python_version()})"
    assert capsys.readouterr().out == f"{line}\n"


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_command_that_trains_nothing_has_a_help(command: Command, verb: str) -> None:
    status, out, err = command(f"{verb} --help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: perceptrons {verb} [-h]")


@pytest.mark.parametrize("words", ["--version", *(f"{verb} --help" for verb in sorted(LIGHT))])
def test_what_takes_seconds_to_import_is_left_out_where_it_is_not_needed(words: str) -> None:
    start = "import sys; from perceptrons.__main__ import main"
    show = "print({'torch', 'lightning', 'matplotlib', 'pandas', 'optuna'} & set(sys.modules))"
    program = f"{start}\ntry: main()\nexcept SystemExit: pass\n{show}"
    line = [sys.executable, "-c", program, *words.split()]
    assert subprocess.run(line, capture_output=True, text=True).stdout.endswith("\nset()\n")
