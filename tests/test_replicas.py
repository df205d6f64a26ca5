"""Law 4: replica r is the run with seed + r; and what a study says of its replicas."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from children import error_line
from conftest import Command
from outcome import differences, outcome, points
from scipy.stats import binomtest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from torch import Tensor, nn

from perceptrons import backprop, blocks, load_run, network, study
from perceptrons.data import Gates
from perceptrons.loader import TableLoader
from perceptrons.network import MLP, Perceptron

RUN = Path("lightning_logs", "r", "version_0")
ONE = RUN.with_name("version_1")
FIT = "fit --config configs/xor.yaml --name r --data.passes 100 --trainer.max_epochs 3"
STUDY = f"{FIT} --model.net.replicas 5"
XOR = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGETS = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
# how a study may be trained, in words that a single run takes too
WAYS = {
    "autograd": "",
    "by hand": "--model.gradients by_hand",
    "cross-wise": "--model.loss mse --model.bias_lr_factor 0.25",
    "momentum": "--model.optimizer.momentum 0.9 --model.optimizer.lr 0.1",
    "Adam": "--model.optimizer torch.optim.Adam --model.optimizer.lr 0.01",
    "AdamW": "--model.optimizer torch.optim.AdamW --model.optimizer.lr 0.01",
    "RMSprop": "--model.optimizer torch.optim.RMSprop --model.optimizer.lr 0.001",
    "batches in order": "--data.batch_size 3 --model.optimizer.lr 0.3",
    "shuffled": "--data.batch_size 2 --data.shuffle true --model.optimizer.lr 0.3",
    "scheduled": "--model.scheduler torch.optim.lr_scheduler.ExponentialLR"
    " --model.scheduler.gamma 0.99",
    "accumulated": "--trainer.accumulate_grad_batches 2 --data.batch_size 2"
    " --model.gradients by_hand",
    "blobs": "--config configs/blobs3.yaml --data.passes 20 --data.batch_size 50",
}


def rows(run: Path = RUN) -> list[dict[str, Any]]:
    with (run / "replicas.csv").open() as file:
        return list(csv.DictReader(file))


def metrics(run: Path = RUN) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return found


def weights(run: Path) -> dict[str, Tensor]:
    file = run / "checkpoints" / "last.ckpt"
    state: dict[str, Tensor] = torch.load(file, weights_only=True)["state_dict"]
    return state


@pytest.mark.parametrize("init", ["torch", "normal", "uniform"])
@pytest.mark.parametrize("hidden", [(), (2,), (10, 10, 10), (64, 32)])
def test_a_replica_starts_from_the_very_weights_of_its_seed(
    hidden: tuple[int, ...], init: network.Init
) -> None:
    torch.manual_seed(7)
    many = MLP(2, 3, hidden, init=init, replicas=4, init_scale_grid=[1.5, 0.5])
    for number, (scale, seed) in enumerate((s, r) for s in (1.5, 0.5) for r in range(4)):
        torch.manual_seed(7 + seed)
        one = MLP(2, 3, hidden, init=init, init_scale=scale)
        for mine, its in zip(many.parameters(), one.parameters(), strict=True):
            assert torch.equal(mine[..., number].mT if its.ndim == 2 else mine[..., number], its)


@pytest.mark.parametrize("way", WAYS)
def test_replica_r_is_the_run_with_seed_plus_r(way: str, command: Command) -> None:
    assert command(f"{STUDY} {WAYS[way]}").status == 0
    many, seed = weights(RUN), int(rows()[0]["seed"])
    for number in (0, 4):
        single = f"{FIT} {WAYS[way]} --seed_everything {seed + number}"
        assert command(single).status == 0
        run = max(RUN.parent.iterdir(), key=lambda path: int(path.name.rpartition("_")[2]))
        for name, weight in weights(run).items():
            its = many[name][..., number]
            torch.testing.assert_close(
                its.mT if its.ndim == 2 else its, weight, rtol=1e-3, atol=1e-4
            )
        assert float(rows()[number]["loss"]) == pytest.approx(metrics(run)["train/loss"], rel=1e-3)


@pytest.mark.parametrize("loss", backprop.DELTAS)
@pytest.mark.parametrize("rows_of_each", [False, True])
def test_each_replica_has_the_gradient_that_torch_gives_it_alone(
    loss: str, rows_of_each: bool
) -> None:
    torch.manual_seed(0)
    many = MLP(3, 2, [4, 5], "tanh", replicas=3)
    shape = (6, 3, 3) if rows_of_each else (6, 3)
    x, y = torch.randn(shape), torch.rand(6, 2, *shape[2:]).round()
    if loss == "cross_entropy":
        y[:, 1] = 1 - y[:, 0]
    _, gradients = backprop.gradients(many, x, y, loss)
    functions = {"bce": nn.BCEWithLogitsLoss(), "cross_entropy": nn.CrossEntropyLoss()}
    for number in range(3):
        torch.manual_seed(torch.initial_seed() + number)
        one = MLP(3, 2, [4, 5], "tanh")
        torch.manual_seed(0)
        own_x, own_y = (t[..., number] if rows_of_each else t for t in (x, y))
        logits = one(own_x)
        squared = ((torch.sigmoid(logits) - own_y) ** 2).mean()
        value = functions[loss](logits, own_y) if loss in functions else squared
        for mine, its in zip(
            gradients, torch.autograd.grad(value, [*one.parameters()]), strict=True
        ):
            torch.testing.assert_close(
                mine[..., number].mT if its.ndim == 2 else mine[..., number], its
            )


@pytest.mark.parametrize("cache", [1, 4_000, 10**9])
def test_blocks_of_any_size_have_the_same_gradients(
    cache: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "CACHE", cache)
    net = MLP(2, hidden=[2], replicas=30)
    loss = nn.functional.binary_cross_entropy_with_logits
    value, gradients = blocks.Blocks(net, blocks.by_autograd(net, loss), 4).gradients(XOR, TARGETS)
    logits, by_hand = backprop.gradients(net, XOR, TARGETS, "bce")
    torch.testing.assert_close(gradients, by_hand)
    each = torch.stack([loss(logits[..., number], TARGETS) for number in range(30)])
    assert value.item() == pytest.approx(each.sum().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("replicas", "segment", "size"), [(10, 10, 3), (10, 5, 2), (7, 7, 3), (6, 2, 9), (1, 1, 1)]
)
def test_blocks_have_each_replica_once_and_none_spans_two_segments(
    replicas: int, segment: int, size: int
) -> None:
    found = blocks.parts(replicas, segment, size)
    numbers = [number for part in found for number in range(part.start, part.stop)]
    assert numbers == [*range(replicas)]
    assert all(part.start // segment == (part.stop - 1) // segment for part in found)


def test_each_replica_gets_its_rows_in_the_order_of_its_seed() -> None:
    table = (torch.arange(14.0).reshape(7, 2), torch.arange(7.0)[:, None])
    many = TableLoader(table, 3, 2, shuffle=True, seed=5, replicas=3, copies=2)
    for number in range(6):
        one = TableLoader(table, 3, 2, shuffle=True, seed=5 + number % 3)
        for (x, y), (own_x, own_y) in zip(many, one, strict=True):
            assert torch.equal(x[..., number], own_x)
            assert torch.equal(y[..., number], own_y)


def test_a_grid_trains_every_rate_and_scale_with_every_seed(command: Command) -> None:
    grid = "--model.lr_grid [0.3,3] --model.net.init_scale_grid [0.5,1,2]"
    finished = command(f"{STUDY} {grid}")
    assert finished.status == 0
    found = rows()
    kinds = [(float(row["lr"]), float(row["init_scale"]), int(row["seed"])) for row in found]
    wanted = [(lr, s, 777 + r) for lr in (0.3, 3.0) for s in (0.5, 1.0, 2.0) for r in range(5)]
    assert kinds == wanted
    assert [row["lr"] for row in metrics()["study"]] == [0.3] * 3 + [3.0] * 3
    single = f"{FIT} --seed_everything 779 --model.optimizer.lr 3 --model.net.init_scale 2"
    assert command(single).status == 0
    (number,) = [at for at, kind in enumerate(kinds) if kind == (3.0, 2.0, 779)]
    assert float(found[number]["loss"]) == pytest.approx(metrics(ONE)["train/loss"], rel=1e-3)


def test_a_study_counts_as_solved_what_answers_every_row_right(command: Command) -> None:
    assert command(f"{STUDY} --data.passes 1000").status == 0
    model, data = load_run(RUN)
    x, y = data.split["train"]
    with torch.no_grad():
        right = ((model.net(x) > 0) == (y[..., None] > 0)).all(0).all(0)
    assert [int(row["solved"]) for row in rows()] == right.int().tolist()
    assert metrics()["train/solved"] == right.double().mean()
    (summed,) = metrics()["study"]
    assert summed["solved"] == right.sum()
    since = [int(row["solved_since"]) for row in rows() if row["solved_since"]]
    assert sorted(since)[len(since) // 2] in since
    assert summed["updates_median"] in since


@pytest.mark.parametrize(("count", "of"), [(0, 10), (10, 10), (1, 3), (1389, 2000), (500, 1000)])
def test_the_interval_is_wilsons_as_scipy_has_it(count: int, of: int) -> None:
    interval = binomtest(count, of).proportion_ci(method="wilson")
    assert study.wilson(count, of) == pytest.approx((interval.low, interval.high), abs=1e-6)


def test_the_quantiles_are_numpys_nearest_and_leave_out_what_is_not_finite() -> None:
    values = np.random.default_rng(0).normal(size=1001)
    found = study.quantiles(torch.tensor([*values, float("nan"), float("inf")]))
    wanted = np.quantile(values, [0.1, 0.5, 0.9], method="nearest")
    assert [*found.values()] == pytest.approx(wanted)


def test_tensorboard_shows_the_loss_as_a_median_with_a_band(command: Command) -> None:
    assert command(STUDY).status == 0
    events = EventAccumulator(str(RUN), {"tensors": 0}).Reload()
    (record,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(record.tensor_proto.string_val[0])
    (band,) = (
        chart.margin.series[0]
        for category in layout.category
        for chart in category.chart
        if chart.margin.series
    )
    losses = [float(row["loss"]) for row in rows()]
    for tag, share in ((band.lower, 0.1), (band.value, 0.5), (band.upper, 0.9)):
        points = events.Scalars(tag)
        assert [point.step for point in points] == [0, 100, 200, 300]
        wanted = np.quantile(losses, share, method="nearest")
        assert points[-1].value == pytest.approx(wanted)


def test_a_replica_that_diverges_leaves_the_others_alone(command: Command) -> None:
    grid = "--model.lr_grid [1,1e30] --model.loss mse --data.gate or"
    finished = command(f"{STUDY} {grid} --model.net Perceptron --model.optimizer.momentum 0.9")
    assert finished.status == 0, finished
    alone = "--model.net Perceptron --model.optimizer.momentum 0.9 --data.gate or --model.loss mse"
    assert command(f"{FIT} {alone}").status == 0
    assert float(rows()[0]["loss"]) == pytest.approx(metrics(ONE)["train/loss"], rel=1e-3)


# one replica taken out


@pytest.mark.parametrize("way", ["autograd", "Adam", "scheduled", "cross-wise"])
def test_an_exported_replica_is_tested_and_goes_on_as_its_own_run(
    way: str, command: Command
) -> None:
    assert command(f"{STUDY} {WAYS[way]}").status == 0
    exported = command(f"export-replica {RUN.relative_to('lightning_logs')} --replica 3")
    assert exported.status == 0
    file = exported.out.split()[0]
    assert command(f"{FIT} {WAYS[way]} --seed_everything 780").status == 0
    assert command(f"test --ckpt_path {file}").status == 0
    more = f"{FIT} --trainer.max_epochs 5"
    assert command(f"{more} --ckpt_path {file}").status == 0
    assert command(f"{more} --ckpt_path {ONE}").status == 0
    mine, its = (weights(RUN.with_name(f"version_{n}")) for n in (2, 3))
    for name, weight in its.items():
        torch.testing.assert_close(mine[name], weight, rtol=1e-3, atol=1e-4)


def test_the_best_replica_is_predicted_with(command: Command) -> None:
    assert command(f"{STUDY} --data.passes 1000").status == 0
    best = min(rows(), key=lambda row: float(row["loss"]))
    predicted = command(f"predict --ckpt_path {RUN} --replica best")
    assert f"replica: {best['replica']} of" in predicted.out
    assert predicted.out == command(f"predict --ckpt_path {RUN}").out
    directory = RUN / "replicas" / best["replica"]
    table = (directory / "predictions.csv").read_text().splitlines()[1:]
    assert [int(line.rpartition(",")[2]) for line in table] == [0, 1, 1, 0]
    assert command(f"test --ckpt_path {RUN} --replica {best['replica']}").status == 0
    # what is said of one replica is not of the study
    assert "test/loss" in points(directory)
    assert "test/loss" not in points(RUN)


def test_a_finished_study_resumed_is_the_longer_one(command: Command) -> None:
    assert command(STUDY).status == 0
    assert command(f"{STUDY} --trainer.max_epochs 5").status == 0
    assert command(f"fit --resume {RUN} --trainer.max_epochs 5").status == 0
    assert not differences(outcome(ONE), outcome(RUN))
    assert rows(RUN) == rows(ONE)


def test_a_study_keeps_to_the_memory_of_its_container(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text(f"{2**30}\n")
    limits = (tmp_path / "memory.max", tmp_path / "none")
    monkeypatch.setattr("perceptrons.memory.LIMITS", limits)
    # 9 weights with a gradient and two numbers of the optimizer's each, in 4 bytes: 144 a replica
    line = error_line(command(f"{STUDY} --model.net.replicas 8000000"), 2)
    assert "8000000 replicas need 1.07 GiB, and 1 are free; 7456540 would fit" in line


MISTAKES = {
    "--model.net.replicas 0": "model.net.replicas=0: must be at least 1",
    "--model.net.replicas -3": "model.net.replicas=-3: must be at least 1",
    "--model.net.replicas 10000000000000": "would fit",
    "--model.lr_grid [1,2]": "model.lr_grid=[1.0, 2.0]: needs a Perceptron or MLP with replicas",
    "--model.net.replicas 2 --model.lr_grid [1,0]": "model.lr_grid=[1.0, 0.0]: every learning rate",
    "--model.net.replicas 2 --model.net.init_scale_grid [0]": "model.net.init_scale_grid=[0.0]",
    "--model.net.replicas 2 --model.optimizer torch.optim.LBFGS": "couples the replicas",
    "--model.net.replicas 2 --trainer.gradient_clip_val 1": "couples the replicas",
    "--model.net.replicas 2 --model.scheduler lightning.pytorch.cli.ReduceLROnPlateau"
    " --model.scheduler.monitor val/loss": "couples the replicas",
    "--model.compile true --model.optimizer torch.optim.Adagrad": "SGD, Adam, AdamW, RMSprop",
    "--data.gate all --data.inputs 5": "at most 4",
    "--model.net.replicas 2 --model.lr_grid [1,1]": "model.lr_grid=[1.0, 1.0]: the same",
    "--model.net.replicas 2 --model.net.init_scale_grid [2,2]": "the same scale is there twice",
    "--model.net.replicas 20 --seed_everything 4294967290": "the last would have 4294967309",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_study_that_cannot_be_is_one_line(words: str, command: Command) -> None:
    assert MISTAKES[words] in error_line(command(f"{FIT} {words}"), 2)
    assert not Path("lightning_logs").exists()


@pytest.mark.parametrize("replica", ["5", "-1", "x", "1.5"])
def test_a_replica_that_there_is_not_is_one_line(replica: str, command: Command) -> None:
    assert command(STUDY).status == 0
    line = error_line(command(f"predict --ckpt_path {RUN} --replica={replica}"), 2)
    assert f"replica={replica!r}: best, or a number from 0 to 4" in line
    error_line(command(f"export-replica {RUN} --replica={replica}"), 2)


def test_an_ordinary_run_has_no_replicas(command: Command) -> None:
    assert command(FIT).status == 0
    assert "has no replicas" in error_line(command(f"predict --ckpt_path {RUN} --replica 0"), 2)
    assert "has no replicas" in error_line(command(f"export-replica {RUN}"), 2)


def test_every_gate_has_an_output() -> None:
    for inputs in (1, 2, 3):
        x, y = Gates("all", inputs).split["train"]
        assert y.shape == (2**inputs, 2**2**inputs)
        for number in range(y.shape[1]):
            digits = f"{number:0{2**inputs}b}"
            assert torch.equal(y[:, number : number + 1], Gates(digits, inputs).split["train"][1])
        assert x.shape == (2**inputs, inputs)


def test_a_perceptron_of_replicas_is_a_weighted_sum_in_numpy() -> None:
    net = Perceptron(2, 3, replicas=4)
    weight, bias = (p.detach().numpy() for p in net.parameters())
    wanted = np.einsum("ni,ior->nor", XOR.numpy(), weight) + bias
    torch.testing.assert_close(net(XOR), torch.from_numpy(wanted))
