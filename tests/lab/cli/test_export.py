"""A run for other programs: ONNX and torch.export, verified, and a run in a notebook."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import subject  # noqa: F401
import torch
from conftest import Command
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from perceptrons import load_run
from perceptrons.lab.cli.verbs import export

RUN = Path("lightning_logs", "r", "version_0")
FIT = (
    "fit --config configs/blobs3.yaml --name r --data.passes 2 --trainer.max_epochs 1"
    " --data.n_samples 30"
)


@pytest.mark.parametrize("format_", ["onnx", "torch"])
def test_an_export_says_of_the_users_own_rows_what_the_run_says(
    command: Command, format_: str
) -> None:
    assert command(FIT).status == 0
    exported = command(f"export r/version_0 --format {format_}")
    assert (exported.status, exported.err) == (0, "")
    run: Any = load_run(RUN, "best")
    module, data = run
    points = data.as_points()[:3].double()
    with torch.no_grad():
        logits = module.net(points.float())
    if format_ == "onnx":
        session = pytest.importorskip("onnxruntime").InferenceSession(RUN / "model.onnx")
        results = session.run(["logits", "probabilities"], {"x": points.numpy()})
        notes = session.get_modelmeta().custom_metadata_map
        assert json.loads(notes["columns"]) == ["x1", "x2"]
    else:
        program = torch.export.load(RUN / "model.pt2")
        results = [each.detach().numpy() for each in program.module()(points)]
    np.testing.assert_allclose(results[0], logits.numpy(), 1e-4, 1e-5)
    np.testing.assert_allclose(results[1], torch.softmax(logits, 1).numpy(), 1e-4, 1e-5)


class Images(L.LightningDataModule):
    """Images (1, 8, 8) of three classes, with their numbers, in an ordinary DataLoader."""

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        images = torch.arange(9 * 64.0).reshape(9, 1, 8, 8) / 500
        return DataLoader(TensorDataset(images, torch.arange(9) % 3), batch_size=4)

    val_dataloader = train_dataloader


class Pictured(nn.Sequential):
    """A convolution and a linear layer, whose outputs the first batch tells."""

    def __init__(self, outputs: int) -> None:
        super().__init__(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, outputs))


@pytest.mark.parametrize("format_", ["onnx", "torch"])
def test_a_network_of_an_ordinary_loader_is_exported_for_rows_like_its_first_batch(
    command: Command, format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = "fit --data Images --model.net Pictured --model.loss cross_entropy --name r"
    assert command(f"{fit} --trainer.max_epochs 1").status == 0
    monkeypatch.setattr(export, "load_run", partial(load_run, trust=[__name__]))
    exported = command(f"export r/version_0 --format {format_}")
    assert (exported.status, exported.err) == (0, "")
    assert "x (rows, 1, 8, 8) float32" in exported.out
    module, data = load_run(RUN, trust=[__name__])
    images, _ = next(iter(data.train_dataloader()))
    logits: Any = module(images).detach()
    if format_ == "onnx":
        session = pytest.importorskip("onnxruntime").InferenceSession(RUN / "model.onnx")
        results = session.run(["logits", "probabilities"], {"x": images.numpy()})
    else:
        program = torch.export.load(RUN / "model.pt2").module()
        results = [each.detach().numpy() for each in program(images)]
    np.testing.assert_allclose(results[0], logits.numpy(), 1e-4, 1e-5)
    np.testing.assert_allclose(results[1], torch.softmax(logits, 1).numpy(), 1e-4, 1e-5)


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        ("export nope", "run='nope'"),
        ("export r/version_0 --format tflite", "choose from"),
        ("export r/version_0 --out configs", "is a directory"),
        ("plot nope", "run='nope'"),
        ("runs --sort val/los", "did you mean val/loss?"),
        ("runs --diff r/version_0 r/version_7", "--diff='r/version_7'"),
        ("runs --jsn", "did you mean --json?"),
        ("runs --root nosuch", "no such directory"),
        ("test --ckpt_path nosuch.ckpt", "no such checkpoint"),
        ("validate --ckpt_path r/version_9", "'r/version_9': no such run; there are r/version_0"),
        ("fit --resume nosuch", "resume='nosuch': no such run; there are r/version_0"),
        ("fit --resume last --data.passes 3", "data.passes"),
    ],
)
def test_a_wrong_run_is_one_line(command: Command, words: str, needed: str) -> None:
    assert command(FIT).status == 0
    finished = command(words)
    assert (finished.status, finished.err.count("\n")) == (2, 1)
    assert needed in finished.err


def test_a_flag_wins_over_the_checkpoint_and_a_finished_run_says_so(command: Command) -> None:
    assert command(FIT).status == 0
    assert "nothing was left to do" in command("fit --resume r/version_0").out
    again = f"fit --ckpt_path {RUN} --name two --model.optimizer.lr 0.01 --trainer.max_epochs 2"
    assert command(again).status == 0
    saved = Path("lightning_logs", "two", "version_0", "checkpoints", "last.ckpt")
    state = torch.load(saved, weights_only=True)
    assert state["optimizer_states"][0]["param_groups"][0]["lr"] == 0.01
    assert state["global_step"] == 4
