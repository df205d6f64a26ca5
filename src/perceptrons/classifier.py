"""The LightningModule: a network, its loss, accuracy, optimizer and predictions.

Shapes: ``x (rows, inputs)``, ``y (rows, outputs)``, logits ``(rows, outputs)``.
"""

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import lightning as L
import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters
from torch import Tensor, nn
from torchmetrics import Metric

from perceptrons import backprop
from perceptrons.blocks import Blocks, by_autograd, by_hand
from perceptrons.losses import LOSSES, MEASURED, Loss, LossFunction, check_loss
from perceptrons.measures import accuracy_of_each, all_right, loss_of_each, metrics
from perceptrons.network import MLP
from perceptrons.optimizers import check_alone, optimizer_of, segments
from perceptrons.predictions import Prediction, predict
from perceptrons.rules import rule_of

if TYPE_CHECKING:
    from perceptrons.compiled import Compiled

Batch = tuple[Tensor, Tensor]
Gradients = Literal["autograd", "by_hand"]


class NonFiniteLossError(ArithmeticError):
    """The loss has become infinite, or not a number."""

    def __init__(self, update: int, rate: float) -> None:
        where = f"at update {update}, learning rate {rate:g}"
        super().__init__(f"the loss is not finite {where}: try a lower one")


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
        lr_grid: Learning rates to train with at once, in place of the optimizer's own: each with
            all of the network's replicas.
        compile: Whether to make several updates in one function, compiled by ``torch.compile``.

    Raises:
        ValueError: If the loss does not fit the classes, a learning rate is not above 0 and finite,
            the gradients of the network or the loss are not written out by hand, or something
            asked for would couple the replicas.
    """

    # this hook looks at all the updates since it was called last, so they may be fused
    once_per_look = ("on_train_batch_end",)
    monitors: tuple[str, ...] = ()  # measures that the scheduler waits for
    processes = 1  # that train it

    def __init__(
        self,
        net: nn.Module,
        classes: int = 2,
        loss: Loss | nn.Module = "bce",
        optimizer: OptimizerCallable = lambda params: torch.optim.SGD(params, lr=1.0),
        scheduler: LRSchedulerCallable | None = None,
        bias_lr_factor: float = 1.0,
        gradients: Gradients = "autograd",
        lr_grid: Sequence[float] = (),
        compile: bool = False,  # noqa: A002  the user's word for it
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
        self.lr_grid, self.compile_updates = [*lr_grid], compile
        if lr_grid:
            check_grid(net, lr_grid)
            cast(MLP, net).repeat(len(lr_grid))
        self.replicas: int | None = getattr(net, "replicas", None)
        self.measures = metrics(classes, self.replicas)
        self.measured: dict[str, float] = {}
        # of each replica what was measured; of it, or of each output, whether all rows are right
        self.of_each: dict[str, Tensor] = {}
        self.all_right: dict[str, Tensor] = {}
        self.fresh_right: dict[str, list[Tensor]] = {}
        # of the updates since the last look: loss, learning rate, number in the epoch
        self.steps: list[tuple[Tensor, float, int]] = []
        self._blocks: dict[int, Blocks] = {}
        self._compiled: Compiled | None = None
        self.derivatives: list[Tensor] = []  # of the last update, where they are made by hand
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.bias_lr_factor = bias_lr_factor
        self.configure_optimizers()  # what is mistaken in it should be known now

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.net(x))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        x, y = batch
        if self.replicas is not None:
            # thousands of losses are not kept: reports find those that are not finite
            loss, self.derivatives = self.blocks(len(x)).gradients(x, y)
            return loss
        if self.gradients == "by_hand":
            net = cast(MLP, self.net)
            logits, self.derivatives = backprop.gradients(net, x, y, self.loss_name)
        else:
            logits = self.net(x)
        loss = self.loss(logits, y)
        self.steps.append((loss.detach(), self.rates[0]["lr"], batch_idx))
        return loss

    def backward(self, loss: Tensor) -> None:
        if self.replicas is None and self.gradients == "autograd":
            return super().backward(loss * self.weight if self.processes > 1 else loss)
        batches = self.trainer.accumulate_grad_batches
        given = [gradient / batches if batches > 1 else gradient for gradient in self.derivatives]
        pieces = [gradient.chunk(len(self.owners), -1) for gradient in given]
        for at, owners in enumerate(self.owners):
            for weight, piece in zip(owners.values(), pieces, strict=True):
                weight.grad = piece[at] if weight.grad is None else weight.grad + piece[at]
        return None

    def on_fit_start(self) -> None:
        self.processes = self.trainer.world_size

    @property
    def weight(self) -> float:
        """What the loss of the rows here counts for in the mean over the processes."""
        return cast(float, getattr(self.trainer.train_dataloader, "weight", 1.0))

    def blocks(self, rows: int) -> Blocks:
        """The network's weights in blocks, for batches of some number of rows."""
        if rows not in self._blocks:
            net, segment = self.net, self.replicas and self.replicas // len(self.owners)
            gradient = by_autograd(net, self.loss)
            if self.gradients == "by_hand":
                gradient = by_hand(cast(MLP, net), self.loss_name, self.loss)
            self._blocks[rows] = Blocks(net, gradient, rows, segment)
        return self._blocks[rows]

    def at_once(self, rows: int) -> "Compiled | None":
        """What makes several updates at once, where that is asked for."""
        if self.compile_updates and self._compiled is None:
            from perceptrons.compiled import Compiled  # takes a second

            self._compiled = Compiled(self.blocks(rows), self.trainer.optimizers[0], self.owners)
        return self._compiled

    def on_train_start(self) -> None:
        # what is validated on is to be known from the first update on, also where the first report
        # comes later than the first epoch's end
        if self.trainer.enable_validation:
            self.trainer.fit_loop.epoch_loop.val_loop.setup_data()

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if not self.steps:
            return
        losses = torch.stack([loss for loss, _, _ in self.steps])
        if self.processes > 1:  # then all of them learn together that one is not finite
            losses = self.trainer.strategy.reduce(losses * self.weight, reduce_op="mean")
        finite = losses.isfinite()
        if not finite.all():
            _, rate, number = self.steps[int(finite.int().argmin())]
            raise NonFiniteLossError(self.global_step - batch_idx + number, rate)
        self.steps.clear()
        if "train" not in self.validated:
            cast(Metric, self.measures["train/loss"]).update(losses)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.measure(self.validated[dataloader_idx], batch)

    def on_validation_epoch_end(self) -> None:
        self.report()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.measure("test", batch)

    def on_test_epoch_end(self) -> None:
        self.report()

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int = 0) -> Prediction:
        return predict(batch[0], self.net(batch[0]), self.classes)

    def configure_optimizers(self) -> Any:
        named = dict(self.named_parameters())  # a loss of the user's may have some too
        self.owners = segments(named, max(1, len(self.lr_grid)))
        self._blocks.clear()
        self._compiled = None
        optimizer = optimizer_of(
            self.make_optimizer, self.owners, self.lr_grid, self.bias_lr_factor
        )
        if self.replicas is not None:
            check_alone(optimizer)
        if self.compile_updates:
            rule_of(optimizer)  # which there must be
        self.rates = optimizer.param_groups
        self.given = [{**group, "params": None} for group in optimizer.param_groups]
        if self.make_scheduler is None:
            return optimizer
        scheduler = self.make_scheduler(optimizer)
        how = {"scheduler": scheduler, "interval": "step"}
        if isinstance(scheduler, ReduceLROnPlateau):
            how = {"scheduler": scheduler, "monitor": scheduler.monitor, "frequency": sys.maxsize}
            self.monitors = (scheduler.monitor,)
            if self.replicas is not None:
                raise ValueError("scheduler: ReduceLROnPlateau couples the replicas")
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

    def logits(self, x: Tensor) -> Tensor:
        """Logits, of a batch as large as there are replicas for."""
        return self(x) if self.replicas is None else self.blocks(len(x)).logits(x)

    def measure(self, stage: str, batch: Batch) -> None:
        """Take a batch into a stage's loss and accuracy."""
        x, y = batch
        # half as many bits would be too few for a report's digits
        kind = torch.promote_types(x.dtype, torch.float32)
        logits, y, right = self.logits(x).to(kind), y.to(kind), self.answers(y)
        given = predict(x, logits, self.classes).classes
        if self.replicas is not None or right.shape[1] > 1:
            self.fresh_right.setdefault(stage, []).append(all_right(given, right))
        measures = cast(dict[str, Metric], self.measures)
        loss = logits.new_zeros(())
        if len(x):  # of several processes one may have no row
            with torch.autocast(x.device.type, enabled=False):
                loss = loss_of_each(self.measured_loss, logits, y)
        measures[f"{stage}/loss"].update(loss, weight=len(x))
        if self.replicas is None:
            measures[f"{stage}/accuracy"].update(given, right)
        else:
            measures[f"{stage}/accuracy"].update(accuracy_of_each(given, right), weight=len(x))

    def report(self) -> None:
        """Note all that was measured since the last report, in one place for all who read it."""
        measures = {name: cast(Metric, measure) for name, measure in self.measures.items()}
        fresh = {name: measure for name, measure in measures.items() if measure.update_called}
        # torchmetrics makes one number of the only replica's
        shape = () if self.replicas is None else (-1,)
        self.of_each = {name: measure.compute().reshape(shape) for name, measure in fresh.items()}
        self.measured = {name: mean(of_each) for name, of_each in self.of_each.items()}
        self.all_right = {name: self.everywhere(rows) for name, rows in self.fresh_right.items()}
        self.fresh_right.clear()
        for stage, solved in self.all_right.items():
            self.measured[f"{stage}/solved"] = solved.double().mean().item()
        self.log_dict(self.measured, logger=self.trainer.state.fn != "fit")
        if self.trainer.state.fn != "fit":
            return
        for measure in fresh.values():
            measure.reset()
        if not all(map(math.isfinite, self.measured.values())):
            raise NonFiniteLossError(self.global_step + 1, self.rates[0]["lr"])
        for logger in self.loggers:
            # not by log_dict, which would be an update early: Lightning counts it only after this
            logger.log_metrics(self.measured, self.global_step)
            logger.save()

    def everywhere(self, right: list[Tensor]) -> Tensor:
        """Whether all is right in each batch of each process."""
        here = torch.stack(right).all(0).int()
        return cast(Tensor, self.trainer.strategy.reduce(here, reduce_op="min")).bool()

    def answers(self, y: Tensor) -> Tensor:
        """Right classes: 0 or 1 for each output ``(rows, outputs)``, or a number ``(rows, 1)``."""
        return y.int() if self.classes == 2 else y.argmax(1, keepdim=True)

    @property
    def measured_loss(self) -> LossFunction:
        """The loss as reports give it."""
        return MEASURED.get(self.loss_name, self.loss)


def mean(of_each: Tensor) -> float:
    """Mean over replicas, without those that have gone beyond all numbers."""
    finite = of_each.reshape(-1)
    finite = finite[finite.isfinite()] if of_each.ndim else finite
    return finite.mean().item()


def check_grid(net: nn.Module, rates: Sequence[float]) -> None:
    if not all(0 < rate < math.inf for rate in rates):
        raise ValueError(f"lr_grid={[*rates]}: every learning rate must be above 0 and finite")
    if len({*rates}) < len(rates):
        raise ValueError(f"lr_grid={[*rates]}: the same learning rate is there twice")
    if not isinstance(net, MLP) or net.replicas is None:
        raise ValueError(f"lr_grid={[*rates]}: needs a Perceptron or MLP with replicas")


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
