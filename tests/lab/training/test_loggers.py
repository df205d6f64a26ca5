"""Loggers write into the run's directory without being told, and get what TensorBoard gets."""

import csv
import importlib.util
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import Command
from tensorboard.backend.event_processing import plugin_event_accumulator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

RUN = Path("lightning_logs", "r", "version_0")
XOR = "fit --data Gates --data.passes 5 --model.net MLP --trainer.max_epochs 3 --name r"


def rows(name: str) -> list[tuple[int, float]]:
    """Steps and values of a metric in the run's CSV file."""
    with (RUN / "metrics.csv").open() as file:
        return [(int(row["step"]), float(row[name])) for row in csv.DictReader(file) if row[name]]


def scalars(name: str) -> list[tuple[int, float]]:
    read = EventAccumulator(str(RUN))
    read.Reload()
    return [(each.step, each.value) for each in read.Scalars(name)]


def test_a_csv_logger_and_tensorboard_get_the_same_metrics_and_hyperparameters(
    command: Command,
) -> None:
    finished = command(f"{XOR} --trainer.logger [CSVLogger,TensorBoardLogger]")
    assert (finished.status, finished.err) == (0, "")
    for name in ("train/loss", "val/loss", "weight_norm/layer_1"):
        assert [step for step, _ in rows(name)] == [0, 5, 10, 15]
        assert [v for _, v in rows(name)] == pytest.approx([v for _, v in scalars(name)])
        assert [step for step, _ in scalars(name)] == [0, 5, 10, 15]
    settings = yaml.safe_load((RUN / "hparams.yaml").read_text())
    assert settings["data"]["init_args"]["passes"] == 5


def test_a_resumed_run_keeps_the_rows_that_it_had(command: Command) -> None:
    assert command(f"{XOR} --trainer.logger CSVLogger").status == 0
    before = rows("val/loss")
    finished = command(f"fit --resume {RUN} --trainer.max_epochs 4")
    assert (finished.status, finished.err) == (0, "")
    assert rows("val/loss")[:4] == before
    assert [step for step, _ in rows("val/loss")] == [0, 5, 10, 15, 20]


def test_a_logger_that_has_a_place_of_its_own_keeps_it(command: Command) -> None:
    words = "--trainer.logger CSVLogger --trainer.logger.save_dir there --trainer.logger.name n"
    assert command(f"{XOR} {words}").status == 0
    assert Path("there", "n", "version_0", "metrics.csv").is_file()
    assert not (RUN / "metrics.csv").exists()


def test_mlflow_gets_what_tensorboard_gets_in_the_directory_of_the_run(command: Command) -> None:
    pytest.importorskip("mlflow")
    finished = command(f"{XOR} --trainer.logger [MLFlowLogger,TensorBoardLogger]")
    assert finished.status == 0, finished.err
    for name in ("train/loss", "val/loss", "weight_norm/layer_1"):
        (file,) = RUN.glob(f"mlruns/*/*/metrics/{name}")
        kept = [line.split() for line in file.read_text().splitlines()]
        assert [int(step) for _, _, step in kept] == [step for step, _ in scalars(name)]
        assert [float(v) for _, v, _ in kept] == pytest.approx([v for _, v in scalars(name)])
    (passes,) = RUN.glob("mlruns/*/*/params/data/init_args/passes")
    assert passes.read_text() == "5"


def test_wandb_writes_into_the_directory_of_the_run(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    finished = command(f"{XOR} --trainer.logger WandbLogger")
    assert finished.status == 0, finished.err
    assert [*RUN.glob("wandb/offline-run-*/*.wandb")]
    assert "tensorboard" not in finished.out
    assert not Path("wandb").exists()


@pytest.mark.parametrize("name", ["WandbLogger", "MLFlowLogger"])
def test_a_logger_that_is_not_installed_is_one_line(command: Command, name: str) -> None:
    if importlib.util.find_spec(name.removesuffix("Logger").lower()):
        pytest.skip("is installed")
    finished = command(f"{XOR} --trainer.logger {name}")
    assert (finished.status, finished.err.count("\n")) == (2, 1)
    assert finished.err.startswith(f"error: {name}: ")
    assert not Path("lightning_logs").exists()


def test_a_resumed_run_has_its_config_once_in_tensorboard(command: Command) -> None:
    assert command(XOR).status == 0
    for anew in (False, True):  # as where it was killed before its first checkpoint
        if anew:
            shutil.rmtree(RUN / "checkpoints")
        assert command(f"fit --resume {RUN} --trainer.max_epochs 4").status == 0
        read = plugin_event_accumulator.EventAccumulator(str(RUN)).Reload()  # TensorBoard's own
        assert len(read.Tensors("config/text_summary")) == 1


def test_validating_and_predicting_add_no_file_of_events(command: Command) -> None:
    assert command(XOR).status == 0
    for verb, files in (("validate", 1), ("predict", 1), ("test", 2)):
        assert command(f"{verb} --ckpt_path {RUN}").status == 0
        assert len([*RUN.glob("events.out.*")]) == files


def test_settings_that_are_null_are_written_down(command: Command) -> None:
    assert command(f"{XOR} --best.monitor null").status == 0
    settings = yaml.safe_load((RUN / "config.yaml").read_text())
    assert settings["best"]["monitor"] is None
    assert settings["trainer"]["gradient_clip_val"] is None
    assert command(f"fit --config {RUN / 'config.yaml'}").status == 0
    again = yaml.safe_load((RUN.with_name("version_1") / "config.yaml").read_text())
    assert again == settings
