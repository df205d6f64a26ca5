"""The LightningModule: a network, its loss, accuracy, optimizer and predictions.

Shapes: ``x (rows, inputs)``, logits and ``y`` ``(rows, outputs)``, or class numbers ``y (rows,)``.
"""

from functools import partial
from typing import Any, Literal, cast

import lightning as L
import torch
import torch.nn.functional as F
from jsonargparse.typing import PositiveFloat
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import BinaryAccuracy, MulticlassAccuracy

from . import backprop
from .backprop import LossByHand
from .losses import LOSSES, MEASURED, Loss
from .network import MLP

Batch = tuple[Tensor, Tensor]


class Classifier(L.LightningModule):
    """A network that tells classes apart.

    Args:
        net: The network: logits ``(rows, outputs)`` from ``x (rows, inputs)``.
        classes: Number of classes; with 2, each output is a yes or no of its own.
        loss: ``bce`` (binary cross entropy), ``mse`` (squared error of the probabilities),
            ``cross_entropy`` (for more than two classes), or a module of your own that takes logits
            and targets ``(rows, outputs)``. Each is a mean over rows and outputs. ``null``: ``bce``
            for two classes, ``cross_entropy`` for more.
        optimizer: The optimizer and its settings.
        scheduler: A learning-rate scheduler, stepped at each update, or Lightning's
            ``ReduceLROnPlateau``, at the end of each epoch.
        bias_lr_factor: Learning rate of the biases, as a multiple of the weights'.
        gradients: ``autograd``, or ``by_hand`` for the chain rule as ``backprop.py`` has it.
    """

    measuring_hooks = ("on_train_start",)  # of this class: they change nothing of the training

    def __init__(
        self,
        net: nn.Module,
        classes: int = 2,
        loss: Loss | nn.Module | None = None,
        optimizer: OptimizerCallable = lambda params: torch.optim.SGD(params, lr=1.0),
        scheduler: LRSchedulerCallable | None = None,
        bias_lr_factor: PositiveFloat = 1.0,
        gradients: Literal["autograd", "by_hand"] = "autograd",
    ) -> None:
        super().__init__()
        loss = loss or ("bce" if classes == 2 else "cross_entropy")
        self.save_hyperparameters(ignore=["net", "loss", "optimizer", "scheduler"], logger=False)
        check_settings(net, classes, loss, gradients)
        self.net, self.classes, self.gradients = net, classes, gradients
        self.loss_name = loss if isinstance(loss, str) else type(loss).__name__
        self.loss = LOSSES[loss] if isinstance(loss, str) else loss
        self.measured_loss = MEASURED.get(self.loss_name, self.loss)
        self.optimizer, self.scheduler, self.bias_lr_factor = optimizer, scheduler, bias_lr_factor
        by_hand = partial(backprop.gradients, cast(MLP, net), loss=self.loss_name)
        self.hand_gradients = by_hand if gradients == "by_hand" else None
        self.metrics = nn.ModuleDict()
        for stage in ("train", "val", "test"):
            self.metrics.update({f"{stage}/{name}": m for name, m in metrics(classes).items()})
        self.measures_training = True  # unless the training rows are among those to validate on

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.net(x))

    def on_train_start(self) -> None:
        # Lightning has no validation data yet where it skips its check before the first update
        if self.trainer.enable_validation:
            self.trainer.fit_loop.epoch_loop.val_loop.setup_data()
        self.measures_training = "train" not in self.validated

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        x, y = batch[0], self.targets(batch[1])
        if self.gradients == "by_hand":
            weights = self.net.parameters()
            return LossByHand.apply(self.net, self.loss_name, x, y, *weights)  # type: ignore
        logits = self.net(x)
        if self.measures_training:
            self.measure("train", logits.detach(), y)
        return cast(Tensor, self.loss(logits, y))

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.measure(self.validated[dataloader_idx], self(batch[0]), self.targets(batch[1]))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.measure("test", self(batch[0]), self.targets(batch[1]))

    def predict_step(self, batch: Any, batch_idx: int = 0) -> dict[str, Tensor]:
        return self.predictions(self(batch if isinstance(batch, Tensor) else batch[0]))

    def configure_optimizers(self) -> Any:
        named = dict(self.named_parameters())
        slow = [name for name in named if name.endswith("bias") and self.bias_lr_factor != 1]
        optimizer = self.optimizer([each for name, each in named.items() if name not in slow])
        if slow:
            rate = optimizer.defaults["lr"] * self.bias_lr_factor
            optimizer.add_param_group({"params": [named[name] for name in slow], "lr": rate})
        return scheduled(optimizer, self.scheduler)

    @property
    def validated(self) -> list[str]:
        """Names of what is validated on: the data may hand out several tables by name."""
        loaders = self.trainer.val_dataloaders
        return list(loaders) if isinstance(loaders, dict) else ["val"]

    def targets(self, y: Tensor) -> Tensor:
        """Targets ``(rows, outputs)``, one-hot for more than two classes."""
        if y.ndim > 1:
            return y
        check_targets(y, self.classes)
        numbers = y[:, None] if self.classes == 2 else F.one_hot(y.long(), self.classes)
        return numbers.to(self.dtype)

    def measure(self, stage: str, logits: Tensor, y: Tensor) -> None:
        """Take a batch into a stage's metrics."""
        if logits.shape != y.shape:
            raise ValueError(f"net: outputs of shape {(*logits.shape,)}, targets of {(*y.shape,)}")
        check_targets(y, self.classes)
        # half as many bits would be too few for a report's digits
        kind = torch.promote_types(logits.dtype, torch.float32)
        logits, y = logits.to(kind), y.to(kind)
        with torch.autocast(logits.device.type, enabled=False):
            loss = self.measured_loss(logits, y)
        predicted, true = self.predictions(logits)["class"], self.true_classes(y)
        updates: dict[str, tuple[Any, ...]] = {
            "loss": (loss, len(y)),
            "accuracy": (predicted, true),
        }
        if true.shape[1] > 1:
            updates["solved"] = (predicted == true,)
        options: dict[str, Any] = {"on_step": False, "on_epoch": True, "add_dataloader_idx": False}
        for name, values in updates.items():
            metric = cast(Metric, self.metrics[f"{stage}/{name}"])
            metric.update(*values)
            self.log(f"{stage}/{name}", metric, batch_size=len(y), **options)

    def predictions(self, logits: Tensor) -> dict[str, Tensor]:
        """``logit``, ``probability``, and ``class``: 0 or 1 of each output, or the likeliest."""
        if self.classes == 2:
            probability, classes = torch.sigmoid(logits), (logits > 0).int()
        else:
            probability, classes = torch.softmax(logits, 1), logits.argmax(1, keepdim=True)
        return {"logit": logits, "probability": probability, "class": classes}

    def true_classes(self, y: Tensor) -> Tensor:
        """The classes that targets stand for, shaped as :meth:`predictions` has them."""
        return y.int() if self.classes == 2 else y.argmax(1, keepdim=True)

    def correct(self, logits: Tensor, y: Tensor) -> Tensor:
        return self.predictions(logits)["class"] == self.true_classes(y)


