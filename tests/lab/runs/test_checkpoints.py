"""Checkpoints: exact, read without running code, and malformed ones are one line."""

import codecs
import os
import random
import resource
import signal
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from perceptrons.lab.runs import checkpoints
from perceptrons.lab.runs.checkpoints import CheckpointError, WholeCheckpointIO
from perceptrons.lab.runs.files import write_whole
from perceptrons.lab.runs.record import Report, measured
from perceptrons.lab.runs.resume import ExactResume, Stopped, make_resumable, stoppable
from perceptrons.lab.training.loggers import RunLogger

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory|The dirpath")
SETTINGS: dict[str, Any] = {"seed_everything": 1, "data": {}, "model": {}}


class Module(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5), nn.Linear(4, 1))

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss: torch.Tensor = self.net(batch[0]).square().mean()
        self.log("train/loss", loss, on_epoch=True, on_step=False)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.1)


def fit(run: Path, epochs: int, resume: bool = False) -> tuple[ExactResume, L.Trainer]:
    torch.manual_seed(1)
    exact = ExactResume(run, SETTINGS, rates_given=False)
    best = ModelCheckpoint(run / "checkpoints", "best", "train/loss", enable_version_counter=False)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[WholeCheckpointIO()],
        callbacks=[exact, best],
    )
    make_resumable(trainer)
    loader = DataLoader(TensorDataset(torch.ones(8, 2)), batch_size=4)
    path = run / "checkpoints" / "last.ckpt"
    trainer.fit(Module(), loader, ckpt_path=path if resume else None)
    trainer.save_checkpoint(path)
    return exact, trainer


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    fit(run, 2)
    return run / "checkpoints" / "last.ckpt"


def test_a_checkpoint_is_found_by_its_run(saved: Path) -> None:
    assert checkpoints.find(str(saved.parents[1]), Path("none"), None) == (saved, [])
    assert checkpoints.read(saved)["global_step"] == 4


MALFORMED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no settings": lambda content: content["settings"].pop("model"),
    "settings a list": lambda content: content.update(settings=[1]),
    "no loops": lambda content: content.update(loops={}),
    "loops a number": lambda content: content["loops"].update(fit_loop=3),
    "no counter": lambda content: content["loops"]["fit_loop"].pop("epoch_progress"),
    "counter text": lambda content: content["loops"]["fit_loop"]["epoch_progress"][
        "current"
    ].update(processed="1"),
    "counter a list": lambda content: content["loops"]["fit_loop"].update(epoch_progress=[1]),
    "no random": lambda content: content.update(random={}),
    "short random": lambda content: content["random"].update(torch=torch.zeros(3)),
    "odd python": lambda content: content["random"].update(python=(3, (1, 2), None)),
    "odd numpy": lambda content: content["random"].update(numpy=("MT19937", torch.zeros(2), 0, 0)),
    "metrics text": lambda content: content["metrics"].update({"train/loss": "a"}),
    "seconds none": lambda content: content.update(seconds=None),
    "weights text": lambda content: content["state_dict"].update(a="b"),
    "optimizers odd": lambda content: content.update(optimizer_states=[1]),
    "negative step": lambda content: content.update(global_step=-1),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_checkpoint_is_one_line(kind: str, saved: Path, tmp_path: Path) -> None:
    content = checkpoints.read(saved)
    MALFORMED[kind](content)
    torch.save(content, tmp_path / "odd.ckpt")
    with pytest.raises(
        CheckpointError, match=r"is a checkpoint of another program$|cannot be read$"
    ):
        checkpoints.check_state("odd.ckpt", checkpoints.read(tmp_path / "odd.ckpt"))


@pytest.mark.parametrize("size", [0, 10, 1000])
def test_a_file_cut_short_is_passed_over(size: int, saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "last.ckpt").write_bytes(saved.read_bytes()[:size])
    (folder / "best.ckpt").write_bytes(saved.read_bytes())
    found, skipped = checkpoints.find(str(tmp_path), tmp_path, None)
    assert found == folder / "best.ckpt"
    assert len(skipped) == 1


class Bytes:
    """What unpickles to bytes that are made of a number alone."""

    def __reduce__(self) -> Any:
        return bytearray, (10**10,)


def many_of_one() -> torch.Tensor:
    return torch.zeros(1).expand(10**10)


