"""Several processes that train together: each has its part of every batch."""

import subprocess
import sys
from pathlib import Path

import pytest
import subject  # noqa: F401
import torch
from conftest import CONFIGS, ROOT, Command

FIT = (
    f"fit --config {CONFIGS}/breast_cancer.yaml --data.passes 2 --trainer.max_epochs 2"
    " --figures false --data.val_fraction 0.3 --trainer.accelerator cpu"
)
PACKAGE = next(path.parent.name for path in ROOT.glob("src/*/__init__.py"))
TWO = "--trainer.devices 2 --trainer.strategy ddp"


def weights(directory: Path, words: str) -> dict[str, torch.Tensor]:
    directory.mkdir(exist_ok=True)
    command = [sys.executable, "-m", PACKAGE, *words.split()]
    finished = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=180)
    assert finished.returncode == 0, finished.stderr
    (last,) = directory.rglob("last.ckpt")
    state: dict[str, torch.Tensor] = torch.load(last, weights_only=True)["state_dict"]
    return state


def close(two: dict[str, torch.Tensor], one: dict[str, torch.Tensor]) -> None:
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_two_processes_train_what_one_does_in_one_run_that_can_be_resumed(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    close(weights(two, f"{FIT} {TWO}"), weights(one, FIT))
    (run,) = two.rglob("version_*")
    longer = f"fit --resume {run} --trainer.max_epochs 3"
    close(weights(two, longer), weights(one, longer.replace("/two/", "/one/")))
    assert [*two.rglob("version_*")] == [run]


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork", "ddp_notebook"])
def test_processes_that_hand_nothing_back_are_refused(command: Command, strategy: str) -> None:
    finished = command(f"{FIT} --trainer.devices 2 --trainer.strategy {strategy}")
    assert (finished.status, finished.err.count("\n")) == (2, 1)
    assert f"trainer.strategy={strategy}: " in finished.err
    assert not [*Path.cwd().rglob("version_*")]


def test_batches_that_do_not_divide_are_one_line_before_any_process_starts(
    command: Command,
) -> None:
    finished = command(f"{FIT} {TWO} --data.batch_size 3")
    said = "batch_size: 256 rows in batches of 3 do not divide among 2 processes"
    assert (finished.status, finished.err) == (2, f"error: {said}\n")
    assert not [*Path.cwd().rglob("version_*")]
