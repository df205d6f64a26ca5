"""Losses, accuracy, learning rates and failure, against NumPy, scikit-learn and plain loops."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import lightning as L
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import Command, quiet_trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import ReduceLROnPlateau
from lightning.pytorch.loggers import CSVLogger
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, log_loss
from torch import Tensor, nn
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler, StepLR
from torch.utils.data import DataLoader, TensorDataset

from perceptrons.classifier import Classifier
from perceptrons.data import Blobs, Gates
from perceptrons.lab.data.tables import TableData
from perceptrons.lab.training.callbacks import FiniteLoss, NonFiniteLossError, PlateauStep
from perceptrons.lab.training.spans import use_spans
from perceptrons.losses import LOSSES, MEASURED, Loss
from perceptrons.network import MLP, Perceptron

DIVERGING = "fit --config configs/xor.yaml --model.net.activation identity --model.optimizer.lr 10"


def fit(model: Classifier, data: TableData, **settings: Any) -> L.Trainer:
    """Train as the command line does."""
    trainer = quiet_trainer(callbacks=[FiniteLoss(), PlateauStep()], **settings)
    assert use_spans(trainer, model, data)
    trainer.fit(model, datamodule=data)
    return trainer


def made(network: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(4)
    return network()


def table(data: TableData) -> tuple[Tensor, Tensor]:
    x, y = data.split["train"]
    return x, y


def plain_loop(
    network: nn.Module, optimizer: torch.optim.Optimizer, data: TableData, loss: str, updates: int
) -> nn.Module:
    """The loop that everyone starts with."""
    x, y = table(data)
    for _ in range(updates):
        optimizer.zero_grad()
        LOSSES[loss](network(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network


def measured(model: Classifier, *batches: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """Loss and accuracy as the classifier measures them over some batches."""
    rows: Any = batches
    loader = DataLoader(rows, batch_size=None)
    (found,) = quiet_trainer().validate(model, loader, verbose=False)
    return found["val/loss"], found["val/accuracy"]


def as_numpy(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().double().numpy()


def spread_logits(columns: int) -> Tensor:
    return torch.linspace(-30, 30, 120 * columns).view(columns, 120).T


@pytest.mark.parametrize("losses", [LOSSES, MEASURED], ids=["trained on", "measured"])
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_bce_is_minus_the_log_of_the_right_answers_probability(
    losses: dict[str, Callable[[Tensor, Tensor], Tensor]], target: float
) -> None:
    logits = spread_logits(2)
    for one in logits.flatten():
        loss = losses["bce"](one[None, None], torch.tensor([[target]])).item()
        wrong = float(np.logaddexp(0, (1 - 2 * target) * one.double().numpy()))
        # near 0 and 1 p carries its own rounding, the more the nearer; so does torch's loss
        rounding = 2e-4 if abs(one) < 10 else 0.03
        assert loss == pytest.approx(wrong, rel=rounding, abs=1e-6)


def test_mse_is_the_squared_error_of_the_probabilities() -> None:
    logits = spread_logits(2)
    y = torch.randint(2, logits.shape, generator=torch.Generator().manual_seed(0)).float()
    expected = np.mean((1 / (1 + np.exp(-as_numpy(logits))) - as_numpy(y)) ** 2)
    assert LOSSES["mse"](logits, y).item() == pytest.approx(expected, rel=1e-6)


def test_cross_entropy_is_scikit_learns_log_loss() -> None:
    logits = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(50) % 3
    powers = np.exp(as_numpy(logits))
    expected = log_loss(labels.numpy(), powers / powers.sum(1, keepdims=True))
    loss = LOSSES["cross_entropy"](logits, F.one_hot(labels, 3).float())
    assert loss.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("logit", [200.0, 1e4])
@pytest.mark.parametrize("losses", [LOSSES, MEASURED], ids=["trained on", "measured"])
def test_bce_of_an_extreme_logit_is_the_logit_where_wrong_and_nothing_where_right(
    losses: dict[str, Callable[[Tensor, Tensor], Tensor]], logit: float
) -> None:
    for sign, wrong, right in ((1, 0.0, 1.0), (-1, 1.0, 0.0)):
        logits = torch.tensor([[sign * logit]])
        assert losses["bce"](logits, torch.tensor([[wrong]])).item() == logit
        assert losses["bce"](logits, torch.tensor([[right]])).item() == 0


def test_cross_entropy_of_an_extreme_logit_is_finite() -> None:
    logits, y = torch.tensor([[1e4, 0.0, -1e4]]), torch.tensor([[0.0, 0.0, 1.0]])
    assert LOSSES["cross_entropy"](logits, y).item() == 2e4


@pytest.mark.parametrize("outputs", [1, 3])
def test_accuracy_of_two_classes_is_that_of_scikit_learn(outputs: int) -> None:
    model = Classifier(made(lambda: Perceptron(2, outputs)))
    x, y = torch.randn(30, 2), torch.randint(2, (30, outputs)).float()
    answers = as_numpy(model(x)) > 0
    expected = accuracy_score(as_numpy(y).ravel(), answers.ravel())
    assert 0.2 < expected < 0.8
    _, accuracy = measured(model, (x[:7], y[:7]), (x[7:], y[7:]))
    assert accuracy == pytest.approx(expected)


def test_accuracy_of_more_classes_is_that_of_scikit_learn() -> None:
    model = Classifier(made(lambda: Perceptron(2, 4)), classes=4, loss="cross_entropy")
    x, labels = torch.randn(30, 2), torch.randint(4, (30,))
    expected = accuracy_score(labels.numpy(), as_numpy(model(x)).argmax(1))
    assert 0.1 < expected < 0.9
    y = F.one_hot(labels, 4).float()
    _, accuracy = measured(model, (x[:7], y[:7]), (x[7:], y[7:]))
    assert accuracy == pytest.approx(expected)


@pytest.mark.parametrize(("target", "expected"), [(1.0, 1.0), (0.0, 0.0)])
def test_logits_that_look_like_probabilities_are_still_parted_at_0(
    target: float, expected: float
) -> None:
    network = Perceptron(1)
    network.load_state_dict({"0.weight": torch.tensor([[1.0]]), "0.bias": torch.tensor([0.0])})
    x = torch.tensor([[0.05], [0.2], [0.4], [0.9]])
    assert measured(Classifier(network), (x, torch.full((4, 1), target)))[1] == expected


def test_the_measured_loss_is_the_mean_over_all_rows_however_they_are_batched() -> None:
    model = Classifier(made(lambda: Perceptron(2)))
    x, y = torch.randn(30, 2), torch.randint(2, (30, 1)).float()
    expected = LOSSES["bce"](model(x), y).item()
    loss, _ = measured(model, (x[:3], y[:3]), (x[3:], y[3:]))
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "data", "network"),
    [
        ("bce", Gates("xor", passes=60), lambda: MLP(2, hidden=[3])),
        ("mse", Gates("xor", passes=60), lambda: MLP(2, hidden=[3])),
        ("cross_entropy", Blobs(60, 3, passes=60), lambda: Perceptron(2, 3)),
    ],
)
def test_a_run_is_the_plain_loop_bit_for_bit(
    loss: Loss, data: TableData, network: Callable[[], nn.Module]
) -> None:
    model = Classifier(made(network), data.classes or 0, loss)
    fit(model, data, max_epochs=2)
    by_loop = made(network)
    plain_loop(by_loop, torch.optim.SGD(by_loop.parameters(), lr=1.0), data, loss, updates=120)
    for one, other in zip(model.net.parameters(), by_loop.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_run_by_hand_is_near_the_one_by_autograd() -> None:
    ended = {}
    how: Literal["autograd", "by_hand"]
    for how in ("by_hand", "autograd"):
        model = Classifier(made(lambda: MLP(2, hidden=[3])), gradients=how)
        fit(model, Gates("xor", passes=200), max_epochs=2)
        ended[how] = list(model.net.parameters())
    for one, other in zip(*ended.values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_loss_of_the_users_own_is_trained_on_and_measured() -> None:
    model = Classifier(made(lambda: Perceptron(2)), loss=nn.SoftMarginLoss())
    data = Gates("and", passes=5)
    trainer = fit(model, data, max_epochs=2)
    by_loop, (x, y) = made(lambda: Perceptron(2)), table(data)
    optimizer = torch.optim.SGD(by_loop.parameters(), lr=1.0)
    for _ in range(10):
        optimizer.zero_grad()
        F.soft_margin_loss(by_loop(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert torch.equal(model(x), by_loop(x))
    loss = F.soft_margin_loss(by_loop(x), y)
    assert trainer.callback_metrics["val/loss"] == loss


@pytest.mark.parametrize("gradients", ["autograd", "by_hand"])
def test_biases_learn_at_their_own_rate(gradients: Literal["autograd", "by_hand"]) -> None:
    model = Classifier(made(lambda: MLP(2, hidden=[3])), bias_lr_factor=0.25, gradients=gradients)
    data = Gates("xor", passes=40)
    fit(model, data, max_epochs=1)
    by_loop, (x, y) = made(lambda: MLP(2, hidden=[3])), table(data)
    for _ in range(40):
        loss = F.binary_cross_entropy_with_logits(by_loop(x), y)
        for name, slope in zip(
            dict(by_loop.named_parameters()),
            torch.autograd.grad(loss, list(by_loop.parameters())),
            strict=True,
        ):
            rate = 0.25 if name.endswith("bias") else 1.0
            by_loop.get_parameter(name).data.sub_(slope, alpha=rate)
    for one, other in zip(model.net.parameters(), by_loop.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_a_scheduler_is_stepped_once_for_each_update() -> None:
    def halving(optimizer: torch.optim.Optimizer) -> LRScheduler:
        return StepLR(optimizer, step_size=10, gamma=0.5)

    network, data = made(lambda: Perceptron(2)), Gates("and", passes=25)
    (optimizer,) = fit(Classifier(network, scheduler=halving), data, max_epochs=3).optimizers

    by_loop = made(lambda: Perceptron(2))
    expected = torch.optim.SGD(by_loop.parameters(), lr=1.0)
    scheduler = halving(expected)
    for _ in range(75):
        plain_loop(by_loop, expected, data, "bce", updates=1)
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == expected.param_groups[0]["lr"] == 0.5**7
    assert torch.equal(network(table(data)[0]), by_loop(table(data)[0]))


def test_reduce_on_plateau_looks_at_each_reports_loss() -> None:
    settings: dict[str, Any] = {"factor": 0.5, "patience": 1, "threshold": 0.01}
    network, data = made(lambda: Perceptron(2)), Gates("xor", passes=20)
    model = Classifier(
        network, scheduler=lambda params: ReduceLROnPlateau(params, "val/loss", **settings)
    )
    (optimizer,) = fit(model, data, max_epochs=9).optimizers

    by_loop, (x, y) = made(lambda: Perceptron(2)), table(data)
    expected = torch.optim.SGD(by_loop.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(expected, **settings)
    for _ in range(9):
        plain_loop(by_loop, expected, data, "bce", updates=20)
        scheduler.step(MEASURED["bce"](by_loop(x), y).item())
    assert optimizer.param_groups[0]["lr"] == expected.param_groups[0]["lr"]
    assert optimizer.param_groups[0]["lr"] < 0.2
    assert torch.equal(network(x), by_loop(x))


PLATEAU = "--model.scheduler.monitor val/loss --data.passes 5 --trainer.max_epochs 4"


def test_reduce_on_plateau_waits_for_the_report(command: Command) -> None:
    scheduler = "--model.scheduler ReduceLROnPlateau"
    line = f"fit --config configs/xor.yaml {scheduler} {PLATEAU}"
    assert command(f"{line} --trainer.check_val_every_n_epoch 2").status == 0


def test_a_plateau_of_what_is_not_measured_is_a_mistake(command: Command) -> None:
    scheduler = "--model.scheduler ReduceLROnPlateau"
    line = f"fit --config configs/xor.yaml {scheduler} {PLATEAU}"
    finished = command(f"{line} --model.scheduler.monitor val/los")
    assert finished.status == 2
    assert "val/los" in finished.err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"loss": "cross_entropy"}, "loss='cross_entropy': 2 classes take bce or mse"),
        ({"loss": "bce", "classes": 3}, "loss='bce': 3 classes take cross_entropy"),
        ({"gradients": "by_hand", "net": nn.Linear(2, 1)}, "gradients='by_hand': "),
        ({"gradients": "by_hand", "loss": nn.MSELoss()}, "gradients='by_hand': "),
    ],
)
def test_a_mistaken_setting_is_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        Classifier(**({"net": Perceptron(2)} | settings))


def test_probabilities_and_classes_follow_from_the_logits() -> None:
    found = Classifier(Perceptron(2)).predictions(torch.tensor([[-1.0], [0.5], [2.0]]))
    assert found["probability"][:, 0].tolist() == pytest.approx(
        [1 / (1 + math.exp(-logit)) for logit in (-1.0, 0.5, 2.0)]
    )
    assert found["class"].tolist() == [[0], [1], [1]]


def test_probabilities_of_more_classes_add_up_and_the_likeliest_is_said() -> None:
    logits = torch.tensor([[0.0, math.log(3), 0.0], [0.0, 0.0, math.log(8)]])
    found = Classifier(Perceptron(2, 3), classes=3, loss="cross_entropy").predictions(logits)
    assert found["probability"].flatten().tolist() == pytest.approx([0.2, 0.6, 0.2, 0.1, 0.1, 0.8])
    assert found["class"].tolist() == [[1], [2]]


class Labelled(L.LightningDataModule):
    """Rows with integer labels ``(rows,)``, handed out by torch's own loader."""

    def __init__(self, classes: int, kind: torch.dtype = torch.int64) -> None:
        super().__init__()
        x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
        labels = (x[:, 0] > 0).long() + (x[:, 1] > 1) * (classes - 2)
        self.rows = TensorDataset(x, labels.to(kind))

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.rows, batch_size=20)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


