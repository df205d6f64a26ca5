"""``perceptrons runs``, and what every command says of itself."""

import json
import os
import platform
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import lightning
import pytest
import subject  # noqa: F401
import torch
from conftest import Command
from tqdm import tqdm

from perceptrons.lab.cli.errors import PACKAGE
from perceptrons.lab.cli.main import VERBS

SHORT = "--config configs/xor.yaml --data.passes 1 --trainer.max_epochs 1"
LAZY = {"torch", "lightning", "matplotlib", "pandas", "optuna"}


def statuses(command: Command) -> list[str]:
    return [row["status"] for row in json.loads(command("runs --json").out)]


def test_a_run_is_said_to_have_ended_when_it_has(command: Command) -> None:
    command(f"fit {SHORT}")
    assert statuses(command) == ["ended"]
    record = Path("lightning_logs/xor/version_0/provenance.json")
    ended = json.loads(record.read_text())
    record.write_text(json.dumps({**ended, "end": None}))
    assert statuses(command) == ["not ended"]


def test_the_list_has_names_whole_to_copy(command: Command) -> None:
    name = f"{'long_' * 12}name"
    assert command(f"fit {SHORT} --name {name}").status == 0
    assert command("runs").out.splitlines()[1].split()[0] == f"{name}/version_0"


def test_a_name_alone_is_the_newest_run_of_it(command: Command) -> None:
    for seed in (1, 2):
        command(f"fit {SHORT} --seed_everything {seed}")
    newest = Path("lightning_logs/xor/version_1")
    assert f"checkpoint: {newest}/checkpoints/last.ckpt" in command("test --ckpt_path xor").out
    assert f"run:  {newest}" in command("fit --resume xor --trainer.max_epochs 2").out
    assert command("runs --diff xor xor/version_1").out == "no difference\n"


def test_a_run_that_stops_early_says_why(command: Command) -> None:
    stop = "--trainer.callbacks EarlyStopping --trainer.callbacks.monitor val/loss"
    words = f"fit {SHORT} {stop} --trainer.callbacks.min_delta 9 --trainer.max_epochs 9"
    said = command(f"{words} --trainer.callbacks.patience 2").out
    assert "stopped after update 3: Monitored metric val/loss did not improve" in said


def test_a_run_that_trains_nothing_has_its_command_as_status(command: Command) -> None:
    command("predict --config configs/xor.yaml")
    assert statuses(command) == ["predict"]


def test_what_cannot_be_read_is_said_to_be_and_what_is_no_run_is_not_listed(
    command: Command,
) -> None:
    command(f"fit {SHORT}")
    runs = Path("lightning_logs", "odd")
    for number, config in enumerate(("", "a", "{", "a: 1")):
        (runs / f"version_{number}").mkdir(parents=True)
        (runs / f"version_{number}" / "config.yaml").write_text(config)
    (runs / "version_3" / "metrics.json").write_text("[1]")
    (runs / "version_3" / "provenance.json").touch()
    (runs / "version_4").symlink_to("nowhere")
    (runs / "version_5").mkdir()
    listed = {row["run"]: row["status"] for row in json.loads(command("runs --json").out)}
    unreadable = {f"odd/version_{number}": "unreadable" for number in range(3)}
    assert listed == {"xor/version_0": "ended", "odd/version_3": "not ended", **unreadable}
    assert command("test --ckpt_path last").status == 0


# argparse itself stops when nobody reads its help
@pytest.mark.parametrize(("words", "status"), [("--version", 141), ("runs -h", 0)])
def test_a_reader_who_has_read_enough_ends_the_command_silently(
    in_tmp: Path, words: str, status: int
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    line = [sys.executable, "-m", PACKAGE, *words.split()]
    ended = subprocess.run(line, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (status, b"")


def test_the_version_is_said_with_those_of_what_it_runs_on(command: Command) -> None:
    said = command("--version").out
    for version in (lightning.__version__, torch.__version__, platform.python_version()):
        assert version in said


@pytest.mark.parametrize("verb", [*VERBS, "sweep"])
def test_a_command_that_trains_nothing_has_a_help(command: Command, verb: str) -> None:
    status, out, err = command(f"{verb} --help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: {PACKAGE} {verb} [-h]")


@pytest.mark.parametrize("words", ["--help", "--version", "runs", "runs --help", "sweep --help"])
def test_what_takes_seconds_to_import_is_left_out_where_it_is_not_needed(words: str) -> None:
    start = f"import sys; from {PACKAGE}.__main__ import main"
    show = f"print({LAZY} & set(sys.modules))"
    program = f"{start}\ntry: main()\nexcept SystemExit: pass\n{show}"
    line = [sys.executable, "-c", program, *words.split()]
    assert subprocess.run(line, capture_output=True, text=True).stdout.endswith("set()\n")


def test_a_fit_says_first_what_it_trains(command: Command) -> None:
    lines = command(f"fit {SHORT} --trainer.accelerator cpu").out.splitlines()
    assert [line.split(maxsplit=1) for line in lines[:6]] == [
        ["data:", "Gates, 4 rows to train on"],
        ["network:", "MLP 2-2-1"],
        ["parameters:", "9"],
        ["optimizer:", "SGD, lr 1"],
        ["device:", "cpu, 32-true"],
        ["run:", "lightning_logs/xor/version_0"],
    ]
    study = command(f"fit {SHORT} --seeds 3").out
    assert "9 each, of 3 members" in study


def test_a_report_has_the_validation_set_whole_where_one_of_its_measures_is_as_of_training(
    command: Command,
) -> None:
    shown = command("fit --config configs/moons.yaml --data.passes 1 --trainer.max_epochs 1").out
    head, first, last = shown.split("\n\n")[1].splitlines()
    assert head == "   epoch    update  train/loss  accuracy  val/loss  accuracy"
    assert first.startswith("     0/1         0    0.687910    50.00%  ")
    assert {len(head), len(first), len(last)} == {len(head)}
    study = command("fit --config configs/moons.yaml --seeds 2 --folds 2 --data.passes 1").out
    assert max(map(len, study.splitlines())) <= 80


def test_a_terminal_has_one_bar_over_the_whole_fit_with_the_loss_in_it(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = partial(tqdm, mininterval=0, miniters=0)  # and not some times a second
    monkeypatch.setattr("perceptrons.lab.training.callbacks.tqdm", at_once)
    bar = "--trainer.enable_progress_bar true"
    for words in ("--trainer.max_epochs 8", "--seeds 2", "--trainer.max_steps 8000"):
        shown = command(f"fit --config configs/xor.yaml {bar} {words}").out
        assert "100%|" in shown
        assert re.search(r"update [\d,]+, loss 0\.\d", shown)
        assert not re.search("Epoch|Validation|Sanity", shown)


def test_a_difference_of_runs_shows_both_sides_under_their_names(command: Command) -> None:
    for width in ("[2]", "[4]"):
        assert command(f"fit {SHORT} --model.net.hidden {width}").status == 0
    head, *rows = command("runs --diff xor/version_0 xor/version_1").out.splitlines()
    assert head.split() == ["setting", "xor/version_0", "xor/version_1"]
    assert ["model.net.hidden", "[2]", "[4]"] in [row.split() for row in rows]


def test_validate_takes_no_member(command: Command) -> None:
    assert command(f"fit {SHORT} --seeds 2").status == 0
    assert "member='1'" in command("validate --ckpt_path xor/version_0 --member 1").err
