"""What a run writes down of itself loads again."""

import inspect
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")

import lightning as L
import torch
import yaml
from lightning.pytorch import callbacks
from lightning.pytorch.callbacks import Callback

from perceptrons.lab.cli.parser import SettingsParser
from perceptrons.lab.runs import record
from perceptrons.lab.runs.record import predicted_columns, recordable, wrapped
from perceptrons.lab.runs.trusted import PACKAGE

REQUIRED: dict[str, dict[str, Any]] = {
    "BasePredictionWriter": {},
    "BatchSizeFinder": {},
    "EarlyStopping": {"monitor": "val/loss"},
    "OnExceptionCheckpoint": {"dirpath": "x"},
}
NAMES = [
    name
    for name in callbacks.__all__
    if inspect.isclass(made := getattr(callbacks, name))
    and issubclass(made, Callback)
    and not inspect.isabstract(made)
]


@pytest.mark.parametrize("name", NAMES)
def test_a_config_with_any_of_lightnings_callbacks_loads_again(name: str) -> None:
    parser = SettingsParser()
    parser.add_lightning_class_args(L.Trainer, "trainer")
    given = REQUIRED.get(name, {})
    needed = [
        each.name
        for each in inspect.signature(getattr(callbacks, name).__init__).parameters.values()
        if each.default is each.empty
        and each.kind is each.POSITIONAL_OR_KEYWORD
        and each.name not in ("self", *given)
    ]
    if needed:
        pytest.skip(f"has no defaults: {', '.join(needed)}")
    words = [f"--trainer.callbacks.{key}={value}" for key, value in given.items()]
    settings = parser.parse_args([f"--trainer.callbacks+={name}", *words])
    written = recordable(yaml.safe_load(parser.dump(settings)))
    assert "Unable to serialize" not in str(written)
    parser.parse_object(written)


def test_what_could_not_be_written_down_is_left_out_of_a_config() -> None:
    unwritten = "Unable to serialize instance cpu"
    config = {"a": {"b": unwritten, "c": [1, unwritten, None]}, "d": 2, "e": None}
    assert recordable(config) == {"a": {"c": [1, None]}, "d": 2, "e": None}


def project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a file that is committed, changed since, of a package that is imported."""
    folder.mkdir()
    (folder / "code.py").write_text("a = 1\n")
    me = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    for words in (["init", "-q"], ["add", "."], [*me, "commit", "-q", "-m", "a"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    (folder / "code.py").write_text("a = 2\n")
    (folder / "new.py").write_text("b = 1\n")
    package = SimpleNamespace(__file__=str(folder / "__init__.py"))
    monkeypatch.setitem(sys.modules, PACKAGE, package)
    return folder


def test_what_is_not_committed_is_kept_as_a_patch_that_git_applies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, patch = project(tmp_path / "project", monkeypatch), tmp_path / "uncommitted.patch"
    state = record.git_state(patch)
    assert state is not None
    assert (state["clean"], state["untracked"]) == (False, ["new.py"])
    git = ["git", "-C", str(folder)]
    subprocess.run([*git, "checkout", "-q", "--force", state["commit"]], check=True)
    subprocess.run([*git, "apply", str(patch)], check=True)
    assert (folder / "code.py").read_text() == "a = 2\n"
    monkeypatch.setattr(record, "LONGEST_PATCH", 10)
    state = record.git_state(tmp_path / "other.patch")
    assert state is not None
    assert state["changed"] == ["code.py"]
    assert not (tmp_path / "other.patch").exists()


def test_no_program_that_a_repository_names_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project(tmp_path / "project", monkeypatch)
    elsewhere = tmp_path / "elsewhere"
    subprocess.run(["git", "init", "-q", str(elsewhere)], check=True)
    for place in (folder, elsewhere):
        hook = f"touch {tmp_path}/touched"
        subprocess.run(["git", "-C", str(place), "config", "core.fsmonitor", hook], check=True)
    monkeypatch.chdir(elsewhere)
    record.git_state(tmp_path / "uncommitted.patch")
    assert not (tmp_path / "touched").exists()


def test_predictions_of_any_shape_are_columns() -> None:
    rows, pairs = torch.arange(3), torch.arange(6).reshape(3, 2)
    data = L.LightningDataModule()
    assert predicted_columns([rows, rows], data) == {"prediction": [0, 1, 2, 0, 1, 2]}
    assert [*predicted_columns([pairs], data)] == ["prediction1", "prediction2"]
    both = {"prediction_1": [0, 1, 2], "prediction_21": [0, 2, 4], "prediction_22": [1, 3, 5]}
    assert predicted_columns([(rows, pairs)], data) == both
    assert predicted_columns([{"class": rows}], data) == {"class": [0, 1, 2]}
    assert predicted_columns([pairs.reshape(3, 1, 2)], data)["prediction2"] == [1, 3, 5]
    with pytest.raises(TypeError, match="predict_step: gives str as prediction"):
        predicted_columns(["a"], data)


def test_predictions_that_are_not_one_for_each_row_stand_alone() -> None:
    from perceptrons import Gates

    assert [*predicted_columns([torch.arange(8)], Gates("xor"))] == ["prediction"]
    assert [*predicted_columns([torch.arange(4)], Gates("xor"))] == ["x1", "x2", "prediction"]


def test_every_metric_of_a_report_is_printed_within_80_columns() -> None:
    heads = ["epoch", "update", "train/loss", "mse", "mae", "r2", "val/loss", "mse", "mae", "r2"]
    lines = wrapped(heads, [max(len(head), 8) for head in heads], [6]).splitlines()
    assert " ".join(lines).split() == heads
    assert lines[1].split() == heads[6:]
    assert all(len(line) <= 80 for line in lines)


def test_a_report_that_fits_is_one_line() -> None:
    heads = ["epoch", "update", "train/loss", "accuracy", "val/loss", "accuracy"]
    assert len(wrapped(heads, [8] * 6, [4]).splitlines()) == 1
