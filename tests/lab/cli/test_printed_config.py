"""All settings as ``--print_config`` shows them are a config themselves."""

from pathlib import Path

import pytest
from conftest import CONFIGS, Command

EVERY = sorted(
    str(file.relative_to(CONFIGS))
    for file in CONFIGS.rglob("*.yaml")
    if "sweeps" not in file.relative_to(CONFIGS).parts
)
SHORT = "--data.passes 8 --trainer.max_epochs 1"
SPACE = "model.optimizer.lr: {low: 0.01, high: 0.1}"


def printed(command: Command, config: str) -> str:
    finished = command(f"fit --config {config} --print_config")
    assert (finished.status, finished.err) == (0, ""), finished.err
    Path("my.yaml").write_text(finished.out)
    return finished.out


@pytest.mark.parametrize("config", EVERY)
def test_a_printed_config_trains_and_is_printed_as_it_was(command: Command, config: str) -> None:
    text = printed(command, f"configs/{config}")
    study = config.startswith("studies")
    few = "--seeds 2 --trainer.max_epochs 1" if study else "--trainer.fast_dev_run true"
    trained = command(f"fit --config my.yaml --data.passes 1 {few}")
    assert (trained.status, trained.err) == (0, ""), trained.err
    assert printed(command, "my.yaml") == text


@pytest.mark.parametrize("config", ["xor.yaml", "table.yaml", "blobs3.yaml"])
def test_a_printed_config_can_be_swept(command: Command, config: str) -> None:
    printed(command, f"configs/{config}")
    Path("space.yaml").write_text(SPACE)
    words = "--config my.yaml --space space.yaml --trials 1 --trainer.max_epochs 1"
    swept = command(f"sweep {words}")
    assert (swept.status, swept.err) == (0, "")
    assert "1 trials: 1 complete" in swept.out


def test_settings_are_printed_by_fit_and_not_by_a_sweep(command: Command) -> None:
    Path("space.yaml").write_text(SPACE)
    swept = command("sweep --config configs/xor.yaml --space space.yaml --print_config")
    assert (swept.status, swept.err.count("\n")) == (2, 1)
    assert swept.err.startswith("error: print_config: ")


def test_a_whole_number_of_batches_is_so_many_and_a_fraction_their_share(command: Command) -> None:
    for given, updates in (("1", 1), ("2", 2), ("1.0", 8), ("0.25", 2)):
        limit = f"--trainer.limit_train_batches {given}"
        finished = command(f"fit --config configs/xor.yaml {limit} {SHORT} --name r")
        assert (finished.status, finished.err) == (0, "")
        assert f"     1/1{updates:>10}  " in finished.out
    text = printed(command, f"configs/xor.yaml {limit.replace('0.25', '1')}")
    assert "limit_train_batches: 1\n" in text
