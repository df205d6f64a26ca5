"""Many updates in one Lightning step.

Lightning spends about half a millisecond on each training step, on hooks, counters and logs; an
update of a small network takes a third of that. So the loader hands out spans, which are lists of
batches, and one Lightning step makes an update for each batch of a span, by manual optimization.
The user's module stays as it is: a class in front of it calls its ``training_step`` once per batch.

The weights are the same to the bit, and ``trainer.global_step`` counts updates. Where something
asks to see each update, Lightning trains the module as it would without the lab.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from math import ceil
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    Callback,
    DeviceStatsMonitor,
    GradientAccumulationScheduler,
    LearningRateFinder,
    LearningRateMonitor,
    ModelCheckpoint,
    ProgressBar,
    StochasticWeightAveraging,
    Timer,
)
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor

from ..data.loader import Rows, TableLoader
from ..data.tables import TRANSFERS, TableData, own_hooks
from .compiled import MOST as AT_ONCE
from .compiled import Compiled, compiled_alone
from .functional import KNOWN, step_of, without_autograd

# updates in a span, and bytes of its batches: a signal waits for the end of a span, and so do
# snapshots; Lightning's own work is then some 1 % of an update of the smallest network
MOST, BYTES = 512, 2**26

# what Lightning calls for each batch
HOOKS = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
)
MODULE_HOOKS = (
    *HOOKS,
    *TRANSFERS,
    "backward",
    "configure_gradient_clipping",
    "optimizer_step",
    "optimizer_zero_grad",
    "lr_scheduler_step",
    "configure_callbacks",
)
# callbacks of Lightning's that look at the training from time to time, and need not see each batch
PATIENT = (DeviceStatsMonitor, LearningRateMonitor, ModelCheckpoint, ProgressBar, Timer)

# others that change the updates themselves
MEDDLING = (
    *(BatchSizeFinder, GradientAccumulationScheduler, LearningRateFinder),
    StochasticWeightAveraging,
)


class Span:
    """Some batches: no list, whose tensors Lightning would look through one by one.

    Args:
        first: Number of the first batch in its epoch.
        batches: The batches.
    """

    def __init__(self, first: int, batches: list[Rows]) -> None:
        self.first, self.batches = first, batches


class SpanLoader:
    """Hands out the batches of a table as spans.

    Span number n ends with batch ``n * length`` of the epoch, or where ``max_steps`` is reached.

    Args:
        loader: Hands out the batches.
        length: Batches in a span.
        trainer: Knows how many updates have been made, and are to be made.
    """

    def __init__(self, loader: TableLoader, length: int, trainer: L.Trainer) -> None:
        self.loader, self.length, self.trainer = loader, length, trainer
        self.batch_sampler = loader.batch_sampler  # through which Lightning tells the epoch
        self.state_dict, self.load_state_dict = loader.state_dict, loader.load_state_dict

    def __len__(self) -> int:
        return ceil(len(self.loader) / self.length)

    def __iter__(self) -> Iterator[Span]:
        batches = iter(self.loader)
        for first in batches:  # only now does the loader know how many came before a resumed run
            before = self.loader.handed_out - 1
            due = (ceil(before / self.length) + 1) * self.length - before
            if self.trainer.max_steps != -1:
                due = min(due, self.trainer.max_steps - self.trainer.global_step)
            yield Span(before, [first, *islice(batches, max(due, 1) - 1)])


class Spans(L.LightningModule):
    """In front of a user's module: a Lightning step is an update for each batch of a span."""

    trainer: Any

    def on_fit_start(self) -> None:
        super().on_fit_start()
        # only now are the optimizer and its schedulers made
        if any(map(counts_batches, self.trainer.lr_scheduler_configs)):
            del self.trainer.datamodule.train_dataloader
            self.__class__ = type(self).__bases__[-1]
        else:
            # for manual optimization Lightning would leave out what a scheduler monitors, and
            # refuse to clip gradients
            self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if not isinstance(batch, Span):  # the user's own call of it, as to validate
            return super().training_step(batch, batch_idx)
        trainer, (optimizer,) = self.trainer, self.trainer.optimizers
        gradients = gradients_of(self, super().training_step, optimizer)
        step = step_of(optimizer)
        by_step, results = schedulers(trainer, "step"), trainer._results
        counted = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.total
        made: list[tuple[Tensor, int, float]] = []  # loss, its update, learning rate

        def closure() -> Tensor | None:
            loss = gradients(rows, number)
            if loss is not None:
                rate = optimizer.param_groups[0]["lr"]
                made.append((loss.detach(), counted.completed + 1, rate))
            return loss

        by_hand = getattr(self, "hand_gradients", None) and not isinstance(self, CompiledSpans)
        with without_autograd(optimizer, by_hand):  # but for what gradients are taken of
            for number, rows in self.batches_left(batch, made):  # noqa: B007  the closure takes it
                # or what the user's step logs would not know how many rows it is the mean of
                results.batch, results.batch_size = rows, None
                step(closure)
                count_updates(trainer, 1)
                step_schedulers(by_step, trainer)
        if trainer.is_last_batch:
            step_schedulers(schedulers(trainer, "epoch"), trainer)
        if not made:
            if not by_hand and trainer.current_epoch == 0:
                print("training_step returns no loss: nothing is trained", flush=True)
            return None
        return {"loss": torch.stack([each[0] for each in made]), "span": [e[1:] for e in made]}

    def batches_left(self, span: Span, made: list[Any]) -> Iterator[tuple[int, Rows]]:
        """The batches that are still to be made updates of, by their numbers."""
        yield from enumerate(span.batches, span.first)