def scheduled(optimizer: torch.optim.Optimizer, schedule: LRSchedulerCallable | None) -> Any:
    """An optimizer and its scheduler, as Lightning takes them."""
    if schedule is None:
        return optimizer
    scheduler = schedule(optimizer)
    options = {"interval": "step"}
    if isinstance(scheduler, ReduceLROnPlateau):
        options = {"monitor": scheduler.monitor}
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **options}}


class Solved(Metric):
    """Share of the outputs that are right in every row."""

    full_state_update = False
    solved: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("solved", torch.ones(1, dtype=torch.int), dist_reduce_fx="min")

    def update(self, correct: Tensor) -> None:
        self.solved = self.solved * correct.all(0)

    def compute(self) -> Tensor:
        return self.solved.double().mean()


def metrics(classes: int) -> dict[str, Metric]:
    """Metrics of a stage by name."""
    # the checks of the arguments take longer than the measuring of a large table
    accuracy: Metric = BinaryAccuracy(validate_args=False)
    if classes > 2:
        accuracy = MulticlassAccuracy(classes, average="micro", validate_args=False)
    return {"loss": MeanMetric(), "accuracy": accuracy, "solved": Solved()}


def check_targets(y: Tensor, classes: int) -> None:
    """Raise a ValueError for targets that are no classes."""
    if y.is_floating_point() and len(wrong := y[y != y.round()]):
        raise ValueError(f"target: {wrong[0].item():g} is no class; a Regressor learns numbers")
    if y.ndim == 1 and len(wrong := y[(y < 0) | (y >= classes)]):
        raise ValueError(f"classes={classes}: numbered from 0, and a target is {int(wrong[0])}")


def check_settings(net: nn.Module, classes: int, loss: str | nn.Module, gradients: str) -> None:
    """Raise a ValueError for settings that do not go together."""
    fitting = ("bce", "mse") if classes == 2 else ("cross_entropy",)
    if isinstance(loss, str) and loss not in fitting:
        raise ValueError(f"loss={loss!r}: {classes} classes take {' or '.join(fitting)}")
    if isinstance(loss, nn.CrossEntropyLoss) and classes == 2:
        raise ValueError("loss='CrossEntropyLoss': of one output it is always 0; use bce")
    own_forward = type(net).forward is not MLP.forward  # of a subclass: another chain rule
    by_hand = isinstance(net, MLP) and not own_forward and isinstance(loss, str)
    if gradients == "by_hand" and not by_hand:
        losses = ", ".join(backprop.DELTAS)
        raise ValueError(f"gradients='by_hand': only for Perceptron and MLP with {losses}")
