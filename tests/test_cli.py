"""The command line: what ends a run, what it says, and classes of the user's own."""

import json
from pathlib import Path

import lightning as L
import pytest
import torch
import yaml
from conftest import Command
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from perceptrons import load_run

RUN = Path("lightning_logs", "r", "version_0")
SHORT = "fit --config configs/xor.yaml --name r --data.passes 20 --trainer.max_epochs 2"
XOR = "--data Gates --data.gate xor --model.net MLP --model.net.hidden [2] --name r"


def threads_of_the_last() -> int:
    newest = max(Path("lightning_logs/r").glob("version_*"), key=lambda run: int(run.name[8:]))
    threads: int = json.loads((newest / "provenance.json").read_text())["threads"]
    return threads


class Tempered(nn.Module):
    """Binary cross entropy of logits at a temperature that is learned, and a weight that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(()))
        self.register_buffer("pos_weight", torch.tensor([2.0]))

    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        loss = nn.functional.binary_cross_entropy_with_logits
        return loss(logits * self.temperature, y, pos_weight=self.get_buffer("pos_weight"))


class Plain(L.LightningDataModule):
    """Two points in an ordinary DataLoader, to train on alone."""

    inputs, outputs, classes = 2, 1, 2

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        table = TensorDataset(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([[1.0], [0.0]]))
        return DataLoader(table)


def updates() -> int:
    return int(json.loads((RUN / "metrics.json").read_text())["updates"])


@pytest.mark.parametrize(
    ("asked", "shown"),
    [("--model.net.help MLP", "--model.net.hidden"), ("--data.help Gates", "--data.gate")],
)
def test_the_help_of_a_class_has_its_flags_as_a_command_takes_them(
    command: Command, asked: str, shown: str
) -> None:
    said = command(f"fit {asked}")
    assert (said.status, said.err) == (0, "")
    assert f"  {shown} " in said.out
    assert "--net." not in said.out
    assert "required" not in said.out  # the data says how many inputs there are


def test_a_number_of_updates_alone_is_the_number_made(command: Command) -> None:
    assert command(f"fit {XOR} --trainer.max_steps 25").status == 0
    assert updates() == 25


def test_the_training_loss_of_a_late_first_report_is_that_of_the_weights_as_they_are(
    command: Command,
) -> None:
    late = "--trainer.num_sanity_val_steps 0 --trainer.check_val_every_n_epoch 2"
    assert command(f"fit {XOR} --data.passes 30 --trainer.max_epochs 2 {late}").status == 0
    reported = json.loads((RUN / "metrics.json").read_text())
    assert reported["train/loss"] == reported["val/loss"]  # of a gate, the same rows


def test_a_run_that_is_done_says_that_nothing_is_left(command: Command) -> None:
    assert command(SHORT).status == 0
    assert "nothing was left to do" in command(f"fit --resume {RUN}").out
    assert "nothing was left to do" not in command(f"fit --resume {RUN} --trainer.max_epochs 3").out


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_without_a_checkpoint_the_weights_are_said_to_be_the_initial_ones(
    command: Command, verb: str
) -> None:
    assert "initial weights" in command(f"{verb} --config configs/xor.yaml").out
    assert command(SHORT).status == 0
    assert "initial weights" not in command(f"{verb} --ckpt_path {RUN}").out


def test_the_parameters_of_a_loss_are_trained_saved_and_read(command: Command) -> None:
    fit = f"{SHORT} --model.loss test_cli.Tempered"
    assert command(fit).status == 0
    trained = load_run(RUN, trust=["test_cli"])[0].state_dict()
    assert trained["loss.temperature"] != 1
    assert trained["loss.pos_weight"] == 2
    assert command(f"test --ckpt_path {RUN} --trust test_cli").status == 0
    assert command(f"fit --resume {RUN} --trainer.max_epochs 3 --trust test_cli").status == 0


def test_data_of_lightnings_own_kind_is_trained_on(command: Command) -> None:
    fitted = command("fit --data test_cli.Plain --model.net Perceptron --name r")
    assert fitted.status == 0
    assert updates() == 20


def test_a_notebook_is_left_as_it_was(command: Command) -> None:
    assert command(SHORT).status == 0
    torch.set_num_threads(2)
    torch.manual_seed(5)
    load_run(RUN)
    assert torch.get_num_threads() == 2
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))
    for name in ("last", "r/version_0", str(RUN)):
        assert load_run(name)[0].classes == 2
    with pytest.raises(ValueError, match="no such run"):
        load_run(RUN.parent)


def test_a_later_command_of_a_process_has_its_threads_again(command: Command) -> None:
    for threads in (2, 3):
        torch.set_num_threads(threads)
        assert command(SHORT).status == 0
        assert torch.get_num_threads() == threads
        assert threads_of_the_last() == 1
    assert command(f"{SHORT} --threads 2").status == 0
    assert threads_of_the_last() == 2


class Dropping(nn.Module):
    """Whose forward calls a library with what it refuses."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        given: Tensor = nn.functional.dropout(self.linear(x), 2.0)
        return given


def test_an_error_that_the_users_code_led_to_has_its_place(command: Command) -> None:
    finished = command(f"{SHORT} --model.net {__name__}.Dropping")
    assert (finished.status, finished.err.count("\n")) == (2, 1)
    assert "dropout probability has to be between 0 and 1" in finished.err
    assert f"{Path(__file__).name}:" in finished.err


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("", 0.01),
        ("--model.optimizer.weight_decay 0.5", 0.5),
    ],
)
def test_an_optimizer_that_a_flag_chooses_has_its_own_defaults(
    command: Command, words: str, wanted: float
) -> None:
    # SGD, which the config has, decays no weights by default, and AdamW does
    assert command(f"{SHORT} --model.optimizer torch.optim.AdamW {words}").status == 0
    settings = yaml.safe_load((RUN / "config.yaml").read_text())
    given = settings["model"]["init_args"]["optimizer"]["init_args"]
    assert given["weight_decay"] == wanted
    assert given["lr"] == 1.0  # which the config says in so many words
    state = torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["optimizer_states"][0]["param_groups"][0]["weight_decay"] == wanted