class CompiledSpans(Spans):
    """The same, with most updates made by compiled calls."""

    compiled_calls: Compiled | None = None
    compiled_as: Any = None

    def constants(self) -> Any:
        """What is not looked at again once updates are compiled, but for what the loss holds."""
        trained = [each.requires_grad for each in self.parameters()]
        modes = [each.training for each in self.modules()]
        return self.compiled_calls and self.compiled_calls.constants(), trained, modes

    def batches_left(self, span: Span, made: list[Any]) -> Iterator[tuple[int, Rows]]:
        """Make what updates can be made at once, and hand out the batches that are left."""
        trainer, (optimizer,) = self.trainer, self.trainer.optimizers
        if self.compiled_calls is None or self.compiled_calls.optimizer is not optimizer:
            clip = trainer.gradient_clip_val, trainer.gradient_clip_algorithm
            self.compiled_calls = compiled_alone(self, optimizer, clip)
            self.compiled_as = self.constants()
        if self.compiled_as != self.constants() and not self.compiled_calls.failed:
            print("a hook changes what is compiled: the updates are made one by one", flush=True)
            self.compiled_calls.failed = True
        by_step = schedulers(trainer, "step")

        def step() -> None:
            count_updates(trainer, 1)
            step_schedulers(by_step, trainer)

        end, left, coming = span.first + len(span.batches), len(span.batches), iter(span.batches)
        while left:
            done, unused = self.compiled_calls.run(coming, left, step if by_step else None)
            count_updates(trainer, 0 if by_step else done)
            left -= done
            if done:
                rate = optimizer.param_groups[0]["lr"]
                made.append((self.compiled_calls.loss.clone(), trainer.global_step, rate))
            for rows in unused or ([next(coming)] if left else []):
                left -= 1
                yield end - left - 1, rows


class SpanTrainer(L.Trainer):
    """A trainer whose estimate of the updates to come is one of updates, not of spans."""

    datamodule: Any

    @property
    def estimated_stepping_batches(self) -> int | float:
        if self.max_epochs == -1:
            return super().estimated_stepping_batches
        updates = len(TableData.train_dataloader(self.datamodule)) * max(self.max_epochs or 0, 1)
        return updates if self.max_steps == -1 else min(updates, self.max_steps)


def gradients_of(
    module: Any, user_step: Any, optimizer: torch.optim.Optimizer
) -> Callable[[Rows, int], Tensor | None]:
    """Takes the gradients that the user has written out, or else those of the user's step.

    Of a batch, by its number; it gives the loss where that is needed for the gradients.
    """
    # an optimizer that asks for gradients more than once needs the loss besides
    written: Any = type(optimizer) in KNOWN and getattr(module, "hand_gradients", None)
    groups = [{"params": module.net.parameters()}] if written else optimizer.param_groups
    parameters = [each for group in groups for each in group["params"]]
    clips = bool(module.trainer.gradient_clip_val)

    def by_autograd(rows: Rows, number: int) -> Tensor | None:
        with torch.enable_grad():
            made: Any = user_step(rows, number)
            loss: Any = made["loss"] if isinstance(made, Mapping) else made
            for parameter in parameters:
                parameter.grad = None
            if loss is not None:
                loss.backward()
                if clips:
                    module.clip_gradients(optimizer)
        return cast(Tensor | None, loss)

    def by_hand(rows: Rows, number: int) -> None:
        _, found = written(*rows)
        for parameter, gradient in zip(parameters, found, strict=True):
            parameter.grad = gradient
        if clips:
            module.clip_gradients(optimizer)

    return by_hand if written else by_autograd


