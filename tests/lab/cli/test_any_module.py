"""Any LightningModule from the command line: by its short name, with or without a network."""

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import subject  # noqa: F401
import torch
import yaml
from conftest import Command
from run_outcome import differences, outcome, points
from subject import Classifier
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MeanMetric
from torchmetrics.classification import BinaryAUROC, BinaryF1Score

RUN = Path("lightning_logs", "r", "version_0")
# modules of each kind, and what is monitored of them
KINDS = {"Autoencoder": "val/error", "Adversaries": "val/gap", "Scored": "val/f1"}
XOR = "--data Gates --data.gate xor --data.passes 3 --trainer.max_epochs 2 --name r"


class Autoencoder(L.LightningModule):
    """A module without net, loss or optimizer of its own, whose size the data tells."""

    def __init__(self, inputs: int, width: int = 3, lr: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, inputs))
        self.lr = lr

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss: Tensor = (self.layers(batch[0]) - batch[0]).square().mean()
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        error = (self.layers(batch[0]) - batch[0]).abs().mean()
        self.log("val/error", error)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test/error", (self.layers(batch[0]) - batch[0]).abs().mean())

    def predict_step(self, batch: Any, batch_idx: int = 0) -> Tensor:
        return torch.as_tensor(self.layers(batch if isinstance(batch, Tensor) else batch[0]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), self.lr)


class Scored(L.LightningModule):
    """A module with metrics of its own."""

    def __init__(self, inputs: int, lr: float = 0.1) -> None:
        super().__init__()
        self.layer, self.lr = nn.Linear(inputs, 1), lr
        self.f1, self.auroc, self.logit = BinaryF1Score(), BinaryAUROC(), MeanMetric()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        logits = self.layer(batch[0])
        loss = nn.functional.binary_cross_entropy_with_logits(logits, batch[1])
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        self.logit.update(logits)
        self.log("train/logit", self.logit, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        for name in ("f1", "auroc"):
            metric = getattr(self, name)
            metric.update(self.layer(batch[0]), batch[1].int())
            self.log(f"val/{name}", metric)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.f1.update(self.layer(batch[0]), batch[1].int())
        self.log("test/f1", self.f1)

    def predict_step(self, batch: Any, batch_idx: int = 0) -> tuple[Tensor, Tensor]:
        said = self.layer(batch if isinstance(batch, Tensor) else batch[0])[:, 0]
        return said > 0, said.sigmoid()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), self.lr)