@pytest.mark.parametrize(("classes", "loss"), [(2, "bce"), (2, "mse"), (3, "cross_entropy")])
def test_integer_labels_from_a_plain_loader_train_in_plain_lightning(
    classes: int, loss: Loss
) -> None:
    data = Labelled(classes)
    model = Classifier(MLP(2, 1 if classes == 2 else 3, [8], "tanh"), classes, loss)
    trainer = quiet_trainer(max_epochs=60, log_every_n_steps=1)
    trainer.fit(model, datamodule=data)
    assert set(trainer.callback_metrics) == {
        *("train/loss", "train/accuracy", "val/loss", "val/accuracy")
    }
    assert trainer.callback_metrics["val/accuracy"] > 0.9
    x, labels = data.rows.tensors
    (found,) = trainer.test(model, datamodule=data, verbose=False)
    answers = model.predictions(model(x))["class"][:, 0]
    assert found["test/accuracy"] == pytest.approx(accuracy_score(labels, answers))


def test_a_numeric_target_is_not_cut_to_classes() -> None:
    data = Labelled(2)
    data.rows = TensorDataset(data.rows.tensors[0], data.rows.tensors[0][:, 0])
    with pytest.raises(ValueError, match=r"^target: .* is no class; a Regressor learns"):
        quiet_trainer(max_epochs=1).fit(Classifier(Perceptron(2)), datamodule=data)


