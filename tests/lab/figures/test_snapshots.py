"""Snapshots: when they are taken, how many are kept, and what a checkpoint holds of them."""

import io
import shutil
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from small_modules import Plain, dense, trainer, xor
from torch import nn

from perceptrons.lab.figures.snapshots import (
    KEY,
    NUMBERS,
    REPORTS,
    SNAPSHOTS,
    History,
    Snapshots,
    flat,
    history_of,
    load,
    small,
)
from perceptrons.lab.training.spans import use_spans


def fitted(epochs: int, net: nn.Module | None = None, passes: int = 1) -> Snapshots:
    torch.manual_seed(1)
    kept, data = Snapshots(), xor()
    data.passes = passes
    trainer(epochs, kept).fit(Plain(net or dense(2, 2, 1)), datamodule=data)
    return kept


def test_a_snapshot_is_the_weights_after_so_many_updates() -> None:
    history = fitted(5).history
    assert history.updates == [0, 1, 2, 3, 4, 5]
    assert history.reports == [1, 2, 3, 4, 5]
    torch.manual_seed(1)
    net = dense(2, 2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    x, y = xor().split["train"]
    for update, weights in enumerate(history.weights):
        assert torch.equal(weights, flat(net))
        loss = nn.functional.binary_cross_entropy_with_logits(net(x), y)
        if update:
            assert history.metrics[update - 1]["train/loss"] == pytest.approx(loss.item())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()


def test_within_a_span_there_are_snapshots_of_the_same_weights() -> None:
    every = fitted(300).history
    torch.manual_seed(1)
    kept, data, module = Snapshots(), xor(), Plain(dense(2, 2, 1))
    data.passes = 100
    loop = trainer(3, kept)
    assert use_spans(loop, module, data)
    loop.fit(module, datamodule=data)
    assert kept.history.updates == every.updates
    assert all(map(torch.equal, kept.history.weights, every.weights))


def test_metrics_are_those_that_the_module_logs_without_the_axis() -> None:
    assert set(fitted(1).history.metrics[0]) == {"train/loss", "val/loss"}


def test_weights_are_loaded_as_they_were_taken_with_buffers() -> None:
    net, other = (nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)) for _ in range(2))
    net(torch.randn(9, 2))
    load(other, flat(net))
    floating = [value for value in net.state_dict().values() if value.is_floating_point()]
    assert len(flat(net)) == sum(value.numel() for value in floating) == 9 + 12
    net.eval(), other.eval()
    x = torch.randn(5, 2)
    assert torch.equal(net(x), other(x))


@pytest.mark.parametrize("net", [dense(2, 2000, 1), nn.Sequential(), None])
def test_of_a_large_network_and_of_none_there_are_no_snapshots(net: Any) -> None:
    assert small(SimpleNamespace(net=net)) == []


def test_of_many_snapshots_the_first_and_the_last_are_kept_and_those_where_much_changed() -> None:
    history = History()
    for update in range(3000):
        if history.is_due(update):
            history.add_snapshot(update, torch.full((3,), min(max(0.0, update / 400 - 2.5), 1.0)))
    assert len(history.updates) <= SNAPSHOTS
    assert len(history.updates) == len(history.weights)
    assert history.updates[0] == 0
    assert history.updates == sorted(history.updates)
    assert 3000 - history.updates[-1] <= history.stride
    around = [update for update in history.updates if 950 < update < 1450]
    assert len(around) > 1.5 * len(history.updates) * 500 / 3000


def size_of(history: History) -> int:
    file = io.BytesIO()
    torch.save(history.state(), file)
    return len(file.getvalue())


def test_a_checkpoint_does_not_grow_with_the_reports() -> None:
    history, sizes = History(), {}
    for report in range(5001):
        if history.is_due(128 * report):
            history.add_snapshot(128 * report, torch.rand(9))
        history.add_report(128 * report, {"train/loss": 1.0, "val/loss": float(report)})
        if report in (500, 5000):
            sizes[report] = size_of(history)
    # of the most snapshots and reports that are kept, whatever their numbers now are
    assert max(sizes.values()) < 44 * SNAPSHOTS + 48 * REPORTS + 6_000
    assert len(history.reports) <= REPORTS
    assert history.reports[0] == 0
    assert max(after - before for before, after in pairwise(history.reports)) < 128 * 50


def test_snapshots_of_a_larger_network_are_fewer() -> None:
    history = History()
    for update in range(500):
        if history.is_due(update):
            history.add_snapshot(update, torch.rand(4000))
    assert len(history.weights) * 4000 <= NUMBERS


def test_a_history_comes_back_from_a_checkpoint_as_it_was() -> None:
    history = fitted(3).history
    file = io.BytesIO()
    torch.save({KEY: history.state()}, file)
    file.seek(0)
    read = history_of(torch.load(file, weights_only=True))
    for name in ("updates", "stride", "reports", "metrics"):
        assert getattr(read, name) == getattr(history, name)
    assert all(map(torch.equal, read.weights, history.weights))
    assert history_of({}) == History()


@pytest.mark.parametrize(
    "state",
    [
        3,
        {},
        {**History().state(), "updates": [1]},
        {**History().state(), "updates": torch.tensor([1])},
        {**History().state(), "stride": "x"},
        {**History().state(), "metrics": torch.zeros(2, 3)},
        {**History().state(), "weights": torch.tensor(1.0)},
    ],
)
def test_snapshots_of_another_shape_are_a_mistake_in_one_line(state: Any) -> None:
    with pytest.raises(ValueError, match=r"^checkpoint: its snapshots"):
        history_of({KEY: state})


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_a_resumed_run_has_the_snapshots_of_one_that_was_not_interrupted(tmp_path: Path) -> None:
    whole = fitted(6).history
    torch.manual_seed(1)
    saver = ModelCheckpoint(tmp_path, "three", save_last=False)
    first = trainer(3, Snapshots(), saver, enable_checkpointing=True)
    first.fit(Plain(dense(2, 2, 1)), datamodule=xor())
    kept_one = shutil.copy(tmp_path / "three.ckpt", tmp_path / "kept.ckpt")
    for resumed, updates in ((True, [*range(7)]), (False, [3, 4, 5, 6])):
        kept = Snapshots(resumed)
        again = ModelCheckpoint(tmp_path)
        second = trainer(6, kept, again, enable_checkpointing=True)
        second.fit(Plain(dense(2, 2, 1)), datamodule=xor(), ckpt_path=kept_one)
        assert kept.history.updates == updates
        if resumed:
            assert all(map(torch.equal, kept.history.weights, whole.weights))
            assert kept.history.metrics == whole.metrics


def test_snapshots_change_no_weight() -> None:
    kept = fitted(5)
    torch.manual_seed(1)
    module = Plain(dense(2, 2, 1))
    trainer(5).fit(module, datamodule=xor())
    assert torch.equal(flat(module.net), kept.history.weights[-1])