class Adversaries(L.LightningModule):
    """Two networks with an optimizer each, stepped by hand."""

    def __init__(self, width: int = 2, lr: float = 0.1) -> None:
        super().__init__()
        self.automatic_optimization, self.lr = False, lr
        self.forger, self.critic = nn.Linear(width, 2), nn.Linear(2, 1)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        forger, critic = self.optimizers()  # type: ignore[misc, attr-defined, unused-ignore]
        forged = self.forger(torch.randn(len(batch[0]), 2))
        for optimizer in (critic, forger):
            loss = -self.critic(forged).mean()
            if optimizer is critic:
                loss = self.critic(forged.detach()).mean() - self.critic(batch[0]).mean()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.log("train/loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.SGD(each.parameters(), self.lr) for each in (self.forger, self.critic)]

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/gap", self.critic(batch[0]).mean())

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test/gap", self.critic(batch[0]).mean())

    def predict_step(self, batch: Any, batch_idx: int = 0) -> Tensor:
        return torch.as_tensor(self.forger(torch.randn(8, 2)))


class Stop(L.Callback):
    """Asks the process to stop after an update, once."""

    asked = False

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step >= 8 and Stop.asked:
            Stop.asked = False
            os.kill(os.getpid(), signal.SIGTERM)


class Labels(L.LightningDataModule):
    """Integer labels in an ordinary DataLoader, which says nothing of itself."""

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(TensorDataset(torch.eye(2), torch.tensor([0, 1])))

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


class Words(L.LightningDataModule):
    """Batches that say nothing of a network's size."""

    def train_dataloader(self) -> list[list[str]]:
        return [["a", "b"]]


class Digits(L.LightningDataModule):
    """Images (1, 4, 4) of three classes, with their numbers."""

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        images = torch.arange(6 * 16.0).reshape(6, 1, 4, 4) / 100
        return DataLoader(TensorDataset(images, torch.arange(6) % 3), 3)  # not by name

    val_dataloader = predict_dataloader = train_dataloader


class Flat(nn.Sequential):
    """A linear layer on the pixels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(inputs, outputs))


def test_a_module_without_any_of_the_protocol_is_fitted_tested_and_predicts(
    command: Command,
) -> None:
    fitted = command(f"fit --model Autoencoder --model.width 4 {XOR} --best.monitor val/error")
    assert (fitted.status, fitted.err) == (0, "")
    metrics = json.loads((RUN / "metrics.json").read_text())
    assert metrics["updates"] == 6
    assert {"train/loss", "val/error"} < metrics.keys()
    assert "step" not in metrics
    settings = yaml.safe_load((RUN / "config.yaml").read_text())
    assert settings["model"]["init_args"]["width"] == 4
    for verb, wanted in (("test", "test/error"), ("predict", "prediction1")):
        finished = command(f"{verb} --ckpt_path {RUN} --trust {__name__}")
        assert (finished.status, finished.err) == (0, "")
        assert wanted in finished.out
    with (RUN / "predictions.csv").open() as file:
        assert next(csv.reader(file)) == ["x1", "x2", "prediction1", "prediction2"]


@pytest.mark.parametrize(("kind", "monitor"), KINDS.items())
def test_a_module_of_any_kind_is_tested_predicts_and_logs_at_the_same_updates(
    command: Command, kind: str, monitor: str
) -> None:
    finished = command(f"fit --model {kind} {XOR} --best.monitor {monitor}")
    assert (finished.status, finished.err) == (0, "")
    assert (RUN / "checkpoints" / "best.ckpt").exists()
    metrics, shown = json.loads((RUN / "metrics.json").read_text()), points(RUN)
    (last,) = [line for line in finished.out.splitlines() if line.startswith("     2/2")]
    for name in ("train/loss", monitor):
        assert name in finished.out
        assert f" {metrics[name]:.6f}" in last
    for name in ("train/loss", monitor):
        assert shown[name][-1] == pytest.approx((metrics["updates"], metrics[name]))
    for verb, wanted in (("test", monitor.replace("val", "test")), ("predict", "prediction")):
        finished = command(f"{verb} --ckpt_path {RUN} --trust {__name__}")
        assert (finished.status, finished.err) == (0, "")
        assert wanted in finished.out
    with (RUN / "predictions.csv").open() as file:
        assert len([*csv.DictReader(file)]) == (8 if kind == "Adversaries" else 4)


@pytest.mark.parametrize(("kind", "monitor"), KINDS.items())
def test_a_module_of_any_kind_is_resumed_to_the_bit(
    command: Command, kind: str, monitor: str
) -> None:
    data = "--data Gates --data.gate xor --data.passes 3 --trainer.max_epochs 6 --data.batch_size 2"
    fit = f"fit --model {kind} {data} --best.monitor {monitor} --trainer.callbacks {__name__}.Stop"
    assert command(f"{fit} --name whole").status == 0
    Stop.asked = True
    assert command(f"{fit} --name r").status == 143
    resumed = command(f"fit --resume {RUN} --trust {__name__}")
    assert (resumed.status, resumed.err) == (0, "")
    whole, again = outcome(Path("lightning_logs/whole/version_0")), outcome(RUN)
    for each in (whole, again):
        for kept in ("best", "last"):
            del each[kept]["settings"]  # of another name
    assert not differences(whole, again)


@pytest.mark.parametrize(("kind", "monitor"), KINDS.items())
def test_a_module_of_any_kind_is_swept(command: Command, kind: str, monitor: str) -> None:
    Path("space.yaml").write_text("model.lr: {low: 0.01, high: 1.0, log: true}")
    Path("any.yaml").write_text(
        f"model: {{class_path: {kind}}}\n"
        "data: {class_path: Gates, init_args: {passes: 3}}\n"
        f"trainer: {{max_epochs: 2}}\nbest: {{monitor: {monitor}}}\n"
    )
    words = f"--space space.yaml --trials 2 --name s --metric {monitor} --mode max"
    swept = command(f"sweep --config any.yaml {words}")
    assert (swept.status, swept.err) == (0, "")
    rates = {
        yaml.safe_load(each.read_text())["model"]["init_args"]["lr"]
        for each in Path("lightning_logs/s").glob("*/config.yaml")
    }
    assert len(rates) == 2


def test_the_short_form_means_the_projects_own_module(command: Command) -> None:
    assert command(f"fit --model.net MLP {XOR}").status == 0
    settings = yaml.safe_load((RUN / "config.yaml").read_text())
    assert settings["model"]["class_path"].endswith(".Classifier")


@pytest.mark.parametrize("given", ["", "--model.net.inputs 2"])
def test_sizes_that_the_data_does_not_say_come_from_the_settings_or_the_first_batch(
    command: Command, given: str
) -> None:
    words = f"fit --data Labels --model.net Perceptron --name r --trainer.max_epochs 1 {given}"
    finished = command(words)
    assert (finished.status, finished.err) == (0, "")
    settings = yaml.safe_load((RUN / "config.yaml").read_text())["model"]["init_args"]
    assert settings["net"]["init_args"]["inputs"] == 2


def test_sizes_that_nothing_says_are_one_line(command: Command) -> None:
    finished = command("fit --data Words --model.net Perceptron --name r")
    assert finished.status == 2
    assert finished.err == "error: Perceptron: inputs is missing, and the data does not say it\n"
    assert not RUN.exists()


def test_images_with_class_numbers_make_a_network_of_their_size(command: Command) -> None:
    words = "--data Digits --model.net Flat --model.loss cross_entropy --trainer.max_epochs 2"
    finished = command(f"fit {words} --name r")
    assert (finished.status, finished.err) == (0, "")
    settings = yaml.safe_load((RUN / "config.yaml").read_text())["model"]["init_args"]
    assert (settings["classes"], settings["net"]["init_args"]["outputs"]) == (3, 3)
    finished = command(f"predict --ckpt_path {RUN} --trust {__name__}")
    assert (finished.status, finished.err) == (0, "")
    finished = command(f"fit --resume {RUN} --trainer.max_epochs 3 --trust {__name__}")
    assert (finished.status, finished.err) == (0, "")


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        ("--best.monitor val/f1", "best.monitor='val/f1': is not logged; choose one of"),
        ("--trainer.callbacks EarlyStopping --trainer.callbacks.monitor val/f1", "val/loss"),
        ("--trainer.callbacks EarlyStopping --trainer.callbacks.monitor train/f1", "train/loss"),
        ("--model.scheduler ReduceLROnPlateau --model.scheduler.monitor val/f1", "val/accuracy"),
    ],
)
def test_a_monitor_that_never_comes_is_one_line_at_the_first_report(
    command: Command, words: str, needed: str
) -> None:
    finished = command(f"fit --model.net MLP {XOR} {words}")
    assert (finished.status, finished.err.count("\n")) == (2, 1)
    assert needed in finished.err
    assert "update 6" not in finished.out
    assert not Path("lightning_logs").exists()


class ForEachRow(nn.Module):
    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        return (logits - y).square()


class Detached(nn.Module):
    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        return (logits - y).square().mean().detach()


class NoTensor(nn.Module):
    def forward(self, logits: Tensor, y: Tensor) -> float:
        return (logits - y).square().mean().item()


class OneForEachRow(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, 0]


class NoReturn(Classifier):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        super().training_step(batch, batch_idx)


@pytest.mark.parametrize("seeds", ["", "--seeds 3"])
@pytest.mark.parametrize(
    ("words", "said", "of_study"),
    [
        (
            "--model.net MLP --model.loss X.ForEachRow",
            "loss: gives a number for each row",
            "ForEachRow",
        ),
        (
            "--model.net MLP --model.loss X.Detached",
            "loss: is detached from the weights",
            "cannot be",
        ),
        (
            "--model.net MLP --model.loss X.NoTensor",
            "loss: gives a float, which is no tensor",
            "NoTensor: gives",
        ),
        (
            "--model.net X.OneForEachRow",
            r"net: outputs of shape (4,), targets of (4, 1)",
            r"net: outputs",
        ),
    ],
)
def test_a_loss_or_a_network_that_nothing_can_be_trained_by_is_named(
    command: Command, words: str, said: str, of_study: str, seeds: str
) -> None:
    widths = " --model.net.in_features 2 --model.net.out_features 1" * ("net X" in words)
    finished = command(f"fit {XOR} {words.replace('X', __name__)}{widths} {seeds} --figures false")
    assert (finished.status, finished.err.count("\n")) == (2, 1)
    assert (of_study if seeds else said) in finished.err
    assert not Path("lightning_logs").exists()


def test_a_step_that_returns_no_loss_is_said_to_train_nothing(command: Command) -> None:
    finished = command(f"fit {XOR} --model {__name__}.NoReturn --model.net MLP --figures false")
    assert finished.out.count("training_step returns no loss: nothing is trained") == 1


class Underscored(Autoencoder):
    """Logs as Lightning's guides do."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", (self.layers(batch[0]) - batch[0]).abs().mean())


def test_metrics_of_other_names_are_listed_and_said_not_to_be_the_best(command: Command) -> None:
    finished = command(f"fit {XOR} --model {__name__}.Underscored --figures false")
    assert (finished.status, finished.err) == (0, "")
    assert "no best.ckpt: val/loss is not logged; --best.monitor val_loss has it" in finished.out
    (listed,) = json.loads(command("runs --json --sort val_loss").out)
    assert listed["val_loss"] == json.loads((RUN / "metrics.json").read_text())["val_loss"]
    refused = command("runs --sort val_los").err
    assert refused.startswith("error: --sort='val_los': no such column; did you mean val_loss?")


class NoOptimizer(Classifier):
    def configure_optimizers(self) -> None: ...


@pytest.mark.filterwarnings("ignore:.*returned `None`")
def test_a_module_without_an_optimizer_is_named(command: Command) -> None:
    finished = command(f"fit {XOR} --model {__name__}.NoOptimizer --model.net MLP")
    assert finished.status == 2
    assert finished.err.endswith("NoOptimizer: configure_optimizers gives no optimizer\n")


@pytest.mark.parametrize(("given", "batches"), [("true", 1), ("3", 3)])
def test_a_run_of_a_few_batches_says_so_and_keeps_nothing(
    given: str, batches: int, command: Command
) -> None:
    finished = command(f"fit {XOR} --model.net MLP --trainer.fast_dev_run {given}")
    assert finished.out == f"fast_dev_run={batches}: all ran, and nothing is kept\n"
    assert not Path("lightning_logs").exists()


def test_a_plateau_by_its_short_name_lowers_the_rate(command: Command) -> None:
    plateau = "--model.scheduler ReduceLROnPlateau --model.scheduler.monitor val/loss"
    words = f"{plateau} --model.scheduler.patience 0 --model.scheduler.threshold 1"
    assert command(f"fit --model.net MLP {XOR} {words}").status == 0
    state = torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["optimizer_states"][0]["param_groups"][0]["lr"] < 1


@pytest.mark.parametrize("words", ["--model.net MLP", "--model Autoencoder --model.width 4"])
def test_the_module_of_a_run_is_loaded_from_its_checkpoint_alone(
    command: Command, words: str
) -> None:
    from perceptrons import Classifier

    monitored = "" if "MLP" in words else "--best.monitor val/error"
    assert command(f"fit {words} {XOR} {monitored}").status == 0
    kind = Classifier if "MLP" in words else Autoencoder
    loaded = kind.load_from_checkpoint(RUN / "checkpoints" / "last.ckpt")
    saved = torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert saved.keys() == loaded.state_dict().keys()
    assert all(torch.equal(saved[name], value) for name, value in loaded.state_dict().items())


def test_classes_and_numbers_are_not_taken_for_each_other(command: Command) -> None:
    table = "--data Table --data.path configs/penguins.csv --data.missing drop --name r"
    finished = command(f"fit {table} --data.target bill_depth_mm --model.net MLP")
    assert (finished.status, finished.err.count("\n")) == (2, 1)
    assert "Classifier: learns classes, and the target is numeric" in finished.err
    finished = command(f"fit {table} --data.target species --model Regressor --model.net MLP")
    assert (finished.status, finished.err.count("\n")) == (2, 1)
    assert "Regressor: learns a numeric target, and this has 3 classes\n" in finished.err


def test_one_setting_makes_numbers_of_few_whole_ones(command: Command) -> None:
    Path("ages.csv").write_text("x,age\n" + "".join(f"{n / 7},{n % 9}\n" for n in range(60)))
    words = "fit --data Table --data.path ages.csv --data.target age --model Regressor"
    words += " --model.net MLP --trainer.max_epochs 1 --name r"
    finished = command(words)
    assert (finished.status, finished.err.count("\n")) == (2, 1)
    assert "this has 9 classes; data.task=regression makes numbers of them" in finished.err
    for _ in range(2):  # of which the second finds the class again
        assert command(f"{words} --data.task regression").status == 0


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        ("--model Gates", "model: Gates is no LightningModule"),
        ("--model MLP", "model: MLP is no LightningModule"),
        ("--model torch.nn.Linear", "model: torch.nn.Linear is no LightningModule"),
        ("--model Autoencodr", "did you mean Autoencoder?"),
        ("--model Autoencoder --model.widht 3", "did you mean width?"),
        ("--model Autoencoder --best.monitor val/f1", "val/error"),
    ],
)
def test_a_wrong_module_is_one_line(command: Command, words: str, needed: str) -> None:
    finished = command(f"fit {words} {XOR}")
    assert (finished.status, finished.err.count("\n")) == (2, 1)
    assert needed in finished.err
    assert not RUN.exists()


def test_a_network_of_a_name_that_two_have_is_no_module_by_that_name(command: Command) -> None:
    other = type("Perceptron", (nn.Module,), {})  # as torch has a Transformer, and the user one
    finished = command(f"fit --model {other.__name__} {XOR}")
    assert (finished.status, finished.err) == (
        2,
        "error: model: Perceptron is no LightningModule\n",
    )


def test_what_a_flag_says_in_place_of_the_data_is_in_the_config_of_the_run(
    command: Command,
) -> None:
    words = "--data Labels --model.net Perceptron --model.net.inputs 2 --model.classes 2 --name r"
    assert command(f"fit {words} --trainer.max_epochs 1").status == 0
    settings = yaml.safe_load((RUN / "config.yaml").read_text())["model"]["init_args"]
    assert (settings["classes"], settings["net"]["init_args"]["inputs"]) == (2, 2)
    again = command(f"fit --config {RUN}/config.yaml --name s")
    assert (again.status, again.err) == (0, "")
    assert command(f"validate --ckpt_path {RUN} --trust {__name__}").status == 0
