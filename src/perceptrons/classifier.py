"""The LightningModule: a network, its loss, accuracy, optimizer and predictions."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

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

Batch = tuple[Tensor, Tensor]
Loss = Literal["bce", "mse", "cross_entropy"]
Gradients = Literal["autograd", "by_hand"]
STAGES = ("train", "val", "test")
MEASURES = ("loss", "accuracy")


class NonFiniteLoss(ArithmeticError):
    """The loss has become infinite or not a number."""


def mse(logits: Tensor, y: Tensor) -> Tensor:
    """Squared error of the probabilities, mean over rows and outputs."""
    return F.mse_loss(torch.sigmoid(logits), y)


def measured_bce(logits: Tensor, y: Tensor) -> Tensor:
    """Binary cross entropy, mean over rows and outputs, of targets 0 or 1.

    As -log p from the probabilities, which is how the published figures were measured, rounding included (a few units in
    the fifth digit); where p is too near 0 or 1 for that, from the logits. What is trained on is torch's from the logits,
    for its gradient (p - y) / n: its value has lost digits to cancellation once the network is sure.
    """
    from_p = F.binary_cross_entropy(torch.sigmoid(logits), y, reduction="none")
    return torch.where(logits.abs() < 16, from_p, F.softplus((1 - 2 * y) * logits)).mean()


LossFunction = Callable[[Tensor, Tensor], Tensor]
LOSSES: dict[str, LossFunction] = {
    "bce": F.binary_cross_entropy_with_logits,
    "mse": mse,
    "cross_entropy": F.cross_entropy,
}
MEASURED: dict[str, LossFunction] = {**LOSSES, "bce": measured_bce}


class Prediction(NamedTuple):
    """What a network makes of some rows.

    Attributes:
        x: The inputs ``(rows, inputs)``.
        logits: The weighted sums that come out ``(rows, outputs)``.
        probabilities: Of the answer yes for each output, or of each class where there are more than two
            ``(rows, outputs)``.
        classes: The answer, 0 or 1, for each output ``(rows, outputs)``, or the likeliest class ``(rows, 1)``.
    """

    x: Tensor
    logits: Tensor
    probabilities: Tensor
    classes: Tensor


def columns(prediction: Prediction, **more: Tensor) -> dict[str, list[float]]:
    """A prediction's numbers, and ``more (rows, n)``, by column: ``x1``, ``x2``, ..., ``logit``, ``probability``, ``class``.

    What has several outputs is numbered: ``logit1``, ``logit2``, ...
    """
    named = dict(zip(("logit", "probability", "class"), prediction[1:], strict=True)) | more
    numbered = {f"x{number}": values.tolist() for number, values in enumerate(prediction.x.mT, 1)}
    for name, numbers in named.items():
        for number, values in enumerate(numbers.mT, 1):
            numbered[name if numbers.shape[1] == 1 else f"{name}{number}"] = values.tolist()
    return numbered


def predict(x: Tensor, logits: Tensor, classes: int) -> Prediction:
    if classes == 2:
        return Prediction(x, logits, torch.sigmoid(logits), (logits > 0).int())
    return Prediction(x, logits, torch.softmax(logits, 1), logits.argmax(1, keepdim=True))


class Classifier(L.LightningModule):
    """A network that tells classes apart.

    Args:
        net: The network: logits ``(rows, outputs)`` from ``x (rows, inputs)``.
        classes: Number of classes; with 2 each output is a yes or no of its own.
        loss: ``bce`` (binary cross entropy), ``mse`` (squared error of the probabilities), ``cross_entropy`` (for more
            than two classes), or a module of your own that takes logits and targets.
        optimizer: The optimizer and its settings.
        scheduler: A learning-rate scheduler, stepped once an update; ``ReduceLROnPlateau`` once a report.
        bias_lr_factor: Learning rate of the biases, as a multiple of the weights'.
        gradients: ``autograd``, or ``by_hand`` for the chain rule as ``backprop.py`` writes it out.

    Raises:
        ValueError: If the loss does not fit the classes, a learning rate is not positive and finite, or there are no
            gradients by hand for the network or the loss.
    """

    # looks at all the updates since it was called last, so that they may be fused
    once_per_look = ("on_train_batch_end",)

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
            # the parsed settings, from the command line; objects made in a notebook would not load back safely
            self.save_hyperparameters(logger=False)
        check_loss(net, classes, loss, gradients)
        self.net, self.classes, self.gradients = net, classes, gradients
        self.loss_name = loss if isinstance(loss, str) else type(loss).__name__
        self.loss = LOSSES[loss] if isinstance(loss, str) else loss
        self.measured_loss = MEASURED.get(self.loss_name, self.loss)
        self.make_optimizer, self.make_scheduler, self.bias_lr_factor = optimizer, scheduler, bias_lr_factor
        self.measures = nn.ModuleDict({f"{stage}/{name}": self._measure(name) for stage in STAGES for name in MEASURES})
        self.measured: dict[str, float] = {}
        self.losses: list[Tensor] = []  # of the updates since the last look, for the check that they are finite
        self.derivatives: list[Tensor] = []
        self._optimizer()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        x, y = batch
        if self.gradients == "by_hand":
            logits, self.derivatives = backprop.gradients(self.net, x, y, self.loss_name)
        else:
            logits = self.net(x)
        loss = self.loss(logits, y)
        self.losses.append(loss.detach())
        return loss

    def backward(self, loss: Tensor) -> None:
        if self.gradients == "by_hand":
            for parameter, derivative in zip(self.net.parameters(), self.derivatives, strict=True):
                parameter.grad = derivative
        else:
            loss.backward()

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        losses = torch.stack(self.losses)
        self.losses.clear()
        finite = losses.isfinite()
        if not finite.all():
            update = self.global_step - len(losses) + int(finite.int().argmin()) + 1
            rate = self.trainer.optimizers[0].param_groups[0]["lr"]
            raise NonFiniteLoss(f"the loss is no longer finite at update {update}: the learning rate {rate:g} is too high?")
        if "train" not in self._validated:
            self.log("train/loss", losses.mean(), on_step=False, on_epoch=True, batch_size=len(losses))

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._evaluate(self._validated[dataloader_idx], batch)

    def on_validation_epoch_end(self) -> None:
        self._report(*self._validated)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate("test", batch)

    def on_test_epoch_end(self) -> None:
        self._report("test")

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int = 0) -> Prediction:
        x = batch[0]
        return predict(x, self.net(x), self.classes)

    def answers(self, y: Tensor) -> Tensor:
        """Classes that are right: 0 or 1 for each output ``(rows, outputs)``, or the class's number ``(rows, 1)``."""
        return y.int() if self.classes == 2 else y.argmax(1, keepdim=True)

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer()
        if self.make_scheduler is None:
            return optimizer
        scheduler = self.make_scheduler(optimizer)
        plateau = isinstance(scheduler, ReduceLROnPlateau)
        when = {"interval": "epoch", "monitor": scheduler.monitor} if plateau else {"interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **when}}

    def _optimizer(self) -> torch.optim.Optimizer:
        weights, biases = list(self.net.parameters()), []
        if self.bias_lr_factor != 1:
            weights = [parameter for name, parameter in self.net.named_parameters() if not name.endswith("bias")]
            biases = [parameter for name, parameter in self.net.named_parameters() if name.endswith("bias")]
        optimizer = self.make_optimizer(weights)
        if biases:
            optimizer.add_param_group({"params": biases, "lr": optimizer.param_groups[0]["lr"] * self.bias_lr_factor})
        for group in optimizer.param_groups:
            if not 0 < group["lr"] < math.inf:
                raise ValueError(f"lr={group['lr']}: a learning rate is above 0 and finite")
        return optimizer

    def _measure(self, name: str) -> Metric:
        if name == "loss":
            return MeanMetric()
        return BinaryAccuracy() if self.classes == 2 else MulticlassAccuracy(self.classes, average="micro")

    @property
    def _validated(self) -> list[str]:
        """Names of what is validated on: the data may hand out several tables by name."""
        loaders = self.trainer.val_dataloaders
        return list(loaders) if isinstance(loaders, dict) else ["val"]

    def _evaluate(self, stage: str, batch: Batch) -> None:
        x, y = batch
        logits = self.net(x)
        self.measures[f"{stage}/loss"].update(self.measured_loss(logits, y), weight=len(x))
        self.measures[f"{stage}/accuracy"].update(predict(x, logits, self.classes).classes, self.answers(y))

    def _report(self, *stages: str) -> None:
        """Note the measures of the weights as they stand, in one place for all who ask: printed, logged, monitored."""
        now = {name: measure for name, measure in self.measures.items() if name.startswith(stages)}
        self.measured = {name: measure.compute().item() for name, measure in now.items()}
        for measure in now.values():
            measure.reset()
        fitting = self.trainer.state.fn == "fit"
        self.log_dict(self.measured, logger=not fitting)
        for logger in self.loggers if fitting else ():
            # not through log_dict, which would note them an update early: Lightning counts the update only later
            logger.log_metrics(self.measured, self.global_step)
            logger.save()


def check_loss(net: nn.Module, classes: int, loss: str | nn.Module, gradients: str) -> None:
    fitting = ("bce", "mse") if classes == 2 else ("cross_entropy",)
    if isinstance(loss, str) and loss not in fitting:
        raise ValueError(f"loss={loss!r}: the data has {classes} classes, which takes {' or '.join(fitting)}")
    if gradients not in get_args(Gradients):
        raise ValueError(f"gradients={gradients!r}: choose one of {', '.join(get_args(Gradients))}")
    if gradients == "by_hand" and not (isinstance(net, MLP) and isinstance(loss, str)):
        raise ValueError(
            f"gradients='by_hand': written out for Perceptron and MLP with a named loss, not for {type(net).__name__}"
            f" with {loss if isinstance(loss, str) else type(loss).__name__}; use autograd"
        )
