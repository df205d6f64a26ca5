"""Sixty kills over twelve settings: each resumed run ends with the bits of one never stopped."""

import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from children import Child, Prepare, killed_at_call, killed_at_save
from conftest import CONFIGS
from run_outcome import differences, outcome

pytestmark = pytest.mark.attack
XOR = f"--config {CONFIGS}/xor.yaml --trainer.max_epochs 6 --data.passes 50"
BLOBS = f"--config {CONFIGS}/blobs.yaml --trainer.max_epochs 5 --data.passes 5"
PLATEAU = "--model.scheduler lightning.pytorch.cli.ReduceLROnPlateau --model.scheduler.monitor"
SETTINGS = {
    "plain": XOR,
    "by hand": f"{XOR} --model.gradients by_hand",
    "adam": f"{XOR} --model.optimizer torch.optim.Adam --model.optimizer.lr 0.01",
    "plateau": f"{XOR} {PLATEAU} val/loss --model.scheduler.patience 0",
    "shuffled batches": f"{XOR} --data.batch_size 3 --data.shuffle true",
    "dropout": "--config layers.yaml",
    "averaging": f"{XOR} --trainer.callbacks StochasticWeightAveraging"
    " --trainer.callbacks.swa_lrs 0.1 --trainer.callbacks.swa_epoch_start 2",
    "early stopping": f"{XOR} --trainer.callbacks EarlyStopping"
    " --trainer.callbacks.monitor val/loss --trainer.callbacks.patience 3",
    "seeds": f"{XOR} --seeds 20",
    "grid": f'{XOR} --seeds 3 --grid {{"model.optimizer.lr":[0.1,1.0]}}',
    "folds": f"{BLOBS} --data.batch_size 16 --data.shuffle true --folds 4",
    "steps": f"{XOR} --trainer.max_steps 170",
}
LAYERS = {
    "seed_everything": 3,
    "trainer": {"max_epochs": 6},
    "data": {"class_path": "Moons", "init_args": {"batch_size": 16, "shuffle": True}},
    "model": {
        "net": {"class_path": "MLP", "init_args": {"hidden": [4]}},
        "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01}},
        "scheduler": {
            "class_path": "torch.optim.lr_scheduler.StepLR",
            "init_args": {"step_size": 10},
        },
    },
}
KILLS = 5
SAVED = ("last.ckpt", "best.ckpt", "metrics.json", "provenance.json")


def ended(directory: Path, words: str, prepare: Prepare | None = None) -> int:
    directory.mkdir(exist_ok=True)
    (directory / "layers.yaml").write_text(yaml.safe_dump(LAYERS))
    return Child(f"fit --figures false --name run {words}", directory, prepare).wait().status


@cache
def uninterrupted(name: str, root: Path) -> dict[str, Any]:
    assert ended(root / name, SETTINGS[name]) == 0
    return outcome(root / name / "lightning_logs/run/version_0")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


def kill(name: str, number: int) -> Prepare:
    """Where a run is killed: a moment in Python after some report, or as it writes a file."""
    chance = random.Random(f"{name} {number}")
    if number % 2:
        return killed_at_call(chance.randint(1, 5), chance.randint(1, 20_000))
    stage = chance.choice(("half written", "before", "after"))
    file = chance.choice(SAVED)
    return killed_at_save(file, chance.randint(1, 4) if file == "last.ckpt" else 1, stage)


@pytest.mark.parametrize("number", range(KILLS))
@pytest.mark.parametrize("name", SETTINGS)
def test_a_killed_run_ends_as_one_never_stopped(
    name: str, number: int, root: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "cut"
    run = directory / "lightning_logs/run/version_0"
    assert ended(directory, SETTINGS[name], kill(name, number)) == -9
    if (run / "config.yaml").exists():  # or nothing of it was there yet
        finished = Child(f"fit --resume {run} --figures false", directory).wait()
        assert finished.status == 0, finished
        assert not differences(outcome(run), uninterrupted(name, root))
        assert not list(run.rglob(".*.partial"))
