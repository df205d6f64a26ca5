"""The LightningModule: a network, its loss, accuracy, optimizer and predictions.

Shapes: ``x (rows, inputs)``, ``y (rows, outputs)``, logits ``(rows, outputs)``.
"""

import math
import sys
from collections.abc import Callable
from typing import Any, Literal, cast, get_args

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import BinaryAccuracy, MulticlassAccuracy

from perceptrons import backprop
from perceptrons.network import MLP
from perceptrons.predictions import Prediction, predict

Batch = tuple[Tensor, Tensor]
Loss = Literal["bce", "mse", "cross_entropy"]
Gradients = Literal["autograd", "by_hand"]
STAGES = ("train", "val", "test")
MEASURES = ("loss", "accuracy")


class NonFiniteLossError(ArithmeticError):
    """The loss has become infinite, or not a number."""

    def __init__(self, update: int, rate: float) -> None:
        where = f"at update {update}, learning rate {rate:g}"
        super().__init__(f"the loss is not finite {where}: try a lower one")


def mse(logits: Tensor, y: Tensor) -> Tensor:
    """Squared error of the probabilities, mean over rows and outputs."""
    return F.mse_loss(torch.sigmoid(logits), y)


def measured_bce(logits: Tensor, y: Tensor) -> Tensor:
    """Binary cross entropy of targets 0 or 1, mean over rows and outputs.

    As -log p from the probabilities, for so the published figures were measured: they carry its
    rounding, a few units in the fifth digit. Where p is too near 0 or 1 for that, from the logits.
    What is trained on is torch's, from the logits: its gradient (p - y) / n is exact, but its value
    loses as many digits to cancellation once the network is sure.
    """
    from_p = F.binary_cross_entropy(torch.sigmoid(logits), y, reduction="none")
    return torch.where(logits.abs() < 8, from_p, F.softplus((1 - 2 * y) * logits)).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bce": F.binary_cross_entropy_with_logits,
    "mse": mse,
    "cross_entropy": F.cross_entropy,
}
MEASURED = LOSSES | {"bce": measured_bce}