def schedulers(trainer: Any, interval: str) -> list[Any]:
    """The settings of the schedulers that Lightning would step at each interval."""
    every = trainer.lr_scheduler_configs
    return [each for each in every if each.interval == interval and not each.reduce_on_plateau]


def counts_batches(config: Any) -> bool:
    """Whether a scheduler is stepped by Lightning's count of an epoch's batches, or by a metric."""
    return bool(config.interval == "step" and (config.frequency != 1 or config.reduce_on_plateau))


def step_schedulers(schedulers: list[Any], trainer: Any) -> None:
    """Step them, at the end of an interval."""
    for each in schedulers:
        if each.interval == "step" or (trainer.current_epoch + 1) % each.frequency == 0:
            each.scheduler.step()


def count_updates(trainer: Any, made: int) -> None:
    """Let a trainer know of updates that it did not see."""
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    for counter in (progress.total, progress.current):
        counter.ready += made
        counter.completed += made


def use_spans(trainer: Any, module: Any, data: Any, compiled: bool = False) -> bool:
    """Let a trainer make many updates in each of its steps, if nothing asks to see each of them.

    The module's class becomes one in front of its own, which may compile the updates, and its
    loader hands out spans.
    """
    of_table = isinstance(data, TableData) and not {*own_hooks(data)} - {"val_dataloader"}
    if not (of_table and trains_alone(trainer) and takes_spans(module)):
        return False
    if any(map(sees_each_batch, trainer.callbacks)):
        return False
    kind, trainer.__class__ = type(module), SpanTrainer
    bases = (CompiledSpans if compiled else Spans, kind)
    # local, or the parser would have two classes of a name to choose from
    place = {"__module__": kind.__module__, "__qualname__": f"spans.<locals>.{kind.__name__}"}
    module.__class__ = type(kind.__name__, bases, place)

    def train_dataloader() -> SpanLoader:
        loader = TableData.train_dataloader(data)
        length = span_length(loader)
        if compiled:  # whole calls: those left over would be made one by one
            length = ceil(length / AT_ONCE) * AT_ONCE
        trainer.log_every_n_steps = ceil(trainer.log_every_n_steps / length)
        return SpanLoader(loader, length, trainer)

    setattr(data, "train_dataloader", train_dataloader)  # noqa: B010  of this object alone
    return True


def span_length(loader: TableLoader, most: int = MOST) -> int:
    """Batches in a span, so that the spans of an epoch are about as long as each other."""
    batch = sum(column[: loader.batch_size].nbytes for column in loader.table)
    most = max(1, min(most, BYTES // max(batch, 1)))
    return ceil(len(loader) / ceil(len(loader) / most))


def trains_alone(trainer: Any) -> bool:
    """Whether a trainer's settings leave the updates of an epoch to one process and one loop."""
    shares = trainer.limit_train_batches, trainer.val_check_interval  # 1 is one batch, 1.0 all
    return (
        isinstance(trainer.strategy, SingleDeviceStrategy)
        and type(trainer.precision_plugin) is Precision  # autocast keeps weights of one update
        and isinstance(trainer.profiler, PassThroughProfiler)
        and trainer.accumulate_grad_batches == 1
        and all(isinstance(share, float) and share == 1 for share in shares)
        and not trainer.overfit_batches
        and not trainer.fast_dev_run
    )


def takes_spans(module: L.LightningModule) -> bool:
    """Whether a module leaves its updates to Lightning, and has no hook that must see each."""
    return module.automatic_optimization and not any(is_overridden(h, module) for h in MODULE_HOOKS)


def sees_each_batch(callback: Callback) -> bool:
    """Whether a callback must see each batch: it has a hook for that, and does not take spans."""
    if isinstance(callback, ModelCheckpoint):
        # Lightning has no other name for what it was given
        return bool(callback._every_n_train_steps or callback._train_time_interval)
    patient = isinstance(callback, PATIENT) and type(callback).__module__.startswith("lightning.")
    hooked = any(is_overridden(hook, callback) for hook in HOOKS) or isinstance(callback, MEDDLING)
    return hooked and not patient and not getattr(callback, "takes_spans", False)