def test_a_fit_in_ten_lines_of_lightning_logs_checkpoints_and_learns(tmp_path: Path) -> None:
    L.seed_everything(1, verbose=False)
    model = Classifier(MLP(2, 1, hidden=[4], activation="tanh"))
    logger = CSVLogger(tmp_path)
    trainer = L.Trainer(max_epochs=100, logger=logger, accelerator="cpu", log_every_n_steps=1)
    trainer.fit(model, datamodule=Gates("xor", passes=5))
    assert trainer.callback_metrics["val/accuracy"] == 1.0
    header = (Path(logger.log_dir) / "metrics.csv").read_text().partition("\n")[0]
    assert {"train/loss", "train/accuracy", "val/loss", "val/accuracy"} <= {*header.split(",")}
    assert isinstance(trainer.checkpoint_callback, ModelCheckpoint)
    again = Classifier.load_from_checkpoint(
        trainer.checkpoint_callback.best_model_path, net=MLP(2, 1, [4], "tanh")
    )
    x, _ = table(Gates("xor"))
    assert torch.equal(again(x), model(x))


def first_non_finite(scheduled: bool) -> tuple[int, float]:
    """The update, and the learning rate at it, at which a plain loop breaks as DIVERGING does."""
    torch.manual_seed(777)
    network, (x, y) = MLP(2, hidden=[2], activation="identity"), table(Gates("xor"))
    optimizer = torch.optim.SGD(network.parameters(), lr=10.0)
    scheduler = ExponentialLR(optimizer, 1.001 if scheduled else 1.0)
    update = 1
    while (loss := F.binary_cross_entropy_with_logits(network(x), y)).isfinite():
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        scheduler.step()
        update += 1
    return update, optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("passes", [1, 10, 1000])
