"""More than one process, and numbers of other than 32 bits."""

import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import lightning as L
import pytest
import torch
from children import CONFIGS, Child, error_line
from conftest import Command, Finished
from lightning.fabric.utilities.rank_zero import _get_rank, rank_zero_only
from lightning.pytorch.callbacks import Callback
from outcome import checkpoint, differences, outcome, points
from perceptrons.shares import Share
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

RUN = Path("lightning_logs", "r", "version_0")
BY_DDP = "--trainer.accelerator cpu --trainer.strategy ddp --trainer.devices"

Environment = dict[str, str]
Launcher = Callable[[int, int, int], Environment]


def torchrun(number: int, count: int, port: int) -> Environment:
    """What ``torchrun`` tells a process that it starts."""
    return {
        "TORCHELASTIC_RUN_ID": "none",
        "RANK": str(number),
        "LOCAL_RANK": str(number),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def srun(number: int, count: int, port: int) -> Environment:
    """What SLURM's ``srun`` tells a task."""
    return {
        "SLURM_JOB_ID": "4711",
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_TASKS": str(count),
        "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS": str(count),
        "SLURM_NTASKS_PER_NODE": str(count),
        "SLURM_NNODES": "1",
        "SLURM_NODELIST": "localhost",
        "SLURM_PROCID": str(number),
        "SLURM_LOCALID": str(number),
        "SLURM_NODEID": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def launched(environment: Environment) -> None:
    """Have a forked process be as one that was started with these variables."""
    os.environ.update(environment)
    cast(Any, rank_zero_only).rank = _get_rank()


def start(line: str, directory: Path, count: int = 2, by: Launcher = torchrun) -> list[Child]:
    """A command in several processes, as a launcher starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    prepared = [partial(launched, by(number, count, port)) for number in range(count)]
    return [Child(line, directory, prepare) for prepare in prepared]


def together(line: str, directory: Path, count: int = 2, by: Launcher = torchrun) -> list[Finished]:
    return [child.wait() for child in start(line, directory, count, by)]


def both(tmp_path: Path, fit: str, count: int = 2) -> tuple[Path, Path]:
    """Where one process has run a command, and where several have."""
    one, several = tmp_path / "one", tmp_path / "several"
    one.mkdir()
    several.mkdir()
    alone = Child(fit, one)
    many = together(f"{fit} {BY_DDP} {count}", several, count)
    assert [each.status for each in (alone.wait(), *many)] == [0] * (count + 1), many
    assert not any(each.out or each.err for each in many[1:])
    return one, several


# rows


@pytest.mark.parametrize("rows", range(1, 12))
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_row_is_one_process_s_and_no_process_has_two_more_than_another(
    rows: int, count: int
) -> None:
    parts = [Share(number, count).part(rows) for number in range(count)]
    assert [row for part in parts for row in range(rows)[part]] == [*range(rows)]
    lengths = [len(range(rows)[part]) for part in parts]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("rows", [1, 4, 5, 7])
def test_the_weighted_mean_over_processes_is_the_mean_over_rows(rows: int) -> None:
    losses = torch.rand(rows, dtype=torch.float64)
    shares = [Share(number, 3, at_least=1) for number in range(3)]
    means = [losses[share.part(rows)].mean() * share.weight(rows) for share in shares]
    torch.testing.assert_close(torch.stack(means).mean(), losses.mean())


# the result of one process

CASES = {
    "one batch": ("xor.yaml --data.passes 40", 2),
    "unequal shares and a remainder": (
        "blobs.yaml --data.batch_size 7 --data.shuffle true --data.passes 2"
        " --model.optimizer Adam --model.optimizer.lr 0.01",
        2,
    ),
    "processes without a row": (
        "xor.yaml --data.batch_size 3 --data.passes 8 --trainer.accumulate_grad_batches 2"
        " --trainer.gradient_clip_val 0.1",
        3,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_several_processes_give_the_result_of_one(case: str, tmp_path: Path) -> None:
    settings, count = CASES[case]
    fit = f"fit --config {CONFIGS}/{settings} --name r --trainer.max_epochs 2"
    one, several = (checkpoint(place / RUN) for place in both(tmp_path, fit, count))
    assert one["global_step"] == several["global_step"]
    torch.testing.assert_close(one["state_dict"], several["state_dict"])
    ours, theirs = (points(tmp_path / name / RUN) for name in ("one", "several"))
    assert {name: [step for step, _ in curve] for name, curve in ours.items()} == {
        name: [step for step, _ in curve] for name, curve in theirs.items()
    }
    for name, curve in ours.items():
        assert [value for _, value in theirs[name]] == pytest.approx(
            [value for _, value in curve], rel=1e-4, abs=1e-6
        )


def test_without_their_shares_weights_the_processes_would_give_another_result() -> None:
    rows = torch.tensor([1.0, 2.0, 6.0])
    means = torch.stack([rows[Share(number, 2).part(3)].mean() for number in range(2)])
    assert means.mean() != rows.mean()


def test_several_processes_write_one_run_and_measure_each_row_once(tmp_path: Path) -> None:
    settings = "--data.val_fraction 0.2 --data.test_fraction 0.21 --data.passes 2"
    fit = f"fit --config {CONFIGS}/blobs3.yaml {settings} --name r --trainer.max_epochs 2"
    one, several = both(tmp_path, fit)
    names = [sorted(p.name for p in (place / RUN).rglob("*.*")) for place in (one, several)]
    unnamed = [[re.sub(r"tfevents.*?(\.figures)?$", r"\1", n) for n in each] for each in names]
    assert unnamed[0] == unnamed[1]
    assert [path.name for path in several.glob("lightning_logs/*/*")] == ["version_0"]
    assert json.loads((several / RUN / "provenance.json").read_text())["processes"] == 2
    for verb, stage in (("fit", "val"), ("test", "test")):
        if verb == "test":
            line = f"test --ckpt_path {RUN}"
            Child(line, one).wait()
            together(f"{line} {BY_DDP} 2", several)
        shown = [points(place / RUN) for place in (one, several)]
        for name in (f"{stage}/loss", f"{stage}/accuracy"):
            (_, ours), (_, theirs) = (curves[name][-1] for curves in shown)
            assert theirs == pytest.approx(ours, rel=1e-6 if "loss" in name else 0)


class Own(L.LightningDataModule):
    """Data of one's own, by torch's loader: what of it is whose, Lightning says."""

    inputs, outputs, classes = 2, 1, 2

    def train_dataloader(self) -> DataLoader[Any]:
        x = torch.randn(33, 2, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(x, (x[:, :1] > 0).float()), 8, shuffle=True)

    val_dataloader = train_dataloader


def test_data_of_one_s_own_is_shared_out_by_lightning(tmp_path: Path) -> None:
    net = "--model.net Perceptron --model.optimizer torch.optim.SGD --trainer.max_epochs 3"
    ended = together(f"fit --data test_scaling.Own --name r {net} {BY_DDP} 2", tmp_path)
    assert [each.status for each in ended] == [0, 0], ended
    assert checkpoint(tmp_path / RUN)["global_step"] == 3 * 3  # of 17 rows each


# stopped, and gone on with


def endless(more: str = "") -> str:
    settings = "--data.batch_size 3 --data.shuffle true --data.passes 5 --trainer.max_epochs 5000"
    return f"fit --config {CONFIGS}/xor.yaml --name r {settings} {BY_DDP} 2 {more}"


@pytest.mark.parametrize(
    ("number", "asked", "by"),
    [(signal.SIGTERM, 1, torchrun), (signal.SIGUSR1, 0, srun)],
    ids=["SIGTERM to the other", "SIGUSR1 by SLURM"],
)
def test_processes_stop_at_the_same_update_and_go_on_as_if_never_stopped(
    number: int, asked: int, by: Launcher, tmp_path: Path
) -> None:
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    stopped.mkdir()
    whole.mkdir()
    children = start(endless(), stopped, by=by)
    children[0].wait_for("Epoch: ")
    time.sleep(0.3)
    os.kill(children[asked].process.pid or 0, number)
    first, second = (child.wait() for child in children)
    assert (first.status, second.status) == (128 + number, 128 + number)
    assert (first.err, second.out, second.err) == ("", "", "")
    update = checkpoint(stopped / RUN)["global_step"]
    assert f"stopped after update {update}; to go on:" in first.out
    end = f"--trainer.max_steps {update + 20}"
    ended = together(f"fit --resume {RUN} {end}", stopped, by=by)
    ended += together(endless(end), whole, by=by)
    assert {(each.status, each.err) for each in ended} == {(0, "")}
    assert not differences(outcome(whole / RUN), outcome(stopped / RUN))


# failures


class Fails(Callback):
    """Raises in one of the processes."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.global_rank == 1:
            raise ZeroDivisionError("one of two")


def test_a_failure_of_one_process_ends_all_and_is_said_to_be_its(tmp_path: Path) -> None:
    callback = "--trainer.callbacks+=test_scaling.Fails"
    first, second = together(endless(callback), tmp_path)
    assert "process 1: " in error_line(second, 1)
    assert "ZeroDivisionError: one of two" in second.err
    assert error_line(first, 1).endswith("another process has ended before its time")


class Overflows(nn.Linear):
    """A perceptron that is beyond all numbers for AND's last row, while it trains."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        last = (x.sum(1, keepdim=True) == 2) & self.training
        return super().forward(x).masked_fill(last, -torch.inf)


def test_a_loss_that_is_not_finite_in_one_process_is_said_once_for_all(tmp_path: Path) -> None:
    net = f"--model.net test_scaling.Overflows --data.passes 5 {BY_DDP} 2"
    first, second = together(f"fit --config {CONFIGS}/and.yaml {net}", tmp_path)
    assert re.search("the loss is not finite at update 1,", error_line(first, 1))
    assert second == Finished(1, "", "")


WRONG = {
    "--data.gate xro": "data.gate='xro': choose one of and, or, xor",
    "--seed_everything true": "seed_everything=true: must be a number, the same for all 2",
    "--trainer.devices 3": "trainer.devices=3: 2 processes were started; choose --trainer.st",
    "--trainer.strategy auto --trainer.devices 1": "trainer.devices=1: 2 processes were started",
}


@pytest.mark.parametrize("setting", WRONG)
@pytest.mark.parametrize("by", [torchrun, srun])
def test_a_mistake_is_said_once_and_leaves_no_run(
    setting: str, by: Launcher, tmp_path: Path
) -> None:
    first, second = together(endless(setting), tmp_path, by=by)
    assert f": {WRONG[setting]}" in error_line(first, 2)
    assert second == Finished(2, "", "")
    assert not (tmp_path / "lightning_logs").exists()


ALONE = "for one process; leave out trainer.strategy and trainer.devices"
REFUSED = {
    "fit --model.gradients by_hand": f"model.gradients='by_hand': are {ALONE}",
    "fit --model.net.replicas 3": f"model.net.replicas=3: are {ALONE}",
    "fit --model.compile true": f"model.compile=True: is {ALONE}",
    "predict": f"trainer.devices=2: predict is {ALONE}",
    "fit --model.optimizer LBFGS": "model.optimizer='LBFGS': decides by the loss",
    "fit --trainer.strategy ddp_spawn": "trainer.strategy='ddp_spawn': choose ddp",
    "fit": "trainer.devices=2: only the command perceptrons can start other processes",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_for_one_process_says_so(line: str, command: Command) -> None:
    verb, _, setting = line.partition(" ")
    refused = command(f"{verb} --config configs/xor.yaml {BY_DDP} 2 {setting}")
    assert f": {REFUSED[line]}" in error_line(refused, 2)
    assert not Path("lightning_logs").exists()


def test_under_slurm_a_script_is_one_process_and_srun_starts_more(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in srun(0, 2, 0).items():
        if not name.startswith("SLURM_STEP"):
            monkeypatch.setenv(name, value)
    fit = "fit --config configs/and.yaml --name r --data.passes 1 --trainer.max_epochs 1"
    line = error_line(command(f"{fit} {BY_DDP} 2"), 2)
    assert line.endswith(": trainer.devices=2: under SLURM, processes are started by srun")
    assert command(f"{fit} --seed_everything true").status == 0
    assert RUN.exists()


def test_under_slurm_no_checkpoint_of_another_program_is_taken_up(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in srun(0, 1, 0).items():
        monkeypatch.setenv(name, value)
    Path("hpc_ckpt_1.ckpt").touch()
    line = error_line(command("fit --config configs/and.yaml"), 2)
    assert "Lightning would start from hpc_ckpt_1.ckpt, which is there; move it away" in line


# precision

PRECISIONS = ("16-true", "bf16-true", "bf16-mixed", "64-true")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "way", ["", "--model.gradients by_hand", "--model.net.replicas 3", "--model.compile true"]
)
def test_a_precision_trains_near_32_bits_or_is_refused(
    precision: str, way: str, command: Command
) -> None:
    fit = f"fit --config configs/xor.yaml {way} --data.passes 20 --trainer.max_epochs 2"
    trained = command(f"{fit} --name r --trainer.precision {precision}")
    if ("mixed" in precision and way) or "compile" in way:
        assert f"trainer.precision='{precision}': " in error_line(trained, 2)
        return
    assert (trained.status, trained.err) == (0, "")
    assert command(f"{fit} --name single").status == 0
    half, single = (
        outcome(Path("lightning_logs", name, "version_0"))["metrics"] for name in ("r", "single")
    )
    assert half["val/loss"] == pytest.approx(single["val/loss"], rel=0.01)
    assert half["val/loss"] != single["val/loss"] or precision == "64-true"
    if "replicas" not in way:  # with the run's own precision
        assert command(f"test --ckpt_path {RUN}").status == 0
        assert points(RUN)["test/loss"] == [(40, half["val/loss"])]


def test_half_precision_measures_more_rows_than_its_numbers_count_to(command: Command) -> None:
    settings = "--data.n_samples 80000 --data.passes 1 --trainer.max_epochs 1 --figures false"
    fit = f"fit --config configs/blobs.yaml --name r {settings}"
    assert command(f"{fit} --trainer.precision 16-true").status == 0
    assert command(fit).status == 0
    half, single = (outcome(RUN.with_name(f"version_{number}"))["metrics"] for number in (0, 1))
    assert half["val/loss"] == pytest.approx(single["val/loss"], rel=1e-3)


def test_precision_that_needs_a_gpu_is_not_replaced(command: Command) -> None:
    fit = "fit --config configs/xor.yaml --trainer.accelerator cpu --trainer.precision 16-mixed"
    assert "trainer.precision='16-mixed': needs a GPU" in error_line(command(fit), 2)