class Classifier(L.LightningModule):
    """A network that tells classes apart.

    Args:
        net: The network: logits ``(rows, outputs)`` from ``x (rows, inputs)``.
        classes: Number of classes; with 2, each output is a yes or no of its own.
        loss: ``bce`` (binary cross entropy), ``mse`` (squared error of the probabilities),
            ``cross_entropy`` (for more than two classes), or a module of your own that takes logits
            and targets. Each is a mean over rows and outputs.
        optimizer: The optimizer and its settings.
        scheduler: A learning-rate scheduler, stepped at each update, or Lightning's
            ``lightning.pytorch.cli.ReduceLROnPlateau``, at the end of each epoch.
        bias_lr_factor: Learning rate of the biases, as a multiple of the weights'.
        gradients: ``autograd``, or ``by_hand`` for the chain rule as ``backprop.py`` has it.

    Raises:
        ValueError: If the loss does not fit the classes, a learning rate is not above 0 and finite,
            or the gradients of the network or the loss are not written out by hand.
    """

    # this hook looks at all the updates since it was called last, so they may be fused
    once_per_look = ("on_train_batch_end",)
    monitors: tuple[str, ...] = ()  # measures that the scheduler waits for

    def __init__(
        self,
        net: nn.Module,
        classes: int = 2,
        loss: Loss | nn.Module = "bce",
        optimizer: OptimizerCallable = lambda params: torch.optim.SGD(params, lr=1.0),
        scheduler: LRSchedulerCallable | None = None,
        bias_lr_factor: float = 1.0,
        gradients: Gradients = "autograd",
    ) -> None:
        super().__init__()
        if _given_hyperparameters.get():
            # the settings as the command line parsed them; objects would not load back safely
            self.save_hyperparameters(logger=False)
        check_loss(classes, loss)
        check_gradients(net, loss, gradients)
        self.net, self.classes, self.gradients = net, classes, gradients
        self.loss_name = loss if isinstance(loss, str) else type(loss).__name__
        self.loss = LOSSES[loss] if isinstance(loss, str) else loss
        self.measured_loss = MEASURED.get(self.loss_name, self.loss)
        self.measures = nn.ModuleDict({f"{stage}/loss": MeanMetric() for stage in STAGES})
        self.measures.update({f"{stage}/accuracy": accuracy(classes) for stage in STAGES})
        self.measured: dict[str, float] = {}
        # of the updates since the last look: loss, learning rate, number in the epoch
        self.steps: list[tuple[Tensor, float, int]] = []
        self.derivatives: list[Tensor] = []  # of the last update, where they are made by hand
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.bias_lr_factor = bias_lr_factor
        self.configure_optimizers()  # what is mistaken in it should be known now

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.net(x))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        x, y = batch
        if self.gradients == "by_hand":
            net = cast(MLP, self.net)
            logits, self.derivatives = backprop.gradients(net, x, y, self.loss_name)
        else:
            logits = self.net(x)
        loss = self.loss(logits, y)
        self.steps.append((loss.detach(), self.rates[0]["lr"], batch_idx))
        return loss

    def backward(self, loss: Tensor) -> None:
        if self.gradients == "autograd":
            return super().backward(loss)
        for parameter, derivative in zip(self.net.parameters(), self.derivatives, strict=True):
            parameter.grad = derivative
        return None

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        losses = torch.stack([loss for loss, _, _ in self.steps])
        finite = losses.isfinite()
        if not finite.all():
            _, rate, number = self.steps[int(finite.int().argmin())]
            raise NonFiniteLossError(self.global_step - batch_idx + number, rate)
        self.steps.clear()
        if "train" not in self.validated:
            cast(Metric, self.measures["train/loss"]).update(losses)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.measure(self.validated[dataloader_idx], batch)
        if self.trainer.state.fn != "fit":
            self.hand_over(self.validated[dataloader_idx])

    def on_validation_epoch_end(self) -> None:
        self.report()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.measure("test", batch)
        self.hand_over("test")

    def on_test_epoch_end(self) -> None:
        self.report()

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int = 0) -> Prediction:
        return predict(batch[0], self.net(batch[0]), self.classes)

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer()
        self.rates = optimizer.param_groups
        self.given = [{**group, "params": None} for group in optimizer.param_groups]
        if self.make_scheduler is None:
            return optimizer
        scheduler = self.make_scheduler(optimizer)
        how = {"scheduler": scheduler, "interval": "step"}
        if isinstance(scheduler, ReduceLROnPlateau):
            how = {"scheduler": scheduler, "monitor": scheduler.monitor, "frequency": sys.maxsize}
            self.monitors = (scheduler.monitor,)
        elif isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            raise ValueError("scheduler: has nothing to monitor; use lightning.pytorch.cli's")
        return {"optimizer": optimizer, "lr_scheduler": how}

    def on_train_epoch_end(self) -> None:
        # not by Lightning, which comes to it only after the checkpoint: a resume would miss it
        scheduler = self.lr_schedulers()
        measured = self.trainer.callback_metrics
        if isinstance(scheduler, ReduceLROnPlateau) and scheduler.monitor in measured:
            scheduler.step(measured[scheduler.monitor])

    @property
    def validated(self) -> list[str]:
        """Names of what is validated on: the data may hand out several tables by name."""
        loaders = self.trainer.val_dataloaders
        return list(loaders) if isinstance(loaders, dict) else ["val"]

    def measure(self, stage: str, batch: Batch) -> None:
        """Take a batch into a stage's loss and accuracy."""
        x, y = batch
        logits = self.net(x)
        loss, right = self.measured_loss(logits, y), self.answers(y)
        measures = {name: cast(Metric, self.measures[f"{stage}/{name}"]) for name in MEASURES}
        measures["loss"].update(loss, weight=len(x))
        measures["accuracy"].update(predict(x, logits, self.classes).classes, right)

    def hand_over(self, stage: str) -> None:
        """Let Lightning log and show a stage's measures, as it does well but while fitting."""
        names = [f"{stage}/{name}" for name in MEASURES]
        measures = {name: cast(Metric, self.measures[name]) for name in names}
        self.log_dict(measures, on_step=False, on_epoch=True, add_dataloader_idx=False)

    def report(self) -> None:
        """Note all that was measured since the last report, in one place for all who read it."""
        measures = {name: cast(Metric, measure) for name, measure in self.measures.items()}
        fresh = {name: measure for name, measure in measures.items() if measure.update_called}
        self.measured = {name: measure.compute().item() for name, measure in fresh.items()}
        if self.trainer.state.fn != "fit":
            return
        for measure in fresh.values():
            measure.reset()
        if not all(map(math.isfinite, self.measured.values())):
            raise NonFiniteLossError(self.global_step + 1, self.rates[0]["lr"])
        self.log_dict(self.measured, logger=False)
        for logger in self.loggers:
            # not by log_dict, which would be an update early: Lightning counts it only after this
            logger.log_metrics(self.measured, self.global_step)
            logger.save()

    def answers(self, y: Tensor) -> Tensor:
        """Right classes: 0 or 1 for each output ``(rows, outputs)``, or a number ``(rows, 1)``."""
        return y.int() if self.classes == 2 else y.argmax(1, keepdim=True)

    def _optimizer(self) -> torch.optim.Optimizer:
        named = list(self.net.named_parameters())
        apart = self.bias_lr_factor != 1
        biases = [weight for name, weight in named if apart and name.endswith("bias")]
        weights = [weight for name, weight in named if not (apart and name.endswith("bias"))]
        try:
            optimizer = self.make_optimizer(weights)
        except ValueError as mistake:
            raise ValueError(f"optimizer: {mistake}") from mistake
        if biases:
            rate = optimizer.param_groups[0]["lr"] * self.bias_lr_factor
            optimizer.add_param_group({"params": biases, "lr": rate})
        for group in optimizer.param_groups:
            if not 0 < group["lr"] < math.inf:
                raise ValueError(f"lr={group['lr']}: a learning rate is above 0 and finite")
        return optimizer


def accuracy(classes: int) -> Metric:
    """Share of right answers, each output of each row counting as one."""
    return BinaryAccuracy() if classes == 2 else MulticlassAccuracy(classes, average="micro")


def check_loss(classes: int, loss: str | nn.Module) -> None:
    fitting = ("bce", "mse") if classes == 2 else ("cross_entropy",)
    if isinstance(loss, str) and loss not in LOSSES:
        raise ValueError(f"loss={loss!r}: choose one of {', '.join(LOSSES)}")
    if isinstance(loss, str) and loss not in fitting:
        raise ValueError(f"loss={loss!r}: {classes} classes take {' or '.join(fitting)}")


def check_gradients(net: nn.Module, loss: str | nn.Module, gradients: str) -> None:
    if gradients not in get_args(Gradients):
        raise ValueError(f"gradients={gradients!r}: choose one of {', '.join(get_args(Gradients))}")
    written = isinstance(net, MLP) and type(net).forward is MLP.forward and isinstance(loss, str)
    if gradients == "by_hand" and not written:
        name = loss if isinstance(loss, str) else type(loss).__name__
        raise ValueError(
            f"gradients='by_hand': not written out for {type(net).__name__} with {name}, only for"
            f" Perceptron and MLP with {', '.join(backprop.DELTAS)}"
        )