def test_a_loss_that_is_not_finite_ends_the_run_with_its_update_and_rate(
    command: Command, passes: int
) -> None:
    update, _ = first_non_finite(scheduled=False)
    assert update > 20
    finished = command(f"{DIVERGING} --data.passes {passes} --trainer.max_epochs 60")
    assert finished.status == 1
    line = f"the loss is not finite at update {update}, learning rate 10: try a lower one"
    assert finished.err == f"error: {line}\n"


def test_the_rate_at_which_the_loss_broke_is_the_schedulers_of_that_update(
    command: Command,
) -> None:
    update, rate = first_non_finite(scheduled=True)
    scheduler = "--model.scheduler ExponentialLR --model.scheduler.gamma 1.001"
    finished = command(f"{DIVERGING} {scheduler}")
    assert finished.status == 1
    assert f"at update {update}, learning rate {rate:g}:" in finished.err


def test_a_run_whose_last_update_breaks_the_loss_fails_too(command: Command) -> None:
    update, _ = first_non_finite(scheduled=False)
    assert command(f"{DIVERGING} --trainer.max_steps {update - 1}").status == 1


def test_the_update_that_broke_is_right_where_an_update_takes_the_loss_several_times() -> None:
    def lbfgs(params: Any) -> torch.optim.Optimizer:
        return torch.optim.LBFGS(params, lr=10.0, max_iter=3)

    network, (x, y) = made(lambda: MLP(2, activation="identity", hidden=[2])), table(Gates("xor"))
    optimizer, losses = lbfgs(network.parameters()), [torch.zeros(())]

    def closure() -> float:
        optimizer.zero_grad()
        losses.append(F.binary_cross_entropy_with_logits(network(x), y))
        losses[-1].backward()  # type: ignore[no-untyped-call]
        return losses[-1].item()

    update = 0
    while all(loss.isfinite() for loss in losses):
        update += 1
        optimizer.step(closure)
    model = Classifier(made(lambda: MLP(2, activation="identity", hidden=[2])), optimizer=lbfgs)
    with pytest.raises(NonFiniteLossError, match=f"at update {update},"):
        fit(model, Gates("xor", passes=100), max_epochs=1)
