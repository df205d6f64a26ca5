"""The same config, the same bits: run again, from the config that a run saved, and elsewhere."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command
from torch import Tensor

RUNS = {
    "xor": "--config configs/xor.yaml --data.passes 20",
    "xor_shuffled": "--config configs/xor.yaml --data.passes 20 --data.batch_size 3"
    " --data.shuffle true --name xor_shuffled",
    "xor_online": "--config configs/xor.yaml --data.passes 10 --data.batch_size 1"
    " --model.gradients by_hand --model.loss mse --name xor_online",
    "blobs3": "--config configs/blobs3.yaml --data.passes 5 --data.batch_size 32"
    " --data.shuffle true --model.optimizer Adam --model.optimizer.lr 0.1",
}
SHORT = "--trainer.max_epochs 3"

every_run = pytest.mark.parametrize("name", RUNS)


def fit(command: Command, words: str) -> None:
    assert command(f"fit {words}").status == 0


def ended(name: str, version: int) -> list[Tensor]:
    """Weights and optimizer state at the end of a run."""
    path = Path("lightning_logs", name, f"version_{version}", "checkpoints", "last.ckpt")
    checkpoint = torch.load(path, weights_only=False)
    return [*tensors(checkpoint["state_dict"]), *tensors(checkpoint["optimizer_states"])]


def tensors(content: Any) -> list[Tensor]:
    if isinstance(content, Tensor):
        return [content]
    inner = content.values() if isinstance(content, dict) else content
    nested = inner if isinstance(content, (dict, list, tuple)) else ()
    return [tensor for one in nested for tensor in tensors(one)]


def same(left: list[Tensor], right: list[Tensor]) -> bool:
    assert len(left) == len(right) > 1
    return all(torch.equal(one, other) for one, other in zip(left, right, strict=True))


@every_run
def test_two_runs_of_one_config_end_with_the_same_bits(command: Command, name: str) -> None:
    for _ in range(2):
        fit(command, f"{RUNS[name]} {SHORT}")
        torch.rand(7)  # whatever was drawn between does not matter
    assert same(ended(name, 0), ended(name, 1))


@every_run
def test_a_run_from_a_saved_config_ends_with_the_same_bits(command: Command, name: str) -> None:
    fit(command, f"{RUNS[name]} {SHORT}")
    fit(command, f"--config lightning_logs/{name}/version_0/config.yaml")
    assert same(ended(name, 0), ended(name, 1))


@every_run
def test_another_seed_ends_with_other_bits(command: Command, name: str) -> None:
    for seed in (1, 2):
        fit(command, f"{RUNS[name]} {SHORT} --seed_everything {seed}")
    assert not same(ended(name, 0), ended(name, 1))


def test_a_seed_drawn_at_random_is_saved(command: Command) -> None:
    for _ in range(2):
        fit(command, f"{RUNS['xor']} {SHORT} --seed_everything true")
    fit(command, "--config lightning_logs/xor/version_0/config.yaml")
    assert not same(ended("xor", 0), ended("xor", 1))
    assert same(ended("xor", 0), ended("xor", 2))


@pytest.mark.slow
def test_another_process_ends_with_the_same_bits(command: Command) -> None:
    words = f"fit {RUNS['blobs3']} {SHORT}".split()
    environment = os.environ | {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1"}
    module = [sys.executable, "-m", "perceptrons"]
    subprocess.run([*module, *words], env=environment, check=True, capture_output=True)
    fit(command, f"{RUNS['blobs3']} {SHORT}")
    assert same(ended("blobs3", 0), ended("blobs3", 1))