def compressed(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def with_longer_storages(path: Path) -> None:
    """Have a checkpoint say that its first storage has a billion numbers."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            many = content.replace(b"K\x08tq", b"J\x00\xca\x9a\x3btq", 1)
            archive.writestr(name, many if name.endswith("data.pkl") else content)
            assert many != content or not name.endswith("data.pkl")


BOMBS: dict[str, tuple[dict[str, Any], Callable[[Path], None]]] = {
    "would take": ({"a": many_of_one()}, lambda path: None),
    "would take .*": ({"a": [many_of_one() for _ in range(9)]}, lambda path: None),
    "holds .*bytearray": ({"a": Bytes()}, lambda path: None),
    "is compressed": ({"a": torch.zeros(10**6)}, compressed),
}


@pytest.mark.parametrize("said", BOMBS)
def test_a_small_file_that_would_become_a_large_one_is_refused(
    said: str, saved: Path, tmp_path: Path
) -> None:
    (more, change), path = BOMBS[said], tmp_path / "bomb.ckpt"
    torch.save({**checkpoints.read(saved), **more}, path)
    change(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match=said):
        checkpoints.read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17  # kB


class Encoded:
    """What unpickles to bytes that are encoded by a codec, again and again."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __reduce__(self) -> Any:
        return codecs.encode, (Encoded(self.times - 1) if self.times else b"0", "hex")


def test_bytes_that_grow_are_refused_and_others_are_read(saved: Path, tmp_path: Path) -> None:
    content, path = checkpoints.read(saved), tmp_path / "bytes.ckpt"
    torch.save({**content, "own": b"\x00mine"}, path)
    assert checkpoints.read(path)["own"] == b"\x00mine"
    torch.save({**content, "own": Encoded(40)}, path)
    with pytest.raises(CheckpointError, match="again and again"):
        checkpoints.read(path)


def test_a_storage_that_says_to_be_longer_than_its_file_is_not(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd.ckpt"
    path.write_bytes(saved.read_bytes())
    with_longer_storages(path)
    one, other = (checkpoints.read(each)["state_dict"] for each in (saved, path))
    assert all(torch.equal(one[name], other[name]) for name in one)
    held = next(iter(other.values())).untyped_storage().nbytes()
    assert held < path.stat().st_size


def test_a_checkpoint_that_holds_itself_is_read(saved: Path, tmp_path: Path) -> None:
    inner: list[Any] = [1]
    for _ in range(60):  # 2^60 of them, gone through one by one
        inner = [inner, inner]
    torch.save({**checkpoints.read(saved), "more": inner}, tmp_path / "odd.ckpt")
    assert checkpoints.read(tmp_path / "odd.ckpt")["global_step"] == 4


def test_a_resumed_run_ends_with_the_bits_of_one_never_stopped(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    fit(whole, 4)
    fit(stopped, 2)
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    fit(stopped, 4, resume=True)
    one, other = (checkpoints.read(run / "checkpoints" / "last.ckpt") for run in (whole, stopped))
    for name, value in one["state_dict"].items():
        assert torch.equal(value, other["state_dict"][name])
    assert one["metrics"] == other["metrics"]
    assert torch.equal(one["random"]["torch"], other["random"]["torch"])


def test_a_finished_run_that_is_resumed_has_its_metrics_still(tmp_path: Path) -> None:
    fit(tmp_path, 2)
    before = checkpoints.read(tmp_path / "checkpoints" / "last.ckpt")["metrics"]
    exact, trainer = fit(tmp_path, 2, resume=True)
    assert "train/loss" in before
    assert (measured(trainer) or exact.metrics) == before
    assert checkpoints.read(tmp_path / "checkpoints" / "last.ckpt")["metrics"] == before


class StopInReport(L.Callback):
    """Tells the process to stop while it measures, after the first epoch."""

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.global_step == 2:
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_during_a_report_waits_for_its_end(tmp_path: Path) -> None:
    class Validated(Module):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val/loss", self.net(batch[0]).mean())

    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=4,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[WholeCheckpointIO()],
        callbacks=[ExactResume(tmp_path, SETTINGS, rates_given=False), StopInReport()],
    )
    make_resumable(trainer)
    loader = DataLoader(TensorDataset(torch.ones(8, 2)), batch_size=4)
    with pytest.raises(Stopped) as stopped, stoppable(trainer):
        trainer.fit(Validated(), loader, loader)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert checkpoints.read(tmp_path / "checkpoints" / "last.ckpt")["global_step"] == 2


def best_state(content: dict[str, Any]) -> dict[str, Any]:
    (state,) = (each for name, each in content["callbacks"].items() if "ModelCheckpoint" in name)
    return cast(dict[str, Any], state)


@pytest.mark.parametrize("path", ["{0}/notes", "local://{0}/notes", "{0}/run/checkpoints/../.."])
def test_no_file_outside_the_run_is_removed_because_a_checkpoint_names_it(
    path: str, tmp_path: Path
) -> None:
    run, notes = tmp_path / "run", tmp_path / "notes"
    fit(run, 2)
    notes.write_text("mine")
    file = run / "checkpoints" / "last.ckpt"
    content = checkpoints.read(file)
    named, score = path.format(tmp_path), torch.tensor(1e9)
    best_state(content).update(
        best_model_path=named,
        kth_best_model_path=named,
        last_model_path=named,
        best_k_models={named: score},
        kth_value=score,
    )
    torch.save(content, file)
    fit(run, 4, resume=True)
    assert notes.read_text() == "mine"
    assert best_state(checkpoints.read(file))["best_model_path"] == str(file.with_name("best.ckpt"))


def test_a_run_that_was_moved_knows_its_best_still(tmp_path: Path) -> None:
    fit(tmp_path / "first", 2)
    before = best_state(checkpoints.read(tmp_path / "first/checkpoints/last.ckpt"))
    (tmp_path / "first").rename(tmp_path / "moved")
    fit(tmp_path / "moved", 2, resume=True)
    file = tmp_path / "moved/checkpoints/last.ckpt"
    after = best_state(checkpoints.read(file))
    assert after["best_model_score"] == before["best_model_score"]
    assert after["best_k_models"] == {str(file.with_name("best.ckpt")): before["best_model_score"]}


def test_events_of_a_resumed_run_come_last_though_the_clock_was_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(time.time())
    stamps = (now - 900, now, now + 5000, now + 5001)
    for stamp in stamps:
        (tmp_path / f"events.out.tfevents.{stamp:010d}.host.{9**9}.0").write_text(str(stamp))
    (tmp_path / "events.out.tfevents.odd").touch()
    monkeypatch.setattr(time, "time", lambda: float(now))
    RunLogger(str(tmp_path), purge=3)
    files = sorted(path for path in tmp_path.iterdir() if not path.name.endswith("odd"))
    assert [path.read_text() for path in files] == [str(stamp) for stamp in stamps]
    assert files[-1].name < f"events.out.tfevents.{now:010d}"
    assert files[0].name.split(".")[3] == f"{now - 900:010d}"


def test_updates_beyond_sixteen_million_are_logged_exactly() -> None:
    trainer: Any = SimpleNamespace(global_step=2**24 + 1)
    logged: dict[str, torch.Tensor] = {}
    module: Any = SimpleNamespace(log=lambda name, value, **_: logged.update({name: value}))
    Report("").log_step(trainer, module)
    assert logged["step"].item() == 2**24 + 1


def step_of(path: Path) -> int:
    return int(torch.load(path, weights_only=True)["global_step"])


def test_of_checkpoints_that_come_too_fast_to_be_written_the_newest_are_there_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SHARE", 0.0)
    monkeypatch.setattr(checkpoints, "AT_FIRST", 0.0)
    written, plugin = list[str](), WholeCheckpointIO()

    def write(file: Path, content: memoryview) -> None:
        written.append(file.stem)
        write_whole(file, content)

    monkeypatch.setattr(checkpoints, "write_whole", write)
    best, last, old = (tmp_path / f"{name}.ckpt" for name in ("best", "last", "old"))
    for step in range(3):
        for file in (old, best, last):
            plugin.save_checkpoint({"global_step": step}, file)
    assert [step_of(file) for file in (old, best, last)] == [0, 0, 0]  # each is there at once
    plugin.remove_checkpoint(old)
    plugin.save_checkpoint({"global_step": 3}, last)
    plugin.teardown()
    assert [step_of(file) for file in (best, last)] == [2, 3]
    assert not old.exists()
    assert written == ["old", "best", "last", "best", "last"]  # last tells which is best


def test_a_run_whose_checkpoints_wait_ends_with_those_of_one_whose_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, allowed in (("waiting", 0.0), ("at once", 1e9)):
        monkeypatch.setattr(checkpoints, "SHARE", 0.0)
        monkeypatch.setattr(checkpoints, "AT_FIRST", allowed)
        fit(tmp_path / name, 4)
    both = [
        torch.load(tmp_path / name / "checkpoints" / "best.ckpt", weights_only=True)
        for name in ("waiting", "at once")
    ]
    assert both[0]["global_step"] == both[1]["global_step"] == 8
    for name, value in both[0]["state_dict"].items():
        assert torch.equal(value, both[1]["state_dict"][name])
